//! When a call was queued: 32 bits in the header's two debugging fields (Linux's `src` and `dst`), so that a csd is no
//! larger for it and ports that do not ask pay nothing.
//!
//! The unit is [`UNIT_NS`]: differences are exact to that, and modulo some 68 s. A call that is queued for longer is
//! what stall reports and the watchdog are for; its latency is counted as too short.

use crate::sync::{AtomicU32, Ordering, const_unless_loom};

/// What a stamp counts in.
const UNIT_NS: u64 = 16;

/// A time of queueing.
#[repr(transparent)]
pub(crate) struct Stamp(AtomicU32);

impl Stamp {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self(AtomicU32::new(0)) }
    }

    /// Poster: the call is queued at `now_ns`.
    #[inline(always)]
    pub(crate) fn set(&self, now_ns: u64) {
        // Relaxed: published by the push, with the other fields.
        self.0.store(units(now_ns), Ordering::Relaxed);
    }

    /// Target, that took the call and has not let go of it: how long it was queued until `now_ns`, and that time.
    #[inline(always)]
    pub(crate) fn read(&self, now_ns: u64) -> Queued {
        // Relaxed: written before the push, which published it with the other fields.
        let queued = units(now_ns).wrapping_sub(self.0.load(Ordering::Relaxed));
        Queued { ns: u64::from(queued) * UNIT_NS, now_ns }
    }

    /// Its memory is given back: whoever still touches it fails the model.
    #[cfg(loom)]
    pub(crate) fn leave(&mut self) {
        self.0.leave();
    }
}

/// What a target reads off a stamp.
#[derive(Clone, Copy)]
pub(crate) struct Queued {
    /// How long the call was queued.
    pub(crate) ns: u64,
    /// The time at which its function starts.
    pub(crate) now_ns: u64,
}

fn units(ns: u64) -> u32 {
    (ns / UNIT_NS) as u32
}
