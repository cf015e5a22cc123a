//! A CPU that holds its interrupts off for as long as another wants.

use crate::port::{SMP, serve_until};
use ostd::irq;
use smpcall::Platform;
use smpcall_conformance::Holder;

static HOLDER: Holder = Holder::new();

/// Holds this CPU whenever that is wanted, and otherwise serves it.
pub(crate) fn serve() -> ! {
    loop {
        serve_until(|| {
            crate::bench::thread_looks();
            HOLDER.is_wanted()
        });
        let guard = irq::disable_local();
        HOLDER.hold(|| SMP.platform().relax());
        drop(guard);
    }
}

/// Calls `f` while CPU 1 has its interrupts off, and for `at_least_ns` in all.
pub(crate) fn while_held<R>(at_least_ns: u64, f: impl FnOnce() -> R) -> R {
    HOLDER.while_held(|done| spin_until(done), now_ns, at_least_ns, f)
}

pub(crate) fn now_ns() -> u64 {
    SMP.platform().now_ns()
}

/// Spins; the pause hint has an emulator that gives its CPUs turns go on to the next.
pub(crate) fn spin_until(mut done: impl FnMut() -> bool) {
    while !done() {
        SMP.platform().relax();
    }
}
