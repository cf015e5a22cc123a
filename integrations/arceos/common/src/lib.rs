//! What both applications share: the one on smpcall, and the one on the original layer that it is measured against.

#![no_std]

extern crate alloc;

pub mod console;
pub mod held;
pub mod side;
pub mod tasks;

use smpcall_bare::arch;

/// Returns the machine's time, in ns.
pub fn now_ns() -> u64 {
    ax_hal::time::monotonic_time_nanos()
}

/// Sleeps until `done`, looking after each interrupt. On an emulator whose CPUs take turns, a CPU that spins would keep the others from
/// running. Who makes it true sends an interrupt.
pub fn sleep_until(mut done: impl FnMut() -> bool) {
    loop {
        let state = arch::irq_save();
        // Interrupts are off: one that makes it true comes before this look, or ends the sleep.
        let is_done = done();
        if !is_done {
            arch::sleep_with_irqs_off();
        }
        arch::irq_restore(state);
        if is_done {
            return;
        }
    }
}

/// Spins until `done`.
pub fn spin_until(mut done: impl FnMut() -> bool) {
    while !done() {
        arch::relax();
    }
}
