//! The doorbell: a latch that a thread can sleep on.
//!
//! | value | meaning | ring | sleep |
//! |---|---|---|---|
//! | `QUIET` | not rung, nobody sleeps | latches, no system call | goes to `ASLEEP` |
//! | `RUNG` | rung, not acknowledged | stays | returns at once |
//! | `ASLEEP` | its thread sleeps, or is about to | latches and wakes | – |
//! | `DIVERTED` + n | its thread sleeps on caller's doorbell n, or is about to | latches, and rings that one | – |
//!
//! Every ring is a read-modify-write (Release), also one that finds the latch set, and the acknowledgement is one too
//! (Acquire), *before* the flush: so a flush sees what was written before any ring that it answers, also before one that
//! was merged into a pending one. Acknowledged after the flush, a ring in between would be swallowed.

use crate::{callers, futex};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const QUIET: u32 = 0;
const RUNG: u32 = 1;
const ASLEEP: u32 = 2;
/// Above all numbers of the others. Those of callers' doorbells are 16 bits.
const DIVERTED: u32 = 1 << 16;

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
                futex::wake_one(&self.latch);
                Rang::Woke
            }
            QUIET => Rang::Latched,
            RUNG => Rang::Merged,
            // One deep: a caller's doorbell is never diverted.
            diverted => callers::doorbell((diverted - DIVERTED) as u16).ring(),
        }
    }

    /// Its thread, that of a CPU, is going to sleep on its doorbell as a caller, where another machine's CPU wakes it: a ring of
    /// this one rings that one too, until [`Self::acknowledge`]. `false`: it was rung already, and takes note of it; there is
    /// something to look at first.
    pub(crate) fn divert(&self, caller: u16) -> bool {
        let to = DIVERTED + u32::from(caller);
        // Relaxed: publishes nothing, since callers' doorbells are static. Failure Relaxed: the acknowledgement is what sees.
        let quiet = self.latch.compare_exchange(QUIET, to, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !quiet {
            self.acknowledge();
        }
        quiet
    }

    /// Its thread: takes note of all rings so far. To be followed by a flush.
    pub(crate) fn acknowledge(&self) {
        // Acquire: the flush that follows sees what was written before each ring; pairs with `ring`.
        self.latch.swap(QUIET, Ordering::Acquire);
    }

    /// Its thread: sleeps until rung, or for that long, or less; then takes note of all rings so far. To be followed by
    /// a flush. For no time at all it makes no system call; any other ends late by what the kernel allows itself (its timer
    /// slack, 50 µs unless told).
    pub(crate) fn sleep(&self, timeout: Option<Duration>) {
        // Relaxed: only says that we sleep; the acknowledgement below is what sees the ringer's writes.
        // Failure Relaxed: it is rung already.
        if timeout != Some(Duration::ZERO)
            && self.latch.compare_exchange(QUIET, ASLEEP, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            // Every way to return, an interrupted or timed-out sleep too, leads to a look at the queue.
            futex::wait(&self.latch, ASLEEP, timeout);
        }
        self.acknowledge();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    impl Doorbell {
        fn value(&self) -> u32 {
            // Relaxed: the value itself is all that is asked for.
            self.latch.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_ring_before_the_sleep_is_kept_and_more_are_merged() {
        let doorbell = Doorbell::new();
        assert_eq!([(); 3].map(|()| doorbell.ring()), [Rang::Latched, Rang::Merged, Rang::Merged]);
        doorbell.sleep(None);
        assert_eq!(doorbell.value(), QUIET);
        assert_eq!(doorbell.ring(), Rang::Latched, "one sleep takes note of all");
    }

    #[test]
    fn a_diverted_ring_rings_the_callers_as_well() {
        let slot = callers::slot().expect("few threads call");
        let (doorbell, caller) = (Doorbell::new(), callers::doorbell(slot));
        caller.acknowledge();
        assert!(doorbell.divert(slot));
        assert_eq!([(); 2].map(|()| doorbell.ring()), [Rang::Latched, Rang::Merged]);
        assert_eq!((doorbell.value(), caller.value()), (RUNG, RUNG));
        // Returns at once, as it was rung.
        caller.sleep(None);
        assert!(!doorbell.divert(slot), "what it was rung for comes first");
        assert_eq!(doorbell.value(), QUIET);
        // Not rung meanwhile, and not diverted any more.
        assert!(doorbell.divert(slot));
        doorbell.acknowledge();
        assert_eq!((doorbell.ring(), caller.value()), (Rang::Latched, QUIET));
    }

    #[test]
    fn a_ring_during_the_sleep_wakes_once() {
        let doorbell = Doorbell::new();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| doorbell.sleep(None));
            while doorbell.value() != ASLEEP {
                thread::yield_now();
            }
            assert_eq!(doorbell.ring(), Rang::Woke);
            sleeper.join().expect("it wakes");
        });
        assert_eq!((doorbell.value(), doorbell.ring()), (QUIET, Rang::Latched));
    }

    #[test]
    fn a_sleep_ends_at_its_time_and_leaves_the_latch_quiet() {
        let doorbell = Doorbell::new();
        for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(2)] {
            doorbell.sleep(Some(timeout));
            assert_eq!(doorbell.value(), QUIET);
        }
        assert_eq!(doorbell.ring(), Rang::Latched, "nobody is taken to be asleep");
        doorbell.sleep(Some(Duration::from_secs(100_000)));
    }

    #[test]
    fn a_time_that_the_kernel_has_no_number_for_is_for_ever() {
        for timeout in [Duration::MAX, Duration::from_secs(i64::MAX as u64), Duration::from_nanos(u64::MAX)] {
            let doorbell = Doorbell::new();
            let (rung, returned) = (AtomicBool::new(false), AtomicBool::new(false));
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Relaxed: says when to give up.
                    while doorbell.value() != ASLEEP && !returned.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                    thread::sleep(Duration::from_millis(2));
                    // Relaxed: the ring publishes it.
                    rung.store(true, Ordering::Relaxed);
                    doorbell.ring();
                });
                doorbell.sleep(Some(timeout));
                // Relaxed: as above.
                returned.store(true, Ordering::Relaxed);
                // Relaxed: as above.
                assert!(rung.load(Ordering::Relaxed), "{timeout:?} was taken for a short time, or an error");
            });
        }
    }

    #[test]
    fn what_was_written_before_a_ring_is_seen_after_the_sleep_that_answers_it() {
        const RINGERS: usize = 2;
        let doorbell = Doorbell::new();
        let written: [AtomicU32; RINGERS] = Default::default();
        thread::scope(|scope| {
            for place in &written {
                let doorbell = &doorbell;
                scope.spawn(move || {
                    for value in 1..=5_000 {
                        // Relaxed: the ring publishes it, also when it is merged.
                        place.store(value, Ordering::Relaxed);
                        doorbell.ring();
                    }
                });
            }
            // Relaxed: the sleep's acknowledgement makes them visible. None has a time-out: a lost ring would hang here.
            while written.iter().any(|place| place.load(Ordering::Relaxed) < 5_000) {
                doorbell.sleep(None);
            }
        });
    }
}
