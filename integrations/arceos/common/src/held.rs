//! A CPU that holds its interrupts off for as long as another wants.

use crate::{now_ns, spin_until};
use core::sync::atomic::{AtomicBool, Ordering};
use smpcall_bare::arch;
use smpcall_conformance::Holder;

static HOLDER: Holder = Holder::new();
static STARTED: AtomicBool = AtomicBool::new(false);

/// Calls `f` while CPU 1 has its interrupts off, and for `at_least_ns` in all.
pub fn while_held<R>(at_least_ns: u64, f: impl FnOnce() -> R) -> R {
    // A task for each time: it is gone while others are measured.
    crate::tasks::start_on(1, || {
        spin_until(|| HOLDER.is_wanted());
        let state = arch::irq_save();
        HOLDER.hold(arch::relax);
        arch::irq_restore(state);
        // Release: pairs with the look below.
        STARTED.store(true, Ordering::Release);
    });
    let result = HOLDER.while_held(|done| spin_until(done), now_ns, at_least_ns, f);
    // Acquire: pairs with the task's end.
    spin_until(|| STARTED.swap(false, Ordering::Acquire));
    result
}
