//! P4, done means visible: when a waiting call returns, its function has returned, and what it wrote is visible. A `wait`
//! returns when the run that was pending has finished.

use super::{Log, OpSeen, Violation};
use crate::history::{Act, Came, Of};

const P4: &str = "P4 done means visible";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    log.ops.iter().find_map(|op| {
        let (ended, came) = op.end?;
        let who = || format!("op {} ({})", op.number, op.act);
        match (op.act, came) {
            (_, Came::Answered { right: false, .. }) => {
                log.broken(P4, ended, format!("{}: the result is wrong", who()))
            }
            (_, Came::Answered { visible: false, .. }) => log.broken(
                P4,
                ended,
                format!("{}: returned, and what its function wrote is not visible", who()),
            ),
            (
                Act::Call { .. } | Act::Blocking { .. } | Act::Nearest { .. },
                Came::Answered { .. } | Came::Panicked,
            )
            | (Act::Many { waits: true, .. }, Came::Reached { .. }) => {
                let late = log.runs.iter().find(|run| is_run_of(run.of, op) && run.end > ended)?;
                log.broken(P4, ended, format!("{}: returned before its function on CPU {}", who(), late.cpu))
            }
            (Act::Wait { csd, .. }, Came::Ok) => waited(log, op, *csd),
            _ => None,
        }
    })
}

fn is_run_of(of: Of, op: &OpSeen<'_>) -> bool {
    [Of::Call(op.number), Of::Blocking(op.number), Of::Many(op.number)].contains(&of)
}

/// What was queued when a wait began has begun when it ends; and has ended, if it is always queued for one CPU. (A csd that
/// runs on several CPUs at once is waited for as far as its last run goes: CAVEATS, O7.)
fn waited(log: &Log<'_>, wait: &OpSeen<'_>, csd: usize) -> Option<Violation> {
    if log.scenario.csds[csd].cancels {
        return None;
    }
    // What others have posted just before, a waiter on weak memory need not see yet.
    let is_seen = |op: &OpSeen<'_>| {
        op.ended() < if op.thread == wait.thread { wait.begin } else { log.long_before(wait.begin) }
    };
    let before: Vec<u32> = log.queued(csd).filter(|(op, _)| is_seen(op)).map(|(_, target)| target).collect();
    let begun = log.runs_of(csd).filter(|run| run.begin < wait.ended()).count();
    if begun < before.len() {
        let what =
            format!("op {}: the wait for csd {csd} ended before the run that was pending", wait.number);
        return log.broken(P4, wait.ended(), what);
    }
    let one_cpu = log
        .ops
        .iter()
        .filter_map(Log::posts)
        .filter(|(csds, ..)| csds.contains(&csd))
        .all(|(_, target, _)| Some(&target) == before.first());
    let ended = log.runs_of(csd).filter(|run| run.end < wait.ended()).count();
    if one_cpu && ended < before.len() {
        let what = format!(
            "op {}: the wait for csd {csd} ended while the run that was pending went on",
            wait.number
        );
        return log.broken(P4, wait.ended(), what);
    }
    None
}
