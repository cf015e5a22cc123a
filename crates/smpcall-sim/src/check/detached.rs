//! Detached calls: what the sender wrote before is seen (P2 has no Busy here, but that much of it); and a place is free again
//! before its function starts (P5), so that who is told that there is no room has met as many calls on their way as there are
//! places.

use super::{Log, OpSeen, Violation};
use crate::history::{Act, Came, Of};
use smpcall_instrumented::DETACHED_MAX;
use std::collections::BTreeMap;

const P2: &str = "P2 Busy is a promise";
const P5: &str = "P5 reuse from inside";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    seen(log).or_else(|| room(log))
}

fn seen(log: &Log<'_>) -> Option<Violation> {
    log.runs.iter().find_map(|run| {
        let Of::Detached(number) = run.of else { return None };
        let Act::Detached { value, .. } = log.ops[number].act else { return None };
        if run.seen.iter().any(|(slot, seen)| *slot == log.ops[number].slot() && seen >= value) {
            return None;
        }
        let what = format!("{} misses the {value} that its sender wrote before", run.of);
        log.broken(P2, run.begin, what)
    })
}

fn room(log: &Log<'_>) -> Option<Violation> {
    let began: BTreeMap<usize, usize> = log
        .runs
        .iter()
        .filter_map(|run| if let Of::Detached(op) = run.of { Some((op, run.begin)) } else { None })
        .collect();
    // A place is taken some time after its op began, until its function starts, or its post is refused.
    let until = |op: &OpSeen<'_>| match op.came() {
        Some(Came::Ok) | None => began.get(&op.number).copied().unwrap_or(usize::MAX),
        Some(_) => op.ended(),
    };
    log.ops.iter().filter(|op| op.came() == Some(Came::NoRoom)).find_map(|op| {
        let Act::Detached { target: full, .. } = op.act else { return None };
        let in_the_way = |other: &&OpSeen<'_>| {
            matches!(other.act, Act::Detached { target, .. } if target == full)
                && other.came() != Some(Came::NoRoom)
                && other.begin < op.ended()
                && until(other) > log.long_before(op.begin)
        };
        let met = log.ops.iter().filter(in_the_way).count();
        if met >= DETACHED_MAX {
            return None;
        }
        let what = format!("op {} ({}): no room, and {met} on their way", op.number, op.act);
        log.broken(P5, op.ended(), what)
    })
}
