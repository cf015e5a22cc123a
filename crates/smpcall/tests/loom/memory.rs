//! What the threads of a model share besides the machine.

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use std::cell::Cell;

/// A word that is only ever read and written relaxed: whoever reads it new has learnt of it by some other way.
pub(crate) struct Word(AtomicU32);

impl Word {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub(crate) fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Plain memory: loom fails the model if two accesses, one of them a write, are not ordered.
pub(crate) struct Place(UnsafeCell<u32>);

// SAFETY: loom runs one thread at a time, and fails the model at an access that is not ordered after the last.
unsafe impl Sync for Place {}

impl Place {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    pub(crate) fn write(&self, value: u32) {
        // SAFETY: loom has just found that nobody else is at it.
        self.0.with_mut(|place| unsafe { *place = value });
    }

    pub(crate) fn read(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|place| unsafe { *place })
    }
}

/// A count that the model does not see: it orders nothing, and is never stale.
#[derive(Default)]
pub(crate) struct Tally(Cell<u32>);

// SAFETY: loom runs all threads of a model on one.
unsafe impl Sync for Tally {}
// SAFETY: as above.
unsafe impl Send for Tally {}

impl Tally {
    pub(crate) fn get(&self) -> u32 {
        self.0.get()
    }

    pub(crate) fn add(&self) {
        self.0.set(self.get() + 1);
    }

    /// Takes one off; `false` if it was 0.
    pub(crate) fn take_one(&self) -> bool {
        let before = self.get();
        self.0.set(before.saturating_sub(1));
        before > 0
    }

    pub(crate) fn or(&self, bits: u32) {
        self.0.set(self.get() | bits);
    }

    pub(crate) fn set(&self, value: u32) {
        self.0.set(value);
    }

    /// Appends a decimal digit: a log of what ran, in order.
    pub(crate) fn log(&self, digit: u32) {
        self.0.set(self.get() * 10 + digit);
    }
}
