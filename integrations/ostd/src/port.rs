//! The port: an interrupt line of ostd's is the doorbell.
//!
//! # The doorbell
//!
//! ostd has inter-processor calls of its own. A function that they run is run under the lock of that CPU's queue, their queue
//! grows by allocations, and for the calling CPU they run it on the spot, where a flush is not allowed yet. So they are not used:
//! [`prepare`] asks ostd for an interrupt line, and [`ring`](Platform::ring) sends its vector, with one write to the x2APIC.
//! ostd calls [`answer`] with interrupts off, and acknowledges after that: a ring that comes meanwhile is kept by the APIC.
//!
//! # What the port cannot give
//!
//! Where a processor has no x2APIC its registers are in memory, which ostd keeps to itself: [`bringup`](crate::bringup) says so,
//! and ends.

use core::arch::{asm, x86_64::__cpuid};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use ostd::arch::{read_tsc, tsc_freq};
use ostd::cpu::CpuId;
use ostd::irq::{InterruptLevel, IrqLine};
use smpcall::{
    Backoff, Budget, CallStall, Event, Pause, PerCpu, Platform, Reporting, RingError, SleepGuard, Tracing,
    Waiting,
};
#[cfg(feature = "stats")]
use smpcall::{CpuStats, Stats};
use smpcall_bare::{Latch, arch};

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
    latch: Latch,
    /// Set by the handler, for those who try the doorbell.
    came: AtomicBool,
    /// Where interrupts for this CPU are sent to.
    apic_id: AtomicU32,
    /// Rings sent to this CPU.
    rings: AtomicU64,
}

/// The doorbells of ostd's CPUs, a [`Platform`].
pub(crate) struct OstdPort {
    bells: [Bell; CPUS],
    /// The vector of the doorbell; 0 until there is one.
    vector: AtomicU32,
    /// Nanoseconds of a tick of the time-stamp counter, times 2^32.
    ns_per_tick: AtomicU64,
}

impl OstdPort {
    const fn new() -> Self {
        const BELL: Bell = Bell {
            latch: Latch::new(),
            came: AtomicBool::new(false),
            apic_id: AtomicU32::new(0),
            rings: AtomicU64::new(0),
        };
        Self { bells: [BELL; CPUS], vector: AtomicU32::new(0), ns_per_tick: AtomicU64::new(0) }
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

/// What the first CPU prepares, before any other is there. A kernel that does not answer is what must be diagnosed.
pub(crate) fn prepare(answers: bool) {
    let port = SMP.platform();
    let ns_per_tick = (1_000_000_000_u128 << 32) / u128::from(tsc_freq());
    // Relaxed: the other CPUs start after it.
    port.ns_per_tick.store(ns_per_tick as u64, Ordering::Relaxed);
    let mut line = IrqLine::alloc().expect("ostd has vectors to spare");
    // Relaxed: for those who try the doorbell; nothing is published.
    let came = || SMP.platform().here().came.store(true, Ordering::Relaxed);
    if answers {
        line.on_active(move |_| {
            came();
            answer();
        });
    } else {
        line.on_active(move |_| came());
    }
    // Relaxed: as above.
    port.vector.store(line.num().into(), Ordering::Relaxed);
    // It is never given back.
    core::mem::forget(line);
}

/// The x2APIC's registers for its own number and for interrupts to others (Intel SDM 3A, 11.12.1.2).
const APIC_ID: u32 = 0x802;
const ICR: u32 = 0x830;

/// Notes where this CPU's interrupts are sent to, before it comes online.
pub(crate) fn note_apic_id() {
    let id: u32;
    // SAFETY: reads a register of the x2APIC, which `bringup` has seen to be there and ostd has switched on.
    unsafe { asm!("rdmsr", in("ecx") APIC_ID, out("eax") id, out("edx") _, options(nomem, nostack)) };
    // Relaxed: coming online publishes it to those who ring.
    SMP.platform().here().apic_id.store(id, Ordering::Relaxed);
}

/// Returns whether the doorbell's interrupt has come to that CPU since the last such question.
pub(crate) fn has_come(cpu: u32) -> bool {
    // Relaxed: see `prepare`.
    SMP.platform().bells[cpu as usize].came.swap(false, Ordering::Relaxed)
}

/// Answers the doorbell: runs what was posted to this CPU. What is left over at the budget has rung again.
///
/// Context: the doorbell's interrupt, which ostd acknowledges when this has returned.
fn answer() {
    let bell = SMP.platform().here();
    bell.latch.answer();
    let _ = SMP.flush(Budget::DEFAULT);
}

/// Sleeps until an interrupt, the timer's at the latest. Returns whether the doorbell was answered since the last sleep: then
/// at once.
///
/// Context: thread of a CPU, interrupts on; its queue is at rest (`begin_sleep` said so), or it is offline.
pub(crate) fn sleep() -> bool {
    SMP.platform().here().latch.sleep(|| {})
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

// SAFETY: 1. ostd has the number in the CPU's own storage; the kernel has no scheduler, so each CPU has one thread, which
// stays. 2. `irq_save` masks interrupts, and `answer` runs in one. 3. The latch is rung at each ring, and
// answered before the flush; that the interrupt comes `bringup` tries for each CPU. 4. Nothing unwinds.
// 5. `wake` rings, and the CPU sleeps at its latch, which `answer` answers; all of it is static.
unsafe impl Platform for OstdPort {
    type IrqState = arch::IrqState;
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
        bell.latch.ring();
        publish();
        // Relaxed: both were stored before that CPU came online.
        let vector = self.vector.load(Ordering::Relaxed);
        let apic_id = bell.apic_id.load(Ordering::Relaxed);
        // Fixed, edge-triggered, asserted, to one physical number; 64 bits at once, so that an interrupt's own ring does not mix in.
        const ASSERT: u32 = 1 << 14;
        // SAFETY: raises an interrupt of a vector that ostd gave us, whose handler is `answer`'s. `bringup` has seen that there is an
        // x2APIC.
        unsafe {
            asm!("wrmsr", in("ecx") ICR, in("eax") vector | ASSERT, in("edx") apic_id, options(nostack, preserves_flags));
        }
        Ok(())
    }

    #[inline(always)]
    fn irq_save(&self) -> arch::IrqState {
        arch::irq_save()
    }

    #[inline(always)]
    fn irq_restore(&self, state: arch::IrqState) {
        arch::irq_restore(state);
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
