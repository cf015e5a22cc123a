//! Multicast: slots that hold a call to many, and on each CPU's mailbox the bits of the slots that it has to acknowledge.
//!
//! A machine has one slot for each bit of a word. Who multicasts takes a slot, fills it, and for each target sets the slot's
//! bit on its mailbox, *then* notifies it: one read-modify-write on the target's head that leaves `CALLED` in its list, or finds it
//! there ([`Head::notify`](crate::queue::Head::notify)). The target's next take sees the word, takes all bits at once, and
//! acknowledges each: it runs the slot's function, and counts the slot down. So N CPUs need one word each, and no set of N × N
//! objects (P13).
//!
//! That a call is under way to a CPU already is as good as bringing it there, as in P2: the notification of the second sender writes
//! the same word that the take will swap, so the take sees the second bit too. If it does not find the head in the list's
//! state because the CPU went offline, it is *its own* word that was refused, and its own bit that it takes back; nobody else
//! relied on it.
//!
//! # States of a slot: `pending`
//!
//! | value | meaning |
//! |---|---|
//! | 0 | free |
//! | [`FILLING`] and more | its sender sets bits; acknowledgements count down already |
//! | 1 + n | n acknowledgements are still pending; the one is the sender's, if it waits |
//! | … with `PARKED` | the sender sleeps; the last acknowledgement wakes it |
//!
//! # Invariants
//!
//! - **I10** A slot's fields are written by its sender between the claim and the first bit, and read by targets between the
//!   bit and their acknowledgement. It is free again only when every acknowledgement is in and its sender has let go.
//! - **I11** *Who takes a bit acknowledges it.* A bit is set by the slot's sender only, once for each call, and taken once: by
//!   the target, or, after a refused notification, by the sender.
//! - **I43** The slots that are for those who have waited for one are held by nobody who does work of his own meanwhile: only by
//!   senders and their targets. So they become free whatever such work does, also if it waits for a slot itself (P10).
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `claim` | Acquire | `acknowledge`, `release` | fields are written that the last call's targets still read |
//! | `acknowledge` | AcqRel | `is_acknowledged`, `park` / `claim` | Release: the sender misses what a function wrote (P4). Acquire: the wake-up misses what the sender prepared |
//! | `is_acknowledged` | Acquire | `acknowledge` | the sender misses what a function wrote (P4) |
//! | `park` | Release | `acknowledge` | the other half of that |
//! | `release` | Release | `claim` | as `claim` |
//!
//! The bits' own are in [`callers`].

mod callers;
mod slot;

pub(crate) use self::callers::{Callers, Collected};
#[cfg(feature = "relays")]
pub(crate) use self::slot::FILLING;
pub(crate) use self::slot::{Keep, Run, Slot};

use crate::mask::bits_of;
use crate::sync::{AtomicUsize, Ordering};

/// How many multicasts can be in flight on a machine at a time: one for each bit of a word. (Under loom fewer: it pays for
/// every object.)
pub(crate) const SLOTS: usize = if cfg!(loom) { 2 } else { usize::BITS as usize };

/// How many slots there are for callers that do not wait: those that do always find the rest held by one another only.
const UNAWAITED_SLOTS: usize = SLOTS - SLOTS / 4;
/// How many there are for callers that have just come: those that have waited for a slot are not overtaken by them in the rest.
const NEWCOMERS_SLOTS: usize = SLOTS - SLOTS / 8;

/// Who takes a slot: which of them there are for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimant {
    /// One who does not wait, and can be refused.
    Unawaited,
    /// One who waits for its acknowledgements, and has just come.
    Newcomer,
    /// One who has waited for a slot before.
    Waiting,
}

/// The slots of a machine.
pub(crate) struct Slots {
    slots: [Slot; SLOTS],
    tickets: AtomicUsize,
}

// SAFETY: a slot's cells are written by its sender alone and then read by its targets (I10); what they point to is `Sync`
// by the bounds of the multicasts.
unsafe impl Sync for Slots {}
// SAFETY: where no call is in flight the pointers are dead values; a closure that is kept in a slot is `Send`.
unsafe impl Send for Slots {}

impl Slots {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { slots: [const { Slot::new() }; SLOTS], tickets: AtomicUsize::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { slots: core::array::from_fn(|_| Slot::new()), tickets: AtomicUsize::new(0) }
    }

    /// As [`Self::new`], slot by slot in its place.
    ///
    /// # Safety
    ///
    /// The place is the caller's to write; all of it is written.
    pub(crate) unsafe fn emplace(at: *mut Self) {
        for slot in 0..SLOTS {
            // SAFETY: the caller's promise.
            unsafe { (&raw mut (*at).slots[slot]).write(Slot::new()) };
        }
        // SAFETY: as above.
        unsafe { (&raw mut (*at).tickets).write(AtomicUsize::new(0)) };
    }

    /// Takes a slot: the first that is free from `first` on, so that few senders meet. Bounded.
    #[inline]
    pub(crate) fn claim(&self, first: u32, who: Claimant) -> Option<u32> {
        // Mostly it is free, and one of those that are for everybody.
        if who == Claimant::Waiting || first as usize >= UNAWAITED_SLOTS {
            return self.claim_one_of(first, who, SLOTS);
        }
        if self.get(first).claim() { Some(first) } else { self.claim_one_of(first + 1, who, SLOTS) }
    }

    /// As [`Self::claim`], of the next `tried` slots.
    #[inline(never)]
    pub(crate) fn claim_one_of(&self, first: u32, who: Claimant, tried: usize) -> Option<u32> {
        let (first, len) = match who {
            Claimant::Unawaited => (first, UNAWAITED_SLOTS),
            Claimant::Newcomer => (first, NEWCOMERS_SLOTS),
            // First those that no newcomer takes.
            Claimant::Waiting => (NEWCOMERS_SLOTS as u32, SLOTS),
        };
        (0..tried.min(len) as u32)
            .map(|step| first.wrapping_add(step) % len as u32)
            .find(|at| self.slots[*at as usize].claim())
    }

    /// As [`Self::claim`], for one who waits, of the slots only that no newcomer takes: a look that troubles few.
    pub(crate) fn claim_reserved(&self) -> Option<u32> {
        self.claim_one_of(0, Claimant::Waiting, SLOTS - NEWCOMERS_SLOTS)
    }

    /// Whether its sender may keep slot `at` while it does work of its own (I43). (Under loom there are none but such.)
    pub(crate) fn is_kept_in_work(at: u32) -> bool {
        (at as usize) < NEWCOMERS_SLOTS
    }

    pub(crate) fn get(&self, at: u32) -> &Slot {
        &self.slots[at as usize]
    }

    /// The next in the order in which slots are taken.
    pub(crate) fn ticket(&self) -> usize {
        // Relaxed: one sender's tickets rise, since it sees its own writes in order; that is all that P6 needs.
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Of slots that the caller has to acknowledge, the one that was taken first; `bits` is not 0.
    pub(crate) fn oldest(&self, bits: usize) -> u32 {
        // Tickets wrap round: the sign of their difference tells which is older.
        let newest_first = |a: usize, b: usize| a.wrapping_sub(b) as isize;
        let mut at = bits.trailing_zeros();
        for other in bits_of(bits & (bits - 1)) {
            // Relaxed: written before the bit was set, which we have taken.
            let (ours, theirs) =
                (self.get(at).ticket.load(Ordering::Relaxed), self.get(other).ticket.load(Ordering::Relaxed));
            if newest_first(theirs, ours) < 0 {
                at = other;
            }
        }
        at
    }
}

impl core::fmt::Debug for Slots {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Slots")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn p10_newcomers_leave_slots_to_those_who_have_waited() {
        let slots = Slots::new();
        let taken = |who| core::iter::from_fn(|| slots.claim(0, who)).count();
        assert_eq!(taken(Claimant::Unawaited), UNAWAITED_SLOTS);
        assert_eq!(taken(Claimant::Newcomer), NEWCOMERS_SLOTS - UNAWAITED_SLOTS);
        assert_eq!(slots.claim_reserved(), Some(NEWCOMERS_SLOTS as u32));
        assert_eq!(taken(Claimant::Waiting), SLOTS - NEWCOMERS_SLOTS - 1);
    }
}
