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
    pub(super) rings: Rings,
    pub(super) measure: Measure,
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
    Plan { call, target, against, rings, measure: Measure::On(at, measure) }
}

const fn alone((call, target): (&'static str, &'static str), against: Against, measure: Alone) -> Plan {
    Plan { call, target, against, rings: Rings::Any, measure: Measure::Alone(measure) }
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
        row(("waiting call", "polling"), CacheLine, CPU_POLLING, Any, waiting::to_polling),
        row(("waiting call, borrowing", "polling"), CacheLine, CPU_POLLING, Any, waiting::borrowing),
        row(("waiting call", "parked"), Futex, CPU_PARKED, Any, waiting::to_parked),
        row(("waiting call", "busy"), CacheLine, CPU_POLLING, Any, busy::call),
        row(("waiting call, by a thread", "polling"), CacheLine, THREAD_POLLING, Any, waiting::to_polling),
        row(("waiting call, by a thread", "parked"), Futex, THREAD_PARKED, Any, waiting::to_parked),
        alone(("waiting call, both ways", "calling"), CacheLine, both::measure),
        row(("multicast to all", "polling"), CacheLine, CPU_POLLING, Any, many::to_both),
        alone(("multicast to all of 8", "shared cores"), Futex, many::to_eight),
        row(("post, run seen", "polling"), CacheLine, CPU_POLLING, None, posts::to_polling),
        row(("post, run seen", "parked"), Futex, CPU_PARKED, OneEach, posts::to_parked),
        row(("post, run seen", "busy"), CacheLine, CPU_POLLING, None, busy::post),
        row(("detached call, run seen", "polling"), CacheLine, CPU_POLLING, None, posts::detached),
        row(("flood of posts", "polling"), CacheLine, CPU_POLLING, None, flood::posts),
        row(("flood of posts", "parked"), Futex, CPU_PARKED, OneEach, flood::posts_to_parked),
        row(("flood of posts, by a thread", "polling"), CacheLine, THREAD_POLLING, None, flood::posts),
        row(("flood of chains", "polling"), CacheLine, CPU_POLLING, None, flood::chains),
        row(("flood of chains", "parked"), Futex, CPU_PARKED, OneEach, flood::chains_to_parked),
        row(("post told Busy", "busy"), FetchOr, CPU_POLLING, None, busy::told),
        row(("cancel", "busy"), FetchOr, CPU_POLLING, None, busy::cancel),
        row(("call to oneself", "self"), CacheLine, CPU_POLLING, Any, waiting::to_oneself),
        row(("post to oneself", "self"), CacheLine, CPU_POLLING, None, posts::to_oneself),
        alone(("waiting call, no counters", "polling"), CacheLine, counted::off),
        alone(("waiting call, counters on", "polling"), CacheLine, counted::on),
        alone(("waiting call, latencies on", "polling"), CacheLine, counted::stamped),
    ]
};
