//! The atomics of a soak, by their duty, so that each has its orderings in one place. A word wide: a soak counts for days.

use crate::sync::{AtomicUsize, Ordering};

/// A statistic.
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Adds, and returns what it was before.
    pub(crate) fn add(&self, number: usize) -> usize {
        // Relaxed: a statistic; an interrupt may come in between, hence no load and store.
        self.0.fetch_add(number, Ordering::Relaxed)
    }

    pub(crate) fn take_back(&self, number: usize) {
        // Relaxed: a statistic.
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        // Relaxed: a statistic; exact at rest: what a thread did, it did before it said that it rests.
        self.0.load(Ordering::Relaxed)
    }
}

/// Data that a promise has to make visible. Nothing here orders it: that is what is tested.
pub(crate) struct Plain(AtomicUsize);

impl Plain {
    pub(crate) const fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value))
    }

    pub(crate) fn read(&self) -> usize {
        // Relaxed: whether this sees the other side's write is the question.
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, value: usize) {
        // Relaxed: to publish it is the duty of the post, or of the run's end.
        self.0.store(value, Ordering::Relaxed);
    }

    /// Writes, and returns what was there.
    pub(crate) fn replace(&self, value: usize) -> usize {
        // Relaxed: as for `write`.
        self.0.swap(value, Ordering::Relaxed)
    }

    /// Writes the next number, where several write, and returns it.
    pub(crate) fn write_next(&self) -> usize {
        // Relaxed: as for `write`.
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Writes the larger of the two, where several write.
    pub(crate) fn raise(&self, value: usize) {
        // Relaxed: as for `write`.
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// Sets these bits, where several write, and returns what was there.
    pub(crate) fn set_bits(&self, bits: usize) -> usize {
        // Relaxed: as for `write`.
        self.0.fetch_or(bits, Ordering::Relaxed)
    }
}

/// A number by which one thread tells another that it is done with what it wrote before.
///
/// ```
/// use smpcall_conformance::soak::Signal;
///
/// static DONE: Signal = Signal::new(0);
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| DONE.add(2));
///     while !DONE.is_set() { std::thread::yield_now(); } // what was written before is seen from here on
/// });
/// assert_eq!((DONE.swap(5), DONE.get()), (2, 5));
/// DONE.set(0);
/// assert!(!DONE.is_set());
/// ```
#[derive(Debug)]
pub struct Signal(AtomicUsize);

impl Signal {
    /// Makes it.
    pub const fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value))
    }

    /// Sets it.
    pub fn set(&self, value: usize) {
        // Release: publishes what was written before; pairs with `get`.
        self.0.store(value, Ordering::Release);
    }

    /// Adds to it.
    pub fn add(&self, number: usize) {
        // Release: as for `set`.
        self.0.fetch_add(number, Ordering::Release);
    }

    /// Returns it.
    pub fn get(&self) -> usize {
        // Acquire: sees what was written before the number was set; pairs with `set`, `add` and `swap`.
        self.0.load(Ordering::Acquire)
    }

    /// Returns whether it is not 0.
    pub fn is_set(&self) -> bool {
        self.get() != 0
    }

    /// Sets it, and returns what was there: of several, one takes it.
    pub fn swap(&self, value: usize) -> usize {
        // AcqRel: sees what its last holder wrote, and publishes to its next.
        self.0.swap(value, Ordering::AcqRel)
    }
}
