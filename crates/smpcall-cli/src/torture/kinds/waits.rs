//! Waits for asynchronous csds.

use super::super::csds::{Outcome, Own};
use super::super::tally::{Check, Event};
use super::super::worker::Worker;
use smpcall_host::smpcall::{Platform, WaitError};

/// The longest that a deadline is away.
const DEADLINE_NS_MAX: u64 = 200_000;

/// Posts, and waits for the run.
pub(super) fn wait(worker: &mut Worker) {
    let Some((own, target)) = posted(worker) else { return };
    worker.kit.with.set(u64::from(target) + 1);
    let answer = worker.ground().machine.wait(own.csd);
    worker.kit.with.set(0);
    worker.expect(Check::Deadlock, answer.is_ok(), || format!("a wait from thread context: {answer:?}"));
    ended(worker, own, target);
}

/// Posts, and waits for a moment.
pub(super) fn deadline(worker: &mut Worker) {
    let Some((own, target)) = posted(worker) else { return };
    let host = worker.ground().machine.platform();
    let deadline_ns = host.now_ns() + worker.rng.u64(..DEADLINE_NS_MAX);
    match worker.ground().machine.wait_until(own.csd, deadline_ns) {
        Ok(()) => ended(worker, own, target),
        Err(WaitError::TimedOut(stall)) => {
            worker.event(Event::TimedOut);
            worker.expect(Check::Answer, stall.target == target && host.now_ns() >= deadline_ns, || {
                format!("a wait for CPU {target} timed out early, or on another CPU: {stall}")
            });
        }
        Err(error) => {
            worker.expect(Check::Deadlock, false, || format!("a wait from thread context: {error}"));
        }
    }
}

/// Posts the csd that is to be waited for; `None` if it is still under way, or its target is offline.
fn posted(worker: &mut Worker) -> Option<(&'static Own, u32)> {
    let own = &worker.kit.waited;
    if !own.is_settled() {
        return None;
    }
    let target = worker.partner();
    let posted = own.post_next(target);
    worker.complain_if_wrong(posted, own, target);
    (posted == Outcome::Due).then_some((own, target))
}

/// After a wait: the run has ended, and what it wrote is visible without any other look.
fn ended(worker: &Worker, own: &Own, target: u32) {
    let (owed, seen) = (own.body.owed.read(), own.body.seen.read());
    worker.expect(Check::Done, seen >= owed, || {
        format!("a wait for CPU {target} returned before the run, or without its writes: {seen} of {owed}")
    });
}
