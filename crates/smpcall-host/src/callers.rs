//! Doorbells of threads that only call.
//!
//! The completion of a call wakes its caller *after* it has let go of the caller's frame; by then the caller may have
//! seen it, returned, and ended. So these doorbells are in a static table: recycled, never freed. A late ring of a
//! recycled one is a spurious wake, which every sleeper stands.

use crate::doorbell::Doorbell;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many threads may sleep in a call at once; the others nap.
pub(crate) const CALLERS_MAX: usize = 1024;

struct Slot {
    doorbell: Doorbell,
    taken: AtomicBool,
}

static SLOTS: [Slot; CALLERS_MAX] =
    [const { Slot { doorbell: Doorbell::new(), taken: AtomicBool::new(false) } }; CALLERS_MAX];

/// Gives the slot back when its thread ends.
struct Lease(Cell<Option<u16>>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            // Release: the next owner starts after we stopped; pairs with `take`.
            SLOTS[usize::from(slot)].taken.store(false, Ordering::Release);
        }
    }
}

thread_local! {
    static LEASE: Lease = const { Lease(Cell::new(None)) };
}

/// Returns the number of the calling thread's doorbell; `None` if all are taken, or the thread is ending.
pub(crate) fn slot() -> Option<u16> {
    LEASE.try_with(|lease| lease.0.get().or_else(|| take(lease))).ok().flatten()
}

#[cold]
fn take(lease: &Lease) -> Option<u16> {
    let free = |slot: &Slot| {
        // Acquire: we start after the last owner stopped; pairs with `Lease::drop`. Failure Relaxed: not ours.
        slot.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    };
    let slot = u16::try_from(SLOTS.iter().position(free)?).ok()?;
    lease.0.set(Some(slot));
    Some(slot)
}

/// Returns a doorbell by its number.
pub(crate) fn doorbell(slot: u16) -> &'static Doorbell {
    &SLOTS[usize::from(slot)].doorbell
}
