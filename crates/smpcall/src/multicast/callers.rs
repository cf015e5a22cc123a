//! Which multicasts a CPU has to acknowledge: for itself, to give it; for whoever waits too long, to name it (P10).
//!
//! # States of a slot's bit, for one target
//!
//! | [`Callers`] | [`Collected`] | meaning |
//! |---|---|---|
//! | 0 | 0 | the CPU has nothing to acknowledge |
//! | 1 | 0 | it is called, and has not looked yet; or its notification is being refused |
//! | 1 | 1 | it is about to take the bit |
//! | 0 | 1 | it has collected it: the call is in a batch, left over at a budget, or under way; or has just been acknowledged |
//!
//! # Invariants
//!
//! - **I18** *Who has still to acknowledge shows it.* From the sender's [`set`](Callers::set) to the acknowledgement, a slot's bit is at the target's
//!   mailbox or among those that the target has collected. Only the target writes `Collected`: it adds a bit before it takes it off the mailbox,
//!   and retires it after it has acknowledged. So whoever looks in the mailbox first, and finds the bit in neither place, sees the acknowledgement.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `set` | Release | `take` | a target that was notified by another sender takes the bit, and runs garbage |
//! | `take`, CAS | AcqRel | `set` / `Callers::has_racy` | Release: the other half of that. Acquire: a look finds the bit gone from the mailbox, and not yet collected |
//! | `take_back` | Relaxed | – | –: only says who acknowledges |
//! | `retire` | Release | `Collected::has_racy` | a look finds the bit gone, and the acknowledgement not given (I18) |
//! | `has_racy`, both | Acquire | `take`, `retire` | the other halves of those |
//!
//! The bit itself is found because `notify` is a Release after it and the take of the head an Acquire before the look at it.

use crate::sync::{AtomicUsize, Ordering, const_unless_loom};

/// The bits of the slots that one CPU has to acknowledge, and has not collected.
pub(crate) struct Callers(AtomicUsize);

impl Callers {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self(AtomicUsize::new(0)) }
    }

    /// Sender: this CPU has to acknowledge slot `at`. To be followed by a notification.
    #[inline]
    pub(crate) fn set(&self, at: u32) {
        // Release: publishes the slot's fields to `take`, also of a target that another sender has notified.
        let before = self.0.fetch_or(1 << at, Ordering::Release);
        debug_assert!(before & 1 << at == 0, "I11: once for each call");
    }

    /// Sender, whose notification was refused: takes its bit back. `false`: the target was faster, and acknowledges.
    pub(crate) fn take_back(&self, at: u32) -> bool {
        // Relaxed: decides who acknowledges, and nothing else; the fields are the sender's own.
        self.0.fetch_and(!(1 << at), Ordering::Relaxed) & 1 << at != 0
    }

    /// Target: takes all bits, and has to acknowledge each (I11), as `collected` shows from now on (I18). A sender that sets its bit
    /// meanwhile, once for each call, makes it try again.
    #[inline]
    pub(crate) fn take(&self, collected: &Collected) -> usize {
        // Relaxed: what we must see came before the head that we have collected; what comes later is notified again.
        let mut bits = self.0.load(Ordering::Relaxed);
        if bits == 0 {
            return 0;
        }
        let before = collected.own();
        loop {
            debug_assert!(before & bits == 0, "I11: collected once");
            // Relaxed: published by the exchange.
            collected.0.store(before | bits, Ordering::Relaxed);
            if bits == 0 {
                return 0;
            }
            // AcqRel: Acquire sees the slots' fields, and pairs with `set`; Release shows who has the bits to those who find them
            // gone, and pairs with `has_racy`. Failure Relaxed: as the look above.
            match self.0.compare_exchange(bits, 0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return bits,
                Err(now) => bits = now,
            }
        }
    }

    /// Returns whether the CPU has still to take a bit of these slots. Racy.
    pub(crate) fn has_racy(&self, slots: usize) -> bool {
        // Acquire: a bit that was here is seen to have been collected; pairs with `take`.
        self.0.load(Ordering::Acquire) & slots != 0
    }
}

/// The bits of the slots that one CPU has collected, and not acknowledged yet. Only that CPU writes it.
pub(crate) struct Collected(AtomicUsize);

impl Collected {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self(AtomicUsize::new(0)) }
    }

    fn own(&self) -> usize {
        // Relaxed: the owner's own.
        self.0.load(Ordering::Relaxed)
    }

    /// Owner: has acknowledged slot `at`, which may be somebody else's by now.
    #[inline]
    pub(crate) fn retire(&self, at: u32) {
        // Release: who finds the bit gone sees the acknowledgement; pairs with `has_racy`.
        self.0.store(self.own() & !(1 << at), Ordering::Release);
    }

    /// Returns whether the CPU has collected a bit of these slots, and not acknowledged it. Racy.
    pub(crate) fn has_racy(&self, slots: usize) -> bool {
        // Acquire: if it was here, its acknowledgement is seen; pairs with `retire`.
        self.0.load(Ordering::Acquire) & slots != 0
    }
}
