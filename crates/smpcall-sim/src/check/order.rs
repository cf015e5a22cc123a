//! P5, reuse from inside: a csd that nobody else posts is free in its own function. P6, order: calls of one kind from one
//! sender to one target run in the order in which they were posted.

use super::{Log, Violation};
use crate::history::{Act, Came, Level, Of, Urgency};
use std::collections::BTreeMap;

const P5: &str = "P5 reuse from inside";
const P6: &str = "P6 order";

/// By sender, target, and urgency: when each was posted (and its place in the chain), and when it ran.
type Pairs = BTreeMap<(usize, u32, Urgency), Vec<((usize, usize), usize)>>;

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    free_inside(log).or_else(|| posts_in_order(log)).or_else(|| calls_in_order(log))
}

fn free_inside(log: &Log<'_>) -> Option<Violation> {
    log.ops.iter().find_map(|op| match (op.act, op.came()?) {
        (Act::Post { csd, .. }, came)
            if op.level == Level::Call && !log.scenario.csds[*csd].hops.is_empty() =>
        {
            if matches!(came, Came::Ok | Came::Offline { .. }) {
                return None;
            }
            log.broken(P5, op.ended(), format!("csd {csd} posts itself from inside and is told {came:?}"))
        }
        _ => None,
    })
}

/// A csd of one sender, never cancelled, whose every post is known: then its n-th post to a CPU is its n-th run there.
fn is_one_senders(log: &Log<'_>, csd: usize) -> bool {
    let plan = &log.scenario.csds[csd];
    let posters = || log.ops.iter().filter(|op| Log::posts(op).is_some_and(|(csds, ..)| csds.contains(&csd)));
    let first = posters().next().map(|op| op.slot());
    !plan.cancels
        && plan.hops.is_empty()
        && log.perhaps_queued(csd) == 0
        && posters().all(|op| Some(op.slot()) == first)
}

fn posts_in_order(log: &Log<'_>) -> Option<Violation> {
    let mut pairs: Pairs = Pairs::new();
    for csd in (0..log.scenario.csds.len()).filter(|csd| is_one_senders(log, *csd)) {
        let mut on: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        log.runs_of(csd).for_each(|run| on.entry(run.cpu as u32).or_default().push(run.begin));
        let mut taken: BTreeMap<u32, usize> = BTreeMap::new();
        for (op, target) in log.queued(csd) {
            let nth = taken.entry(target).or_default();
            if let Some(ran) = on.get(&target).and_then(|runs| runs.get(*nth)) {
                let place = Log::posts(op).and_then(|(csds, ..)| csds.iter().position(|one| *one == csd));
                let urgency = match op.act {
                    Act::Post { urgency, .. } => *urgency,
                    _ => Urgency::Now,
                };
                pairs
                    .entry((op.slot(), target, urgency))
                    .or_default()
                    .push(((op.begin, place.unwrap_or(0)), *ran));
            }
            *nth += 1;
        }
    }
    for op in &log.ops {
        if let (Act::Counted { target }, Some(Came::Ok)) = (op.act, op.came())
            && let Some(run) = log.runs.iter().find(|run| run.of == Of::Counted(op.number))
        {
            pairs.entry((op.slot(), *target, Urgency::Now)).or_default().push(((op.begin, 0), run.begin));
        }
    }
    in_order(log, pairs, "posts")
}

/// Multicasts that nobody waits for, and detached calls: each apart.
fn calls_in_order(log: &Log<'_>) -> Option<Violation> {
    let (mut multicasts, mut detached) = (Pairs::new(), Pairs::new());
    for run in log.runs.iter().filter(|run| run.queued) {
        let (Of::Many(number) | Of::Detached(number)) = run.of else { continue };
        let op = &log.ops[number];
        let pairs = match op.act {
            Act::Many { waits: false, .. } => &mut multicasts,
            Act::Detached { .. } => &mut detached,
            _ => continue,
        };
        pairs.entry((op.slot(), run.cpu as u32, Urgency::Now)).or_default().push(((op.begin, 0), run.begin));
    }
    in_order(log, multicasts, "multicasts").or_else(|| in_order(log, detached, "detached calls"))
}

fn in_order(log: &Log<'_>, pairs: Pairs, what: &str) -> Option<Violation> {
    pairs.into_iter().find_map(|((_, target, _), mut posted)| {
        posted.sort_unstable();
        let wrong = posted.windows(2).find(|two| two[0].1 > two[1].1)?;
        let (first, second) = (log.step(wrong[0].0.0), log.step(wrong[1].0.0));
        let thread = log.history[wrong[0].0.0].thread;
        let text = format!(
            "{what} of {thread} to CPU {target}, made at steps {first} and {second}, run the other way round"
        );
        log.broken(P6, wrong[1].1, text)
    })
}
