//! What a server counts: requests, and how often its threads allocate.
//!
//! Each thread counts its own allocations, since a counter of all threads would cost those who allocate more than those who do not.

use crate::session::Shard;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts. A program makes it its global one.
#[derive(Debug)]
pub struct Counting;

impl Counting {
    fn count() {
        // A thread that ends may allocate when its locals are gone.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: the system's allocator does it all; the counter is a plain cell, without a destructor, and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What one shard has counted, for others to look at.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Counter {
    requests: AtomicU64,
    foreign: AtomicU64,
    allocations: AtomicU64,
}

impl Counter {
    /// The shard's thread, now and then: shows how far it is.
    pub fn show(&self, shard: &Shard) {
        // Relaxed: statistics.
        self.requests.store(shard.requests, Ordering::Relaxed);
        // Relaxed: as above.
        self.foreign.store(shard.foreign, Ordering::Relaxed);
        // Relaxed: as above.
        self.allocations.store(ALLOCATIONS.get(), Ordering::Relaxed);
    }
}

/// What all shards have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands that connections have sent.
    pub requests: u64,
    /// Keys for which a shard has asked another one.
    pub foreign: u64,
    /// Allocations of the shards' threads; 0 unless [`Counting`] is the program's allocator.
    pub allocations: u64,
}

impl Counts {
    /// Adds up.
    pub fn of(counters: &[Counter]) -> Self {
        counters.iter().fold(Self::default(), |sum, counter| Self {
            // Relaxed: statistics.
            requests: sum.requests + counter.requests.load(Ordering::Relaxed),
            // Relaxed: as above.
            foreign: sum.foreign + counter.foreign.load(Ordering::Relaxed),
            // Relaxed: as above.
            allocations: sum.allocations + counter.allocations.load(Ordering::Relaxed),
        })
    }
}
