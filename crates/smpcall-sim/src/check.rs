//! The checkers: one for each promise, outside of the core. They look at the record of a run and at nothing else.
//!
//! | promise | checker |
//! |---|---|
//! | P1 exactly once | [`once`] |
//! | P2, P3 Busy is a promise; any number of posters | [`busy`] |
//! | P4 done means visible | [`visible`] |
//! | P5, P6 reuse from inside; order | [`order`] |
//! | P6 waiting calls first within a batch, where the port tells what a batch was | [`batch`] |
//! | P7 one doorbell per sleep | [`doorbell`] |
//! | P1 of posts that are deferred until an entry | [`entry`] |
//! | P8 hotplug loses nothing | [`hotplug`] |
//! | P9, P10 a post waits for nobody; no silent deadlock | [`progress`] |
//! | P10 of multicasts whose callers have work of their own | [`work`] |
//! | P8, P10 of rendezvous: who is held does nothing, and nobody comes online | [`held`] |
//! | P11 memory safety | [`safety`] |
//! | P12 nothing hidden: what the port has counted | [`counters`] |
//! | P1, P11, P14 of calls that are awaited | [`awaited`] |
//! | P1, P2, P5 of calls that nobody keeps a csd for | [`detached`] |
//!
//! P13 is a matter of layout, which a test compares with the plain core's.

mod awaited;
mod batch;
mod budget;
mod busy;
mod counters;
mod detached;
mod doorbell;
mod entry;
mod held;
mod hotplug;
mod once;
mod order;
mod progress;
mod safety;
#[cfg(test)]
mod tests;
mod visible;
mod work;

use crate::engine::End;
use crate::ground::slot_of;
use crate::history::{Act, Came, Event, EventKind, Level, Of};
use crate::scenario::Scenario;
use smpcall_sim_atomics::Memory;
use std::fmt;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: &'static str,
    /// How.
    pub what: String,
    /// The step at which that shows.
    pub step: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at step {}: {}", self.promise, self.step, self.what)
    }
}

/// One op of the record. Times are places in the record.
pub(crate) struct OpSeen<'h> {
    pub(crate) number: usize,
    pub(crate) act: &'h Act,
    pub(crate) thread: usize,
    pub(crate) level: Level,
    pub(crate) begin: usize,
    /// When it ended, and what it came to; `None` if it never did.
    pub(crate) end: Option<(usize, Came)>,
}

impl OpSeen<'_> {
    pub(crate) fn slot(&self) -> usize {
        slot_of(self.thread, self.level)
    }

    pub(crate) fn came(&self) -> Option<Came> {
        self.end.map(|(_, came)| came)
    }

    pub(crate) fn ended(&self) -> usize {
        self.end.map_or(usize::MAX, |(at, _)| at)
    }
}

/// One run of the record.
pub(crate) struct RunSeen<'h> {
    pub(crate) of: Of,
    pub(crate) cpu: usize,
    pub(crate) level: Level,
    pub(crate) queued: bool,
    pub(crate) in_context: bool,
    pub(crate) seen: &'h [(usize, u32)],
    pub(crate) begin: usize,
    /// When it ended; `usize::MAX` if it never did.
    pub(crate) end: usize,
    pub(crate) panics: bool,
}

/// The record of a run, sorted.
pub(crate) struct Log<'h> {
    pub(crate) scenario: &'h Scenario,
    pub(crate) history: &'h [Event],
    pub(crate) end: End,
    pub(crate) ops: Vec<OpSeen<'h>>,
    pub(crate) runs: Vec<RunSeen<'h>>,
    /// The runs of each csd, in order of their beginning.
    pub(crate) csd_runs: Vec<Vec<usize>>,
    /// When everything was at rest.
    pub(crate) settled: Option<usize>,
}

impl<'h> Log<'h> {
    pub(crate) fn new(scenario: &'h Scenario, history: &'h [Event], end: End) -> Self {
        let mut log = Self {
            scenario,
            history,
            end,
            ops: Vec::new(),
            runs: Vec::new(),
            csd_runs: vec![Vec::new(); scenario.csds.len()],
            settled: None,
        };
        // Runs under way on each thread, innermost last.
        let mut under_way: Vec<Vec<usize>> = vec![Vec::new(); scenario.threads() + 1];
        for (at, event) in history.iter().enumerate() {
            log.sort_in(at, event, &mut under_way);
        }
        log
    }

    fn sort_in(&mut self, at: usize, event: &'h Event, under_way: &mut [Vec<usize>]) {
        let &Event { thread, level, .. } = event;
        match &event.kind {
            EventKind::Begin { op, act } => {
                self.ops.push(OpSeen { number: *op, act, thread, level, begin: at, end: None });
            }
            EventKind::End { op, came } => self.ops[*op].end = Some((at, *came)),
            EventKind::RunBegin { of, in_context, queued, seen } => {
                under_way[thread].push(self.runs.len());
                if let Of::Csd(csd) = of {
                    self.csd_runs[*csd].push(self.runs.len());
                }
                self.runs.push(RunSeen {
                    of: *of,
                    cpu: thread,
                    level,
                    queued: *queued,
                    in_context: *in_context,
                    seen,
                    begin: at,
                    end: usize::MAX,
                    panics: false,
                });
            }
            EventKind::RunEnd { of, panics } => {
                if let Some(run) = under_way[thread].iter().rposition(|run| self.runs[*run].of == *of) {
                    let run = under_way[thread].remove(run);
                    self.runs[run].end = at;
                    self.runs[run].panics = *panics;
                }
            }
            EventKind::Settled => self.settled = Some(at),
            _ => {}
        }
    }

    pub(crate) fn step(&self, at: usize) -> u64 {
        self.history.get(at).or(self.history.last()).map_or(0, |event| event.step)
    }

    /// A moment so long before that one that what was in memory then may be read at that one.
    pub(crate) fn long_before(&self, at: usize) -> usize {
        if self.scenario.memory == Memory::Tso {
            return at;
        }
        let step = self.step(at).saturating_sub(self.scenario.old.steps);
        self.history.partition_point(|event| event.step < step).saturating_sub(1)
    }

    /// Whether the run has come to its end, so that what must happen some time has.
    pub(crate) fn is_complete(&self) -> bool {
        self.end == End::Done
    }

    pub(crate) fn broken(&self, promise: &'static str, at: usize, what: String) -> Option<Violation> {
        Some(Violation { promise, what, step: self.step(at) })
    }

    pub(crate) fn runs_of(&self, csd: usize) -> impl Iterator<Item = &RunSeen<'h>> {
        self.csd_runs[csd].iter().map(|run| &self.runs[*run])
    }

    /// The posts of a csd, single or in a chain, that queued it for certain: with their targets.
    pub(crate) fn queued(&self, csd: usize) -> impl Iterator<Item = (&OpSeen<'h>, u32)> {
        self.ops.iter().filter_map(move |op| match (op.act, op.came()?) {
            (Act::Post { csd: posted, target, .. }, Came::Ok) if *posted == csd => Some((op, *target)),
            (Act::Chain { csds, target, .. }, Came::Chained { queued, .. }) => {
                (queued as usize == csds.len() && csds.contains(&csd)).then_some((op, *target))
            }
            _ => None,
        })
    }

    /// How many chains may have queued it: it is in them, and not all of theirs were queued.
    pub(crate) fn perhaps_queued(&self, csd: usize) -> usize {
        let perhaps = |op: &&OpSeen<'_>| match (op.act, op.came()) {
            (Act::Chain { csds, .. }, Some(Came::Chained { queued, .. })) => {
                csds.contains(&csd) && queued > 0 && (queued as usize) < csds.len()
            }
            // An op that never ended may have done anything.
            (Act::Chain { csds, .. }, None) => csds.contains(&csd),
            (Act::Post { csd: posted, .. }, None) => *posted == csd,
            _ => false,
        };
        self.ops.iter().filter(perhaps).count()
    }

    /// Whom an op posts to, with which csds.
    pub(crate) fn posts<'o>(op: &'o OpSeen<'h>) -> Option<(&'o [usize], u32, u32)> {
        match op.act {
            Act::Post { csd, target, value, .. } => Some((std::slice::from_ref(csd), *target, *value)),
            Act::Chain { csds, target, value } => Some((csds, *target, *value)),
            _ => None,
        }
    }
}

type Checker = fn(&Log<'_>) -> Option<Violation>;

/// In the order in which a broken promise explains the others.
const CHECKERS: &[Checker] = &[
    safety::check,
    once::check,
    busy::check,
    detached::check,
    awaited::check,
    visible::check,
    order::check,
    batch::check,
    budget::check,
    held::check,
    work::check,
    hotplug::check,
    doorbell::check,
    entry::check,
    progress::check,
    counters::check,
];

/// What a run has broken first, if anything.
pub(crate) fn first_violation(scenario: &Scenario, history: &[Event], end: End) -> Option<Violation> {
    let log = Log::new(scenario, history, end);
    CHECKERS.iter().find_map(|check| check(&log))
}
