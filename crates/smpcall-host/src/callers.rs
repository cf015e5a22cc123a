//! Doorbells of threads that only call.
//!
//! The completion of a call wakes its caller *after* it has let go of the caller's frame; by then the caller may have
//! seen it, returned, and ended. So these doorbells are in a static table: recycled, never freed. A late ring of a
//! recycled one is a spurious wake, which every sleeper stands.

use crate::here;
use crate::latch::Latch;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// How many threads may sleep in a call at once; the others nap.
pub(crate) const CALLERS_MAX: usize = 1024;

struct Slot {
    latch: Latch,
    taken: AtomicBool,
}

/// Doorbells by number, each with one owner at a time.
struct Table<const N: usize> {
    slots: [Slot; N],
    /// How many were given back so far. A thread that found none free need not look again before that changes.
    given_back: AtomicU32,
}

static TABLE: Table<CALLERS_MAX> = Table::new();

impl<const N: usize> Table<N> {
    const fn new() -> Self {
        let slots = [const { Slot { latch: Latch::new(), taken: AtomicBool::new(false) } }; N];
        Self { slots, given_back: AtomicU32::new(0) }
    }

    /// Takes a free slot, if there is one.
    fn take(&self) -> Option<u16> {
        let free = |slot: &Slot| {
            // Relaxed: a look, so that those that are taken stay in their owners' caches; the exchange decides.
            if slot.taken.load(Ordering::Relaxed) {
                return false;
            }
            // Acquire: we start after the last owner stopped; pairs with `give_back`. Failure Relaxed: not ours.
            slot.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        u16::try_from(self.slots.iter().position(free)?).ok()
    }

    fn give_back(&self, slot: u16) {
        // Release: the next owner starts after we stopped; pairs with `take`.
        self.slots[usize::from(slot)].taken.store(false, Ordering::Release);
        // Release: who sees the new number finds the slot free; pairs with `take_for`.
        self.given_back.fetch_add(1, Ordering::Release);
    }

    /// Takes a free slot for a thread that has none; looks for one only if one was given back since it last found none.
    #[cold]
    fn take_for(&self, lease: &Lease) -> Option<u16> {
        // Acquire: before the look, so that what is given back after the look makes a new number; pairs with `give_back`.
        let given_back = self.given_back.load(Ordering::Acquire);
        if lease.none_at.get() == Some(given_back) {
            return None;
        }
        let slot = self.take();
        lease.none_at.set(if slot.is_none() { Some(given_back) } else { None });
        lease.slot.set(slot);
        slot
    }
}

/// A thread's slot, which it gives back when it ends.
struct Lease {
    slot: Cell<Option<u16>>,
    /// It found none free when so many had been given back.
    none_at: Cell<Option<u32>>,
}

impl Lease {
    const fn new() -> Self {
        Self { slot: Cell::new(None), none_at: Cell::new(None) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            TABLE.give_back(slot);
        }
    }
}

thread_local! {
    static LEASE: Lease = const { Lease::new() };
}

/// Returns the number of the calling thread's doorbell; `None` if all are taken, or the thread is ending.
pub(crate) fn slot() -> Option<u16> {
    LEASE.try_with(|lease| lease.slot.get().or_else(|| TABLE.take_for(lease))).ok().flatten()
}

/// Sleeps for that long; the calling thread is a CPU of no machine, or of another than it waits on, whose ring ends it.
pub(crate) fn nap(timeout: Duration) {
    match slot().filter(|_| here::here().machine != 0) {
        Some(slot) => _ = latch(slot).sleep(Some(timeout)),
        None => std::thread::sleep(timeout),
    }
}

/// Returns a doorbell by its number.
pub(crate) fn latch(slot: u16) -> &'static Latch {
    &TABLE.slots[usize::from(slot)].latch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latch::Rang;
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
    fn a_thread_that_found_none_looks_again_only_when_one_was_given_back() {
        let table = Table::<2>::new();
        let leases = [const { Lease::new() }; 3];
        assert_eq!(leases.each_ref().map(|lease| table.take_for(lease)), [Some(0), Some(1), None]);
        // Free, but nobody said so: whoever looked would find it.
        // Relaxed: this thread's own.
        table.slots[1].taken.store(false, Ordering::Relaxed);
        assert_eq!(table.take_for(&leases[2]), None, "it does not look");
        table.give_back(0);
        assert_eq!(table.take_for(&leases[2]), Some(0), "and one that is freed is found");
        // They are of no thread, and of a table of their own.
        leases.into_iter().for_each(std::mem::forget);
    }

    #[test]
    fn one_that_is_given_back_at_any_moment_is_found_in_the_end() {
        let table = Table::<1>::new();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let lease = Lease::new();
                        // A give-back that a look overlooked, and that made no new number, would hang here.
                        let slot = loop {
                            match table.take_for(&lease) {
                                Some(slot) => break slot,
                                None => thread::yield_now(),
                            }
                        };
                        std::mem::forget(lease);
                        table.give_back(slot);
                    }
                });
            }
        });
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
        let doorbell = &table.slots[0].latch;
        assert_eq!(doorbell.ring(), Rang::Latched);
        // Returns at once, though nothing was meant for this owner.
        doorbell.sleep(None);
        assert_eq!(doorbell.ring(), Rang::Latched, "and it has been taken note of");
    }
}
