//! The doorbell: a latch that a thread can sleep on.
//!
//! | value | meaning | ring | sleep |
//! |---|---|---|---|
//! | `QUIET` | not rung, nobody sleeps | latches, no system call | goes to `ASLEEP` |
//! | `RUNG` | rung, not acknowledged | stays | returns at once |
//! | `ASLEEP` | its thread sleeps, or is about to | latches and wakes | – |
//!
//! Every ring is a read-modify-write (Release), also one that finds the latch set, and the acknowledgement is one too
//! (Acquire), *before* the flush: so a flush sees what was written before any ring that it answers, also before one that
//! was merged into a pending one. Acknowledged after the flush, a ring in between would be swallowed.

use rustix::thread::futex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const QUIET: u32 = 0;
const RUNG: u32 = 1;
const ASLEEP: u32 = 2;

/// What a ring came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rang {
    /// It woke, or will have woken, the thread.
    Woke,
    /// The thread is awake and will see the latch.
    Latched,
    /// Somebody rang before, and the thread has not seen it yet.
    Merged,
}

/// One thread's doorbell.
#[repr(align(128))]
pub(crate) struct Doorbell {
    latch: AtomicU32,
}

impl Doorbell {
    pub(crate) const fn new() -> Self {
        Self { latch: AtomicU32::new(QUIET) }
    }

    /// Rings. Async-signal-safe, and never waits.
    pub(crate) fn ring(&self) -> Rang {
        // Release: publishes what was written before the ring; pairs with `sleep`.
        match self.latch.swap(RUNG, Ordering::Release) {
            ASLEEP => {
                // An error could only be a bad address, which a `&self` is not.
                let _ = futex::wake(&self.latch, futex::Flags::PRIVATE, 1);
                Rang::Woke
            }
            QUIET => Rang::Latched,
            _ => Rang::Merged,
        }
    }

    /// Its thread: sleeps until rung, or for that long, or less; then takes note of all rings so far. To be followed by
    /// a flush.
    pub(crate) fn sleep(&self, timeout: Option<Duration>) {
        // Relaxed: only says that we sleep; the acknowledgement below is what sees the ringer's writes.
        // Failure Relaxed: it is rung already.
        if self.latch.compare_exchange(QUIET, ASLEEP, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let timeout = timeout.map(|time| futex::Timespec {
                tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: time.subsec_nanos().into(),
            });
            // Every way to return, an interrupted or timed-out sleep too, leads to a look at the queue.
            let _ = futex::wait(&self.latch, futex::Flags::PRIVATE, ASLEEP, timeout.as_ref());
        }
        // Acquire: the flush that follows sees what was written before each ring; pairs with `ring`.
        self.latch.swap(QUIET, Ordering::Acquire);
    }
}
