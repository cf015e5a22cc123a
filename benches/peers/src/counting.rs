//! How often the program allocates while somebody asks.
//!
//! One switch and one count for all threads. The switch is off while anything is timed, so that those who allocate pay no more than
//! a look at a line that nobody writes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, which counts.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    // Relaxed: a statistic.
    if ON.load(Ordering::Relaxed) {
        // Relaxed: as above.
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does it all; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Counts the allocations of all threads while `run` runs.
pub(crate) fn allocations(run: impl FnOnce()) -> u64 {
    // Relaxed: what is counted at the edges is a few.
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    // Relaxed: as above.
    ON.store(true, Ordering::Relaxed);
    run();
    // Relaxed: as above.
    ON.store(false, Ordering::Relaxed);
    // Relaxed: as above.
    ALLOCATIONS.load(Ordering::Relaxed) - before
}
