//! What a value of the state word says.

use super::word::{
    CANCELLED, COALESCED, CPU, CPU_SHIFT, DEQUEUED, KIND, Kind, LAZY, LOCK, PARKED, RUNS_SHIFT,
};

/// One value of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(pub(super) u32);

impl Snapshot {
    /// A word that says nothing.
    pub(crate) const FREE: Self = Self(0);
    /// No csd's word, and cancelled.
    pub(crate) const REFUSED: Self = Self(u32::MAX);

    /// Returns whether a run is still to begin: locked and not cancelled.
    pub(crate) fn is_pending(self) -> bool {
        self.0 & (LOCK | CANCELLED) == LOCK
    }

    pub(crate) fn is_free(self) -> bool {
        self.0 & LOCK == 0
    }

    /// Returns the target (locked) or where it ran last (free).
    pub(crate) fn cpu(self) -> Option<u32> {
        ((self.0 & CPU) >> CPU_SHIFT).checked_sub(1)
    }

    /// Returns the number of the claim (locked), modulo 32: it changes when the csd is unlocked, and only then.
    pub(crate) fn runs(self) -> u32 {
        self.0 >> RUNS_SHIFT
    }

    pub(crate) fn is_async(self) -> bool {
        self.0 & KIND == Kind::Async as u32
    }

    pub(crate) fn is_foreign(self) -> bool {
        self.0 & KIND == Kind::Foreign as u32
    }

    /// Returns whether this is the word of something that is no csd: of it only these bits are known.
    pub(crate) fn is_no_csd(self) -> bool {
        matches!(self.0 & KIND, 0x20 | 0x30)
    }

    pub(crate) fn is_wake(self) -> bool {
        self.0 & KIND == Kind::Wake as u32
    }

    pub(crate) fn is_blocking(self) -> bool {
        self.0 & KIND == Kind::Blocking as u32
    }

    /// Returns whether a blocking call's target has taken it off its queue.
    pub(crate) fn is_dequeued(self) -> bool {
        self.0 & DEQUEUED != 0
    }

    pub(crate) fn is_lazy(self) -> bool {
        self.0 & (LOCK | LAZY) == LOCK | LAZY
    }

    pub(crate) fn is_sync(self) -> bool {
        self.0 & KIND == Kind::Sync as u32
    }

    pub(crate) fn is_coalesced(self) -> bool {
        self.0 & COALESCED != 0
    }

    pub(crate) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }

    /// Who is to be woken when this waiting call is complete.
    pub(crate) fn waiter(self) -> u16 {
        (self.0 >> CPU_SHIFT) as u16
    }

    pub(crate) fn is_parked(self) -> bool {
        self.0 & PARKED != 0
    }
}
