//! The port: ax-hal's IPI is the doorbell.

use ax_crate_interface::call_interface;
use ax_hal::irq::{CpuId, IpiTarget, IrqError, ipi_irq, send_ipi};
use core::arch::asm;
#[cfg(feature = "stats")]
use core::sync::atomic::AtomicU64;
use core::sync::atomic::{AtomicBool, Ordering};
use smpcall::{Backoff, Budget, CallStall, Event, Pause, PerCpu, Platform, Reporting, RingError, Tracing, Tuning, Waiting};
#[cfg(feature = "stats")]
use smpcall::{CpuStats, Stats};
use smpcall_bare::arch;

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
    /// Set by each ring, cleared by the handler before it flushes.
    rung: AtomicBool,
    /// Set by the handler, cleared by the CPU's thread when it means to sleep.
    heard: AtomicBool,
    #[cfg(feature = "stats")]
    rings: AtomicU64,
}

impl Bell {
    const fn new() -> Self {
        Self {
            rung: AtomicBool::new(false),
            heard: AtomicBool::new(false),
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

    fn here(&self) -> &Bell {
        &self.bells[ax_hal::percpu::this_cpu_id()]
    }

    /// Rings that CPU, which there is.
    pub(crate) fn notify(&self, cpu: usize) -> Result<(), IrqError> {
        let bell = &self.bells[cpu];
        // Relaxed: a figure.
        #[cfg(feature = "stats")]
        bell.rings.fetch_add(1, Ordering::Relaxed);
        // Release: publishes what the ringer wrote; pairs with `claim`. A read-modify-write, so that a ring that is
        // merged into a pending one continues its release sequence.
        bell.rung.swap(true, Ordering::Release);
        publish();
        // The xAPIC is told whom by one register and what by another: a handler that sends as well must not come in between.
        let state = arch::irq_save();
        let target = if cpu == ax_hal::percpu::this_cpu_id() {
            IpiTarget::Current
        } else {
            IpiTarget::Cpu(CpuId(cpu))
        };
        let sent = send_ipi(ipi_irq(), target);
        arch::irq_restore(state);
        sent
    }

    // guide: claim
    /// Takes the latch back, in the handler, before it looks.
    pub(crate) fn claim(&self) {
        let bell = self.here();
        // Acquire: sees what those who rang wrote; pairs with `notify`. The interrupt is acknowledged: a later ring interrupts again.
        bell.rung.swap(false, Ordering::Acquire);
        // Relaxed: for this CPU's own thread.
        bell.heard.store(true, Ordering::Relaxed);
    }
    // guide: end
}

/// Runs what was posted to this CPU. What is left over at the budget has rung again.
///
/// Context: an interrupt's handler, interrupts off, after `claim`.
pub(crate) fn answer() {
    let _ = MACHINE.flush(Budget::DEFAULT);
}

/// Orders what this CPU wrote before the interrupts that it sends.
#[cfg(target_arch = "aarch64")]
fn publish() {
    // SAFETY: a barrier: a GICv3 is told by a system register, which no store orders (Arm DDI 0487, B2.3).
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
}

/// Orders what this CPU wrote before the interrupts that it sends.
#[cfg(target_arch = "riscv64")]
fn publish() {
    // SAFETY: a fence; the firmware writes to a device, perhaps.
    unsafe { asm!("fence rw, ow", options(nostack)) };
}

/// Orders what this CPU wrote before the interrupts that it sends.
#[cfg(target_arch = "x86_64")]
fn publish() {
    // SAFETY: fences; the x2APIC's write is a WRMSR that does not serialise (Intel SDM 3A, 11.12.3).
    unsafe { asm!("mfence", "lfence", options(nostack)) };
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
// SAFETY: 1. ax-hal has the number in the CPU's own storage; `Pinned`, or the duty of `machine_unpinned`, keeps a task where it
// is. 2. `irq_save` masks interrupts, `answer` runs in one, and nothing migrates with interrupts off. 3. `rung` is set by a
// read-modify-write at each ring and cleared by one in `claim`, before the flush. 4. Nothing unwinds. 5. `wake` rings, the
// handler sets `heard`, `sleep` looks at it with interrupts off; all of it is static.
unsafe impl Platform for AxPort {
    type IrqState = arch::IrqState;
    smpcall::no_unwinding!();

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        Some(ax_hal::percpu::this_cpu_id() as u32)
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

impl Tuning for AxPort {
    fn looks_first(&self, _target: u32) -> u32 {
        64
    }
}

smpcall::simple_port!(AxPort: Topology, Foreign, Hosting);
// guide: end
