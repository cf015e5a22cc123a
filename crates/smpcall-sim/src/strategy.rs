//! Who runs next: the scheduler's strategies.
//!
//! | strategy | at each point |
//! |---|---|
//! | `Random` | with a rate of one in `stay`, a random one of those that are ready |
//! | `Pct` | whoever has the highest priority; priorities are random, and drop at a few random steps (Burckhardt, Kothari, Musuvathi, Nagarakatte 2010); a spin drops to the end |
//! | `RoundRobin` | after `quantum` steps the next by number |
//! | `Exhaustive` | every choice in turn, over many runs, with a bound on preemptions; for tiny cases |

use crate::rng::Rng;
use std::cell::{Cell, RefCell};

/// How the scheduler chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A switch at one point in `stay`, to anyone.
    Random { stay: u32 },
    /// Priorities, with that many changes at random steps among the first `steps`.
    Pct { changes: u32, steps: u32 },
    /// In turn: how many points each runs.
    RoundRobin { quantum: u32 },
    /// All that can be chosen, run after run, with at most so many preemptions in each: a virtual CPU that could go on is taken
    /// off.
    Exhaustive { preemptions: u32 },
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Random { stay: 4 }
    }
}

/// The path through the tree of choices that an exhaustive search takes, run after run.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// Choice and number of choices.
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Path {
    fn choose(&mut self, of: usize) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, of));
        }
        let (choice, was) = self.taken[self.at];
        assert_eq!(was, of, "the run is not a function of its choices");
        self.at += 1;
        choice
    }

    /// The next path; `false` when all were taken.
    pub(crate) fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, of)) = self.taken.pop() {
            if choice + 1 < of {
                self.taken.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

/// The state of the scheduler's choices in one run.
#[derive(Debug, Default)]
pub(crate) struct Chooser {
    strategy: RefCell<Strategy>,
    priorities: RefCell<Vec<u64>>,
    changes: RefCell<Vec<u64>>,
    /// Falls at each change, so that it is below all.
    lowest: Cell<u64>,
    left: Cell<u32>,
    pub(crate) path: RefCell<Path>,
}

impl Chooser {
    pub(crate) fn reset(&self, strategy: &Strategy, threads: usize, rng: &Rng) {
        self.strategy.replace(strategy.clone());
        self.lowest.set(1 << 32);
        self.left.set(match strategy {
            Strategy::RoundRobin { quantum } => (*quantum).max(1),
            Strategy::Exhaustive { preemptions } => *preemptions,
            Strategy::Random { .. } | Strategy::Pct { .. } => 0,
        });
        let mut priorities = self.priorities.borrow_mut();
        let mut changes = self.changes.borrow_mut();
        priorities.clear();
        changes.clear();
        if let Strategy::Pct { changes: count, steps } = strategy {
            priorities.extend((0..threads).map(|_| (1 << 32) + (rng.next() >> 16)));
            changes.extend((0..*count).map(|_| rng.below((*steps).max(1) as usize) as u64));
            // The last is the next.
            changes.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// Who goes on at a point at which `me` could.
    pub(crate) fn at_point(&self, me: usize, step: u64, ready: &[usize], rng: &Rng) -> usize {
        match &*self.strategy.borrow() {
            Strategy::Random { stay } => {
                if ready.len() > 1 && rng.below((*stay).max(1) as usize) == 0 {
                    *rng.pick(ready)
                } else {
                    me
                }
            }
            Strategy::Pct { .. } => {
                let mut changes = self.changes.borrow_mut();
                while changes.last().is_some_and(|at| *at <= step) {
                    changes.pop();
                    self.sink(me);
                }
                self.highest(ready)
            }
            Strategy::RoundRobin { quantum } => {
                self.left.set(self.left.get() - 1);
                if self.left.get() > 0 {
                    return me;
                }
                self.left.set((*quantum).max(1));
                next_after(me, ready)
            }
            Strategy::Exhaustive { .. } => {
                if self.left.get() == 0 || ready.len() < 2 {
                    return me;
                }
                let chosen = self.choose_from(me, ready);
                if chosen != me {
                    self.left.set(self.left.get() - 1);
                }
                chosen
            }
        }
    }

    /// Who goes on when `me` spins, sleeps or has ended. `ready` is not empty.
    pub(crate) fn instead_of(&self, me: usize, ready: &[usize], rng: &Rng) -> usize {
        match &*self.strategy.borrow() {
            Strategy::Random { .. } => *rng.pick(ready),
            Strategy::Pct { .. } => {
                self.sink(me);
                self.highest(ready)
            }
            Strategy::RoundRobin { quantum } => {
                self.left.set((*quantum).max(1));
                next_after(me, ready)
            }
            // In turn, so that a spin is not one more choice.
            Strategy::Exhaustive { .. } => next_after(me, ready),
        }
    }

    /// Whose late store comes to memory now, if any: at a rate, or as one more choice. Not called if there is none.
    pub(crate) fn drains(
        &self,
        every: u32,
        threads: usize,
        has_any: impl Fn(usize) -> bool,
        rng: &Rng,
    ) -> Option<usize> {
        if let Strategy::Exhaustive { .. } = &*self.strategy.borrow() {
            let all: Vec<usize> = (0..threads).filter(|one| has_any(*one)).collect();
            // Late is the first choice: what comes at once is no news.
            return self.path.borrow_mut().choose(all.len() + 1).checked_sub(1).map(|one| all[one]);
        }
        if rng.below(every.max(1) as usize) > 0 {
            return None;
        }
        let first = rng.below(threads);
        (0..threads).map(|step| (first + step) % threads).find(|one| has_any(*one))
    }

    /// Which of so many values a load reads: an old one at a rate of one in `every`, or as one more choice.
    pub(crate) fn value(&self, values: usize, every: usize, rng: &Rng) -> usize {
        if let Strategy::Exhaustive { .. } = &*self.strategy.borrow() {
            return self.path.borrow_mut().choose(values);
        }
        if rng.below(every) == 0 { rng.between(1, values - 1) } else { 0 }
    }

    fn choose_from(&self, me: usize, ready: &[usize]) -> usize {
        let mut sorted = ready.to_vec();
        sorted.sort_unstable();
        // To go on is the first choice, so that the search begins with few preemptions.
        if let Some(at) = sorted.iter().position(|thread| *thread == me) {
            sorted[..=at].rotate_right(1);
        }
        sorted[self.path.borrow_mut().choose(sorted.len())]
    }

    fn sink(&self, me: usize) {
        self.lowest.set(self.lowest.get() - 1);
        self.priorities.borrow_mut()[me] = self.lowest.get();
    }

    fn highest(&self, ready: &[usize]) -> usize {
        let priorities = self.priorities.borrow();
        *ready.iter().max_by_key(|thread| priorities[**thread]).expect("somebody is ready")
    }
}

fn next_after(me: usize, ready: &[usize]) -> usize {
    let after = ready.iter().copied().filter(|thread| *thread > me).min();
    after.or_else(|| ready.iter().copied().min()).expect("somebody is ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhaustive_search_takes_every_path_once() {
        let mut path = Path::default();
        let mut taken = Vec::new();
        loop {
            let first = path.choose(2);
            taken.push((first, if first == 0 { path.choose(3) } else { 9 }));
            if !path.advance() {
                break;
            }
        }
        assert_eq!(taken, [(0, 0), (0, 1), (0, 2), (1, 9)]);
    }

    #[test]
    fn priorities_hold_until_a_change_or_a_spin() {
        let (chooser, rng) = (Chooser::default(), Rng::new(3, 0));
        chooser.reset(&Strategy::Pct { changes: 1, steps: 100 }, 3, &rng);
        let ready = [0, 1, 2];
        let first = chooser.highest(&ready);
        let runs: Vec<usize> = (1..=100).map(|step| chooser.at_point(first, step, &ready, &rng)).collect();
        assert!(runs.contains(&first) && *runs.last().unwrap() != first, "one change: {runs:?}");
        let second = *runs.last().unwrap();
        assert_ne!(chooser.instead_of(second, &ready, &rng), second, "who spins goes last");
    }

    #[test]
    fn round_robin_takes_turns() {
        let (chooser, rng) = (Chooser::default(), Rng::new(3, 0));
        chooser.reset(&Strategy::RoundRobin { quantum: 2 }, 3, &rng);
        let mut me = 0;
        let turns: Vec<usize> = (0..6)
            .map(|step| {
                me = chooser.at_point(me, step, &[2, 0, 1], &rng);
                me
            })
            .collect();
        assert_eq!(turns, [0, 1, 1, 2, 2, 0]);
    }
}
