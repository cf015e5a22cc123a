//! What a target of a multicast runs.

use crate::multicast::Slot;
use crate::payload::copy_of;
use crate::platform::Platform;
use crate::smp::context::NoUnwind;
use crate::sync::{AtomicU32, Ordering, SharedCell};

/// A function that is waited for, in the caller's frame. The targets share it (`F: Sync`).
pub(super) struct Shared<'f, P: Platform, F> {
    pub(super) platform: &'f P,
    pub(super) function: &'f F,
    pub(super) panicked: AtomicU32,
    pub(super) panic: SharedCell<Option<P::Panic>>,
}

impl<P: Platform, F: Fn()> Shared<'_, P, F> {
    /// Runs it once, on a target or on the caller. The first panic is kept for the caller, others are only noted.
    pub(super) fn run(&self) {
        let Err(panic) = P::catch(self.function) else { return };
        // Relaxed: decides who is first; the panic itself is published by the acknowledgement.
        if self.panicked.swap(1, Ordering::Relaxed) != 0 {
            // Those who are called after this one are still to acknowledge.
            NoUnwind::around(|| self.platform.caught(panic));
        } else {
            // SAFETY: only the first comes here, and the caller reads it after all have acknowledged.
            self.panic.with_mut(|place| unsafe { *place = Some(panic) });
        }
    }
}

/// # Safety
///
/// The slot was filled with this and a `Shared<P, F>`, and the caller has to acknowledge it (I10).
pub(super) unsafe fn run_shared<P: Platform, F: Fn() + Sync>(slot: &Slot) {
    // SAFETY: the caller's promise.
    let shared = unsafe { &*slot.arg().cast::<Shared<'_, P, F>>() };
    shared.run();
}

/// # Safety
///
/// The slot was filled with this, has an `F` for its payload, and the caller has to acknowledge it (I10).
pub(super) unsafe fn run_copied<F: Fn() + Copy + Sync>(slot: &Slot) {
    // SAFETY: the caller's promise; nobody writes the payload meanwhile.
    let function = slot.payload().with(|room| unsafe { copy_of::<F>(room) });
    function();
}
