//! P9: a post waits for nobody, so that it ends within a fixed number of its own steps when nobody else takes any. P10, no silent
//! deadlock: everything ends; a wait that could deadlock is refused, and no other; whoever waits for a CPU that is stuck is told
//! which.

use super::{Log, Violation};
use crate::engine::End;
use crate::history::{Act, Came, EventKind};

const P9: &str = "P9 progress";
const P10: &str = "P10 no silent deadlock";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    waits(log).or_else(|| refused(log)).or_else(|| judged(log)).or_else(|| ended(log))
}

fn waits(log: &Log<'_>) -> Option<Violation> {
    log.history.iter().enumerate().find_map(|(at, event)| match event.kind {
        EventKind::Waits { op, steps } => {
            let act = log.ops[op].act;
            log.broken(P9, at, format!("op {op} ({act}), left alone, has not ended after {steps} steps"))
        }
        _ => None,
    })
}

fn refused(log: &Log<'_>) -> Option<Violation> {
    log.ops.iter().find_map(|op| {
        let what = match (op.act, op.came()?) {
            (Act::Misuse, Came::WouldDeadlock) => return None,
            (Act::Misuse, came) => format!("a wait that could deadlock came to {came:?}"),
            (_, Came::WouldDeadlock) => {
                format!("op {} ({}) was refused in thread context", op.number, op.act)
            }
            (Act::Wait { until: false, .. }, Came::TimedOut) => {
                "a wait without a deadline timed out".to_owned()
            }
            (Act::Wait { csd, .. }, Came::WasCancelled) if !log.scenario.csds[*csd].cancels => {
                format!("op {}: a wait for a run that nobody cancels says that it was", op.number)
            }
            _ => return None,
        };
        log.broken(P10, op.ended(), what)
    })
}

fn judged(log: &Log<'_>) -> Option<Violation> {
    log.history.iter().enumerate().find_map(|(at, event)| match &event.kind {
        EventKind::Judged { unexcused } if !unexcused.is_empty() => log.broken(
            P10,
            at,
            format!("{unexcused:?} have not ended, and were told of no CPU that is stuck"),
        ),
        _ => None,
    })
}

fn ended(log: &Log<'_>) -> Option<Violation> {
    let open = || -> Vec<String> {
        let open = log.ops.iter().filter(|op| op.end.is_none());
        open.map(|op| format!("{}: op {} ({})", op.thread, op.number, op.act)).collect()
    };
    let what = match log.end {
        End::Done => return None,
        End::Quiet => format!("nobody can go on, with these under way: {:?}", open()),
        End::StepLimit => {
            format!(
                "not finished within {} steps, with these under way: {:?}",
                log.scenario.steps_max,
                open()
            )
        }
        End::GivenUp => "a virtual CPU died".to_owned(),
    };
    log.broken(P10, log.history.len(), what)
}
