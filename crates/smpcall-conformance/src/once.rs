//! A place that is written once: the first failure of a case, its reason for being skipped.
//!
//! One of the three modules of this crate that have `unsafe` in them; the others are [`crate::memory`] and [`crate::waker`].
//!
//! # Invariants
//!
//! - **W1** Only the one who turned `state` from `EMPTY` to `WRITING` writes the value, once, before it sets `FULL`.
//! - **W2** The value is read only by those who saw `FULL`; it never changes afterwards.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};

const EMPTY: u32 = 0;
const WRITING: u32 = 1;
const FULL: u32 = 2;

/// A value that whoever comes first writes. What is in it is never dropped.
pub(crate) struct WriteOnce<T> {
    state: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value goes from the thread that writes it to those that read it by shared reference (W1, W2).
unsafe impl<T: Send + Sync> Sync for WriteOnce<T> {}

impl<T> WriteOnce<T> {
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Writes what `value` makes, if nobody was faster.
    pub(crate) fn set(&self, value: impl FnOnce() -> T) {
        // Relaxed: only chooses the writer. Failure Relaxed: somebody was faster, and is not waited for.
        if self.state.compare_exchange(EMPTY, WRITING, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let value = value();
        // SAFETY: by W1 nobody else writes, and by W2 nobody reads yet.
        unsafe { (*self.value.get()).write(value) };
        // Release: publishes the value; pairs with `get`.
        self.state.store(FULL, Ordering::Release);
    }

    /// Returns whether somebody has written, or is about to.
    pub(crate) fn is_claimed(&self) -> bool {
        // Relaxed: says that it is over, and nothing of the value.
        self.state.load(Ordering::Relaxed) != EMPTY
    }

    /// Returns the value, once it is there.
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: sees the value; pairs with `set`.
        if self.state.load(Ordering::Acquire) != FULL {
            return None;
        }
        // SAFETY: by W1 it was written, and by W2 it does not change any more.
        Some(unsafe { (*self.value.get()).assume_init_ref() })
    }
}

#[cfg(test)]
mod tests {
    use super::WriteOnce;

    #[test]
    fn the_first_writer_wins_and_the_others_do_not_even_make_a_value() {
        let place = WriteOnce::new();
        assert!(!place.is_claimed() && place.get().is_none());
        place.set(|| 1);
        place.set(|| panic!("not asked for"));
        assert!(place.is_claimed());
        assert_eq!(place.get(), Some(&1));
    }
}
