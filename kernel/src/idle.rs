//! A CPU that waits: it polls for a while, then sleeps.

use crate::machine::Machine;
use smpcall::{Budget, Flushed, Sleep};
use smpcall_bare::arch::relax;

/// How often a CPU looks before it sleeps.
const LOOKS: u32 = 50;
/// How long it sleeps at most: nobody rings when what it waits for is done elsewhere.
const NAP_NS: u64 = 1_000_000;

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
        if smp.flush(Budget::DEFAULT) == Flushed::Nested {
            relax();
        }
    }
}

/// Sleeps: this CPU has nothing more to do, and is offline or rung for what comes.
pub(crate) fn for_ever() -> ! {
    until(&crate::machine::SMP, || false);
    unreachable!("nothing ends this wait")
}
