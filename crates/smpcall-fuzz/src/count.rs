//! What threads count and tell one another. Counts are relaxed on purpose: they must not order what the library has to.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// A number.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU32);

impl Count {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Adds; returns what it was.
    pub(crate) fn add(&self, more: u32) -> u32 {
        // Relaxed: a count; who compares it has joined those who counted, or waited for them through the library.
        self.0.fetch_add(more, Ordering::Relaxed)
    }

    pub(crate) fn take_one(&self) {
        // Relaxed: as in `add`.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn raise_to(&self, to: u32) {
        // Relaxed: as in `add`.
        self.0.fetch_max(to, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u32 {
        // Relaxed: as in `add`.
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that is so from a moment on.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(crate) fn put(&self, value: bool) {
        // Relaxed: a hint that others look at again and again; what must be seen with it is ordered by joins.
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        // Relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }
}

/// Which thread a CPU is, as far as we know.
#[derive(Debug, Default)]
pub(crate) struct Seat(AtomicU64);

impl Seat {
    /// The calling thread is this CPU; 0: nobody knows.
    pub(crate) fn put(&self, thread: u64) {
        // Relaxed: only its value counts; a function runs on that thread after this.
        self.0.store(thread, Ordering::Relaxed);
    }

    /// Whether the CPU may be that thread. A CPU that nobody has sat down on is the first that is seen there.
    pub(crate) fn may_be(&self, thread: u64) -> bool {
        // Relaxed: as above.
        match self.0.load(Ordering::Relaxed) {
            0 => true,
            there => there == thread,
        }
    }

    /// As [`Self::may_be`] of a CPU that is one thread for all its life.
    pub(crate) fn is_always(&self, thread: u64) -> bool {
        // Relaxed: as above. Failure Relaxed: somebody was seen there before.
        match self.0.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => true,
            Err(there) => there == thread,
        }
    }
}

/// The calling thread's number; not 0.
pub(crate) fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        // Relaxed: only has to be unique.
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}
