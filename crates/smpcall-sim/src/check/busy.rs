//! P2, Busy is a promise: whoever is told Busy (or Ok) has a run still to come that sees what it wrote before the post; and
//! whoever takes that run away is told so, sees it too, and does the work. P3: Busy names a CPU that somebody posted to.

use super::{Log, OpSeen, Violation};
use crate::history::{Act, Came, EventKind};

const P2: &str = "P2 Busy is a promise";
const P3: &str = "P3 any number of posters";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    let looks = Looks::of(log);
    log.ops.iter().find_map(|op| {
        let (csds, _, value) = Log::posts(op)?;
        let (ended, came) = op.end?;
        match came {
            Came::Busy(cpu) => {
                let csd = csds[0];
                named(log, op, csd, cpu)
                    .or_else(|| promise_kept(log, &looks, op, csd, value, Coalesced::Busy))
            }
            Came::Ok => promise_kept(log, &looks, op, csds[0], value, Coalesced::Ok),
            Came::Chained { cancelled: 0, .. } => {
                csds.iter().find_map(|csd| promise_kept(log, &looks, op, *csd, value, Coalesced::Ok))
            }
            Came::Unexpected => {
                log.broken(P3, ended, format!("op {} ({}) was told nonsense", op.number, op.act))
            }
            _ => None,
        }
    })
}

#[derive(PartialEq, Eq)]
enum Coalesced {
    Ok,
    Busy,
}

/// When, what was seen, and whether by a run.
type Look<'h> = (usize, &'h [(usize, u32)], bool);

/// Who has looked at the words behind each csd, and when: runs, and those who did the work of one.
struct Looks<'h> {
    of: Vec<Vec<Look<'h>>>,
    /// Whether a run of it was ever taken away.
    removed: Vec<bool>,
}

impl<'h> Looks<'h> {
    fn of(log: &Log<'h>) -> Self {
        let mut of: Vec<Vec<_>> = vec![Vec::new(); log.scenario.csds.len()];
        let mut removed = vec![false; of.len()];
        for (csd, runs) in log.csd_runs.iter().enumerate() {
            of[csd].extend(runs.iter().map(|run| (log.runs[*run].begin, log.runs[*run].seen, true)));
        }
        for (at, event) in log.history.iter().enumerate() {
            if let EventKind::Paid { csd, seen } = &event.kind {
                of[*csd].push((at, seen, false));
            }
        }
        for op in &log.ops {
            if let (Act::Cancel { csd }, Some(Came::Removed { .. })) = (op.act, op.came()) {
                removed[*csd] = true;
            }
        }
        Self { of, removed }
    }
}

fn saw(seen: &[(usize, u32)], slot: usize, value: u32) -> bool {
    seen.iter().any(|(one, seen)| *one == slot && *seen >= value)
}

fn promise_kept(
    log: &Log<'_>,
    looks: &Looks<'_>,
    op: &OpSeen<'_>,
    csd: usize,
    value: u32,
    coalesced: Coalesced,
) -> Option<Violation> {
    let slot = op.slot();
    let who = format!("op {} ({}), told {:?}", op.number, op.act, op.came());
    // A post that won and was cancelled before anybody relied on it is nobody's business any more.
    let may_be_gone = coalesced == Coalesced::Ok && looks.removed[csd];
    let kept = looks.of[csd].iter().any(|(at, seen, _)| *at > op.begin && saw(seen, slot, value));
    if log.is_complete() && !kept && !may_be_gone {
        return log.broken(
            P2,
            op.ended(),
            format!("{who}: no run of csd {csd} saw the {value} that it wrote before"),
        );
    }
    let blind =
        looks.of[csd].iter().find(|(at, seen, run)| *run && *at > op.ended() && !saw(seen, slot, value));
    let (at, ..) = blind?;
    log.broken(P2, *at, format!("{who}: a later run of csd {csd} misses the {value} that it wrote before"))
}

fn named(log: &Log<'_>, busy: &OpSeen<'_>, csd: usize, cpu: u32) -> Option<Violation> {
    let posted = log.ops.iter().any(|op| {
        Log::posts(op).is_some_and(|(csds, target, _)| {
            csds.contains(&csd) && target == cpu && op.begin < busy.ended() && op.number != busy.number
        })
    });
    if posted {
        return None;
    }
    log.broken(P3, busy.ended(), format!("op {}: csd {csd} is said to be queued for CPU {cpu}", busy.number))
}
