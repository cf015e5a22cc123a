//! Rings that interrupt their thread: what the handler of a signal does on the thread of a CPU.
//!
//! The handler flushes at once. If the thread has its soft interrupts off (the core's irq guard, and all call context), it leaves word
//! instead, and the flush comes when they are switched on again ([`answer`], called by `here::irq_on`). So the guard is to this handler what
//! it is to an interrupt's: nothing flushes while it is held.
//!
//! | the signal comes | it is answered |
//! |---|---|
//! | soft interrupts on | by the handler |
//! | off, in the thread or in a handler | as they are switched on |
//! | during an answer | by the same, in its next turn: answers do not nest |
//! | before the thread is armed, or after | not at all |
//!
//! # Invariants
//!
//! - A handler may come between any two instructions, and reads of its thread's own only what is one atomic, or is not written while the
//!   thread is armed. What it writes there it leaves as it was (`here`'s depths), or nobody else writes meanwhile.
//! - All here is async-signal-safe: it allocates nothing, frees nothing, takes no lock, and leaves `errno` as it was. What is posted is
//!   its poster's to see to ([`Machine::attach_interrupted`](crate::Machine::attach_interrupted)).

use crate::handler::{self, InstallError, Masked, mask};
use crate::here::{self, Served};
use nix::errno::Errno;
use nix::libc::c_int;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What interrupts the thread, and whom that is for.
#[derive(Clone, Copy)]
struct Armed {
    /// From an [`Arc`], which is given back by [`end`]: the machine's memory is there even if the thread has leaked its place.
    served: *const dyn Served,
    signal: c_int,
    /// What it was in the thread before.
    was: Masked,
}

thread_local! {
    static ARMED: Cell<Option<Armed>> = const { Cell::new(None) };
    /// Whether `ARMED` is there for handlers.
    static IS_ARMED: AtomicBool = const { AtomicBool::new(false) };
}

/// A flag of the thread's own and its handlers'.
fn get(flag: &'static std::thread::LocalKey<AtomicBool>) -> bool {
    // Relaxed: one thread.
    flag.with(|flag| flag.load(Ordering::Relaxed))
}

fn set(flag: &'static std::thread::LocalKey<AtomicBool>, value: bool) {
    // A handler that comes after this sees what was written before, and one that comes before it nothing of what follows.
    here::handler_fence();
    // Relaxed: one thread.
    flag.with(|flag| flag.store(value, Ordering::Relaxed));
    here::handler_fence();
}

/// [`on_signal`] is there, for this signal, and for no other purpose.
pub(crate) fn install(signal: c_int) -> Result<(), InstallError> {
    // SAFETY: it may be called in any thread at any time, and does nothing in those that are not armed.
    unsafe { handler::install(signal, on_signal) }
}

/// The calling thread is interrupted by that signal from now on, whose handler is [installed](install), on behalf of the CPU that it is.
pub(crate) fn begin(served: Arc<dyn Served>, signal: c_int) {
    let was = mask(signal, Masked::Open);
    ARMED.set(Some(Armed { served: Arc::into_raw(served), signal, was }));
    set(&IS_ARMED, true);
}

/// It is not any more: a signal that is still under way finds nothing to do.
pub(crate) fn end() {
    if !get(&IS_ARMED) {
        return;
    }
    set(&IS_ARMED, false);
    if let Some(Armed { served, signal, was }) = ARMED.take() {
        if was == Masked::Blocked {
            mask(signal, was);
        }
        // SAFETY: `begin` has it from an `Arc`, and no handler uses it any more.
        drop(unsafe { Arc::from_raw(served) });
    }
}

extern "C" fn on_signal(_signal: c_int) {
    let errno = Errno::last_raw();
    if here::irq_is_off() {
        here::leave_word();
    } else {
        answer();
    }
    Errno::set_raw(errno);
}

/// For a thread that is armed, [`answer`]. Soft interrupts are on.
pub(crate) fn answer_if_armed() {
    if get(&IS_ARMED) {
        answer();
    }
}

/// Flushes, and again if a signal came meanwhile. Soft interrupts are on.
#[cold]
pub(crate) fn answer() {
    loop {
        // Over the flush's own: else it would be answered as that ends, in a frame above this one, and so on.
        here::irq_off();
        let armed = if get(&IS_ARMED) { ARMED.get() } else { None };
        if let Some(armed) = armed {
            // SAFETY: it is there until `end`, which this thread has not begun.
            unsafe { &*armed.served }.interrupted();
        }
        if !here::irq_on_to_look() {
            return;
        }
    }
}
