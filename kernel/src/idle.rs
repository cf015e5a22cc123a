//! A CPU that waits: it polls for a while, then sleeps.

use crate::arch;
use crate::machine::Machine;
use core::sync::atomic::{AtomicBool, Ordering};
use smpcall::{Budget, Sleep};

/// How often a CPU looks before it sleeps.
const LOOKS: u32 = 50;
/// How long it sleeps at most: nobody rings when what it waits for is done elsewhere.
const NAP_NS: u64 = 1_000_000;

/// Whether the machine's CPUs take turns on one core: then who spins keeps the others from running.
static CORE_IS_SHARED: AtomicBool = AtomicBool::new(false);

/// Says so.
pub(crate) fn share_the_core() {
    // Relaxed: before the other CPUs start.
    CORE_IS_SHARED.store(true, Ordering::Relaxed);
}

/// Returns whether that was said.
#[inline(always)]
pub(crate) fn core_is_shared() -> bool {
    // Relaxed: see `share_the_core`.
    CORE_IS_SHARED.load(Ordering::Relaxed)
}

/// One step of a spin, in any context.
#[inline(always)]
pub(crate) fn relax() {
    if core_is_shared() { arch::relax_shared() } else { smpcall_bare::arch::relax() }
}

// guide: idle-loop
/// Serves the CPU's queue until `done`.
pub(crate) fn until<const TRACES: bool>(smp: &Machine<TRACES>, mut done: impl FnMut() -> bool) {
    while !done() {
        smp.run_blocking();
        smp.poll_begin();
        let found = (0..LOOKS).any(|_| {
            relax();
            smp.has_work() || done()
        });
        if found {
            let _ = smp.flush(Budget::DEFAULT);
        }
        rest(smp);
        if !found {
            smp.platform().sleep(NAP_NS);
        }
    }
}

/// Ends the polling: the queue is at rest, and whoever posts from now on rings.
fn rest<const TRACES: bool>(smp: &Machine<TRACES>) {
    while smp.poll_end() == Sleep::Work {
        let _ = smp.flush(Budget::DEFAULT);
        // Work is also what a flush has left for the thread.
        smp.run_blocking();
    }
}
// guide: end

/// Sleeps: this CPU has nothing more to do, and is offline or rung for what comes.
pub(crate) fn for_ever() -> ! {
    until(&crate::machine::SMP, || false);
    unreachable!("nothing ends this wait")
}
