//! Closures that may not cross to another CPU. Without a feature it compiles; with any, the compiler must refuse it with E0277:
//! `cargo xtask integrations arceos --what broken` demands both. The original `axipi` 0.3.0-preview.3 takes all three.

#![no_std]

extern crate alloc;

use alloc::rc::Rc;
use alloc::sync::Arc;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

/// What may cross.
pub fn may_cross() {
    let shared = Arc::new(AtomicU32::new(0));
    let mine = Arc::clone(&shared);
    // Relaxed: a count.
    axipi::run_on_cpu(1, move || _ = mine.fetch_add(1, Ordering::Relaxed));
    axipi::run_on_each_cpu(move || _ = shared.fetch_add(1, Ordering::Relaxed));
}

/// Two CPUs would count with the same plain counter.
pub fn may_not_cross() -> Rc<Cell<u32>> {
    let shared = Rc::new(Cell::new(0_u32));
    #[cfg(feature = "rc-to-one")]
    {
        let theirs = Rc::clone(&shared);
        axipi::run_on_cpu(1, move || theirs.set(1));
    }
    #[cfg(feature = "rc-to-each")]
    {
        let theirs = Rc::clone(&shared);
        axipi::run_on_each_cpu(move || theirs.set(1));
    }
    #[cfg(feature = "cell-to-each")]
    {
        let owned = Cell::new(0_u32);
        axipi::run_on_each_cpu(move || owned.set(1));
    }
    shared
}
