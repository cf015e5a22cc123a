//! P7, one doorbell per sleep: sent when a target that is not looking gets its first entry, and never else, by posts. (A
//! waiting caller may ring again; so rings are checked that come from ops which do not wait.) A lazy post rings nobody, unless
//! somebody expedites it.

use super::{Log, OpSeen, RunSeen, Violation};
use crate::history::{Act, Came, EventKind, Fate, Level, Of, Urgency};

const P7: &str = "P7 one doorbell per sleep";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    nothing_left(log).or_else(|| none_too_many(log))
}

/// If no doorbell was lost, nobody had to look by himself: when everybody sleeps, nothing is left.
fn nothing_left(log: &Log<'_>) -> Option<Violation> {
    let lost = log.history.iter().any(|event| matches!(event.kind, EventKind::Ring { fate: Fate::Lost, .. }));
    let settled = log.settled?;
    let late = log.runs.iter().find(|run| run.begin > settled && !may_be_late(log, settled, run))?;
    let what = format!(
        "{} ran only when CPU {} went offline: everybody slept, and nobody was rung",
        late.of, late.cpu
    );
    if lost {
        log.broken("P10 no silent deadlock", late.begin, what)
    } else {
        log.broken(P7, late.begin, what)
    }
}

/// What was posted lazily, and nobody has expedited, stays until its CPU goes offline; and what it posts then comes late too.
fn may_be_late(log: &Log<'_>, settled: usize, run: &RunSeen<'_>) -> bool {
    let csd = match run.of {
        Of::Csd(csd) => csd,
        Of::Many(op)
        | Of::Call(op)
        | Of::Blocking(op)
        | Of::Counted(op)
        | Of::Detached(op)
        | Of::Awaited(op, _) => {
            return log.ops[op].begin > settled;
        }
    };
    // One that another came after, and was through with before this run, has run before that.
    let last = |op: &OpSeen<'_>| {
        !log.queued(csd).any(|(later, _)| later.begin > op.ended() && later.ended() < run.begin)
    };
    let mut queued = log.queued(csd).filter(|(op, target)| *target as usize == run.cpu && last(op));
    queued.any(|(op, _)| op.begin > settled || (is_lazy(op) && !was_expedited(log, csd, op)))
}

fn is_lazy(op: &OpSeen<'_>) -> bool {
    matches!(op.act, Act::Post { urgency: Urgency::Lazy, .. })
}

fn is_deferred(op: &OpSeen<'_>) -> bool {
    matches!(op.act, Act::Post { urgency: Urgency::Deferred, .. })
}

/// Whether somebody relied on the run of a lazy post that is late, and was urgent, beyond doubt: it began after the post, or,
/// if it began before, there was no other claim that it could have relied on.
fn was_expedited(log: &Log<'_>, csd: usize, lazy: &OpSeen<'_>) -> bool {
    let settled = log.settled.unwrap_or(usize::MAX);
    let posts = || log.ops.iter().filter(|op| Log::posts(op).is_some_and(|(csds, ..)| csds.contains(&csd)));
    let claims = |op: &&OpSeen<'_>| !matches!(op.came(), Some(Came::Busy(_) | Came::Cancelled(_)));
    let begun = |at: usize| log.runs_of(csd).filter(|run| run.begin < at).count();
    posts().filter(|op| !is_lazy(op) && matches!(op.came(), Some(Came::Busy(_)))).any(|expedite| {
        let others = || posts().filter(claims).filter(|op| op.number != lazy.number);
        let at_once = |op: &OpSeen<'_>| op.begin < expedite.ended() && op.ended() > expedite.begin;
        let before = others().filter(|op| op.ended() < expedite.begin && op.came() == Some(Came::Ok)).count();
        expedite.ended() < settled
            && (expedite.begin > lazy.ended()
                || (at_once(lazy)
                    && !others().any(at_once)
                    && !others().any(|op| matches!(op.act, Act::Chain { .. }))
                    && !log.scenario.csds[csd].cancels
                    && begun(expedite.begin) >= before))
    })
}

/// What is known of a target while the record is gone through.
#[derive(Clone, Default)]
struct Target {
    /// When it began to poll, or a function that came through the queue.
    polls_since: Option<usize>,
    runs_since: Vec<usize>,
    /// When it was last seen to do anything.
    last_seen: usize,
    /// When the op began that rang it last.
    rung_by: Option<usize>,
    /// How many waits of its are under way: it looks all the time, and rests in between.
    waits: usize,
    /// Since when it is in user space.
    user_since: Option<usize>,
    /// It goes offline, or comes back.
    moves: bool,
    /// A doorbell to it could not be sent. Who notes that may come late, when the target looks already; then one more comes.
    owed: bool,
}

fn waits(act: &Act) -> bool {
    matches!(
        act,
        Act::Call { .. }
            | Act::Blocking { .. }
            | Act::Nearest { .. }
            | Act::Many { waits: true, .. }
            | Act::Wait { .. }
            | Act::Recover
            | Act::Await { .. }
            | Act::Meet { .. }
            | Act::Misuse
    )
}

fn none_too_many(log: &Log<'_>) -> Option<Violation> {
    let mut targets = vec![Target::default(); log.scenario.threads() + 1];
    // The ops under way on each thread, innermost last.
    let mut under_way: Vec<Vec<usize>> = vec![Vec::new(); targets.len()];
    for (at, event) in log.history.iter().enumerate() {
        let here = &mut targets[event.thread];
        match &event.kind {
            EventKind::Ring { guarded: false, .. } => {
                let by = under_way[event.thread].last().map_or(0, |op| log.ops[*op].number);
                return log.broken(P7, at, format!("op {by} rings without the irq guard"));
            }
            EventKind::Ring { to, fate: Fate::Unsent, .. } => {
                targets[*to as usize].owed = true;
                continue;
            }
            EventKind::Ring { to, .. } => {
                let by = under_way[event.thread].last().map(|op| &log.ops[*op]);
                let strict =
                    by.filter(|op| !waits(op.act) && op.level == event.level && *to as usize != event.thread);
                if let Some(op) = strict {
                    let broken = ring(log, at, op, &mut targets[*to as usize]);
                    if broken.is_some() {
                        return broken;
                    }
                }
                continue;
            }
            EventKind::Begin { op, act } => {
                under_way[event.thread].push(*op);
                here.waits += usize::from(waits(act));
                here.moves |= matches!(act, Act::Online | Act::Offline);
            }
            EventKind::End { op, .. } => {
                under_way[event.thread].retain(|one| one != op);
                here.waits -= usize::from(waits(log.ops[*op].act));
                here.moves &= !matches!(log.ops[*op].act, Act::Online | Act::Offline);
            }
            EventKind::Polls => here.polls_since = Some(at),
            EventKind::StopsPolling => here.polls_since = None,
            EventKind::User => here.user_since = Some(at),
            EventKind::Enters => here.user_since = None,
            EventKind::RunBegin { of: Of::Blocking(_), .. } => {}
            EventKind::RunBegin { queued: true, .. } if !here.moves => here.runs_since.push(at),
            EventKind::RunEnd { .. } if event.level == Level::Call => _ = here.runs_since.pop(),
            _ => {}
        }
        // Whatever it does, it may have looked.
        here.last_seen = at;
    }
    None
}

/// Whether somebody may have expedited a lazy or a deferred post while it was under way.
fn may_be_expedited(log: &Log<'_>, at: usize, lazy: &OpSeen<'_>) -> bool {
    let Act::Post { csd, .. } = lazy.act else { return false };
    let is_urgent = |op: &OpSeen<'_>| !(is_lazy(op) || is_deferred(op) && is_deferred(lazy));
    log.ops.iter().any(|op| {
        let same = match op.act {
            Act::Wait { csd: waited, .. } => waited == csd,
            _ => is_urgent(op) && Log::posts(op).is_some_and(|(csds, ..)| csds.contains(csd)),
        };
        same && op.begin < at && op.ended() > lazy.begin
    })
}

fn ring(log: &Log<'_>, at: usize, by: &OpSeen<'_>, to: &mut Target) -> Option<Violation> {
    let who = || format!("op {} ({})", by.number, by.act);
    let after = |since: Option<usize>| since.is_some_and(|since| by.begin > since);
    if is_lazy(by) && !may_be_expedited(log, at, by) {
        return log.broken(P7, at, format!("{} rings, and nobody is urgent", who()));
    }
    if is_deferred(by) && after(to.user_since) && !may_be_expedited(log, at, by) {
        return log.broken(P7, at, format!("{} rings a CPU that is in user space", who()));
    }
    if to.owed {
        return None;
    }
    if after(to.polls_since) {
        return log.broken(P7, at, format!("{} rings a CPU that polls", who()));
    }
    if after(to.runs_since.first().copied()) {
        return log.broken(P7, at, format!("{} rings a CPU that is in its flush", who()));
    }
    // Each of the two pushes was made some time between the beginning of its op and its ring.
    let before = to.rung_by.replace(by.begin);
    if to.waits == 0 && before.is_some_and(|before| to.last_seen < before.min(by.begin)) {
        return log.broken(P7, at, format!("{} rings a CPU that was rung and has not looked since", who()));
    }
    None
}
