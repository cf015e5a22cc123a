// SPDX-License-Identifier: GPL-2.0-only
//! The port: a CPU is Linux's, its doorbell the architecture's call-function IPI.

use crate::{arch, glue};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::{
    CallStall, Entry, Foreign, PerCpu, Phase, Platform, Reporting, RingError, Topology, Tuning, Waiting,
};

/// The machine.
pub(crate) type Machine = smpcall::Machine<Linux, &'static mut [PerCpu]>;

/// Linux, as the core sees it.
pub(crate) struct Linux;

// SAFETY: 1. Every function of `abi` is called with preemption off (the glue's duty), but for calls that wait in a kernel that preempts
// them: there `MIGRATES` says so, and irqs that are off keep a thread where it is. An interrupt or NMI runs on the CPU that it
// interrupts. 2. `irq_save` masks interrupts; `flush` is called in the call-function interrupt, and otherwise with
// irqs off. 3. The IPI's vector is latched by the interrupt controller, which is acknowledged before the handler flushes; a
// polling idle CPU is told by a read-modify-write of its thread's flags, and flushes after it cleared POLLING, with a full barrier
// between (the contract of TIF_POLLING_NRFLAG). The architecture orders the send behind what was written before. 4. Nothing
// unwinds. 5. Nobody parks.
unsafe impl Platform for Linux {
    type IrqState = arch::IrqState;
    smpcall::no_unwinding!();

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        Some(arch::current_cpu())
    }

    #[inline(always)]
    fn can_wait(&self) -> bool {
        arch::irqs_are_on() || glue::smpcall_glue_may_wait()
    }

    #[inline(always)]
    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        glue::smpcall_glue_ring(cpu);
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
        core::hint::spin_loop();
    }

    fn now_ns(&self) -> u64 {
        glue::smpcall_glue_now_ns()
    }
}

impl Waiting for Linux {
    // A call's function may rely on its being in an interrupt: RCU's do. So a CPU that waits leaves its queue to its interrupts.
    const SERVES_IN_WAITS: bool = false;

    const MIGRATES: bool = cfg!(feature = "preemptible");

    /// The thread that takes its CPU offline, as long as it does: it runs there with irqs off, so nobody else does. No other has anything
    /// of its own there, for nothing of Linux's uses blocking calls.
    #[inline(always)]
    fn is_bound(&self) -> bool {
        // Relaxed: a CPU's number is written here, and taken back, by that CPU itself; no other CPU's thread finds its own.
        GOING.load(Ordering::Relaxed) == arch::current_cpu()
    }
}

/// The CPU that is going offline: one at a time, since hotplug is.
static GOING: AtomicU32 = AtomicU32::new(u32::MAX);

/// Calls `offline` by the thread that takes its CPU offline, irqs off.
pub(crate) fn as_going(offline: impl FnOnce()) {
    // Relaxed, both: read by this CPU alone, see `is_bound`.
    GOING.store(arch::current_cpu(), Ordering::Relaxed);
    offline();
    // Relaxed: as above.
    GOING.store(u32::MAX, Ordering::Relaxed);
}

impl Reporting for Linux {
    fn stall_timeout_ns(&self) -> u64 {
        // Relaxed: a setting.
        glue::smpcall_glue_timeout_ns.load(Ordering::Relaxed)
    }

    fn stall_stop_ns(&self) -> u64 {
        // Relaxed: a setting.
        glue::smpcall_glue_stop_ns.load(Ordering::Relaxed)
    }

    #[cold]
    fn call_stalled(&self, stall: &CallStall) {
        let how = match stall.phase {
            Phase::Running => glue::RUNNING,
            Phase::Behind(_) => glue::BEHIND,
            Phase::Over => glue::OVER,
            _ if stall.pending == 0 => glue::NO_ROOM,
            _ => glue::QUEUED,
        };
        glue::smpcall_glue_stalled(stall.target, how, stall.pending, stall.waited_ns, stall.reports);
    }

    fn unstuck(&self, stall: &CallStall) {
        self.call_stalled(stall);
    }

    fn stop(&self, stall: &CallStall) -> ! {
        glue::smpcall_glue_stop(stall.target, stall.waited_ns)
    }
}

impl Topology for Linux {
    #[inline(always)]
    fn ring_many(&self, first: u32, cpus: usize) -> usize {
        if cpus & (cpus - 1) == 0 {
            // One: it may poll.
            glue::smpcall_glue_ring(first + cpus.trailing_zeros());
        } else {
            glue::smpcall_glue_ring_many(first, cpus);
        }
        0
    }
}

impl Tuning for Linux {
    // An idle CPU that polls is told by its thread's flags, in the glue's ring; the rest has no name in Linux.
    const LAZY_POSTS: bool = false;
    const POLLS: bool = false;
    const BLOCKING_CALLS: bool = false;
    // Linux runs what it took.
    const LEAVES_OVER: bool = false;
    const RINGS_FAIL: bool = false;
}

impl Foreign for Linux {
    #[inline(always)]
    unsafe fn run_foreign(&self, function: *const (), argument: *const (), csd: *const ()) {
        // SAFETY: it was posted as a `call_single_data_t`: a `smp_call_func_t` and its argument.
        unsafe { glue::smpcall_glue_run(function, argument, csd) };
    }

    #[inline(always)]
    unsafe fn take_entry(&self, entry: *const Entry) {
        // SAFETY: it came by `__smp_call_single_queue`, as irq_work or task wake-up.
        unsafe { glue::smpcall_glue_take(entry.cast()) };
    }
}

smpcall::simple_port!(Linux: Tracing, Hosting);

struct Place(UnsafeCell<MaybeUninit<Machine>>);

// SAFETY: written once, by `put`, before any other CPU runs; only shared afterwards.
unsafe impl Sync for Place {}

static MACHINE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));

/// The machine.
#[inline(always)]
pub(crate) fn machine() -> &'static Machine {
    // SAFETY: the glue calls nothing of `abi` before `smpcall_init`.
    unsafe { (*MACHINE.0.get()).assume_init_ref() }
}

/// Makes the machine.
///
/// # Safety
///
/// Called once, before anything asks for it, by the only CPU that runs.
pub(crate) unsafe fn put(storage: &'static mut [PerCpu]) {
    // SAFETY: the caller's promise.
    let place = unsafe { &mut *MACHINE.0.get() };
    Machine::emplace(place, Linux, storage).expect("Linux has 1 to 8192 CPUs");
}
