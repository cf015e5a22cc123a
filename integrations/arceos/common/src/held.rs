//! A CPU that holds its interrupts off for as long as another wants.

use crate::{now_ns, sleep_once, sleep_until, tasks};
use core::sync::atomic::{AtomicBool, Ordering};
use smpcall_bare::arch;

/// Wanted by the holder's master; cleared by it.
static WANTED: AtomicBool = AtomicBool::new(false);
/// That interrupts are off.
static HOLDS: AtomicBool = AtomicBool::new(false);

/// Starts the task that holds that CPU when it is asked to, and otherwise sleeps.
pub fn start(cpu: usize) {
    tasks::start_on(cpu, || {
        loop {
            // Acquire: pairs with `while_held`. The scheduler does not preempt: other tasks of this CPU have their turn here.
            while !WANTED.load(Ordering::Acquire) {
                axtask::yield_now();
                sleep_once();
            }
            let state = arch::irq_save();
            // Release: pairs with `while_held`.
            HOLDS.store(true, Ordering::Release);
            // Acquire: as above.
            while WANTED.load(Ordering::Acquire) {
                arch::relax();
            }
            // Release: as above.
            HOLDS.store(false, Ordering::Release);
            arch::irq_restore(state);
        }
    });
}

/// Calls `f` while that CPU has its interrupts off, and for `at_least_ns` in all.
pub fn while_held<R>(at_least_ns: u64, f: impl FnOnce() -> R) -> R {
    // Release, Acquire: both pair with `start`'s task.
    WANTED.store(true, Ordering::Release);
    sleep_until(|| HOLDS.load(Ordering::Acquire));
    let until_ns = now_ns() + at_least_ns;
    let result = f();
    sleep_until(|| now_ns() >= until_ns);
    // Release, Acquire: as above.
    WANTED.store(false, Ordering::Release);
    sleep_until(|| !HOLDS.load(Ordering::Acquire));
    result
}
