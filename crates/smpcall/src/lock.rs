//! The lock of a slot: it is tried, and never waited for. Who has it locked fills the slot, and reads it out.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `try_lock`, look | Relaxed | – | – |
//! | `try_lock`, CAS | Acquire | `Drop` of [`SlotGuard`] | the new holder writes over a result that the last one still reads (P4) |
//! | `Drop` of [`SlotGuard`] | Release | `try_lock` | the other half of the same |

use crate::sync::{AtomicU32, Ordering, const_unless_loom};

const FREE: u32 = 0;
const LOCKED: u32 = 1;

/// Whose a slot is.
pub(crate) struct SlotLock(AtomicU32);

impl SlotLock {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self(AtomicU32::new(FREE)) }
    }

    /// Locks the slot, if it is free. Wait-free.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<SlotGuard<'_>> {
        // Relaxed: a look; one that is locked is not worth a write.
        if self.0.load(Ordering::Relaxed) != FREE {
            return None;
        }
        // Acquire: the last holder has read its result; pairs with `Drop`. Failure Relaxed: somebody was faster.
        match self.0.compare_exchange(FREE, LOCKED, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(SlotGuard(self)),
            Err(_) => None,
        }
    }
}

/// The slot is locked, until this is dropped.
pub(crate) struct SlotGuard<'a>(&'a SlotLock);

impl Drop for SlotGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: the result was read; pairs with `try_lock`.
        self.0.0.store(FREE, Ordering::Release);
    }
}
