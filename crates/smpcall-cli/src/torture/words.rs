//! The atomics of the torture, by their duty, so that each has its orderings in one place.

use std::sync::atomic::{AtomicU64, Ordering};

/// A statistic.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, number: u64) {
        // Relaxed: a statistic; a signal handler may come in between, hence no load and store.
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn take_back(&self, number: u64) {
        // Relaxed: a statistic.
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        // Relaxed: a statistic; exact at rest: what a thread did, it did before it slept.
        self.0.load(Ordering::Relaxed)
    }
}

/// Data that a promise has to make visible. Nothing here orders it: that is what is tested.
#[derive(Default)]
pub(super) struct Plain(AtomicU64);

impl Plain {
    pub(super) fn read(&self) -> u64 {
        // Relaxed: whether this sees the other side's write is the question.
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn write(&self, value: u64) {
        // Relaxed: to publish it is the duty of the post, or of the run's end.
        self.0.store(value, Ordering::Relaxed);
    }

    /// Writes, and returns what was there.
    pub(super) fn replace(&self, value: u64) -> u64 {
        // Relaxed: as for `write`.
        self.0.swap(value, Ordering::Relaxed)
    }

    /// Writes the next number, where several write, and returns it.
    pub(super) fn write_next(&self) -> u64 {
        // Relaxed: as for `write`.
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Writes the larger of the two, where several write.
    pub(super) fn raise(&self, value: u64) {
        // Relaxed: as for `write`.
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

/// A number by which one thread tells another that it is done with what it wrote before.
#[derive(Default)]
pub(super) struct Signal(AtomicU64);

impl Signal {
    pub(super) const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    pub(super) fn set(&self, value: u64) {
        // Release: publishes what was written before; pairs with `get`.
        self.0.store(value, Ordering::Release);
    }

    pub(super) fn add(&self, number: u64) {
        // Release: as for `set`.
        self.0.fetch_add(number, Ordering::Release);
    }

    pub(super) fn get(&self) -> u64 {
        // Acquire: sees what was written before the number was set; pairs with `set`, `add` and `swap`.
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn is_set(&self) -> bool {
        self.get() != 0
    }

    /// Sets it, and returns what was there: of several, one takes it.
    pub(super) fn swap(&self, value: u64) -> u64 {
        // AcqRel: sees what its last holder wrote, and publishes to its next.
        self.0.swap(value, Ordering::AcqRel)
    }
}
