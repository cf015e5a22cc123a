//! P8, hotplug loses nothing: a CPU that goes offline runs all that it accepted; from then on it refuses, and runs nothing.

use super::{Log, Violation};
use crate::history::{Act, Came};

const P8: &str = "P8 hotplug loses nothing";

/// A time in which a CPU is offline: from, to, and when it began to go.
struct Away {
    cpu: usize,
    going: usize,
    from: usize,
    to: usize,
}

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    let aways = aways(log);
    aways
        .iter()
        .find_map(|away| refuses(log, away).or_else(|| rests(log, away)).or_else(|| lost_nothing(log, away)))
}

fn aways(log: &Log<'_>) -> Vec<Away> {
    let mut all = Vec::new();
    for cpu in 0..log.scenario.cpus {
        // It begins offline.
        let mut from = Some((0, 0));
        for op in log.ops.iter().filter(|op| op.thread == cpu) {
            match (op.act, op.end) {
                (Act::Online, _) => {
                    if let Some((going, from)) = from.take() {
                        all.push(Away { cpu, going, from, to: op.begin });
                    }
                }
                (Act::Offline, Some((at, Came::WentOffline(_)))) => from = Some((op.begin, at)),
                _ => {}
            }
        }
        if let Some((going, from)) = from {
            all.push(Away { cpu, going, from, to: usize::MAX });
        }
    }
    all
}

fn refuses(log: &Log<'_>, away: &Away) -> Option<Violation> {
    let accepted = |came| matches!(came, Came::Ok | Came::Answered { .. } | Came::Panicked);
    log.ops.iter().filter(|op| op.begin > away.from && op.ended() < away.to).find_map(|op| {
        let to = match op.act {
            Act::Post { target, .. }
            | Act::Counted { target }
            | Act::Detached { target, .. }
            | Act::Call { target, .. }
            | Act::Blocking { target, .. } => *target as usize,
            _ => return None,
        };
        if to != away.cpu || !accepted(op.came()?) {
            return None;
        }
        log.broken(
            P8,
            op.ended(),
            format!("op {} ({}): CPU {to} is offline, and accepts it", op.number, op.act),
        )
    })
}

fn rests(log: &Log<'_>, away: &Away) -> Option<Violation> {
    let run = log
        .runs
        .iter()
        .find(|run| run.queued && run.cpu == away.cpu && run.begin > away.from && run.begin < away.to)?;
    log.broken(P8, run.begin, format!("{} runs on CPU {}, which is offline", run.of, run.cpu))
}

fn lost_nothing(log: &Log<'_>, away: &Away) -> Option<Violation> {
    if away.from == 0 {
        return None;
    }
    (0..log.scenario.csds.len()).filter(|csd| !log.scenario.csds[*csd].cancels).find_map(|csd| {
        let accepted = log
            .queued(csd)
            .filter(|(op, target)| *target as usize == away.cpu && op.ended() < away.going)
            .count();
        let ran = log.runs_of(csd).filter(|run| run.cpu == away.cpu && run.begin < away.from).count();
        if ran >= accepted {
            return None;
        }
        let what = format!(
            "CPU {} went offline with {accepted} posts of csd {csd} accepted and {ran} run",
            away.cpu
        );
        log.broken(P8, away.from, what)
    })
}
