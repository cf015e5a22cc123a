//! P11, memory safety, as far as it shows: a panic reaches the caller that waits, any other is caught, and the target goes
//! on; where memory is weak, nothing is touched by two at once; what is counted is freed once, after its function has returned. And nothing unwinds that should not.

use super::{Log, Violation};
use crate::history::{Act, Came, EventKind, Of};

const P11: &str = "P11 memory safety";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    raced(log)
        .or_else(|| unwound(log))
        .or_else(|| panics_come_back(log))
        .or_else(|| all_are_caught(log))
        .or_else(|| freed_once(log))
}

fn raced(log: &Log<'_>) -> Option<Violation> {
    log.history.iter().enumerate().find_map(|(at, event)| match &event.kind {
        EventKind::Raced(_) => log.broken(P11, at, format!("{} on {}", event.kind, event.thread)),
        _ => None,
    })
}

fn unwound(log: &Log<'_>) -> Option<Violation> {
    log.history.iter().enumerate().find_map(|(at, event)| match &event.kind {
        EventKind::Panicked { message } => log.broken(P11, at, format!("panic: {message}")),
        _ => None,
    })
}

fn panics_come_back(log: &Log<'_>) -> Option<Violation> {
    log.ops.iter().find_map(|op| {
        let (ended, came) = op.end?;
        let panics = matches!(op.act, Act::Call { panics: true, .. } | Act::Blocking { panics: true, .. });
        let right = match came {
            Came::Panicked => panics,
            Came::Answered { .. } => !panics,
            _ => true,
        };
        if right {
            None
        } else {
            log.broken(P11, ended, format!("op {} ({}) came to {came:?}", op.number, op.act))
        }
    })
}

fn all_are_caught(log: &Log<'_>) -> Option<Violation> {
    if !log.is_complete() {
        return None;
    }
    let caught = log.history.iter().filter(|event| event.kind == EventKind::Caught).count();
    let waited_for = |of| matches!(of, Of::Call(_) | Of::Blocking(_) | Of::Awaited(..));
    let panicked = log.runs.iter().filter(|run| run.panics && !waited_for(run.of)).count();
    if caught == panicked {
        return None;
    }
    log.broken(
        P11,
        log.history.len(),
        format!("{panicked} functions panicked that nobody waits for, {caught} were caught"),
    )
}

fn freed_once(log: &Log<'_>) -> Option<Violation> {
    if !log.is_complete() {
        return None;
    }
    log.ops.iter().filter(|op| matches!(op.act, Act::Counted { .. })).find_map(|op| {
        let freed: Vec<usize> = (0..log.history.len())
            .filter(|at| log.history[*at].kind == (EventKind::Freed { op: op.number }))
            .collect();
        let ran = log.runs.iter().find(|run| run.of == Of::Counted(op.number));
        match freed[..] {
            [at] if ran.is_none_or(|run| run.end < at) => None,
            [at] => {
                log.broken(P11, at, format!("the counted csd of op {} is freed while it runs", op.number))
            }
            _ => log.broken(
                P11,
                op.ended(),
                format!("the counted csd of op {} is freed {} times", op.number, freed.len()),
            ),
        }
    })
}
