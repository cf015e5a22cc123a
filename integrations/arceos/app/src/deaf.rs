//! A kernel that never calls the interrupt's entry: the stall report must say so.

use axipi::machine;
use smpcall_arceos_common::println;

/// Takes the handler away that axruntime has registered, and calls.
pub(crate) fn run() -> bool {
    let handler = axhal::irq::unregister(axhal::irq::IPI_IRQ);
    println!(
        "smpcall kernel: the doorbell's handler is {}",
        if handler.is_some() { "gone" } else { "not there" }
    );
    let answer = machine().call(1, || 42);
    println!("smpcall kernel: and yet the call came back: {answer:?}");
    false
}
