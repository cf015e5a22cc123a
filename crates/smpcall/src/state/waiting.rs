//! The steps of a waiting or blocking call's word: one owner, no claim (I4). Their orderings are in the module above.

use super::State;
use super::snapshot::Snapshot;
use super::word::{DEQUEUED, Kind, LOCK, PARKED, waiting};
use crate::sync::{Ordering, StateWord};

/// What a waiter that wants to sleep is told.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Park {
    /// The completion will see it and wake the caller.
    Sleep,
    /// The call is done, most likely, and nobody is left to wake the caller; `is_done` shows it the result.
    Done,
}

impl State {
    /// A waiting or blocking call's word: locked from the start, since its one owner needs no claim (I4).
    pub(crate) fn new_waiting(waiter: u16, kind: Kind) -> Self {
        Self(StateWord::new(waiting(waiter, kind)))
    }

    /// As [`Self::new_waiting`], for a word that has been one before and is nobody else's now.
    #[inline]
    pub(crate) fn reuse_waiting(&self, waiter: u16) {
        // Relaxed: its one owner writes it (I4), and the push publishes it.
        self.0.store(waiting(waiter, Kind::Sync), Ordering::Relaxed);
    }

    /// Target: has taken a blocking call off its queue, for its thread to run.
    pub(crate) fn set_dequeued(&self) {
        // Relaxed: for reports; the caller may set PARKED meanwhile, which must stay.
        self.0.fetch_or(DEQUEUED, Ordering::Relaxed);
    }

    /// Completes a waiting call. The csd's memory must not be touched afterwards (I4).
    #[inline]
    pub(crate) fn complete(&self) -> Snapshot {
        // AcqRel: Release publishes the result to `is_done` (P4); Acquire shows the wake-up what the caller prepared
        // before `park`. The swap sees PARKED, so that exactly the callers that sleep are woken.
        Snapshot(self.0.swap(0, Ordering::AcqRel))
    }

    /// Completes a waiting call whose caller never sleeps.
    #[inline]
    pub(crate) fn complete_spinning(&self) {
        // Release: publishes the result; pairs with `is_done` (P4). A store will do: one owner, no losers (I4).
        self.0.store(0, Ordering::Release);
    }

    /// Returns whether a waiting call is complete.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // Acquire: sees the function's result; pairs with `complete` (P4).
        self.0.load(Ordering::Acquire) & LOCK == 0
    }

    /// Says that a waiting call's caller is going to sleep.
    pub(crate) fn park(&self) -> Park {
        // Relaxed: a look; who is told Done goes by `is_done`.
        let s = self.0.load(Ordering::Relaxed);
        if s & LOCK == 0 {
            return Park::Done;
        }
        // Release: what the caller prepared for its sleep is seen by whoever wakes it; pairs with `complete`.
        // Failure Relaxed: a completion has changed the word, or `set_dequeued` has; `is_done` reads it again.
        match self.0.compare_exchange(s, s | PARKED, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Park::Sleep,
            Err(_) => Park::Done,
        }
    }
}
