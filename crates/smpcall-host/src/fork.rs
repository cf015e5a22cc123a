//! `fork`: the child has one thread, and machines whose own threads are gone.
//!
//! There the queues of all machines are closed, so that a post is told `Offline` and not accepted for ever; and a machine counts
//! as shut down. It costs the fast paths nothing: the handlers that the C library calls around a fork see to it. (A child that is
//! not made by the C library's `fork`, but by the bare system call, is on its own.)

use crate::here::Served;
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, Once, PoisonError, Weak};

type Machines = Vec<(u64, Weak<dyn Served>)>;

/// The machines of this process, by their ids.
static MACHINES: Mutex<Machines> = Mutex::new(Vec::new());

thread_local! {
    /// Held over the fork, so that the child finds the list whole.
    static HELD: RefCell<Option<MutexGuard<'static, Machines>>> = const { RefCell::new(None) };
}

fn machines() -> MutexGuard<'static, Machines> {
    MACHINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A machine begins.
pub(crate) fn register(id: u64, machine: Weak<dyn Served>) {
    static HANDLERS: Once = Once::new();
    HANDLERS.call_once(|| {
        // SAFETY: the handlers are functions of this library, which is not unloaded. It fails for want of memory only, and then
        // a child's machines stay as they were.
        unsafe { nix::libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) };
    });
    machines().push((id, machine));
}

/// A machine ends.
pub(crate) fn forget(id: u64) {
    machines().retain(|(other, _)| *other != id);
}

extern "C" fn before() {
    // A thread that is ending, and has dropped this already, forks without.
    let _ = HELD.try_with(|held| held.replace(Some(machines())));
}

extern "C" fn after_in_parent() {
    let _ = HELD.try_with(RefCell::take);
}

extern "C" fn after_in_child() {
    let held = HELD.try_with(RefCell::take).ok().flatten();
    for (_, machine) in held.iter().flat_map(|held| held.iter()) {
        if let Some(machine) = machine.upgrade() {
            machine.forked();
            // Its threads held it, and give nothing back; it is not for this handler to be the last.
            std::mem::forget(machine);
        }
    }
}
