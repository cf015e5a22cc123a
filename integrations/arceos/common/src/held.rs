//! A CPU that holds its interrupts off for as long as another wants.

use crate::{now_ns, sleep_once, sleep_until, tasks};
use smpcall_bare::arch;
use smpcall_conformance::Holder;

static HOLDER: Holder = Holder::new();

/// Starts the task that holds that CPU when it is asked to, and otherwise sleeps.
pub fn start(cpu: usize) {
    tasks::start_on(cpu, || {
        loop {
            // The scheduler does not preempt: other tasks of this CPU have their turn here.
            while !HOLDER.is_wanted() {
                axtask::yield_now();
                sleep_once();
            }
            let state = arch::irq_save();
            HOLDER.hold(arch::relax);
            arch::irq_restore(state);
        }
    });
}

/// Calls `f` while that CPU has its interrupts off, and for `at_least_ns` in all.
pub fn while_held<R>(at_least_ns: u64, f: impl FnOnce() -> R) -> R {
    HOLDER.while_held(|done| sleep_until(done), now_ns, at_least_ns, f)
}
