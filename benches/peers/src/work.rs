//! What the functions do, ours and everybody else's, and how a caller sees that they ran.

use smpcall_measure::pace::{Line, Pace};
use std::sync::atomic::{AtomicU64, Ordering};

/// Calls in a sample.
pub(crate) const CALLS: u32 = 64;
/// Posts in a flood.
pub(crate) const FLOOD: u32 = 1024;
/// What a waiting call's function does to its argument.
pub(crate) const KEY: u32 = 0x5a5a;

/// Runs on the target, counted for the caller to see.
pub(crate) struct Runs {
    /// How many there were.
    pub(crate) count: Line<AtomicU64>,
    /// How many of a flood ran so far, and in their order. The target's only.
    in_order: Line<AtomicU64>,
}

pub(crate) static RUNS: Runs = Runs { count: Line(AtomicU64::new(0)), in_order: Line(AtomicU64::new(0)) };

/// One run, on the target.
pub(crate) fn count() {
    RUNS.add();
}

impl Runs {
    /// How many the caller sees.
    pub(crate) fn seen(&self) -> u64 {
        // Acquire: what the runs did; pairs with `add`.
        self.count.0.load(Ordering::Acquire)
    }

    /// The target: one more. It is the only one that writes.
    pub(crate) fn add(&self) {
        // Relaxed: only we write it.
        let count = self.count.0.load(Ordering::Relaxed);
        // Release: the caller reads it; pairs with `seen`.
        self.count.0.store(count + 1, Ordering::Release);
    }

    /// As [`Self::add`], if what was sent along is right.
    pub(crate) fn add_if(&self, right: bool) {
        if right {
            self.add();
        }
    }

    /// One more, where two run at once.
    pub(crate) fn add_shared(&self) {
        // Relaxed: the answer of the call is what makes it visible.
        self.count.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends so often, each time until the run is seen; how many were.
    pub(crate) fn each_seen(&self, calls: u32, pace: Pace, mut send: impl FnMut() -> bool) -> u32 {
        let mut seen = 0;
        for _ in 0..calls {
            let before = self.seen();
            seen += u32::from(send() && pace.wait_until(|| self.seen() != before));
        }
        seen
    }

    /// The target: the run of a flood's post of that number. The last one tells, if all ran in their order.
    pub(crate) fn flooded_by(&self, number: u32) {
        // Relaxed: the target's own.
        let ran = self.in_order.0.load(Ordering::Relaxed);
        let ran = if u64::from(number) == ran { ran + 1 } else { u64::MAX };
        let last = number == FLOOD - 1;
        // Relaxed: as above; the next flood begins anew.
        self.in_order.0.store(if last { 0 } else { ran }, Ordering::Relaxed);
        if last && ran == u64::from(FLOOD) {
            self.add();
        }
    }

    /// Sends a flood, and waits until the last has run; how many ran in their order, all or none.
    pub(crate) fn flood(&self, pace: Pace, send: impl FnOnce() -> bool) -> u32 {
        let before = self.seen();
        let ran = send() && pace.wait_until(|| self.seen() != before);
        if ran { FLOOD } else { 0 }
    }
}
