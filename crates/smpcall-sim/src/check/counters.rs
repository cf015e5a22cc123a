//! P12, nothing hidden: what the port has counted, when everything is over, is what was done.
//!
//! Busies, doorbells and stalls are compared for each CPU, and for the threads that are none. Who pushes for a multicast may be a
//! leader, and a call to the nearest may find nobody before it calls; so what was queued and refused is compared in the sum.

use super::{Log, OpSeen, Violation};
use crate::history::{Act, Came, EventKind, Of};
use smpcall_instrumented::Counts;

const P12: &str = "P12 nothing hidden";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    let (at, rows) = log.history.iter().enumerate().find_map(|(at, event)| match &event.kind {
        EventKind::Counted(rows) => Some((at, rows)),
        _ => None,
    })?;
    if !log.is_complete() {
        return None;
    }
    let what = by_row(log, rows).or_else(|| in_sum(log, rows))?;
    log.broken(P12, at, what)
}

fn by_row(log: &Log<'_>, rows: &[Counts]) -> Option<String> {
    let row_of = |thread: usize| thread.min(log.scenario.cpus);
    // A chain that is refused as a whole does not say how many of it were queued already.
    let (mut busy, mut perhaps) = (vec![0; rows.len()], vec![0; rows.len()]);
    for op in &log.ops {
        let row = row_of(op.thread);
        match (op.act, op.came()) {
            (_, Some(Came::Busy(_))) => busy[row] += 1,
            (_, Some(Came::Chained { busy: told, .. })) => busy[row] += u64::from(told),
            (Act::Chain { csds, .. }, Some(Came::Offline { .. })) => perhaps[row] += csds.len() as u64,
            _ => {}
        }
    }
    let (mut rings, mut stalls) = (vec![0; rows.len()], vec![0; rows.len()]);
    for event in log.history {
        match event.kind {
            EventKind::Ring { .. } => rings[row_of(event.thread)] += 1,
            EventKind::Stalled { .. } => stalls[row_of(event.thread)] += 1,
            _ => {}
        }
    }
    let wrong = |row: usize, name: &str, counted: u64, done: u64| {
        let who = if row < log.scenario.cpus { format!("CPU {row}") } else { "no CPU".to_owned() };
        (counted != done).then(|| format!("{who} has counted {counted} {name} of {done}"))
    };
    rows.iter().enumerate().find_map(|(row, counted)| {
        let most = busy[row] + perhaps[row];
        wrong(row, "Busies", counted.busy, counted.busy.clamp(busy[row], most))
            .or_else(|| wrong(row, "doorbells", counted.rings, rings[row]))
            .or_else(|| wrong(row, "stalls", counted.stalls, stalls[row]))
            .or_else(|| wrong(row, "lengths of batches", counted.batch_lens.len(), counted.batches))
            .or_else(|| wrong(row, "latencies", counted.queued_ns.len(), counted.ran))
            .or_else(|| wrong(row, "run times", counted.ran_ns.len(), counted.ran))
    })
}

/// What an op has queued, pushed and been refused.
#[derive(Default)]
struct Done {
    queued: u64,
    pushes: u64,
    refused: u64,
    /// Refusals that may have been none of a post's.
    perhaps: u64,
    /// Posts that an awaited call may have made: it is sent some time, and what came of it may be sent home.
    perhaps_queued: u64,
}

fn in_sum(log: &Log<'_>, rows: &[Counts]) -> Option<String> {
    let sum = |of: fn(&Counts) -> u64| rows.iter().map(of).sum::<u64>();
    let (queued, refused, saved) = (sum(|row| row.queued), sum(|row| row.refused), sum(|row| row.saved));
    let done = log.ops.iter().map(|op| done(log, op)).fold(Done::default(), |sum, one| Done {
        queued: sum.queued + one.queued,
        pushes: sum.pushes + one.pushes,
        refused: sum.refused + one.refused,
        perhaps: sum.perhaps + one.perhaps,
        perhaps_queued: sum.perhaps_queued + one.perhaps_queued,
    });
    match () {
        () if queued < done.queued || queued > done.queued + done.perhaps_queued => {
            Some(format!("{queued} calls counted as queued, of {}", done.queued))
        }
        () if refused < done.refused || refused > done.refused + done.perhaps => {
            Some(format!("{refused} refusals counted, of {}", done.refused))
        }
        // What was found cancelled counts as run.
        () if sum(|row| row.ran) != queued => {
            Some(format!("{} runs counted of {queued} calls that were queued", sum(|row| row.ran)))
        }
        // Each push rang or saved a doorbell; and others ring as well.
        () if saved > done.pushes + done.perhaps_queued
            || done.pushes.saturating_sub(saved) > sum(|row| row.rings) =>
        {
            Some(format!("{saved} doorbells counted as saved, in {} pushes", done.pushes))
        }
        () => None,
    }
}

fn done(log: &Log<'_>, op: &OpSeen<'_>) -> Done {
    let pushed = |calls: u64| Done { queued: calls, pushes: 1, ..Done::default() };
    let refused = || Done { refused: 1, ..Done::default() };
    let own = |target: &u32| *target as usize == op.thread;
    let Some(came) = op.came() else { return Done::default() };
    match (op.act, came) {
        (Act::Call { target, .. } | Act::Blocking { target, .. }, _) if own(target) => Done::default(),
        (Act::Nearest { .. }, Came::Answered { .. } | Came::Panicked) => {
            let inline = log.runs.iter().any(|run| run.of == Of::Call(op.number) && !run.queued);
            Done { perhaps: log.scenario.cpus as u64, ..if inline { Done::default() } else { pushed(1) } }
        }
        // Each CPU that went offline before the call had reached it has refused it; it is tried once more than there are CPUs.
        (Act::Nearest { .. }, Came::Offline { .. }) => {
            Done { perhaps: log.scenario.cpus as u64 + 1, ..Done::default() }
        }
        (Act::Post { .. } | Act::Counted { .. } | Act::Detached { .. }, Came::Ok)
        | (Act::Call { .. } | Act::Blocking { .. }, Came::Answered { .. } | Came::Panicked) => pushed(1),
        (Act::Chain { .. }, Came::Chained { queued: 0, .. }) => Done::default(),
        (Act::Chain { .. }, Came::Chained { queued, .. }) => pushed(queued.into()),
        (
            Act::Post { .. }
            | Act::Chain { .. }
            | Act::Counted { .. }
            | Act::Detached { .. }
            | Act::Call { .. }
            | Act::Blocking { .. },
            Came::Offline { .. },
        ) => refused(),
        (Act::Many { targets, .. }, Came::Reached { ran, offline, .. }) => {
            let inline = log.runs.iter().any(|run| run.of == Of::Many(op.number) && !run.queued);
            let own = targets.iter().any(own);
            let queued = u64::from(ran) - u64::from(inline);
            // One's own part is neither queued nor refused.
            let refused = u64::from(offline) - u64::from(own && !inline);
            Done { queued, pushes: queued, refused, ..Done::default() }
        }
        // Each is sent, refused, or given up before either, and may be sent home, or refused there.
        (Act::Await { targets, .. }, _) => {
            let calls = targets.len() as u64;
            Done { perhaps: 2 * calls, perhaps_queued: 2 * calls, ..Done::default() }
        }
        (Act::Meet { targets }, _) => {
            let calls = targets.len() as u64;
            Done { perhaps: calls, perhaps_queued: calls, ..Done::default() }
        }
        (Act::Recover, Came::Reached { ran, offline, .. }) => {
            Done { queued: ran.into(), pushes: ran.into(), refused: offline.into(), ..Done::default() }
        }
        _ => Done::default(),
    }
}
