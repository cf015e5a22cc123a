//! Doorbells of threads that only call.
//!
//! The completion of a call wakes its caller *after* it has let go of the caller's frame; by then the caller may have
//! seen it, returned, and ended. So these doorbells are in a static table: recycled, never freed. A late ring of a
//! recycled one is a spurious wake, which every sleeper stands. As many have one of their own as there are numbers for waiters; those
//! that come later, and threads that are ending, share the last number, whose ring wakes all of them.
//!
//! The table is zero at first, so it takes memory only as far as it was used.

use crate::latch::{Latch, Rang};
use crate::{futex, here};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// How many threads have a doorbell of their own: a waiter's number has 15 bits for callers.
const CALLERS_MAX: u16 = 0x7fff;

/// The number of the doorbell that all others share.
const SHARED: u16 = CALLERS_MAX;

/// Doorbells by number, each with one owner at a time.
struct Table<const N: usize> {
    latches: [Latch; N],
    /// Apart from the latches: who looks for a free one passes many.
    taken: [AtomicBool; N],
    /// How many were given back so far. A thread that found none free need not look again before that changes.
    given_back: AtomicU32,
}

static TABLE: Table<{ CALLERS_MAX as usize }> = Table::new();

static SHARED_BELL: SharedBell = SharedBell::new();

impl<const N: usize> Table<N> {
    const fn new() -> Self {
        let taken = [const { AtomicBool::new(false) }; N];
        Self { latches: [const { Latch::new() }; N], taken, given_back: AtomicU32::new(0) }
    }

    /// Takes a free slot, if there is one.
    fn take(&self) -> Option<u16> {
        let free = |taken: &AtomicBool| {
            // Relaxed: a look, so that those that are taken are not written; the exchange decides.
            if taken.load(Ordering::Relaxed) {
                return false;
            }
            // Acquire: we start after the last owner stopped; pairs with `give_back`. Failure Relaxed: not ours.
            taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        u16::try_from(self.taken.iter().position(free)?).ok()
    }

    fn give_back(&self, slot: u16) {
        // Release: the next owner starts after we stopped; pairs with `take`.
        self.taken[usize::from(slot)].store(false, Ordering::Release);
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

/// A doorbell that any number of threads share: a ring wakes them all.
struct SharedBell {
    rings: AtomicU32,
}

thread_local! {
    /// How many rings of the shared doorbell the thread has taken note of.
    static SEEN: Cell<u32> = const { Cell::new(0) };
}

impl SharedBell {
    const fn new() -> Self {
        Self { rings: AtomicU32::new(0) }
    }

    /// The calling thread takes note of all rings so far: to be followed by a look at what it waits for.
    fn acknowledge(&self) {
        // Acquire: sees what was written before those rings; pairs with `ring`.
        SEEN.set(self.rings.load(Ordering::Acquire));
    }

    /// Rings. Async-signal-safe, and never waits.
    fn ring(&self) {
        // Release: publishes what was written before the ring; pairs with `acknowledge`.
        self.rings.fetch_add(1, Ordering::Release);
        futex::wake_all(&self.rings);
    }

    /// Sleeps until there is a ring that the thread has not taken note of, or for that long, or less; then takes note of all so far.
    /// (A thread that is off its core for four billion rings misses them.)
    fn sleep(&self, timeout: Option<Duration>) {
        futex::wait(&self.rings, SEEN.get(), timeout);
        self.acknowledge();
    }
}

/// Returns the number of the calling thread's own doorbell; `None` if all are taken, or the thread is ending.
fn slot() -> Option<u16> {
    LEASE.try_with(|lease| lease.slot.get().or_else(|| TABLE.take_for(lease))).ok().flatten()
}

/// Returns the number by which the calling thread is rung from now on, its own or the shared one. To be followed by a look at what it waits
/// for, and then by [`sleep`].
pub(crate) fn waiter() -> u16 {
    slot().unwrap_or_else(|| {
        SHARED_BELL.acknowledge();
        SHARED
    })
}

/// Sleeps until the doorbell of that number, which is the calling thread's, is rung, or for that long, or less.
pub(crate) fn sleep(waiter: u16, timeout: Option<Duration>) {
    match waiter {
        SHARED => SHARED_BELL.sleep(timeout),
        slot => _ = latch(slot).sleep(timeout),
    }
}

/// Sleeps for that long; the calling thread is a CPU of no machine, or of another than it waits on, whose ring ends it.
pub(crate) fn nap(timeout: Duration) {
    if here::here().machine == 0 {
        return std::thread::sleep(timeout);
    }
    sleep(slot().unwrap_or(SHARED), Some(timeout));
}

/// Rings the doorbell of that number. Async-signal-safe, and never waits.
pub(crate) fn ring(waiter: u16) -> Rang {
    if waiter != SHARED {
        return latch(waiter).ring();
    }
    SHARED_BELL.ring();
    Rang::Woke
}

/// Returns a doorbell that is a thread's own.
pub(crate) fn latch(slot: u16) -> &'static Latch {
    &TABLE.latches[usize::from(slot)]
}

#[cfg(test)]
mod tests {
    use super::*;
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
        table.taken[1].store(false, Ordering::Relaxed);
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
        // Many more than live at once, one after the other.
        for _ in 0..2_000 {
            let slot = of_a_thread();
            assert!(slot != mine && slot < 1_000, "{slot} is not one that was given back");
        }
    }

    #[test]
    fn who_has_none_of_its_own_is_woken_by_the_shared_one() {
        const THREADS: u32 = 3;
        let (bell, rings, seen) = (SharedBell::new(), AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    bell.acknowledge();
                    for ring in 1..=1_000 {
                        // No sleep has a time-out: a ring that woke one of them only, or none, would hang here.
                        // Relaxed: the ring publishes it.
                        while rings.load(Ordering::Relaxed) < ring {
                            bell.sleep(None);
                        }
                        // Relaxed: a count, by which the ringer goes on.
                        seen.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for ring in 1..=1_000 {
                // Relaxed: published by the ring.
                rings.store(ring, Ordering::Relaxed);
                bell.ring();
                // Relaxed: as above.
                while seen.load(Ordering::Relaxed) < ring * THREADS {
                    thread::yield_now();
                }
            }
        });
    }

    #[test]
    fn a_ring_of_the_shared_one_between_the_look_and_the_sleep_ends_it() {
        let bell = SharedBell::new();
        bell.ring();
        bell.acknowledge();
        bell.ring();
        // Returns at once, and has taken note of it.
        bell.sleep(None);
        // Relaxed: this thread's own.
        assert_eq!(SEEN.get(), bell.rings.load(Ordering::Relaxed));
        bell.sleep(Some(Duration::from_nanos(1)));
    }

    #[test]
    fn a_late_ring_is_a_spurious_wake_of_the_next_owner() {
        let table = Table::<1>::new();
        let slot = table.take().expect("the table is empty");
        table.give_back(slot);
        assert_eq!(table.take(), Some(slot));
        let doorbell = &table.latches[0];
        assert_eq!(doorbell.ring(), Rang::Latched);
        // Returns at once, though nothing was meant for this owner.
        doorbell.sleep(None);
        assert_eq!(doorbell.ring(), Rang::Latched, "and it has been taken note of");
    }
}
