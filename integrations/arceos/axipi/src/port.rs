//! The port: axhal's IPI is the doorbell.

use crate::fence;
use axhal::irq::{IPI_IRQ, IpiTarget, send_ipi};
#[cfg(feature = "stats")]
use core::sync::atomic::AtomicU64;
use core::sync::atomic::{AtomicBool, Ordering};
use smpcall::{Backoff, Budget, CallStall, Event, Pause, PerCpu, Platform, Reporting, RingError, Tracing, Tuning, Waiting};
#[cfg(feature = "stats")]
use smpcall::{CpuStats, Stats};
use smpcall_bare::arch;

/// How many CPUs the kernel is built for.
pub const CPUS: usize = axconfig::plat::MAX_CPU_NUM;

/// smpcall on ArceOS.
pub type Machine = smpcall::Machine<AxPort, [PerCpu; CPUS]>;

pub(crate) static MACHINE: Machine = smpcall::Machine::new(AxPort::new(), [const { PerCpu::new() }; CPUS]);

/// What was counted of the machine.
#[cfg(feature = "stats")]
pub static STATS: Stats<[CpuStats; CPUS]> = Stats::new([const { CpuStats::new() }; CPUS]);

/// How often a waiting caller looks before it sleeps until the next interrupt: CPUs of a guest share few cores.
const PAUSES: u32 = 100;

/// Whether the machine's CPUs take turns on one core: then who spins keeps the others from running.
static CORES_ARE_SHARED: AtomicBool = AtomicBool::new(false);

/// Says that the machine's CPUs take turns: a caller that waits sleeps at once.
pub fn share_cores() {
    // Relaxed: a setting.
    CORES_ARE_SHARED.store(true, Ordering::Relaxed);
}

fn cores_are_shared() -> bool {
    // Relaxed: a setting.
    CORES_ARE_SHARED.load(Ordering::Relaxed)
}

/// One CPU's doorbell. A line of its own: senders of different targets do not meet.
#[repr(align(128))]
struct Bell {
    /// Set by each ring, cleared by the handler before it flushes.
    rung: AtomicBool,
    /// Set by the handler, cleared by the CPU's thread when it means to sleep.
    heard: AtomicBool,
    /// Set by the handler, cleared when the interrupt is over.
    answering: AtomicBool,
    #[cfg(feature = "stats")]
    rings: AtomicU64,
}

impl Bell {
    const fn new() -> Self {
        Self {
            rung: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            answering: AtomicBool::new(false),
            #[cfg(feature = "stats")]
            rings: AtomicU64::new(0),
        }
    }
}

/// The doorbells of ArceOS' CPUs, a [`Platform`].
pub struct AxPort {
    bells: [Bell; CPUS],
}

impl AxPort {
    const fn new() -> Self {
        Self { bells: [const { Bell::new() }; CPUS] }
    }

    /// Returns how many rings were sent, to all CPUs. Racy while any are.
    #[cfg(feature = "stats")]
    pub fn rings(&self) -> u64 {
        // Relaxed: a figure.
        self.bells.iter().map(|bell| bell.rings.load(Ordering::Relaxed)).sum()
    }

    /// Whether an interrupt that was answered is over, and this CPU was rung since it looked last.
    pub(crate) fn is_rung_again(&self) -> bool {
        let bell = self.here();
        // Relaxed: both sides are this CPU; and only a look, `answer` is what sees what was written.
        bell.answering.swap(false, Ordering::Relaxed) && bell.rung.load(Ordering::Relaxed)
    }

    fn here(&self) -> &Bell {
        &self.bells[axhal::percpu::this_cpu_id()]
    }

    /// Sets the latch.
    fn latch(&self, cpu: u32) {
        let bell = &self.bells[cpu as usize];
        // Relaxed: a figure.
        #[cfg(feature = "stats")]
        bell.rings.fetch_add(1, Ordering::Relaxed);
        // Release: publishes what the ringer wrote; pairs with `answer`. A read-modify-write, so that a ring that is
        // merged into a pending one continues its release sequence.
        bell.rung.swap(true, Ordering::Release);
    }
}

// guide: answer
/// Answers the doorbell. What is left over at the budget has rung again.
///
/// Context: an interrupt's handler, interrupts off.
pub(crate) fn answer() {
    fence::acknowledge();
    let bell = MACHINE.platform().here();
    // Acquire: sees what those who rang wrote; pairs with `latch`. After the acknowledgement: a later ring interrupts again.
    bell.rung.swap(false, Ordering::Acquire);
    // Relaxed: for this CPU's own thread, and for its hook.
    bell.heard.store(true, Ordering::Relaxed);
    bell.answering.store(true, Ordering::Relaxed);
    let _ = MACHINE.flush(Budget::DEFAULT);
}
// guide: end

/// Has axhal call us when an interrupt is over, where the platform acknowledges last.
pub(crate) fn register_hook() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // Relaxed: decides who is first, and publishes nothing.
    if cfg!(target_arch = "riscv64") && !REGISTERED.swap(true, Ordering::Relaxed) {
        let ours = axhal::irq::register_irq_hook(crate::irq_hook);
        assert!(ours, "another hook than axipi's is registered with axhal: rings would be lost");
    }
}

// guide: idle
/// Sleeps until an interrupt, the scheduler's tick at the latest. Returns whether the doorbell was answered since the last
/// sleep: then at once.
///
/// Context: thread of a CPU, interrupts on; its queue is at rest (`begin_sleep` said so), or it is offline.
pub fn sleep() -> bool {
    let state = arch::irq_save();
    let heard = &MACHINE.platform().here().heard;
    // Relaxed: both sides are this CPU. Interrupts are off: an answer comes before this look or ends the sleep.
    if !heard.load(Ordering::Relaxed) {
        arch::sleep_with_irqs_off();
    }
    // The interrupt that ended the sleep is taken here at the latest.
    arch::irq_restore(state);
    // Relaxed: as above; what was answered, the handler has flushed.
    heard.swap(false, Ordering::Relaxed)
}
// guide: end

// guide: port
// SAFETY: 1. axhal has the number in a register of the CPU; `Pinned`, or the duty of `machine_unpinned`, keeps a task where it
// is. 2. `irq_save` masks interrupts, `answer` runs in one, and nothing migrates with interrupts off. 3. `latch` is set by a
// read-modify-write at each ring and cleared by one in `answer`, before the flush; the hook makes good for an interrupt that
// the platform cleared too late. 4. Nothing unwinds. 5. `wake` rings, the handler sets `heard`, `sleep` looks at it with
// interrupts off; all of it is static.
unsafe impl Platform for AxPort {
    type IrqState = arch::IrqState;
    smpcall::no_unwinding!();

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        Some(axhal::percpu::this_cpu_id() as u32)
    }

    fn can_wait(&self) -> bool {
        // ArceOS' handlers run with interrupts off.
        arch::irqs_are_on()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.latch(cpu);
        fence::publish();
        // Also to itself: `IpiTarget::Current` writes to a register that the xAPIC does not have (x86-64), and is lost.
        send_ipi(IPI_IRQ, IpiTarget::Other { cpu_id: cpu as usize });
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
        axhal::time::monotonic_time_nanos()
    }
}

impl Waiting for AxPort {
    const PARKS: bool = true;

    fn pause(&self, backoff: &Backoff) -> Pause {
        if backoff.rounds >= PAUSES || cores_are_shared() {
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
        // It never fails.
        let _ = self.ring(waiter.into());
    }
}

impl Reporting for AxPort {
    fn stall_timeout_ns(&self) -> u64 {
        1_000_000_000
    }

    fn call_stalled(&self, stall: &CallStall) {
        axhal::console::write_bytes(b"axipi: ");
        let _ = core::fmt::Write::write_fmt(&mut Console, format_args!("{stall}\n"));
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

impl Tuning for AxPort {
    fn looks_first(&self, _target: u32) -> u32 {
        if cores_are_shared() { 0 } else { 64 }
    }
}

smpcall::simple_port!(AxPort: Topology, Foreign, Hosting);
// guide: end

/// axhal's console, to which a stall is reported at whatever level is logged.
struct Console;

impl core::fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        axhal::console::write_bytes(text.as_bytes());
        Ok(())
    }
}
