//! P1 of deferred posts: what was told that it runs with its CPU's entry into the kernel has begun to when the entry has caught up,
//! before any other function of that entry, and so before kernel code.

use super::{Log, OpSeen, Violation};
use crate::history::{Act, EventKind};

const P1: &str = "P1 exactly once, at the entry";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    log.history.iter().enumerate().find_map(|(told, event)| match event.kind {
        EventKind::AtEntry { op } => late(log, told, &log.ops[op]),
        _ => None,
    })
}

/// The post found its target in user space; so by the end of the first entry that ends after it was told so, its run has begun. (If
/// the poster was slow to say so, in one before.)
fn late(log: &Log<'_>, told: usize, op: &OpSeen<'_>) -> Option<Violation> {
    let Act::Post { csd, target, .. } = op.act else { return None };
    let on_target = |at: &usize| log.history[*at].thread == *target as usize;
    let is = |at: &usize, kind: &EventKind| log.history[*at].kind == *kind;
    let entry = (told..log.history.len()).filter(on_target).find(|at| is(at, &EventKind::Kernel))?;
    if log.scenario.csds[*csd].cancels {
        return None;
    }
    let run = log.runs_of(*csd).find(|run| run.cpu == *target as usize && run.begin > op.begin);
    if run.is_none_or(|run| run.begin > entry) {
        let what = format!(
            "op {} ({}) was to run with CPU {target}'s entry, and kernel code came first",
            op.number, op.act
        );
        return log.broken(P1, entry, what);
    }
    None
}
