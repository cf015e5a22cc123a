//! A task's waker, for which nothing is allocated.
//!
//! One of the three modules of this crate that have `unsafe` in them; the others are [`crate::memory`] and [`crate::once`].
//!
//! # Invariants
//!
//! - **V1** What a waker of [`COUNTS`] points to is a `&'static Count`, which is shared by whoever likes: there is nothing to keep, and
//!   nothing to free.

use crate::words::Count;
use core::task::{RawWaker, RawWakerVTable, Waker};

static COUNTS: RawWakerVTable =
    RawWakerVTable::new(|wakes| RawWaker::new(wakes, &COUNTS), add_one, add_one, |_| {});

/// # Safety
///
/// `wakes` is a `&'static Count`.
unsafe fn add_one(wakes: *const ()) {
    // SAFETY: the caller's promise.
    unsafe { &*wakes.cast::<Count>() }.add(1);
}

/// A waker that counts how often it wakes.
pub(crate) fn waker(wakes: &'static Count) -> Waker {
    // SAFETY: by V1.
    unsafe { Waker::new(core::ptr::from_ref(wakes).cast(), &COUNTS) }
}
