//! Wakes: on each CPU a few headers by which those who wait for a csd there are woken.
//!
//! Nobody but its poster owns a csd's word (P5: it is free before its function starts), so a completion cannot say whom
//! to wake. Who waits and is about to sleep puts a *wake* into the target's queue instead: a header whose word names
//! the waiter. Asynchronous entries run in the order in which they were pushed (P6), so it comes after the run that is
//! waited for, if that was queued or under way; the target lets go of the header, and wakes. It is part of the CPU's
//! memory and names no frame, so a waiter that gives up owes nothing: it is woken once too often later.
//!
//! It rings nobody (P7): it is pushed only where somebody has rung already, or the target is looking. If the target
//! rests, the run is over, or its poster has still to push it; then the waiter naps.
//!
//! # The race
//!
//! Both ways, of a push against a flush that leaves. *If the push comes first*, `go_idle` finds a list, and the flush goes
//! round again. *If `go_idle` comes first*, the push finds `IDLE` and is not made.
//!
//! # Invariants
//!
//! - **I25** A wake's header is pushed by the waiter that claimed it, once for each claim, and let go of by the target that took it
//!   off its queue, *before* it wakes. So a waiter that finds its own wake locked, by a read-modify-write, is woken after that.

use crate::csd::Header;

/// How many waiters for csds of one CPU are woken; more of them nap. (Under loom fewer: it pays for every object.)
const WAKES_MAX: usize = if cfg!(loom) { 1 } else { 2 };

/// One CPU's wakes.
pub(crate) struct Wakes([Header; WAKES_MAX]);

// SAFETY: a header's cells are reached by one side at a time (I25, I2), its atomics by anyone.
unsafe impl Sync for Wakes {}
// SAFETY: as for detached calls' slots: what can be moved was never online, or its machine is pinned (I13).
unsafe impl Send for Wakes {}

impl Wakes {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self([const { Header::new() }; WAKES_MAX])
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(core::array::from_fn(|_| Header::new()))
    }

    /// Returns whether a wake of this waiter is under way, which then also sees what the waiter wrote before.
    pub(crate) fn is_under_way(&self, waiter: u16) -> bool {
        self.0.iter().any(|header| header.state.rely_on_wake(waiter))
    }

    /// Claims one for this waiter; `None` if all are under way. Wait-free.
    pub(crate) fn claim(&self, waiter: u16) -> Option<&Header> {
        self.0.iter().find(|header| header.state.claim_wake(waiter))
    }
}
