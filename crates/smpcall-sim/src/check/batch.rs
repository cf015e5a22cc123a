//! P6: of what a flush runs of a batch, the calls that somebody waits for run first. What a batch was, a port that counts is told.

use super::{Log, Violation};
use crate::history::{Act, EventKind, Of};

const P6: &str = "P6 order";

/// What is known of a CPU: whose run of the batch nobody waited for, and whether it is going offline, when what was left over is run
/// after the next batch was taken.
#[derive(Clone, Copy, Default)]
struct Here {
    unawaited: Option<Of>,
    goes: bool,
}

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    if !log.scenario.counts {
        return None;
    }
    let mut cpus = vec![Here::default(); log.scenario.threads() + 1];
    log.history.iter().enumerate().find_map(|(at, event)| {
        let here = &mut cpus[event.thread];
        match &event.kind {
            // What was left over at the budget is another batch, and of its posts each flush runs one at least.
            EventKind::Batch { .. } | EventKind::Looks | EventKind::Flushed => here.unawaited = None,
            EventKind::Begin { act: Act::Offline, .. } => here.goes = true,
            EventKind::End { op, .. } if *log.ops[*op].act == Act::Offline => *here = Here::default(),
            EventKind::RunBegin { of, queued: true, .. } if !here.goes => match of {
                Of::Blocking(_) => {}
                Of::Csd(_) | Of::Counted(_) | Of::Detached(_) | Of::Awaited(..) => here.unawaited = Some(*of),
                Of::Call(op) | Of::Many(op) => {
                    if let Some(before) = here.unawaited
                        && !matches!(log.ops[*op].act, Act::Many { waits: false, .. })
                    {
                        let what =
                            format!("{before} runs before {of} of the same batch, which is waited for");
                        return log.broken(P6, at, what);
                    }
                }
            },
            _ => {}
        }
        None
    })
}
