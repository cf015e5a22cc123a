//! The rows of the table: each kind of call to a target in each state.
//!
//! | row | one call is |
//! |---|---|
//! | waiting call | `Smp::call` by an attached CPU, until it returns; the closure takes a number along |
//! | waiting call, borrowing | the same, with a closure that reads and writes the caller's stack |
//! | waiting call, by a thread | the same by a thread that is no CPU |
//! | waiting call, both ways | the same, while the target calls the caller |
//! | multicast to all | `Smp::call_many` by one of two CPUs to both, until both have run |
//! | multicast to all of 8 | the same by a thread, to eight CPUs that share the cores |
//! | post, run seen | `Smp::post`, until the caller sees what the function wrote |
//! | detached call, run seen | `Smp::post_detached`, likewise |
//! | flood of posts | one of 1,024 `Smp::post` of as many csds, until the last has run |
//! | flood of chains | the same by `Smp::post_all`, 32 csds at a time |
//! | post told Busy | `Smp::post` of a csd that is queued at a target that runs something else |
//! | cancel | `Csd::cancel` of one that is queued there |
//! | call to oneself | `Smp::call` by a CPU to itself |
//! | post to oneself | `Smp::post` by a CPU to itself, and the flush that runs it: no line moves |
//! | waiting call, no counters | as the first, on a machine of its own; what the next two are to be compared with |
//! | waiting call, counters on | the same where every event is counted |
//! | waiting call, latencies on | the same where the clock is read, too |
//!
//! States of the target: *polling*: it looks at its queue all the time. *Parked*: it sleeps, and was left alone before
//! the call for long enough to do so. *Busy*: it runs another function; in the timed rows that one began just before,
//! takes [`busy::TOIL`], and is part of the time.
//!
//! A row's goal is a ratio to its floor, the same on every machine. Rows without one are there to be compared with others.

mod both;
mod busy;
mod counted;
mod flood;
mod many;
mod posts;
mod waiting;

use super::checks::Checks;
use super::stage::Stage;
use crate::pace::Place;
use anyhow::Result;
use smpcall_measure::floor::Against;
use smpcall_measure::samples::Sample;
use std::time::Duration;

/// What the target does when it has nothing to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Polling,
    Parked,
}

/// What the calling thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// An attached CPU.
    Cpu,
    /// A thread that only calls.
    Thread,
}

/// How many doorbells a sample may take (P7). Waiting calls may take any: a waiter may ring again before it parks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rings {
    None,
    OneEach,
    Any,
}

/// How a row is measured.
pub(super) struct Plan {
    pub(super) call: &'static str,
    pub(super) target: &'static str,
    pub(super) against: Against,
    /// How much of that floor it is to take at most, where a goal was set.
    pub(super) goal: Option<f64>,
    pub(super) rings: Rings,
    pub(super) measure: Measure,
}

impl Plan {
    /// The same row with a goal.
    const fn goal(self, goal: f64) -> Plan {
        Plan { goal: Some(goal), ..self }
    }
}

/// Where a row's samples are taken.
pub(super) enum Measure {
    /// One, on a stage that others share: in which state the target is, and who calls.
    On((State, Caller), fn(&Stage<'_>, &mut Checks) -> Result<Sample>),
    /// As many as fit into a time, on a machine of the row's own.
    Alone(Alone),
}

/// Takes samples, and hands each on with the doorbells that it took.
pub(super) type Alone = fn(&Place, Duration, &mut Checks, &mut dyn FnMut(&Sample, u64)) -> Result<()>;

const fn row(
    (call, target): (&'static str, &'static str),
    against: Against,
    at: (State, Caller),
    rings: Rings,
    measure: fn(&Stage<'_>, &mut Checks) -> Result<Sample>,
) -> Plan {
    Plan { call, target, against, goal: None, rings, measure: Measure::On(at, measure) }
}

const fn alone((call, target): (&'static str, &'static str), against: Against, measure: Alone) -> Plan {
    Plan { call, target, against, goal: None, rings: Rings::Any, measure: Measure::Alone(measure) }
}

const CPU_POLLING: (State, Caller) = (State::Polling, Caller::Cpu);
const CPU_PARKED: (State, Caller) = (State::Parked, Caller::Cpu);
const THREAD_POLLING: (State, Caller) = (State::Polling, Caller::Thread);
const THREAD_PARKED: (State, Caller) = (State::Parked, Caller::Thread);

/// All rows, in the order of the table.
pub(super) static ROWS: [Plan; 25] = {
    use Against::{CacheLine, FetchOr, Futex};
    use Rings::{Any, None, OneEach};
    [
        row(("waiting call", "polling"), CacheLine, CPU_POLLING, Any, waiting::to_polling).goal(1.25),
        row(("waiting call, borrowing", "polling"), CacheLine, CPU_POLLING, Any, waiting::borrowing)
            .goal(2.0),
        row(("waiting call", "parked"), Futex, CPU_PARKED, Any, waiting::to_parked).goal(0.4),
        row(("waiting call", "busy"), CacheLine, CPU_POLLING, Any, busy::call),
        row(("waiting call, by a thread", "polling"), CacheLine, THREAD_POLLING, Any, waiting::to_polling)
            .goal(1.25),
        row(("waiting call, by a thread", "parked"), Futex, THREAD_PARKED, Any, waiting::to_parked).goal(0.4),
        alone(("waiting call, both ways", "calling"), CacheLine, both::measure),
        row(("multicast to all", "polling"), CacheLine, CPU_POLLING, Any, many::to_both).goal(2.5),
        alone(("multicast to all of 8", "shared cores"), Futex, many::to_eight),
        row(("post, run seen", "polling"), CacheLine, CPU_POLLING, None, posts::to_polling).goal(1.5),
        row(("post, run seen", "parked"), Futex, CPU_PARKED, OneEach, posts::to_parked),
        row(("post, run seen", "busy"), CacheLine, CPU_POLLING, None, busy::post),
        row(("detached call, run seen", "polling"), CacheLine, CPU_POLLING, None, posts::detached).goal(2.0),
        row(("flood of posts", "polling"), CacheLine, CPU_POLLING, None, flood::posts).goal(0.15),
        row(("flood of posts", "parked"), Futex, CPU_PARKED, OneEach, flood::posts_to_parked),
        row(("flood of posts, by a thread", "polling"), CacheLine, THREAD_POLLING, None, flood::posts)
            .goal(0.15),
        row(("flood of chains", "polling"), CacheLine, CPU_POLLING, None, flood::chains),
        row(("flood of chains", "parked"), Futex, CPU_PARKED, OneEach, flood::chains_to_parked),
        row(("post told Busy", "busy"), FetchOr, CPU_POLLING, None, busy::told).goal(1.5),
        row(("cancel", "busy"), FetchOr, CPU_POLLING, None, busy::cancel),
        row(("call to oneself", "self"), CacheLine, CPU_POLLING, Any, waiting::to_oneself),
        row(("post to oneself", "self"), CacheLine, CPU_POLLING, None, posts::to_oneself),
        alone(("waiting call, no counters", "polling"), CacheLine, counted::off),
        alone(("waiting call, counters on", "polling"), CacheLine, counted::on),
        alone(("waiting call, latencies on", "polling"), CacheLine, counted::stamped),
    ]
};
