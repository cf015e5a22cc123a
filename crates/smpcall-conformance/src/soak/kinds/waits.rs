//! Waits for asynchronous csds.

use super::Came;
use crate::soak::entries::Urgency;
use crate::soak::shared_state::Use;
use crate::soak::tally::{Check, Event};
use crate::soak::{Rig, Worker};
use smpcall::{Platform, WaitError};

/// The longest that a deadline is away.
const DEADLINE_NS_MAX: u32 = 200_000;

/// Posts, and waits for the run.
pub(super) fn wait<R: Rig>(worker: &mut Worker<R>) -> Came {
    posted_and_waited(worker, None)
}

/// Posts, and waits for a moment.
pub(super) fn deadline<R: Rig>(worker: &mut Worker<R>) -> Came {
    let after_ns = worker.below(DEADLINE_NS_MAX);
    posted_and_waited(worker, Some(u64::from(after_ns)))
}

fn posted_and_waited<R: Rig>(worker: &mut Worker<R>, after_ns: Option<u64>) -> Came {
    let (own, target) = (worker.poster.own(Use::Waited), worker.partner());
    if !own.is_settled() || worker.came(own.post_next(target, Urgency::Now), own) != Came::Done {
        return Came::Refused;
    }
    let clock = worker.soak.smp().platform();
    let until_ns = after_ns.map(|after_ns| clock.now_ns() + after_ns);
    worker.poster.with.set(target as usize + 1);
    let answer = own.wait(until_ns);
    worker.poster.with.set(0);
    match answer {
        // The run has ended, and what it wrote is visible without any other look.
        Ok(()) => {
            let (owed, seen) = (own.owed.read(), own.seen.read());
            worker.expect(
                Check::Done,
                seen >= owed,
                format_args!(
                    "a wait for CPU {target} returned before the run, or without its writes: {seen} of {owed}"
                ),
            );
        }
        Err(WaitError::TimedOut(stall)) => {
            worker.event(Event::TimedOut);
            let is_over = until_ns.is_some_and(|until_ns| clock.now_ns() >= until_ns);
            worker.expect(
                Check::Answer,
                stall.target == target && is_over,
                format_args!("a wait for CPU {target} timed out early, or on another CPU: {stall}"),
            );
        }
        Err(error) => _ = worker.refused(format_args!("a wait from thread context: {error}")),
    }
    Came::Done
}
