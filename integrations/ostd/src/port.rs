//! The port: ostd's inter-processor call is the doorbell.
//!
//! # The doorbell
//!
//! ostd runs the functions of an inter-processor call *while it holds the lock of that CPU's queue*, and a sender takes the
//! lock of its target. A function that calls another CPU from there waits for that CPU's lock with its own held: two such
//! CPUs could wait for each other for ever (by reading; not tried). So [`drain`], the function that is sent, only notes that it came, and [`bottom_half`], which ostd
//! calls when the interrupt's top half is over and acknowledged, flushes with no lock held.
//!
//! ostd runs a function for the calling CPU on the spot. A ring of one's own must not flush before the guard is given back
//! (duty 2 of [`Platform`]), so that one is an interrupt that the CPU sends to itself.
//!
//! # What the port cannot give
//!
//! Ringing takes ostd's lock, and its queue may grow by an allocation: so a post that rings is lock-free only as far as
//! ostd's doorbell is, and is not for NMIs.

use core::arch::{asm, x86_64::__cpuid};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ostd::arch::{read_tsc, tsc_freq};
use ostd::cpu::{CpuId, CpuSet};
use ostd::irq::{self, DisabledLocalIrqGuard, InterruptLevel, IrqLine};
use ostd::smp::inter_processor_call;
use smpcall::{Backoff, Budget, CallStall, Event, Pause, PerCpu, Platform, Reporting, RingError, SleepGuard, Tracing, Waiting};
#[cfg(feature = "stats")]
use smpcall::{CpuStats, Stats};
use smpcall_bare::arch;

/// How many CPUs the kernel can use.
pub(crate) const CPUS: usize = 8;

pub(crate) type Machine = smpcall::Machine<OstdPort, [PerCpu; CPUS]>;

pub(crate) static SMP: Machine = smpcall::Machine::new(OstdPort::new(), [const { PerCpu::new() }; CPUS]);

/// What was counted of the machine.
#[cfg(feature = "stats")]
pub(crate) static STATS: Stats<[CpuStats; CPUS]> = Stats::new([const { CpuStats::new() }; CPUS]);

/// How often a waiting caller looks before it sleeps until the next interrupt: CPUs of a guest share few cores.
const PAUSES: u32 = 100;

/// One CPU's doorbell. A line of its own: senders of different targets do not meet.
#[repr(align(128))]
struct Bell {
    /// Set by each ring, cleared before the flush.
    rung: AtomicBool,
    /// Set by the ring's own interrupt when it comes to this CPU, cleared before the flush. Without it the timer's interrupt
    /// would answer a ring that reached nobody, and no test could tell.
    came: AtomicBool,
    /// Set with the flush, cleared by the CPU's thread when it means to sleep.
    heard: AtomicBool,
    /// Rings sent to this CPU.
    rings: AtomicU64,
}

/// The doorbells of ostd's CPUs, a [`Platform`].
pub(crate) struct OstdPort {
    bells: [Bell; CPUS],
    /// The vector of the interrupt that a CPU sends to itself; 0 until there is one.
    own_vector: AtomicU64,
    /// Nanoseconds of a tick of the time-stamp counter, times 2^32.
    ns_per_tick: AtomicU64,
}

impl OstdPort {
    const fn new() -> Self {
        const BELL: Bell = Bell {
            rung: AtomicBool::new(false),
            came: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            rings: AtomicU64::new(0),
        };
        Self { bells: [BELL; CPUS], own_vector: AtomicU64::new(0), ns_per_tick: AtomicU64::new(0) }
    }

    /// Returns how many rings were sent, to all CPUs. Racy while any are.
    pub(crate) fn rings(&self) -> u64 {
        // Relaxed: a figure.
        self.bells.iter().map(|bell| bell.rings.load(Ordering::Relaxed)).sum()
    }

    fn here(&self) -> &Bell {
        &self.bells[here() as usize]
    }
}

/// The number of this CPU. There is no scheduler here that could move a thread.
pub(crate) fn here() -> u32 {
    CpuId::current_racy().into()
}

/// Returns whether ostd drives this machine's local APICs as x2APICs: it does where there is one.
pub(crate) fn has_x2apic() -> bool {
    __cpuid(1).ecx >> 21 & 1 == 1
}

/// What the first CPU prepares, before any other is there.
pub(crate) fn prepare(answers: bool) {
    let port = SMP.platform();
    let ns_per_tick = (1_000_000_000_u128 << 32) / u128::from(tsc_freq());
    // Relaxed: the other CPUs start after it.
    port.ns_per_tick.store(ns_per_tick as u64, Ordering::Relaxed);
    let mut line = IrqLine::alloc().expect("ostd has vectors to spare");
    line.on_active(|_| drain());
    // Relaxed: as above.
    port.own_vector.store(line.num().into(), Ordering::Relaxed);
    // It is never given back.
    core::mem::forget(line);
    if answers {
        irq::register_bottom_half_handler_l1(bottom_half);
        irq::register_bottom_half_handler_l2(nested_bottom_half);
    }
}

/// What is sent. It comes under the lock of this CPU's queue; what it came for is done when that is free again.
fn drain() {
    // Relaxed: for `answer`, on this CPU.
    SMP.platform().here().came.store(true, Ordering::Relaxed);
}

/// Answers the doorbell, if it came. ostd calls it at the end of each interrupt, the timer's too.
fn bottom_half(guard: DisabledLocalIrqGuard, _irq: u8) -> DisabledLocalIrqGuard {
    answer();
    guard
}

/// The same for an interrupt that came in just before [`bottom_half`].
fn nested_bottom_half(_irq: u8) {
    answer();
}

/// Runs what was posted to this CPU, if it was rung. What is left over at the budget has rung again.
fn answer() {
    let bell = SMP.platform().here();
    // Relaxed: both sides are this CPU, with interrupts off; the interrupts that are none of ours stop here.
    if !bell.came.load(Ordering::Relaxed) {
        return;
    }
    // Relaxed: as above. Before the flush: what comes during it is answered after it.
    bell.came.store(false, Ordering::Relaxed);
    // Acquire: sees what those who rang wrote; pairs with `ring`.
    bell.rung.swap(false, Ordering::Acquire);
    // Relaxed: for this CPU's own thread.
    bell.heard.store(true, Ordering::Relaxed);
    let _ = SMP.flush(Budget::DEFAULT);
}

/// Sleeps until an interrupt, the timer's at the latest. Returns whether the doorbell was answered since the last sleep: then
/// at once.
///
/// Context: thread of a CPU, interrupts on; its queue is at rest (`begin_sleep` said so), or it is offline.
pub(crate) fn sleep() -> bool {
    let guard = irq::disable_local();
    let heard = &SMP.platform().here().heard;
    // Relaxed: both sides are this CPU. Interrupts are off: an answer comes before this look or ends the sleep.
    if !heard.load(Ordering::Relaxed) {
        arch::sleep_with_irqs_off();
    }
    drop(guard);
    // Relaxed: as above; what was answered was flushed.
    heard.swap(false, Ordering::Relaxed)
}

/// Serves this CPU until `done`: what may block runs here, between two sleeps; the rest in the interrupt.
pub(crate) fn serve_until(mut done: impl FnMut() -> bool) {
    // None: the CPU is offline, and has nothing to serve.
    let mut cpu = SMP.as_pin().this_cpu().ok();
    while !done() {
        if let Some(cpu) = &mut cpu
            && cpu.begin_sleep().map(SleepGuard::commit).is_err()
        {
            let _ = cpu.flush(Budget::DEFAULT);
        } else {
            sleep();
        }
    }
}

/// Orders what this CPU wrote before an interrupt by a WRMSR, which does not serialise (Intel SDM 3A, 11.12.3).
fn publish() {
    // SAFETY: fences.
    unsafe { asm!("mfence", "lfence", options(nostack)) };
}

/// The x2APIC's register for an interrupt to oneself (Intel SDM 3A, 11.12.11).
const SELF_IPI: u32 = 0x83f;

// SAFETY: 1. ostd has the number in the CPU's own storage; the kernel has no scheduler, so each CPU has one thread, which
// stays. 2. ostd's guard masks interrupts, and `answer` runs in one. 3. `rung` is set by a read-modify-write at each ring and
// cleared by one before the flush; ostd delivers in finite time, which `bringup` tries for each CPU. 4. Nothing unwinds.
// 5. `wake` rings, `answer` sets `heard`, `sleep` looks at it with interrupts off; all of it is static.
unsafe impl Platform for OstdPort {
    type IrqState = DisabledLocalIrqGuard;
    smpcall::no_unwinding!();

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        Some(here())
    }

    fn can_wait(&self) -> bool {
        // A bottom half may have interrupts on.
        arch::irqs_are_on() && InterruptLevel::current().is_task_context()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        let bell = &self.bells[cpu as usize];
        if cfg!(feature = "stats") {
            // Relaxed: a figure.
            bell.rings.fetch_add(1, Ordering::Relaxed);
        }
        // Release: publishes what the ringer wrote; pairs with `answer`. A read-modify-write, so that a ring that is merged
        // into a pending one continues its release sequence.
        bell.rung.swap(true, Ordering::Release);
        publish();
        if cpu != here() {
            inter_processor_call(&CpuSet::from(CpuId::new(cpu)), drain);
            return Ok(());
        }
        // Relaxed: stored before the CPU was there.
        let vector = self.own_vector.load(Ordering::Relaxed) as u32;
        // SAFETY: raises an interrupt of a vector that ostd gave us, whose handler notes that it came. `bringup` has seen that
        // there is an x2APIC.
        unsafe { asm!("wrmsr", in("ecx") SELF_IPI, in("eax") vector, in("edx") 0, options(nostack)) };
        Ok(())
    }

    #[inline(always)]
    fn irq_save(&self) -> DisabledLocalIrqGuard {
        irq::disable_local()
    }

    #[inline(always)]
    fn irq_restore(&self, guard: DisabledLocalIrqGuard) {
        drop(guard);
    }

    #[inline(always)]
    fn relax(&self) {
        arch::relax();
    }

    fn now_ns(&self) -> u64 {
        // Relaxed: stored before the CPU was there.
        let ns_per_tick = self.ns_per_tick.load(Ordering::Relaxed);
        ((u128::from(read_tsc()) * u128::from(ns_per_tick)) >> 32) as u64
    }
}

impl Waiting for OstdPort {
    const PARKS: bool = true;

    fn pause(&self, backoff: &Backoff) -> Pause {
        if backoff.rounds >= PAUSES {
            return Pause::Park;
        }
        arch::relax();
        Pause::Again
    }

    fn waiter(&self) -> Option<u16> {
        u16::try_from(here()).ok()
    }

    fn park(&self, _waiter: Option<u16>, _timeout_ns: u64) {
        sleep();
    }

    fn wake(&self, waiter: u16) {
        // It never fails.
        let _ = self.ring(waiter.into());
    }
}

impl Reporting for OstdPort {
    fn stall_timeout_ns(&self) -> u64 {
        5_000_000_000
    }

    fn call_stalled(&self, stall: &CallStall) {
        println!("smpcall kernel: {stall}");
        if crate::what() == "deaf" {
            crate::end(false);
        }
    }
}

impl Tracing for OstdPort {
    const TRACES: bool = cfg!(feature = "stats");

    #[inline(always)]
    fn trace(&self, event: &Event) {
        #[cfg(feature = "stats")]
        STATS.count(event);
        #[cfg(not(feature = "stats"))]
        let _ = event;
    }
}

smpcall::simple_port!(OstdPort: Topology, Tuning, Foreign, Hosting);
