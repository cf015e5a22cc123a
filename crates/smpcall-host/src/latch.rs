//! The latch of a thread's doorbell: whether it was rung, and where it sleeps; on the latch itself, unless told.
//!
//! | value | meaning | ring | sleep |
//! |---|---|---|---|
//! | `QUIET` | not rung, nobody sleeps | latches, no system call | goes to `ASLEEP` |
//! | `RUNG` | rung, not acknowledged | stays | returns at once |
//! | `ASLEEP` | its thread sleeps, or is about to | latches and wakes | – |
//! | `OUTSIDE` | its thread sleeps in its program's own loop, or is about to | latches; the ringer ends that sleep by the CPU's [doorbell](crate::Doorbell) | goes to `ASLEEP`, and comes back |
//! | `DIVERTED` + n | its thread sleeps on caller's doorbell n, or is about to | latches, and rings that one | – |
//!
//! What the latch goes back to when the rings are taken note of is the thread's choice: `QUIET`, or `OUTSIDE` if it may be asleep in
//! its own loop, as a task is while others of its thread run. The race of a thread that begins such a sleep, both ways: *if the ring
//! comes first*, [`Latch::leave`] takes note of it, and the look at the queue that follows finds what it was for. *If `OUTSIDE` comes
//! first*, the ringer finds that, and ends the sleep. Exactly one does, since it leaves `RUNG` behind.
//!
//! Every ring is a read-modify-write (Release), also one that finds the latch set, and the acknowledgement is one too
//! (Acquire), *before* the flush: so a flush sees what was written before any ring that it answers, also before one that
//! was merged into a pending one. Acknowledged after the flush, a ring in between would be swallowed.

use crate::{callers, futex, here};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const QUIET: u32 = 0;
const RUNG: u32 = 1;
const ASLEEP: u32 = 2;
const OUTSIDE: u32 = 3;
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
    /// The thread sleeps in its own loop: the ringer is to end that sleep, and says so if it [could not](Latch::unring).
    Outside,
}

/// One thread's latch.
#[repr(align(128))]
#[derive(Debug)]
pub(crate) struct Latch {
    word: AtomicU32,
    /// What the latch goes back to: `QUIET` or `OUTSIDE`. Its thread's own.
    rest: AtomicU32,
    /// What `rest` is while the thread is awake: `QUIET`, or `OUTSIDE` where a ring interrupts it. Its thread's own.
    awake: AtomicU32,
    /// An interrupt has taken note of rings since the thread last did. Its thread's own, and its handlers'.
    answered: AtomicBool,
}

impl Latch {
    pub(crate) const fn new() -> Self {
        let [word, rest, awake] = [const { AtomicU32::new(QUIET) }; 3];
        Self { word, rest, awake, answered: AtomicBool::new(false) }
    }

    fn rest(&self) -> u32 {
        // Relaxed: its thread's own.
        self.rest.load(Ordering::Relaxed)
    }

    /// Its thread: sleeps in its own loop from now on, or may; whoever rings ends that. Takes note of all rings so far: to be followed
    /// by a look at the queue, *before* the sleep.
    pub(crate) fn leave(&self) {
        // Relaxed: its thread's own.
        self.rest.store(OUTSIDE, Ordering::Relaxed);
        self.acknowledge();
    }

    /// Its thread: is back from its own loop, so that a ring need not do more than latch, unless it interrupts. Takes note of all rings
    /// so far: to be followed by a flush.
    pub(crate) fn come_back(&self) {
        // Relaxed: its thread's own.
        let awake = self.awake.load(Ordering::Relaxed);
        // Relaxed: its thread's own.
        self.rest.store(awake, Ordering::Relaxed);
        self.acknowledge();
    }

    /// Its thread: from now on a ring interrupts it, awake or in its own loop. As [`Self::leave`].
    pub(crate) fn interrupts(&self) {
        // Relaxed: its thread's own.
        self.awake.store(OUTSIDE, Ordering::Relaxed);
        self.leave();
    }

    /// Its thread: is going to be that CPU no more.
    pub(crate) fn reset(&self) {
        // Relaxed: its thread's own.
        self.awake.store(QUIET, Ordering::Relaxed);
        self.come_back();
    }

    /// A handler that interrupts its thread takes note of all rings so far, and is to flush. A sleep that the thread has begun, or begins
    /// before it has looked itself, ends at once: what the flush leaves for it is there, and who woke it may have been taken for a
    /// ring. Where the latch is not rung it stays as it is: the signal came late, and who sleeps there sleeps on.
    pub(crate) fn answer(&self) {
        // Relaxed: one thread.
        self.answered.store(true, Ordering::Relaxed);
        // Acquire: the flush that follows sees what was written before each ring; pairs with `ring`. Failure Relaxed: there was none
        // since the last note was taken.
        let _ = self.word.compare_exchange(RUNG, self.rest(), Ordering::Acquire, Ordering::Relaxed);
    }

    /// Its thread: whether it counts as one that may be asleep in its own loop.
    pub(crate) fn is_outside(&self) -> bool {
        self.rest() == OUTSIDE
    }

    /// The ringer that was to end the thread's sleep in its own loop could not: the next one is to try. If the thread has looked
    /// meanwhile, that costs it one look for nothing: it takes any latch that it did not expect for rung.
    pub(crate) fn unring(&self) {
        // Relaxed: the ring published, and what follows it in the latch's order passes that on. Failure Relaxed: somebody has
        // looked, or rings.
        let _ = self.word.compare_exchange(RUNG, OUTSIDE, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Rings. Async-signal-safe, and never waits.
    pub(crate) fn ring(&self) -> Rang {
        // Release: publishes what was written before the ring; pairs with `sleep`.
        match self.word.swap(RUNG, Ordering::Release) {
            ASLEEP => {
                futex::wake_one(&self.word);
                Rang::Woke
            }
            QUIET => Rang::Latched,
            RUNG => Rang::Merged,
            OUTSIDE => Rang::Outside,
            // One deep: a caller's doorbell is never diverted.
            diverted => callers::ring((diverted - DIVERTED) as u16),
        }
    }

    /// Its thread, that of a CPU, is going to sleep on its doorbell as a caller, where another machine's CPU wakes it: a ring of
    /// this one rings that one too, until [`Self::acknowledge`]. `false`: it was rung already, and takes note of it; there is
    /// something to look at first.
    pub(crate) fn divert(&self, caller: u16) -> bool {
        let to = DIVERTED + u32::from(caller);
        // Relaxed: publishes nothing, since callers' doorbells are static. Failure Relaxed: the acknowledgement is what sees.
        let quiet = self.word.compare_exchange(self.rest(), to, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !quiet {
            self.acknowledge();
        }
        quiet
    }

    /// Its thread: takes note of all rings so far, and says whether there was one. To be followed by a flush.
    pub(crate) fn acknowledge(&self) -> bool {
        // Relaxed: one thread. Before the swap: what a handler takes note of in between only costs a sleep more.
        self.answered.store(false, Ordering::Relaxed);
        // Acquire: the flush that follows sees what was written before each ring; pairs with `ring`.
        self.word.swap(self.rest(), Ordering::Acquire) == RUNG
    }

    /// Its thread counts as asleep: whether an interrupt came before, whose ring does not end that sleep. One that comes after finds the
    /// latch rung, or comes late.
    fn was_answered(&self) -> bool {
        here::handler_fence();
        // Relaxed: one thread.
        self.answered.load(Ordering::Relaxed)
    }

    /// Its thread: sleeps until rung, or for that long, or less; then takes note of all rings so far. To be followed by
    /// a flush. For no time at all it makes no system call; any other ends late by what the kernel allows itself (its timer
    /// slack, 50 µs unless told). Says whether there was a ring.
    pub(crate) fn sleep(&self, timeout: Option<Duration>) -> bool {
        // Relaxed: only says that we sleep; the acknowledgement below is what sees the ringer's writes.
        // Failure Relaxed: it is rung already.
        if timeout != Some(Duration::ZERO)
            && self.word.compare_exchange(self.rest(), ASLEEP, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            && !self.was_answered()
        {
            // Every way to return, an interrupted or timed-out sleep too, leads to a look at the queue.
            futex::wait(&self.word, ASLEEP, timeout);
        }
        self.acknowledge()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    impl Latch {
        fn value(&self) -> u32 {
            // Relaxed: the value itself is all that is asked for.
            self.word.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_ring_before_the_sleep_is_kept_and_more_are_merged() {
        let latch = Latch::new();
        assert_eq!([(); 3].map(|()| latch.ring()), [Rang::Latched, Rang::Merged, Rang::Merged]);
        latch.sleep(None);
        assert_eq!(latch.value(), QUIET);
        assert_eq!(latch.ring(), Rang::Latched, "one sleep takes note of all");
    }

    #[test]
    fn a_diverted_ring_rings_the_callers_as_well() {
        let slot = callers::waiter();
        let (latch, caller) = (Latch::new(), callers::latch(slot));
        caller.acknowledge();
        assert!(latch.divert(slot));
        assert_eq!([(); 2].map(|()| latch.ring()), [Rang::Latched, Rang::Merged]);
        assert_eq!((latch.value(), caller.value()), (RUNG, RUNG));
        // Returns at once, as it was rung.
        caller.sleep(None);
        assert!(!latch.divert(slot), "what it was rung for comes first");
        assert_eq!(latch.value(), QUIET);
        // Not rung meanwhile, and not diverted any more.
        assert!(latch.divert(slot));
        latch.acknowledge();
        assert_eq!((latch.ring(), caller.value()), (Rang::Latched, QUIET));
    }

    #[test]
    fn a_thread_that_sleeps_elsewhere_is_rung_there_once() {
        let latch = Latch::new();
        assert_eq!(latch.ring(), Rang::Latched);
        latch.leave();
        assert!(latch.is_outside());
        assert_eq!([(); 3].map(|()| latch.ring()), [Rang::Outside, Rang::Merged, Rang::Merged]);
        latch.acknowledge();
        assert_eq!(latch.ring(), Rang::Outside, "it has not come back");
        latch.come_back();
        assert!(!latch.is_outside());
        assert_eq!([(); 2].map(|()| latch.ring()), [Rang::Latched, Rang::Merged]);
    }

    #[test]
    fn a_sleep_in_a_wait_goes_back_to_the_one_elsewhere() {
        let latch = Latch::new();
        latch.leave();
        latch.sleep(Some(Duration::from_nanos(1)));
        assert_eq!(latch.value(), OUTSIDE);
        let slot = callers::waiter();
        assert!(latch.divert(slot));
        latch.acknowledge();
        thread::scope(|scope| {
            let ringer = scope.spawn(|| {
                while latch.value() != ASLEEP {
                    thread::yield_now();
                }
                latch.ring()
            });
            latch.sleep(None);
            assert_eq!(ringer.join().expect("it rings"), Rang::Woke);
        });
        assert_eq!(latch.ring(), Rang::Outside);
    }

    #[test]
    fn a_ring_that_could_not_end_the_sleep_is_left_to_the_next() {
        let latch = Latch::new();
        latch.leave();
        assert_eq!(latch.ring(), Rang::Outside);
        latch.unring();
        assert_eq!(latch.ring(), Rang::Outside);
        // The thread came back, and was rung; then the first ringer gives up.
        latch.come_back();
        assert_eq!(latch.ring(), Rang::Latched);
        latch.unring();
        // Rung, for all that the thread knows: it does not sleep, and looks.
        latch.sleep(None);
        assert_eq!(latch.value(), QUIET);
    }

    #[test]
    fn who_was_interrupted_looks_before_it_sleeps() {
        let latch = Latch::new();
        latch.interrupts();
        assert_eq!([(); 2].map(|()| latch.ring()), [Rang::Outside, Rang::Merged]);
        latch.answer();
        assert_eq!(latch.ring(), Rang::Outside, "the next one interrupts again");
        latch.answer();
        // Returns at once, though it was not rung: what the handler has left is there.
        assert!(!latch.sleep(None));
        assert_eq!((latch.value(), latch.sleep(Some(Duration::from_nanos(1)))), (OUTSIDE, false));
        // A signal that comes late leaves the latch as it is.
        let slot = callers::waiter();
        assert!(latch.divert(slot));
        latch.answer();
        assert_eq!(latch.value(), DIVERTED + u32::from(slot));
        latch.come_back();
        assert!(latch.is_outside(), "awake, it is interrupted");
        latch.reset();
        assert_eq!((latch.is_outside(), latch.ring()), (false, Rang::Latched));
        assert!(latch.sleep(None), "and says that it was rung");
    }

    #[test]
    fn a_ring_during_the_sleep_wakes_once() {
        let latch = Latch::new();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| latch.sleep(None));
            while latch.value() != ASLEEP {
                thread::yield_now();
            }
            assert_eq!(latch.ring(), Rang::Woke);
            sleeper.join().expect("it wakes");
        });
        assert_eq!((latch.value(), latch.ring()), (QUIET, Rang::Latched));
    }

    #[test]
    fn a_sleep_ends_at_its_time_and_leaves_the_latch_quiet() {
        let latch = Latch::new();
        for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(2)] {
            latch.sleep(Some(timeout));
            assert_eq!(latch.value(), QUIET);
        }
        assert_eq!(latch.ring(), Rang::Latched, "nobody is taken to be asleep");
        latch.sleep(Some(Duration::from_secs(100_000)));
    }

    #[test]
    fn a_time_that_the_kernel_has_no_number_for_is_for_ever() {
        for timeout in [Duration::MAX, Duration::from_secs(i64::MAX as u64), Duration::from_nanos(u64::MAX)] {
            let latch = Latch::new();
            let (rung, returned) = (AtomicBool::new(false), AtomicBool::new(false));
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Relaxed: says when to give up.
                    while latch.value() != ASLEEP && !returned.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                    thread::sleep(Duration::from_millis(2));
                    // Relaxed: the ring publishes it.
                    rung.store(true, Ordering::Relaxed);
                    latch.ring();
                });
                latch.sleep(Some(timeout));
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
        let latch = Latch::new();
        let written: [AtomicU32; RINGERS] = Default::default();
        thread::scope(|scope| {
            for place in &written {
                let latch = &latch;
                scope.spawn(move || {
                    for value in 1..=5_000 {
                        // Relaxed: the ring publishes it, also when it is merged.
                        place.store(value, Ordering::Relaxed);
                        latch.ring();
                    }
                });
            }
            // Relaxed: the sleep's acknowledgement makes them visible. None has a time-out: a lost ring would hang here.
            while written.iter().any(|place| place.load(Ordering::Relaxed) < 5_000) {
                latch.sleep(None);
            }
        });
    }
}
