//! Relays: how a multicast to many CPUs is passed on.
//!
//! To notify N CPUs one after another costs a sender N cache lines and as many interrupts, and their acknowledgements fight for one
//! counter. So of a *group* (as many CPUs as there are slots, neighbours by number) in which [`RELAYED_MIN`] and more are meant, the sender
//! notifies one, the *leader*, and leaves the others to it; the leader notifies them before it runs its own part. The group's
//! acknowledges are counted at the group, and the last of them is one acknowledgement at the slot. Two levels are enough: a machine of
//! [`CPUS_MAX`](crate::CPUS_MAX) CPUs has 128 groups of 64.
//!
//! A relay belongs to a slot and a group. Its memory is lent by the group's CPU whose number within the group is the slot's:
//! a group has as many CPUs as there are slots, so each CPU has room for one relay, and no two calls ever meet in one (P13). The
//! last group, if it is not full, is not relayed to, nor are machines of fewer than `Relaying::CPUS` (`smp/many/relaying.rs`).
//!
//! Only a sender that waits uses relays: of two calls that it does not wait for, the second, if it went straight, could overtake
//! the first on its way through a leader (P6).
//!
//! # States
//!
//! | `left` | `pending` | meaning |
//! |---|---|---|
//! | 0 | 0 | not in use: who is in this group acknowledges at the slot |
//! | bits | [`FILLING`] | the sender has left these CPUs to a leader |
//! | 0 | [`FILLING`] and less | the leader notifies; acknowledgements count down already |
//! | 0 | n | n acknowledgements are still pending, the leader's own among them |
//!
//! # Invariants
//!
//! - **I16** A relay is written by the sender that holds the slot, until it notifies the leader; then by the leader, until it
//!   has notified the others; then it is only counted down. It is not in use again before its slot is free.
//! - **I17** Who was notified while the relay was in use sees it in use until its own acknowledgement, which it gives there; who was
//!   notified straight sees it out of use, and acknowledges at the slot.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `leave`, `call_off`, `take`, `is_in_use` | Relaxed | – | – : the bit in the mailbox publishes what was written here before ([`crate::multicast`]) |
//! | `sent` | Relaxed | – | –: the leader has still to acknowledge for itself, which publishes it |
//! | `acknowledge` | AcqRel | `acknowledge` of the last | Release: the sender misses what a function wrote (P4). Acquire: the last one's acknowledgement at the slot does not publish what the others wrote |

use crate::multicast::FILLING;
use crate::sync::{AtomicU32, AtomicUsize, Ordering, const_unless_loom};

/// With fewer, what is saved is less than the way through one more interrupt takes (`smpcall sim --scale`).
pub(crate) const RELAYED_MIN: u32 = if cfg!(loom) { 2 } else { 32 };

/// The relay of one slot to one group. Those of the group write it, each once for a call; so it is in a line that the CPU whose it is
/// seldom needs.
pub(crate) struct Relay {
    /// Whom the leader is still to notify, by number within the group.
    left: AtomicUsize,
    pending: AtomicU32,
}

impl Relay {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self { left: AtomicUsize::new(0), pending: AtomicU32::new(0) } }
    }

    /// Sender: leaves `others`, not none, to a leader, who is to be notified next; or, if that one was offline, to another.
    pub(crate) fn leave(&self, others: usize) {
        // Relaxed: published by the bit at the leader's mailbox.
        self.left.store(others, Ordering::Relaxed);
        // Relaxed: as above.
        self.pending.store(FILLING, Ordering::Relaxed);
    }

    /// Sender: no leader was found. Nobody has seen the relay in use.
    pub(crate) fn call_off(&self) {
        // Relaxed: published by the next bit at a mailbox of this group.
        self.left.store(0, Ordering::Relaxed);
        // Relaxed: as above.
        self.pending.store(0, Ordering::Relaxed);
    }

    /// Who runs the slot's function: whom it is to notify before, if it is the leader; else 0.
    #[inline]
    pub(crate) fn take(&self) -> usize {
        // Relaxed: the leader sees what the sender left by the bit at its mailbox; the others were notified after the store below.
        let left = self.left.load(Ordering::Relaxed);
        if left != 0 {
            // Relaxed: as above.
            self.left.store(0, Ordering::Relaxed);
        }
        left
    }

    /// Leader: has notified the others, and reached `sent` of them.
    pub(crate) fn sent(&self, sent: u32) {
        // Relaxed: our own acknowledgement comes later, and publishes it.
        self.pending.fetch_sub(FILLING - sent - 1, Ordering::Relaxed);
    }

    /// Who has run the slot's function: whether it acknowledges here (I17).
    #[inline]
    pub(crate) fn is_in_use(&self) -> bool {
        // Relaxed: published by the bit at our mailbox; and it stays as it is until we have acknowledged.
        self.pending.load(Ordering::Relaxed) != 0
    }

    /// Acknowledges. `true` for the last of the group, who acknowledges at the slot for all.
    #[inline]
    pub(crate) fn acknowledge(&self) -> bool {
        // AcqRel: Release publishes what the function wrote to the last of us, and Acquire shows the last of us what the others
        // wrote, so that its acknowledgement at the slot publishes all of it (P4).
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
