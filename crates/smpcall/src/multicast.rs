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
//! | … with [`PARKED`] | the sender sleeps; the last acknowledgement wakes it |
//!
//! # Invariants
//!
//! - **I10** A slot's fields are written by its sender between the claim and the first bit, and read by targets between the
//!   bit and their acknowledgement. It is free again only when every acknowledgement is in and its sender has let go.
//! - **I11** *Who takes a bit acknowledges it.* A bit is set by the slot's sender only, once for each call, and taken once: by
//!   the target, or, after a refused notification, by the sender.
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

pub(crate) use self::callers::{Callers, Collected};

use crate::mask::bits_of;
use crate::payload::InlinePayload;
use crate::stamp::Stamp;
use crate::state::Park;
use crate::sync::{AtomicU16, AtomicU32, AtomicUsize, Ordering, SharedCell, const_unless_loom};
use core::mem::MaybeUninit;

/// How many multicasts can be in flight on a machine at a time: one for each bit of a word. (Under loom fewer: it pays for
/// every object.)
pub(crate) const SLOTS: usize = if cfg!(loom) { 2 } else { usize::BITS as usize };

/// How many slots there are for callers that do not wait: those that do always find the rest held by one another only.
const UNAWAITED_SLOTS: usize = SLOTS - SLOTS / 4;
/// How many there are for callers that have just come: those that have waited for a slot are not overtaken by them in the rest.
const NEWCOMERS_SLOTS: usize = SLOTS - SLOTS / 8;

/// More than any number of acknowledgements.
pub(crate) const FILLING: u32 = 1 << 20;
/// The sender sleeps.
const PARKED: u32 = 1 << 31;
/// What is left when all targets have acknowledged a sender that waits.
const OWN: u32 = 1;

/// What a target runs: it is given the slot, and finds there what it needs.
pub(crate) type Run = unsafe fn(slot: &Slot);

unsafe fn never_filled(_slot: &Slot) {
    unreachable!("a slot is given its function before its first bit");
}

/// One multicast in flight: a line that its targets read, and one in which they count down. In one line, each acknowledgement would
/// take the fields away from those who have still to read them.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// In which order the slots of one sender were taken (P6).
    ticket: AtomicUsize,
    run: SharedCell<Run>,
    arg: SharedCell<*const ()>,
    payload: SharedCell<InlinePayload>,
    stamp: Stamp,
    waiter: AtomicU16,
    count: Count,
}

/// What is counted of a multicast.
#[repr(align(64))]
struct Count {
    pending: AtomicU32,
    /// CPUs that a leader was to notify and that were offline.
    offline: AtomicU32,
}

impl Slot {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                ticket: AtomicUsize::new(0),
                run: SharedCell::new(never_filled),
                arg: SharedCell::new(core::ptr::null()),
                payload: SharedCell::new(MaybeUninit::uninit()),
                stamp: Stamp::new(),
                waiter: AtomicU16::new(0),
                count: Count { pending: AtomicU32::new(0), offline: AtomicU32::new(0) },
            }
        }
    }

    /// Takes the slot, if it is free.
    pub(crate) fn claim(&self) -> bool {
        // Relaxed: a look; a slot that is in use is not worth a write.
        if self.count.pending.load(Ordering::Relaxed) != 0 {
            return false;
        }
        // Acquire: all targets of the last call have read the fields; pairs with `acknowledge` and `release`.
        // Failure Relaxed: somebody was faster.
        self.count.pending.compare_exchange(0, FILLING, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Fills the slot.
    ///
    /// # Safety
    ///
    /// The caller has claimed it, and has set no bit yet (I10). What `run` will find stays alive until all have acknowledged.
    pub(crate) unsafe fn fill(&self, run: Run, arg: *const (), waiter: u16, ticket: usize) {
        // SAFETY: by I10 the fields are the caller's.
        self.run.with_mut(|field| unsafe { *field = run });
        // SAFETY: as above.
        self.arg.with_mut(|field| unsafe { *field = arg });
        // Relaxed: published by `set`, with the other fields.
        self.waiter.store(waiter, Ordering::Relaxed);
        // Relaxed: as above.
        self.ticket.store(ticket, Ordering::Relaxed);
    }

    /// When the call was queued; set by the sender before its first bit.
    pub(crate) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The room for a closure that is kept here.
    pub(crate) fn payload(&self) -> &SharedCell<InlinePayload> {
        &self.payload
    }

    /// # Safety
    ///
    /// The caller has to acknowledge the slot (I10).
    pub(crate) unsafe fn arg(&self) -> *const () {
        // SAFETY: by I10 nobody writes the field.
        self.arg.with(|field| unsafe { *field })
    }

    /// What to run.
    ///
    /// # Safety
    ///
    /// The caller has to acknowledge the slot (I10).
    pub(crate) unsafe fn run(&self) -> Run {
        // SAFETY: by I10 nobody writes the field.
        self.run.with(|field| unsafe { *field })
    }

    /// Sender: all bits are set, `sent` of them. `keep`: it goes on holding the slot.
    pub(crate) fn sent(&self, sent: u32, keep: Keep) {
        let own = if keep == Keep::Yes { OWN } else { 0 };
        // Release: if that frees the slot, the next sender writes the fields after us; pairs with `claim`.
        self.count.pending.fetch_sub(FILLING - sent - own, Ordering::Release);
    }

    /// Target: has run the function. Returns whom to wake. The slot is not to be touched afterwards.
    #[inline]
    pub(crate) fn acknowledge(&self) -> Option<u16> {
        // Relaxed: written before the bit was set; read before the acknowledgement, after which the slot may be somebody else's.
        let waiter = self.waiter.load(Ordering::Relaxed);
        // AcqRel: Release publishes what the function wrote to `is_acknowledged` and `park` (P4), and that the fields were read to
        // `claim`; Acquire, for the one who wakes, sees what the sender prepared for its sleep.
        let before = self.count.pending.fetch_sub(1, Ordering::AcqRel);
        (before == PARKED | (OWN + 1)).then_some(waiter)
    }

    /// Sender that keeps the slot: whether all have acknowledged.
    #[inline]
    pub(crate) fn is_acknowledged(&self) -> bool {
        // Acquire: sees what the functions wrote; pairs with `acknowledge` (P4).
        self.count.pending.load(Ordering::Acquire) & !PARKED == OWN
    }

    /// Leader: so many of those that it was to notify were offline. Before its own acknowledgement.
    pub(crate) fn count_offline(&self, offline: u32) {
        if offline != 0 {
            // Relaxed: published by our acknowledgement.
            self.count.offline.fetch_add(offline, Ordering::Relaxed);
        }
    }

    /// Sender that keeps the slot, when all have acknowledged: how many the leaders found offline. Begins anew.
    pub(crate) fn take_offline(&self) -> u32 {
        // Relaxed: the acknowledgements have published it, and nobody else is at it now.
        let offline = self.count.offline.load(Ordering::Relaxed);
        if offline != 0 {
            // Relaxed: published to the next sender when we let go.
            self.count.offline.store(0, Ordering::Relaxed);
        }
        offline
    }

    /// Sender that keeps the slot: is going to sleep.
    pub(crate) fn park(&self) -> Park {
        let pending = &self.count.pending;
        // Relaxed: a look; who is told Done goes by `is_acknowledged`.
        let mut seen = pending.load(Ordering::Relaxed);
        while seen & !PARKED != OWN {
            // Release: what was prepared for the sleep is seen by the one who wakes; pairs with `acknowledge`.
            // Failure Relaxed: an acknowledgement came, perhaps the last; `is_acknowledged` reads it again.
            match pending.compare_exchange(seen, seen | PARKED, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Park::Sleep,
                Err(now) => seen = now,
            }
        }
        Park::Done
    }

    /// Sender that keeps the slot, when all have acknowledged: lets go of it.
    pub(crate) fn release(&self) {
        debug_assert!(self.is_acknowledged(), "I10: a slot is free when every acknowledgement is in");
        // Release: we are done with the fields; pairs with `claim`.
        self.count.pending.store(0, Ordering::Release);
    }
}

/// Whether a sender goes on holding its slot when all bits are set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It waits, and lets go by [`Slot::release`].
    Yes,
    /// It does not; the last acknowledgement frees the slot.
    No,
}

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

    /// Takes a slot: the first that is free from `first` on, so that few senders meet. Bounded.
    pub(crate) fn claim(&self, first: u32, who: Claimant) -> Option<u32> {
        self.claim_one_of(first, who, SLOTS)
    }

    /// As [`Self::claim`], of the next `tried` slots.
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
        let newest_first = |a: usize, b: usize| (a.wrapping_sub(b)).cast_signed();
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
