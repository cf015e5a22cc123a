//! The rows of the table: each kind of call to a target in each state.
//!
//! | row | one call is |
//! |---|---|
//! | waiting call | `Smp::call` by an attached CPU, until it returns; the closure takes a number along |
//! | waiting call, borrowing | the same, with a closure that reads and writes the caller's stack |
//! | waiting call, by a thread | the same by a thread that is no CPU |
//! | waiting call, both ways | the same, while the target calls the caller |
//! | post, run seen | `Smp::post`, until the caller sees what the function wrote |
//! | flood of posts | one of 1,024 `Smp::post` of as many csds, until the last has run |
//! | flood of chains | the same by `Smp::post_all`, 32 csds at a time |
//! | post told Busy | `Smp::post` of a csd that is queued at a target that runs something else |
//! | cancel | `Csd::cancel` of one that is queued there |
//! | call to oneself | `Smp::call` by a CPU to itself |
//!
//! States of the target: *polling*: it looks at its queue all the time. *Parked*: it sleeps, and was left alone before
//! the call for long enough to do so. *Busy*: it runs another function; in the timed rows that one began just before,
//! takes [`busy::TOIL`], and is part of the time.

pub(super) mod both;
mod busy;
mod flood;
mod posts;
mod waiting;

use super::checks::Checks;
use super::floor::Against;
use super::samples::Sample;
use super::stage::Stage;
use anyhow::Result;

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
    /// On which stage, and by whom; `None`: on its own.
    pub(super) at: Option<(State, Caller)>,
    pub(super) rings: Rings,
    pub(super) measure: fn(&Stage<'_>, &mut Checks) -> Result<Sample>,
}

const fn row(
    (call, target): (&'static str, &'static str),
    against: Against,
    at: (State, Caller),
    rings: Rings,
    measure: fn(&Stage<'_>, &mut Checks) -> Result<Sample>,
) -> Plan {
    Plan { call, target, against, at: Some(at), rings, measure }
}

const CPU_POLLING: (State, Caller) = (State::Polling, Caller::Cpu);
const CPU_PARKED: (State, Caller) = (State::Parked, Caller::Cpu);
const THREAD_POLLING: (State, Caller) = (State::Polling, Caller::Thread);
const THREAD_PARKED: (State, Caller) = (State::Parked, Caller::Thread);

/// All rows, in the order of the table.
pub(super) static ROWS: [Plan; 18] = {
    use Against::{CacheLine, FetchOr, Futex};
    use Rings::{Any, None, OneEach};
    [
        row(("waiting call", "polling"), CacheLine, CPU_POLLING, Any, waiting::to_polling),
        row(("waiting call, borrowing", "polling"), CacheLine, CPU_POLLING, Any, waiting::borrowing),
        row(("waiting call", "parked"), Futex, CPU_PARKED, Any, waiting::to_parked),
        row(("waiting call", "busy"), CacheLine, CPU_POLLING, Any, busy::call),
        row(("waiting call, by a thread", "polling"), CacheLine, THREAD_POLLING, Any, waiting::to_polling),
        row(("waiting call, by a thread", "parked"), Futex, THREAD_PARKED, Any, waiting::to_parked),
        Plan {
            call: "waiting call, both ways",
            target: "calling",
            against: CacheLine,
            at: Option::None,
            rings: Any,
            measure: |_, _| unreachable!("the row has a stage of its own"),
        },
        row(("post, run seen", "polling"), CacheLine, CPU_POLLING, None, posts::to_polling),
        row(("post, run seen", "parked"), Futex, CPU_PARKED, OneEach, posts::to_parked),
        row(("post, run seen", "busy"), CacheLine, CPU_POLLING, None, busy::post),
        row(("flood of posts", "polling"), CacheLine, CPU_POLLING, None, flood::posts),
        row(("flood of posts", "parked"), Futex, CPU_PARKED, OneEach, flood::posts_to_parked),
        row(("flood of posts, by a thread", "polling"), CacheLine, THREAD_POLLING, None, flood::posts),
        row(("flood of chains", "polling"), CacheLine, CPU_POLLING, None, flood::chains),
        row(("flood of chains", "parked"), Futex, CPU_PARKED, OneEach, flood::chains_to_parked),
        row(("post told Busy", "busy"), FetchOr, CPU_POLLING, None, busy::told),
        row(("cancel", "busy"), FetchOr, CPU_POLLING, None, busy::cancel),
        row(("call to oneself", "self"), CacheLine, CPU_POLLING, Any, waiting::to_oneself),
    ]
};
