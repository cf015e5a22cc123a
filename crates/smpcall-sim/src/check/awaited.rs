//! Calls that are awaited, whatever becomes of their future: each runs once or not at all, and as it was told (P1); function, result
//! and wakers are dropped once, a result by its owner (P11: the core's I30, I31); a future that was pending, and that nobody dropped, is
//! woken (P14); and a static slot is refused only while somebody has it.

#[cfg(test)]
mod tests;

use super::{Log, OpSeen, RunSeen, Violation};
use crate::history::{Act, Answer, Came, EventKind, How, Level, Of, Part};

const P1: &str = "P1 exactly once";
const P11: &str = "P11 memory safety";
const P14: &str = "P14 any loop";

/// The calls of one op, and what is on record of them. Times are places in the record.
struct Calls<'l, 'h> {
    log: &'l Log<'h>,
    op: &'l OpSeen<'h>,
    targets: &'h [u32],
    how: How,
    runs: Vec<&'l RunSeen<'h>>,
    events: Vec<(usize, &'h EventKind)>,
}

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    if !log.scenario.programs.iter().flatten().any(|op| crate::kinds::is_awaited(op.kind)) {
        return None;
    }
    all(log)
        .iter()
        .find_map(|calls| {
            (calls.targets.iter())
                .find_map(|target| {
                    calls.runs_as_told(*target).or_else(|| calls.dropped_by_its_owner(*target))
                })
                .or_else(|| calls.dropped_once())
                .or_else(|| calls.woken())
        })
        .or_else(|| free(log))
}

fn all<'l, 'h>(log: &'l Log<'h>) -> Vec<Calls<'l, 'h>> {
    let mut all: Vec<Option<Calls<'l, 'h>>> = (log.ops.iter())
        .map(|op| match op.act {
            Act::Await { targets, how } => {
                Some(Calls { log, op, targets, how: *how, runs: Vec::new(), events: Vec::new() })
            }
            _ => None,
        })
        .collect();
    for run in &log.runs {
        if let Of::Awaited(op, _) = run.of
            && let Some(calls) = &mut all[op]
        {
            calls.runs.push(run);
        }
    }
    for (at, event) in log.history.iter().enumerate() {
        if let EventKind::Made { op, .. }
        | EventKind::Gone { op, .. }
        | EventKind::Polled { op, .. }
        | EventKind::Pends { op, .. }
        | EventKind::Woken { op, .. }
        | EventKind::Told { op, .. } = event.kind
            && let Some(calls) = &mut all[op]
        {
            calls.events.push((at, &event.kind));
        }
    }
    all.into_iter().flatten().collect()
}

impl Calls<'_, '_> {
    fn broken(&self, promise: &'static str, at: usize, what: &str) -> Option<Violation> {
        self.log.broken(promise, at, format!("op {} ({}): {what}", self.op.number, self.op.act))
    }

    fn count(&self, kind: &EventKind) -> usize {
        self.events.iter().filter(|(_, one)| *one == kind).count()
    }

    fn has_pended(&self) -> bool {
        self.events.iter().any(|(_, one)| matches!(one, EventKind::Pends { .. }))
    }

    fn is_forgotten(&self) -> bool {
        self.op.came() == Some(Came::Forgotten)
    }

    /// What it was told of that target, and when.
    fn told(&self, target: u32) -> Option<(usize, Answer)> {
        self.events.iter().find_map(|(at, one)| match one {
            EventKind::Told { cpu, answer, .. } if *cpu == target => Some((*at, *answer)),
            _ => None,
        })
    }

    fn runs_as_told(&self, target: u32) -> Option<Violation> {
        let of = |run: &&&RunSeen<'_>| run.of == Of::Awaited(self.op.number, target);
        let runs: Vec<_> = self.runs.iter().filter(of).collect();
        let told = self.told(target);
        let right = match told {
            Some((at, Answer::Right)) => runs.len() == 1 && runs[0].end < at && !runs[0].panics,
            Some((at, Answer::Panicked)) => runs.len() == 1 && runs[0].end < at && runs[0].panics,
            Some((_, Answer::Offline)) => runs.is_empty(),
            Some((_, Answer::Wrong)) => false,
            // Sent, and left to its fate.
            None if self.log.is_complete()
                && self.is_forgotten()
                && self.how == How::Once
                && self.has_pended() =>
            {
                runs.len() == 1
            }
            None => runs.len() <= 1,
        };
        if right && runs.iter().all(|run| run.cpu == target as usize) {
            return None;
        }
        let what = format!(
            "told {told:?} of CPU {target}, and ran on {:?}",
            runs.iter().map(|run| run.cpu).collect::<Vec<_>>()
        );
        self.broken(P1, self.op.ended(), &what)
    }

    /// Which CPU's thread drops a result. Its owner's; but what has no home, or whose home is offline, is dropped where it was made,
    /// and what is left in a static slot by whoever has that next, in no call context.
    fn dropped_by_its_owner(&self, target: u32) -> Option<Violation> {
        let part = Part::Result(target);
        let (at, _) = self
            .events
            .iter()
            .find(|(_, one)| matches!(one, EventKind::Gone { part: gone, .. } if *gone == part))?;
        let (event, home) = (&self.log.history[*at], self.op.thread);
        let at_home = event.thread == home;
        let has_home = home < self.log.scenario.cpus
            && !self.log.ops.iter().any(|op| op.thread == home && *op.act == Act::Offline && op.begin < *at);
        let right = match (self.told(target), self.how) {
            (Some(_), _) => at_home,
            (None, How::Slot) => event.level == Level::Thread,
            (None, _) => at_home || (!has_home && event.thread == target as usize),
        };
        if right {
            return None;
        }
        self.broken(P11, *at, &format!("the result of CPU {target} is dropped by {}", event.thread))
    }

    fn dropped_once(&self) -> Option<Violation> {
        let op = self.op.number;
        let results = self.targets.iter().map(|target| Part::Result(*target));
        let parts = results.chain([Part::Function, Part::Waker(0), Part::Waker(1)]);
        for part in parts {
            let made = self.count(&EventKind::Made { op, part });
            let gone = self.count(&EventKind::Gone { op, part });
            let owns = matches!(self.how, How::Once | How::Many);
            // What a future owns is forgotten with it.
            let kept = match part {
                Part::Function if self.is_forgotten() => {
                    self.targets.len() - self.runs.len().min(self.targets.len())
                }
                Part::Result(_) if self.is_forgotten() && owns => 1,
                _ => 0,
            };
            if gone > made || (self.log.is_complete() && gone + kept < made) {
                return self.broken(
                    P11,
                    self.op.ended(),
                    &format!("{part:?} was made {made} times, and dropped {gone} times"),
                );
            }
        }
        None
    }

    /// Nobody is woken more often than he has asked, and a future that was pending, and forgotten as it was, is woken.
    fn woken(&self) -> Option<Violation> {
        let op = self.op.number;
        for waker in [0, 1] {
            let (polls, wakes) =
                (self.count(&EventKind::Polled { op, waker }), self.count(&EventKind::Woken { op, waker }));
            if wakes > polls {
                let what = format!("waker {waker} was given {polls} times, and woken {wakes} times");
                return self.broken(P14, self.op.ended(), &what);
            }
        }
        let owns = matches!(self.how, How::Once | How::Many);
        if !self.log.is_complete() || !self.is_forgotten() || !owns {
            return None;
        }
        let last = self.events.iter().rev().find_map(|(at, one)| match one {
            EventKind::Polled { waker, .. } => Some((*at, *waker)),
            _ => None,
        });
        let (polled, waker) = last?;
        let is_woken =
            (self.events.iter()).any(|(at, one)| *at > polled && **one == EventKind::Woken { op, waker });
        if is_woken { None } else { self.broken(P14, polled, "it was pending, and nobody woke it") }
    }
}

/// A static slot is free again when its user is gone, whatever it has left in it.
fn free(log: &Log<'_>) -> Option<Violation> {
    log.ops.iter().filter(|op| op.came() == Some(Came::NoSlot)).find_map(|op| {
        let Act::Take { slot } = op.act else { return None };
        let is_taken = |other: &OpSeen<'_>| {
            let given = log.ops.iter().find(|give| {
                give.thread == other.thread
                    && give.begin > other.begin
                    && *give.act == Act::Give { slot: Some(*slot) }
            });
            other.act == op.act
                && other.came() == Some(Came::Ok)
                && other.begin < op.ended()
                && given.is_none_or(|give| give.ended() > log.long_before(op.begin))
        };
        if log.ops.iter().any(is_taken) {
            return None;
        }
        log.broken(P11, op.ended(), format!("op {} ({}): refused, and nobody has it", op.number, op.act))
    })
}
