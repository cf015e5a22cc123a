//! P1, exactly once: a post that returns `Ok` runs exactly once, on the CPU it named, in call context, unless a cancel has
//! removed it. A call that was answered has run once, one that was refused never. A blocking call runs in its target's thread,
//! outside of call context.

use super::{Log, RunSeen, Violation};
use crate::history::{Act, Came, Level, Of};
use std::collections::BTreeMap;

const P1: &str = "P1 exactly once";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    in_call_context(log)
        .or_else(|| (0..log.scenario.csds.len()).find_map(|csd| csd_runs(log, csd)))
        .or_else(|| ops_run_once(log))
}

fn in_call_context(log: &Log<'_>) -> Option<Violation> {
    let blocking = |of| matches!(of, Of::Blocking(_));
    let wrong = |run: &&RunSeen<'_>| run.in_context == blocking(run.of);
    let in_handler = |run: &&RunSeen<'_>| blocking(run.of) && run.level != Level::Thread;
    let run = log.runs.iter().find(|run| wrong(run) || in_handler(run))?;
    let how = if blocking(run.of) { "in call context, or in a handler" } else { "outside of call context" };
    log.broken(P1, run.begin, format!("{} runs {how}", run.of))
}

fn csd_runs(log: &Log<'_>, csd: usize) -> Option<Violation> {
    for run in log.runs_of(csd) {
        let named = log.ops.iter().any(|op| {
            Log::posts(op).is_some_and(|(csds, target, _)| {
                csds.contains(&csd) && target as usize == run.cpu && op.begin < run.begin
            })
        });
        if !named {
            return log.broken(
                P1,
                run.begin,
                format!("csd {csd} runs on CPU {}, which nobody named", run.cpu),
            );
        }
    }
    if !log.is_complete() {
        return None;
    }
    let posts: Vec<u32> = log.queued(csd).map(|(_, target)| target).collect();
    let (sure, perhaps, runs) = (posts.len(), log.perhaps_queued(csd), log.csd_runs[csd].len());
    let removed = log
        .ops
        .iter()
        .filter(|op| *op.act == (Act::Cancel { csd }) && matches!(op.came(), Some(Came::Removed { .. })))
        .count();
    if runs > sure + perhaps || runs + removed < sure {
        let what = format!("csd {csd} has run {runs} times, for {sure} posts that won (removed: {removed})");
        return log.broken(P1, log.history.len(), what);
    }
    if perhaps == 0 && removed == 0 {
        let mut wanted = posts;
        let mut ran: Vec<u32> = log.runs_of(csd).map(|run| run.cpu as u32).collect();
        wanted.sort_unstable();
        ran.sort_unstable();
        if wanted != ran {
            let what = format!("csd {csd} was posted to CPUs {wanted:?} and has run on {ran:?}");
            return log.broken(P1, log.history.len(), what);
        }
    }
    None
}

/// Calls, multicasts, detached calls and counted csds: each of their runs knows its op.
fn ops_run_once(log: &Log<'_>) -> Option<Violation> {
    let mut runs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for run in &log.runs {
        if let Of::Call(op) | Of::Blocking(op) | Of::Many(op) | Of::Counted(op) | Of::Detached(op) = run.of {
            runs.entry(op).or_default().push(run.cpu);
        }
    }
    let none = Vec::new();
    log.ops.iter().find_map(|op| {
        let ran = runs.get(&op.number).unwrap_or(&none);
        let right = match (op.act, op.came()?) {
            (Act::Counted { target } | Act::Detached { target, .. }, Came::Ok) => {
                (!log.is_complete() && ran.is_empty()) || *ran == [*target as usize]
            }
            (
                Act::Call { target, .. } | Act::Blocking { target, .. },
                Came::Answered { .. } | Came::Panicked,
            ) => *ran == [*target as usize],
            (Act::Nearest { mask }, Came::Answered { .. }) => {
                ran.len() == 1 && mask.contains(&(ran[0] as u32))
            }
            (Act::Many { targets, waits, .. }, Came::Reached { ran: count, offline, busy }) => {
                let mut once = ran.clone();
                once.sort_unstable();
                once.dedup();
                let meant = ran.iter().all(|cpu| targets.contains(&(*cpu as u32)));
                let all = ran.len() == count as usize || (!waits && !log.is_complete());
                once.len() == ran.len() && meant && all && (count + offline + busy) as usize == targets.len()
            }
            // By a checker of their own.
            (Act::Await { .. }, _) => return None,
            _ => ran.is_empty(),
        };
        if right {
            return None;
        }
        log.broken(
            P1,
            op.ended(),
            format!("op {} ({}) came to {:?} and ran on CPUs {ran:?}", op.number, op.act, op.came()?),
        )
    })
}
