//! What a target of a multicast runs.

use crate::multicast::Slot;
use crate::payload::copy_of;
use crate::platform::Platform;
use crate::smp::context::NoUnwind;
use crate::sync::{AtomicU32, Ordering, SharedCell};

/// What became of a function that is waited for; in the caller's frame.
pub(super) struct Panics<'f, P: Platform> {
    platform: &'f P,
    panicked: AtomicU32,
    first: SharedCell<Option<P::Panic>>,
}

impl<'f, P: Platform> Panics<'f, P> {
    pub(super) fn new(platform: &'f P) -> Self {
        Self { platform, panicked: AtomicU32::new(0), first: SharedCell::new(None) }
    }

    /// Runs the function once, on a target or on the caller. The first panic is kept for the caller, others are only noted.
    #[inline(always)]
    pub(super) fn run(&self, function: impl Fn()) {
        if let Err(panic) = P::catch(function) {
            self.keep(panic);
        }
    }

    #[cold]
    fn keep(&self, panic: P::Panic) {
        // Relaxed: decides who is first; the panic itself is published by the acknowledgement.
        if self.panicked.swap(1, Ordering::Relaxed) != 0 {
            // Those who are called after this one are still to acknowledge.
            NoUnwind::around(|| self.platform.caught(panic));
        } else {
            // SAFETY: only the first comes here, and the caller reads it after all have acknowledged.
            self.first.with_mut(|place| unsafe { *place = Some(panic) });
        }
    }

    /// The first panic, if there was any.
    ///
    /// # Safety
    ///
    /// All have acknowledged.
    pub(super) unsafe fn take(&self) -> Option<P::Panic> {
        // SAFETY: none of them touches it any more.
        self.first.with_mut(|place| unsafe { (*place).take() })
    }
}

/// A function that is waited for, which its targets share (`F: Sync`). It is in the slot itself, so that they need nothing of the caller's
/// frame but what the function borrows.
pub(super) struct Shared<'f, P: Platform, F> {
    pub(super) function: &'f F,
    pub(super) panics: &'f Panics<'f, P>,
}

impl<P: Platform, F> Clone for Shared<'_, P, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform, F> Copy for Shared<'_, P, F> {}

/// # Safety
///
/// The slot was filled with this, has a `Shared<P, F>` for its payload, and the caller has to acknowledge it (I10).
pub(super) unsafe fn run_shared<P: Platform, F: Fn() + Sync>(slot: &Slot) {
    // SAFETY: the caller's promise; nobody writes the payload meanwhile.
    let shared = slot.payload().with(|room| unsafe { copy_of::<Shared<'_, P, F>>(room) });
    shared.panics.run(shared.function);
}

/// # Safety
///
/// The slot was filled with this, has an `F` for its payload, and the caller has to acknowledge it (I10).
pub(super) unsafe fn run_copied<F: Fn() + Copy + Sync>(slot: &Slot) {
    // SAFETY: the caller's promise; nobody writes the payload meanwhile.
    let function = slot.payload().with(|room| unsafe { copy_of::<F>(room) });
    function();
}
