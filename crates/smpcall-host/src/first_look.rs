//! When a waiting caller looks first, learnt by each thread for each function and target.
//!
//! A look just before the answer takes the line away from the target that is about to write there, and costs another round trip of the
//! line; each moment after the answer is lost as well. Between the two is a narrow best, which follows from the machine, from where the two
//! threads are on it, and from how long the function takes. So it is not a constant: now and then a thread tries another pause
//! before its first looks, measures calls with the one and the other in turn, and stays with the shorter. While nothing is found the trials become
//! rarer; a thread that is moved, or a core that is further away, is found again by them.
//!
//! What is learnt is the thread's own: no line is shared for it.

use crate::spin::short_pauses;
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Instant;

/// How often a caller looks, in all, before it goes on to serve, to back off, and to sleep.
pub(crate) const LOOKS: u32 = 64;

/// Short pauses between the looks after the first, and wherever else a caller waits for a moment.
pub(crate) const BETWEEN: u16 = 4;

/// The pauses before a first look, at least and at most. Beyond the latter the best look is no matter of a line's round trip any more.
const PAUSES_MIN: u32 = 2;
const PAUSES_MAX: u32 = 1024;

/// A trial compares so many calls of either kind.
const CALLS: u8 = 16;

/// What a call counts at most, in ns, so that one whose thread lost its core decides nothing.
const TOOK_NS_MAX: u32 = 2_000;

/// Calls between two trials: after a change, and when nothing was found for long.
const REST_MIN: u16 = 64;
const REST_MAX: u16 = 1024;

/// How many pairs of function and target a thread keeps apart. Others share what is learnt, which costs time and nothing else.
const KEPT: usize = 32;

thread_local! {
    static LEARNT: [FirstLook; KEPT] = const { [const { FirstLook::new() }; KEPT] };
}

/// Looks a few times whether `target`'s answer is there, for calls that are `alike`.
#[inline(always)]
pub(crate) fn look_first(target: u32, alike: usize, done: impl Fn() -> bool) -> bool {
    LEARNT.with(|learnt| learnt[place(target, alike)].look(done))
}

/// Functions lie some bytes apart; the targets of one have places of their own beside each other.
#[inline(always)]
fn place(target: u32, alike: usize) -> usize {
    let mixed = (alike as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> (u64::BITS - KEPT.ilog2())) as usize).wrapping_add(target as usize) % KEPT
}

/// What is learnt for one function on one target.
struct FirstLook {
    /// Short pauses before the first look.
    pauses: Cell<u16>,
    /// What is tried beside it.
    tried: Cell<u16>,
    /// Calls until the next that is measured.
    rest: Cell<u16>,
    /// Calls between two trials.
    between: Cell<u16>,
    /// Trials so far; they alternate between a little less, a little more, and anything.
    trials: Cell<u16>,
    /// Calls of this trial so far: the first half with `pauses`, the others with `tried`.
    calls: Cell<u8>,
    /// How long each half took.
    took_ns: [Cell<u32>; 2],
}

impl FirstLook {
    const fn new() -> Self {
        Self {
            pauses: Cell::new(BETWEEN),
            tried: Cell::new(4 * BETWEEN),
            rest: Cell::new(REST_MIN),
            between: Cell::new(REST_MIN),
            trials: Cell::new(0),
            calls: Cell::new(0),
            took_ns: [const { Cell::new(0) }; 2],
        }
    }

    #[inline(always)]
    fn look(&self, done: impl Fn() -> bool) -> bool {
        if let Some(half) = self.begin() {
            return self.measure(half, done);
        }
        short_pauses(self.pauses.get());
        done() || look_on(done)
    }

    /// A call begins: the half of a trial to which it belongs, if it belongs to any.
    #[inline(always)]
    fn begin(&self) -> Option<usize> {
        let rest = self.rest.get();
        if rest == 0 {
            return Some((self.calls.get() / CALLS).into());
        }
        self.rest.set(rest - 1);
        None
    }

    /// The pauses of that half.
    fn half(&self, half: usize) -> u16 {
        [&self.pauses, &self.tried][half].get()
    }

    /// A call of a trial. No clock is read before the first look, since that would put it off: until then the pauses are the clock.
    #[cold]
    #[inline(never)]
    fn measure(&self, half: usize, done: impl Fn() -> bool) -> bool {
        let pauses = self.half(half);
        short_pauses(pauses);
        let mut took_ns = u32::from(pauses) * ten_pauses_ns() / 10;
        if !done() {
            let start = Instant::now();
            if !look_on(done) {
                // It takes longer than any of these looks: nothing is learnt by it.
                self.begin_again();
                return false;
            }
            took_ns = took_ns.saturating_add(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        self.measured(half, took_ns.min(TOOK_NS_MAX));
        true
    }

    fn measured(&self, half: usize, took_ns: u32) {
        self.took_ns[half].set(self.took_ns[half].get() + took_ns);
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == 2 * CALLS {
            self.decide();
        }
    }

    /// Ends a trial, and prepares the next.
    fn decide(&self) {
        let [before_ns, tried_ns] = [0, 1].map(|half| self.took_ns[half].get());
        if tried_ns < before_ns {
            self.pauses.set(self.tried.get());
            self.between.set(REST_MIN);
        } else {
            self.between.set((self.between.get() * 2).min(REST_MAX));
        }
        let trial = self.trials.get();
        self.trials.set(trial.wrapping_add(1));
        let bound = tried_ns.min(before_ns) / u32::from(CALLS) * 10 / ten_pauses_ns();
        self.tried.set(candidate(self.pauses.get().into(), trial.into(), bound));
        self.begin_again();
    }

    fn begin_again(&self) {
        self.calls.set(0);
        self.took_ns.iter().for_each(|took_ns| took_ns.set(0));
        self.rest.set(self.between.get());
    }
}

/// What to try next, where calls with `pauses` take about as long as `bound` pauses: no first look that comes later can be better.
fn candidate(pauses: u32, trial: u32, bound: u32) -> u16 {
    let step = (pauses / 8).max(1);
    let bound = bound.clamp(2 * PAUSES_MIN, PAUSES_MAX);
    let tried = match trial % 4 {
        0 => pauses - step,
        2 => pauses + step,
        // The golden ratio's multiples fall evenly, whenever one stops.
        _ => {
            let part = u64::from(trial.wrapping_mul(0x9e37_79b9));
            PAUSES_MIN + ((u64::from(bound - PAUSES_MIN) * part) >> 32) as u32
        }
    };
    tried.clamp(PAUSES_MIN, bound) as u16
}

/// How long ten short pauses take, in ns: by a measurement when it is first asked.
fn ten_pauses_ns() -> u32 {
    const PAUSES: u16 = 1_000;
    static TOOK: OnceLock<u32> = OnceLock::new();
    *TOOK.get_or_init(|| {
        let once = || {
            let start = Instant::now();
            short_pauses(PAUSES);
            start.elapsed().as_nanos() as u32
        };
        ((0..3).map(|_| once()).min().unwrap_or(1) / u32::from(PAUSES / 10)).max(1)
    })
}

/// The looks after the first.
#[inline(always)]
fn look_on(done: impl Fn() -> bool) -> bool {
    (1..LOOKS).any(|_| {
        short_pauses(BETWEEN);
        done()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls whose answer is there after `answer` pauses; a look before that puts it off by `penalty` more.
    struct Calls {
        answer: u16,
        penalty: u16,
    }

    impl Calls {
        fn took_ns(&self, pauses: u16) -> u32 {
            let took = if pauses >= self.answer { pauses } else { self.answer + self.penalty };
            u32::from(took) * ten_pauses_ns() / 10
        }

        /// Makes so many calls, and returns how many pauses came before the first look of most that were no trial's.
        fn make(&self, learnt: &FirstLook, calls: u32) -> u16 {
            for _ in 0..calls {
                if let Some(half) = learnt.begin() {
                    learnt.measured(half, self.took_ns(learnt.half(half)));
                }
            }
            learnt.pauses.get()
        }
    }

    /// On a machine whose pauses take less than a nanosecond no difference between two of them is seen.
    fn near(learnt: u16, best: u16) -> bool {
        let slack = 2 + best / 6 + (20 / ten_pauses_ns()) as u16;
        (best..=best + slack).contains(&learnt)
    }

    #[test]
    fn the_first_look_comes_just_after_the_answer_wherever_that_is() {
        for answer in [3, 14, 30, 130, 700] {
            let (learnt, calls) = (FirstLook::new(), Calls { answer, penalty: answer });
            let found = calls.make(&learnt, 200_000);
            assert!(near(found, answer), "{found} for {answer}");
        }
    }

    #[test]
    fn what_was_learnt_follows_a_core_that_is_further_away_and_one_that_is_nearer() {
        let learnt = FirstLook::new();
        for answer in [14, 130, 14, 300, 5] {
            let found = Calls { answer, penalty: answer }.make(&learnt, 200_000);
            assert!(near(found, answer), "{found} for {answer}");
        }
    }

    #[test]
    fn where_nothing_is_better_trials_become_rare() {
        let learnt = FirstLook::new();
        let calls = Calls { answer: 14, penalty: 14 };
        calls.make(&learnt, 200_000);
        let before = learnt.trials.get();
        calls.make(&learnt, 100_000);
        let trials = u32::from(learnt.trials.get() - before);
        assert!(trials * u32::from(2 * CALLS) <= 100_000 / 20, "{trials} trials in 100,000 calls");
        assert!(trials > 50, "and never end: {trials}");
    }

    #[test]
    fn calls_that_take_longer_than_all_looks_teach_nothing() {
        let learnt = FirstLook::new();
        let before = learnt.pauses.get();
        for _ in 0..1_000 {
            learnt.rest.set(0);
            assert!(!learnt.look(|| false));
        }
        assert_eq!((learnt.pauses.get(), learnt.trials.get()), (before, 0));
        assert_eq!(learnt.took_ns.each_ref().map(Cell::get), [0, 0]);
    }

    #[test]
    fn an_answer_that_is_there_is_seen_by_the_first_look_or_by_a_later_one() {
        let learnt = FirstLook::new();
        for call in 0..u32::from(REST_MIN) * 4 {
            let looks = Cell::new(0);
            let at = 1 + call % LOOKS;
            assert!(learnt.look(|| {
                looks.set(looks.get() + 1);
                looks.get() == at
            }));
            assert_eq!(looks.get(), at, "and is not looked for any more");
        }
    }

    #[test]
    fn what_is_tried_stays_within_bounds() {
        for pauses in [PAUSES_MIN, 3, 8, 100, PAUSES_MAX] {
            for trial in 0..100 {
                for bound in [0, 1, 2, 50, u32::MAX] {
                    let tried = u32::from(candidate(pauses, trial, bound));
                    assert!((PAUSES_MIN..=bound.clamp(2 * PAUSES_MIN, PAUSES_MAX)).contains(&tried));
                }
            }
        }
    }

    #[test]
    fn functions_and_targets_are_kept_apart_as_far_as_there_is_room() {
        let places: std::collections::HashSet<_> =
            (0..8).map(|target| place(target, 0x55d0_1234_5670)).collect();
        assert_eq!(places.len(), 8);
        let places: std::collections::HashSet<_> =
            (0..32).map(|func| place(0, 0x55d0_1234_5670 + func * 0x90)).collect();
        assert!(places.len() >= 12 && places.iter().all(|place| *place < KEPT), "{places:?}");
    }
}
