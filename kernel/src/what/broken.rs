//! Kernels that do not work, each in its way: whoever reads along must not take one for a success.

use crate::cpus;
use crate::idle;
use crate::machine::SMP;

/// The last CPU panics.
pub(crate) fn panics(cpu: u32) -> bool {
    assert!(cpu + 1 < cpus::count(), "meant: CPU {cpu} panics");
    wait_for_ever()
}

/// The last CPU does what no handler is for.
pub(crate) fn faults(cpu: u32) -> bool {
    if cpu + 1 == cpus::count() {
        crate::arch::fault();
    }
    wait_for_ever()
}

/// Nobody comes to an end.
pub(crate) fn hangs() -> bool {
    wait_for_ever()
}

/// The last CPU stops, and the first waits for a call to it. On one CPU: the same, of itself.
pub(crate) fn loses_a_cpu() -> bool {
    let me = crate::arch::current_cpu();
    // It is online already, or comes online here.
    let _ = SMP.online();
    let last = cpus::count() - 1;
    if me == Some(last) {
        crate::arch::mask_interrupts();
        loop {
            core::hint::spin_loop();
        }
    }
    idle::until(&SMP, || SMP.is_online_racy(last));
    SMP.call(last, || ()).is_ok()
}

fn wait_for_ever() -> bool {
    idle::until(&SMP, || false);
    false
}
