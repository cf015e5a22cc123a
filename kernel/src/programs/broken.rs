//! Kernels that do not work, each in its way: whoever reads along must not take one for a success.

use super::Program;
use crate::command::Command;
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

/// The machine is gone: without a word, and with a code that others take for a success.
pub(crate) fn vanishes(cpu: u32) -> bool {
    if cpu + 1 == cpus::count() {
        crate::arch::vanish();
    }
    wait_for_ever()
}

/// The last CPU does not come up: it is started, and holds still.
pub(crate) fn never_up(cpu: u32) {
    if cpu + 1 == cpus::count() && Command::get().what == Program::NeverUp {
        hold_still()
    }
}

fn hold_still() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Nobody comes to an end.
pub(crate) fn hangs() -> bool {
    wait_for_ever()
}

/// The last CPU stops, and the first waits for a call to it. On one CPU: the same, of itself.
pub(crate) fn loses_a_cpu() -> bool {
    let last = cpus::count() - 1;
    let is_last = crate::arch::current_cpu() == Some(last);
    if is_last {
        // Before it is online: it must not answer a call in between.
        crate::arch::mask_interrupts();
    }
    let _handle = SMP.as_pin().online().expect("it comes online here");
    if is_last {
        hold_still();
    }
    idle::until(&SMP, || SMP.is_online_racy(last));
    SMP.call(last, || ()).is_ok()
}

fn wait_for_ever() -> bool {
    idle::until(&SMP, || false);
    false
}
