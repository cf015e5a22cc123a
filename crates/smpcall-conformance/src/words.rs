//! The two kinds of words that a case is made of: those by which its CPUs agree, and those that are under test.
//!
//! Both are 32 bits wide, since that is all that the core asks of a machine.

use crate::sync::{AtomicU32, Ordering};

/// A number by which the CPUs of a case tell one another how far they are: a count of runs, a stage.
///
/// Whoever sees a value also sees all that was written before it, so that a failure is never a defect of the case itself.
#[derive(Default)]
pub(crate) struct Count(AtomicU32);

impl Count {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Adds, and returns what it was before.
    pub(crate) fn add(&self, more: u32) -> u32 {
        // AcqRel: each step sees the steps before it; pairs with itself and with `get`.
        self.0.fetch_add(more, Ordering::AcqRel)
    }

    pub(crate) fn get(&self) -> u32 {
        // Acquire: sees what was written before the value; pairs with `add` and `set`.
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, value: u32) {
        // Release: publishes what was written before; pairs with `get`.
        self.0.store(value, Ordering::Release);
    }
}

/// A number that is under test: it orders nothing, so that a reader sees it only if the promise in question is kept.
#[derive(Default)]
pub(crate) struct Plain(AtomicU32);

impl Plain {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub(crate) fn write(&self, value: u32) {
        // Relaxed: to publish it is the duty of the call under test (P2, P4).
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u32 {
        // Relaxed: to have it published is the duty of the call under test (P2, P4).
        self.0.load(Ordering::Relaxed)
    }

    /// Makes it at least `value`.
    pub(crate) fn raise(&self, value: u32) {
        // Relaxed: as for `write`; a read-modify-write only so that no raise is lost.
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}
