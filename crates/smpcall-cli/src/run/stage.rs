//! The stages on which samples are taken: one machine each, with its target in one state.
//!
//! A stage is a machine of two CPUs: the target, a thread of the machine's own that polls or sleeps, and the caller, this
//! thread, which is attached for some of the rows and only calls for the others. Only one stage is up at a time, since a
//! target that polls takes its core for itself; they take turns every few ten milliseconds.

use super::checks::Checks;
use super::rows::{Alone, Caller, Measure, Plan, ROWS, Rings, State};
use crate::pace::{Pace, Place};
use anyhow::Result;
use smpcall_host::{Attached, Idle, Machine};
use smpcall_measure::floor::{Between, Floor};
use smpcall_measure::samples::{Sample, Samples};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The CPU that is called.
pub(super) const TARGET: u32 = 0;
/// The CPU that calls.
pub(super) const CALLER: u32 = 1;

/// Samples of a row at one visit.
const SAMPLES_PER_VISIT: u32 = 3;

/// What a row needs to take a sample.
pub(super) struct Stage<'m> {
    pub(super) machine: &'m Machine,
    /// What makes the thread a CPU, where it is one.
    pub(super) here: RefCell<Option<Attached<'m>>>,
    pub(super) pace: Pace,
}

/// One row of the table, so far.
pub(super) struct Row {
    pub(super) plan: &'static Plan,
    pub(super) samples: Samples,
    pub(super) calls: u64,
    pub(super) calls_per_sample: u32,
    pub(super) busy: u64,
    pub(super) rings: u64,
}

impl Row {
    fn record(&mut self, sample: &Sample, rings: u64) {
        self.samples.record(sample);
        self.calls += u64::from(sample.calls);
        self.calls_per_sample = sample.calls;
        self.busy += u64::from(sample.busy);
        self.rings += rings;
    }
}

/// All rows and all floors, so far.
pub(super) struct Bench {
    place: Place,
    pub(super) floor: Floor,
    pub(super) rows: Vec<Row>,
}

/// Whether the samples of a visit count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// The first on a new machine: everything is cold.
    WarmUp,
    Counts,
}

impl Bench {
    pub(super) fn new(place: Place) -> Self {
        let row =
            |plan| Row { plan, samples: Samples::new(), calls: 0, calls_per_sample: 0, busy: 0, rings: 0 };
        Self { place, floor: Floor::new(), rows: ROWS.iter().map(row).collect() }
    }

    /// Each stage once, each for about `time`.
    pub(super) fn round(&mut self, time: Duration, checks: &mut Checks) -> Result<()> {
        self.stage(State::Polling, time, checks)?;
        self.stage(State::Parked, time, checks)?;
        self.alone(time / 2, checks)
    }

    fn stage(&mut self, state: State, time: Duration, checks: &mut Checks) -> Result<()> {
        let idle = match state {
            State::Polling => Idle::Poll,
            State::Parked => Idle::Sleep,
        };
        let machine =
            Machine::builder().owned(1).attachable(1).cores(self.place.owned()).idle(idle).build()?;
        let stage = Stage { machine: &machine, here: RefCell::new(None), pace: self.place.pace() };
        let since = Instant::now();
        // Where each call costs a change of threads, there is no time to waste on warming up, nor need.
        let mut visit = if stage.pace == Pace::Apart { Visit::WarmUp } else { Visit::Counts };
        loop {
            stage.here.replace(Some(Place::attach(&machine, CALLER, self.place.caller())?));
            self.visit(&stage, (state, Caller::Cpu), visit, checks)?;
            drop(stage.here.take());
            self.visit(&stage, (state, Caller::Thread), visit, checks)?;
            if visit == Visit::Counts && since.elapsed() >= time {
                return Ok(());
            }
            visit = Visit::Counts;
        }
    }

    fn visit(
        &mut self,
        stage: &Stage<'_>,
        at: (State, Caller),
        visit: Visit,
        checks: &mut Checks,
    ) -> Result<()> {
        let repeat = stage.pace.batch(SAMPLES_PER_VISIT);
        let between = Between { machine: stage.machine, target: TARGET, pace: stage.pace };
        for _ in 0..repeat {
            match at.0 {
                State::Polling => self.floor.sample_polling(&between)?,
                State::Parked => self.floor.sample_parked(&between)?,
            }
        }
        for row in &mut self.rows {
            let measure = match row.plan.measure {
                Measure::On(stage, measure) if stage == at => measure,
                _ => continue,
            };
            for _ in 0..repeat {
                let before = stage.machine.counts().rings;
                let sample = measure(stage, checks)?;
                let rings = stage.machine.counts().rings - before;
                check_rings(row.plan.rings, rings, sample.calls, checks);
                if visit == Visit::Counts {
                    row.record(&sample, rings);
                }
            }
        }
        Ok(())
    }

    /// The rows that have a machine of their own.
    fn alone(&mut self, time: Duration, checks: &mut Checks) -> Result<()> {
        let place = &self.place;
        for row in &mut self.rows {
            let measure: Alone = match row.plan.measure {
                Measure::Alone(measure) => measure,
                Measure::On(..) => continue,
            };
            measure(place, time, checks, &mut |sample, rings| row.record(sample, rings))?;
        }
        Ok(())
    }
}

fn check_rings(rule: Rings, rings: u64, calls: u32, checks: &mut Checks) {
    match rule {
        Rings::None => checks.same("P7", "no doorbell for a target that polls", rings, 0),
        Rings::OneEach => {
            checks.that("P7", "at most one doorbell for each sleep", rings <= u64::from(calls));
        }
        Rings::Any => {}
    }
}
