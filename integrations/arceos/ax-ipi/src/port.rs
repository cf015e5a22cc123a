//! The port: the kernel's IPI is the doorbell.

use crate::doorbell::Doorbell;
use ax_crate_interface::call_interface;
use ax_hal::irq::IrqError;
use ax_hal::percpu::{this_cpu_id_pinned, with_cpu_pin};
#[cfg(feature = "stats")]
use core::sync::atomic::{AtomicU64, Ordering};
use smpcall::{
    Backoff, Budget, CallStall, Event, Pause, PerCpu, Platform, Reporting, RingError, Topology, Tracing,
    Tuning, Waiting,
};
#[cfg(feature = "stats")]
use smpcall::{CpuStats, Stats};
use smpcall_bare::{Latch, arch};

/// How many CPUs the machine has room for; the kernel has `ax_hal::cpu_num()`.
pub const CPUS: usize = 8;

/// smpcall on ArceOS.
pub type Machine = smpcall::Machine<AxPort, [PerCpu; CPUS]>;

pub(crate) static MACHINE: Machine = smpcall::Machine::new(AxPort::new(), [const { PerCpu::new() }; CPUS]);

/// What was counted of the machine.
#[cfg(feature = "stats")]
pub static STATS: Stats<[CpuStats; CPUS]> = Stats::new([const { CpuStats::new() }; CPUS]);

/// How long a waiting caller looks before it sleeps until the next interrupt: longer than an interrupt takes to be answered.
const SPIN_NS: u64 = 100_000;

/// One CPU's doorbell. A line of its own: senders of different targets do not meet.
#[repr(align(128))]
struct Bell {
    latch: Latch,
    #[cfg(feature = "stats")]
    rings: AtomicU64,
}

impl Bell {
    const fn new() -> Self {
        Self {
            latch: Latch::new(),
            #[cfg(feature = "stats")]
            rings: AtomicU64::new(0),
        }
    }
}

/// Returns which CPU runs the caller, who stays there: as `ax_hal::percpu::this_cpu_id`, which holds preemption off itself.
#[inline(always)]
pub(crate) fn this_cpu() -> usize {
    // SAFETY: who comes here stays on its CPU (the port's first duty).
    unsafe { with_cpu_pin(this_cpu_id_pinned) }.expect("a CPU that runs the kernel has its own storage")
}

/// The doorbells of ArceOS' CPUs, a [`Platform`].
pub struct AxPort {
    bells: [Bell; CPUS],
    doorbell: Doorbell,
}

impl AxPort {
    const fn new() -> Self {
        Self { bells: [const { Bell::new() }; CPUS], doorbell: Doorbell::new() }
    }

    /// This CPU can be rung from now on. Before it comes online.
    pub(crate) fn join(&self) {
        self.doorbell.join(this_cpu());
    }

    /// Returns how many rings were sent, to all CPUs. Racy while any are.
    #[cfg(feature = "stats")]
    pub fn rings(&self) -> u64 {
        // Relaxed: a figure.
        self.bells.iter().map(|bell| bell.rings.load(Ordering::Relaxed)).sum()
    }

    fn here(&self) -> &Bell {
        &self.bells[this_cpu()]
    }

    /// Sets that CPU's latch: the interrupt follows, always.
    fn latch(&self, cpu: usize) {
        let bell = &self.bells[cpu];
        // Relaxed: a figure.
        #[cfg(feature = "stats")]
        bell.rings.fetch_add(1, Ordering::Relaxed);
        bell.latch.ring();
    }

    /// Rings that CPU, which there is.
    ///
    /// Context: interrupts off. A controller may be told whom by one register and what by another: a handler that sends as well must
    /// not come in between.
    pub(crate) fn notify(&self, cpu: usize) -> Result<(), IrqError> {
        self.latch(cpu);
        self.doorbell.ring(cpu)
    }

    // guide: claim
    /// Takes the latch back, in the handler, before it looks. The interrupt is acknowledged: a later ring interrupts again.
    pub(crate) fn claim(&self) {
        self.here().latch.answer();
    }
    // guide: end
}

/// Runs what was posted to this CPU. What is left over at the budget has rung again.
///
/// Context: an interrupt's handler, interrupts off, after `claim`.
pub(crate) fn answer() {
    let _ = MACHINE.flush(Budget::DEFAULT);
}

// guide: idle
/// Sleeps until an interrupt, the scheduler's tick at the latest. Returns whether the doorbell was answered since the last
/// sleep: then at once.
///
/// Context: thread of a CPU, interrupts on; its queue is at rest (`begin_sleep` said so), or it is offline.
pub fn sleep() -> bool {
    MACHINE.platform().here().latch.sleep(|| {})
}
// guide: end

// guide: port
// SAFETY: 1. ax-hal has the number in the CPU's own storage; `Pinned`, or the duty of `machine_unpinned`, keeps a task where it
// is. 2. `irq_save` masks interrupts, `answer` runs in one, and nothing migrates with interrupts off. 3. The latch is rung
// at each ring, and answered in `claim`, before the flush. 4. Nothing unwinds. 5. `wake` rings, and the CPU sleeps at its latch,
// which the handler answers; all of it is static.
unsafe impl Platform for AxPort {
    type IrqState = arch::IrqState;
    smpcall::no_unwinding!();

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        Some(this_cpu() as u32)
    }

    fn can_wait(&self) -> bool {
        // ArceOS' handlers run with interrupts off.
        arch::irqs_are_on()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.notify(cpu as usize).map_err(|_| RingError)
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
        ax_hal::time::monotonic_time_nanos()
    }
}

impl Waiting for AxPort {
    const PARKS: bool = true;

    fn pause(&self, backoff: &Backoff) -> Pause {
        if backoff.waited_ns >= SPIN_NS {
            return Pause::Park;
        }
        arch::relax();
        Pause::Again
    }

    fn waiter(&self) -> Option<u16> {
        self.current_cpu().and_then(|cpu| u16::try_from(cpu).ok())
    }

    fn park(&self, _waiter: Option<u16>, _timeout_ns: u64) {
        sleep();
    }

    fn wake(&self, waiter: u16) {
        // Who could not be woken looks again at the next tick.
        let _ = self.ring(waiter.into());
    }
}

impl Reporting for AxPort {
    fn stall_timeout_ns(&self) -> u64 {
        1_000_000_000
    }

    fn call_stalled(&self, stall: &CallStall) {
        // The kernel's log has a worker, which may be waiting for this CPU: so by its emergency path, which keeps the console.
        call_interface!(ax_log::LogIf::emergency_write, format_args!("ax-ipi: {stall}\n"));
    }
}

impl Tracing for AxPort {
    const TRACES: bool = cfg!(feature = "stats");

    #[inline(always)]
    fn trace(&self, event: &Event) {
        #[cfg(feature = "stats")]
        STATS.count(event);
        #[cfg(not(feature = "stats"))]
        let _ = event;
    }
}

impl Topology for AxPort {
    fn ring_many(&self, first: u32, cpus: usize) -> usize {
        let others = || (0..CPUS).filter(|bit| cpus >> bit & 1 != 0).map(|bit| first as usize + bit);
        others().for_each(|cpu| self.latch(cpu));
        // The core rings with interrupts off.
        if self.doorbell.ring_all_others(this_cpu(), cpus << first) {
            return 0;
        }
        let unrung = others().filter(|cpu| self.doorbell.ring(*cpu).is_err());
        unrung.fold(0, |unrung, cpu| unrung | 1 << (cpu - first as usize))
    }
}

impl Tuning for AxPort {
    const RINGS_FAIL: bool = Doorbell::RINGS_FAIL;
}

smpcall::simple_port!(AxPort: Foreign, Hosting);
// guide: end
