//! One slot: its fields, and how it is counted down.

use crate::payload::InlinePayload;
use crate::stamp::Stamp;
use crate::state::Park;
use crate::sync::{AtomicU16, AtomicU32, AtomicUsize, Ordering, SharedCell, const_unless_loom};
use core::mem::MaybeUninit;

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
    pub(super) ticket: AtomicUsize,
    run: SharedCell<Run>,
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
    pub(crate) unsafe fn fill(&self, run: Run, waiter: u16, ticket: usize) {
        // SAFETY: by I10 the fields are the caller's.
        self.run.with_mut(|field| unsafe { *field = run });
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

    /// What to run.
    ///
    /// # Safety
    ///
    /// The caller has to acknowledge the slot (I10).
    pub(crate) unsafe fn run(&self) -> Run {
        // SAFETY: by I10 nobody writes the field.
        self.run.with(|field| unsafe { *field })
    }

    /// Sender: all bits are set, `sent` of them. `keep`: it goes on holding the slot. Returns whether all have acknowledged already; what
    /// they wrote, [`is_acknowledged`](Self::is_acknowledged) shows.
    pub(crate) fn sent(&self, sent: u32, keep: Keep) -> bool {
        let own = if keep == Keep::Yes { OWN } else { 0 };
        // Release: if that frees the slot, the next sender writes the fields after us; pairs with `claim`.
        let still = self.count.pending.fetch_sub(FILLING - sent - own, Ordering::Release);
        still.wrapping_sub(FILLING - sent) == 0
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
    #[cfg(feature = "relays")]
    pub(crate) fn count_offline(&self, offline: u32) {
        if offline != 0 {
            // Relaxed: published by our acknowledgement.
            self.count.offline.fetch_add(offline, Ordering::Relaxed);
        }
    }

    /// Sender that keeps the slot: how many the leaders have found offline so far. A leader's are counted before it runs its part.
    pub(crate) fn offline_racy(&self) -> u32 {
        // Relaxed: what the leader's part publishes, or less.
        self.count.offline.load(Ordering::Relaxed)
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
