//! A CPU that holds its interrupts off for as long as another wants.

use crate::port::{SMP, serve_until};
use core::sync::atomic::{AtomicBool, Ordering};
use ostd::irq;
use smpcall::Platform;

/// Wanted by the holder's master; cleared by it.
static WANTED: AtomicBool = AtomicBool::new(false);
/// That interrupts are off.
static HOLDS: AtomicBool = AtomicBool::new(false);

/// Holds this CPU whenever that is wanted, and otherwise serves it.
pub(crate) fn serve() -> ! {
    loop {
        // Acquire: pairs with `while_held`.
        serve_until(|| WANTED.load(Ordering::Acquire));
        let guard = irq::disable_local();
        // Release: pairs with `while_held`.
        HOLDS.store(true, Ordering::Release);
        // Acquire: as above.
        spin_until(|| !WANTED.load(Ordering::Acquire));
        // Release: as above.
        HOLDS.store(false, Ordering::Release);
        drop(guard);
    }
}

/// Calls `f` while CPU 1 has its interrupts off, and for `at_least_ns` in all.
pub(crate) fn while_held<R>(at_least_ns: u64, f: impl FnOnce() -> R) -> R {
    // Release, Acquire: both pair with `serve`.
    WANTED.store(true, Ordering::Release);
    spin_until(|| HOLDS.load(Ordering::Acquire));
    let until_ns = now_ns() + at_least_ns;
    let result = f();
    spin_until(|| now_ns() >= until_ns);
    // Release, Acquire: as above.
    WANTED.store(false, Ordering::Release);
    spin_until(|| !HOLDS.load(Ordering::Acquire));
    result
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
