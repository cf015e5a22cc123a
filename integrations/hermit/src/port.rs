//! The port: an interrupt vector of Hermit's is the doorbell.
//!
//! The kernel's own handler of that vector acknowledges, and calls [`answer`] with interrupts off. A ring is one write to the x2APIC.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hermit::ipi::{self, DOORBELL_INTERRUPT_NUMBER};
use hermit::syscalls::{sys_get_processor_count, sys_get_processor_frequency};
use smpcall::{
    Backoff, Budget, CallStall, Event, Pause, PerCpu, Platform, Reporting, RingError, SleepGuard, Tracing,
    Waiting,
};
#[cfg(feature = "stats")]
use smpcall::{CpuStats, Stats};
use smpcall_bare::{Latch, arch};

/// How many CPUs the program can use.
pub(crate) const CPUS: usize = 8;

pub(crate) type Machine = smpcall::Machine<HermitPort, [PerCpu; CPUS]>;

pub(crate) static SMP: Machine = smpcall::Machine::new(HermitPort::new(), [const { PerCpu::new() }; CPUS]);

/// What was counted of the machine.
#[cfg(feature = "stats")]
pub(crate) static STATS: Stats<[CpuStats; CPUS]> = Stats::new([const { CpuStats::new() }; CPUS]);

/// How often a waiting caller looks before it sleeps until the next interrupt: CPUs of a guest share few cores.
const PAUSES: u32 = 100;

/// How long a CPU sleeps at most: nobody rings when what it waits for is done elsewhere.
const NAP_US: u64 = 1_000;

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

/// The doorbells of Hermit's CPUs, a [`Platform`].
pub(crate) struct HermitPort {
    bells: [Bell; CPUS],
}

impl HermitPort {
    const fn new() -> Self {
        const BELL: Bell = Bell {
            latch: Latch::new(),
            came: AtomicBool::new(false),
            apic_id: AtomicU32::new(0),
            rings: AtomicU64::new(0),
        };
        Self { bells: [BELL; CPUS] }
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

/// The number of this CPU. Hermit moves no task from the core that it was started on.
pub(crate) fn here() -> u32 {
    ipi::core_id()
}

/// How many CPUs there are, and the ticks of their clock in a microsecond.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static TICKS_PER_US: AtomicU64 = AtomicU64::new(1);

/// Asks Hermit for them, once: each of its system calls switches interrupts on, and so none may be made where they are to be off.
pub(crate) fn ask_hermit() {
    // Relaxed, here and below: the other tasks start after this.
    COUNT.store(sys_get_processor_count(), Ordering::Relaxed);
    TICKS_PER_US.store(sys_get_processor_frequency().into(), Ordering::Relaxed);
}

pub(crate) fn cpus() -> usize {
    // Relaxed: see `ask_hermit`.
    COUNT.load(Ordering::Relaxed)
}

/// Notes where this CPU's interrupts are sent to, before it comes online.
pub(crate) fn note_apic_id() {
    // Relaxed: coming online publishes it to those who ring.
    SMP.platform().here().apic_id.store(ipi::apic_id(here()).into(), Ordering::Relaxed);
}

/// Returns whether the doorbell's interrupt has come to that CPU since the last such question.
pub(crate) fn has_come(cpu: u32) -> bool {
    // Relaxed: for those who try the doorbell; nothing is published.
    SMP.platform().bells[cpu as usize].came.swap(false, Ordering::Relaxed)
}

/// Answers the doorbell: runs what was posted to this CPU. What is left over at the budget has rung again.
///
/// Context: the doorbell's interrupt, which Hermit has acknowledged.
pub(crate) fn answer() {
    let bell = SMP.platform().here();
    // Relaxed: as in `has_come`.
    bell.came.store(true, Ordering::Relaxed);
    if crate::what() == crate::What::Deaf {
        return;
    }
    bell.latch.answer();
    let _ = SMP.flush(Budget::DEFAULT);
}

/// Sleeps until an interrupt, the alarm's at the latest. Returns whether the doorbell was answered since the last sleep: then at once.
///
/// Context: a task of a CPU, interrupts on; its queue is at rest (`begin_sleep` said so), or it is offline.
pub(crate) fn sleep() -> bool {
    // Hermit has no tick.
    SMP.platform().here().latch.sleep(|| ipi::set_alarm(NAP_US))
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

pub(crate) fn now_ns() -> u64 {
    // Relaxed: see `ask_hermit`.
    let ticks_per_us = u128::from(TICKS_PER_US.load(Ordering::Relaxed));
    (u128::from(ipi::get_timestamp()) * 1_000 / ticks_per_us) as u64
}

// SAFETY: 1. Hermit has the number in the core's own storage, and a task stays on its core; each core has one task that is the CPU.
// 2. `irq_save` masks interrupts, and `answer` runs in one. 3. The latch is rung at each ring, and answered before the
// flush; that the interrupt comes `bringup` tries for each CPU. 4. Nothing unwinds. 5. `wake` rings, and the CPU sleeps at its latch, which
// `answer` answers; all of it is static.
unsafe impl Platform for HermitPort {
    type IrqState = arch::IrqState;
    smpcall::no_unwinding!();

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        Some(here())
    }

    fn can_wait(&self) -> bool {
        // Handlers never switch interrupts on.
        arch::irqs_are_on()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        /// The x2APIC's register for interrupts to others (Intel SDM 3A, 11.12.9).
        const ICR: u32 = 0x830;
        /// Fixed, edge-triggered, asserted, to one physical number.
        const ASSERT: u32 = 1 << 14;
        let bell = &self.bells[cpu as usize];
        if cfg!(feature = "stats") {
            // Relaxed: a figure.
            bell.rings.fetch_add(1, Ordering::Relaxed);
        }
        bell.latch.ring();
        // Relaxed: stored before that CPU came online.
        let apic_id = bell.apic_id.load(Ordering::Relaxed);
        let command = u32::from(DOORBELL_INTERRUPT_NUMBER) | ASSERT;
        // The fences: WRMSR does not order what was written before it (Intel SDM 3A, 11.12.3). All 64 bits at once, so that an interrupt's
        // own ring does not mix in.
        // SAFETY: raises an interrupt of a vector that has a handler. `bringup` has seen that there is an x2APIC.
        unsafe {
            asm!("mfence", "lfence", "wrmsr", in("ecx") ICR, in("eax") command, in("edx") apic_id, options(nostack, preserves_flags));
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
        now_ns()
    }
}

impl Waiting for HermitPort {
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

impl Reporting for HermitPort {
    fn stall_timeout_ns(&self) -> u64 {
        5_000_000_000
    }

    fn call_stalled(&self, stall: &CallStall) {
        println!("smpcall kernel: {stall}");
        if crate::what() == crate::What::Deaf {
            crate::end(false);
        }
    }
}

impl Tracing for HermitPort {
    const TRACES: bool = cfg!(feature = "stats");

    #[inline(always)]
    fn trace(&self, event: &Event) {
        #[cfg(feature = "stats")]
        STATS.count(event);
        #[cfg(not(feature = "stats"))]
        let _ = event;
    }
}

smpcall::simple_port!(HermitPort: Topology, Tuning, Foreign, Hosting);
