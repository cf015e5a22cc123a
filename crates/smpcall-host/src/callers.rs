//! Doorbells of threads that only call.
//!
//! The completion of a call wakes its caller *after* it has let go of the caller's frame; by then the caller may have
//! seen it, returned, and ended. So these doorbells are in a static table: recycled, never freed. A late ring of a
//! recycled one is a spurious wake, which every sleeper stands.

use crate::doorbell::Doorbell;
use crate::here;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many threads may sleep in a call at once; the others nap.
pub(crate) const CALLERS_MAX: usize = 1024;

struct Slot {
    doorbell: Doorbell,
    taken: AtomicBool,
}

/// Doorbells by number, each with one owner at a time.
struct Table<const N: usize>([Slot; N]);

static TABLE: Table<CALLERS_MAX> = Table::new();

impl<const N: usize> Table<N> {
    const fn new() -> Self {
        Self([const { Slot { doorbell: Doorbell::new(), taken: AtomicBool::new(false) } }; N])
    }

    /// Takes a free slot, if there is one.
    fn take(&self) -> Option<u16> {
        let free = |slot: &Slot| {
            // Acquire: we start after the last owner stopped; pairs with `give_back`. Failure Relaxed: not ours.
            slot.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        u16::try_from(self.0.iter().position(free)?).ok()
    }

    fn give_back(&self, slot: u16) {
        // Release: the next owner starts after we stopped; pairs with `take`.
        self.0[usize::from(slot)].taken.store(false, Ordering::Release);
    }
}

/// Gives the slot back when its thread ends.
struct Lease(Cell<Option<u16>>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            TABLE.give_back(slot);
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
    lease.0.set(TABLE.take());
    lease.0.get()
}

/// Sleeps for that long; the calling thread is a CPU of no machine, or of another than it waits on, whose ring ends it.
pub(crate) fn nap(timeout: Duration) {
    match slot().filter(|_| here::here().machine != 0) {
        Some(slot) => doorbell(slot).sleep(Some(timeout)),
        None => std::thread::sleep(timeout),
    }
}

/// Returns a doorbell by its number.
pub(crate) fn doorbell(slot: u16) -> &'static Doorbell {
    &TABLE.0[usize::from(slot)].doorbell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doorbell::Rang;
    use std::thread;

    #[test]
    fn a_slot_has_one_owner_and_is_used_again() {
        let table = Table::<3>::new();
        assert_eq!([(); 4].map(|()| table.take()), [Some(0), Some(1), Some(2), None]);
        table.give_back(1);
        assert_eq!((table.take(), table.take()), (Some(1), None));
        for slot in [0, 2, 1] {
            table.give_back(slot);
        }
        assert_eq!(table.take(), Some(0));
    }

    #[test]
    fn threads_that_take_at_once_take_different_ones() {
        let table = Table::<8>::new();
        for _ in 0..100 {
            let mut taken: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..2).map(|_| scope.spawn(|| [(); 5].map(|()| table.take()))).collect();
                threads.into_iter().flat_map(|thread| thread.join().expect("it takes")).flatten().collect()
            });
            taken.sort_unstable();
            assert!(taken.iter().copied().eq(0..8), "{taken:?}");
            taken.into_iter().for_each(|slot| table.give_back(slot));
        }
    }

    #[test]
    fn a_thread_keeps_its_slot_and_gives_it_back_at_its_end() {
        let of_a_thread = || {
            thread::spawn(|| {
                let slot = slot().expect("this process has few threads");
                assert_eq!(super::slot(), Some(slot));
                slot
            })
            .join()
            .expect("there was a slot")
        };
        let mine = slot().expect("this process has few threads");
        // Many more than there are, one after the other.
        for _ in 0..2 * CALLERS_MAX {
            assert_ne!(of_a_thread(), mine);
        }
    }

    #[test]
    fn a_late_ring_is_a_spurious_wake_of_the_next_owner() {
        let table = Table::<1>::new();
        let slot = table.take().expect("the table is empty");
        table.give_back(slot);
        assert_eq!(table.take(), Some(slot));
        let doorbell = &table.0[0].doorbell;
        assert_eq!(doorbell.ring(), Rang::Latched);
        // Returns at once, though nothing was meant for this owner.
        doorbell.sleep(None);
        assert_eq!(doorbell.ring(), Rang::Latched, "and it has been taken note of");
    }
}
