//! P10 of rendezvous: from the moment at which all are held until they are let go, nobody of those who were online does anything, but in an
//! NMI; and nobody comes online (P8).

use super::{Log, OpSeen, Violation};
use crate::history::{Act, Event, EventKind, Level};

const P10: &str = "P10 a rendezvous holds";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    let mut online = vec![false; log.scenario.cpus];
    let mut held: Option<&OpSeen<'_>> = None;
    for (at, event) in log.history.iter().enumerate() {
        if let Some(op) = held
            && moves(log, event, op, &online)
        {
            let (kind, thread, number) = (&event.kind, event.thread, op.number);
            return log.broken(
                P10,
                at,
                format!("{kind} on CPU {thread}, while op {number} ({}) holds", op.act),
            );
        }
        match &event.kind {
            EventKind::End { op, .. } if *log.ops[*op].act == Act::Online => online[event.thread] = true,
            EventKind::Begin { act: Act::Offline, .. } => online[event.thread] = false,
            EventKind::Holds { op } if held.is_some() => {
                return log.broken(P10, at, format!("op {op} holds, and another does"));
            }
            EventKind::Holds { op } => held = Some(&log.ops[*op]),
            EventKind::LetsGo { .. } => held = None,
            _ => {}
        }
    }
    None
}

/// Whether this is done by somebody whom that op holds, or by one who comes online meanwhile.
fn moves(log: &Log<'_>, event: &Event, by: &OpSeen<'_>, online: &[bool]) -> bool {
    let Act::Meet { targets } = by.act else { return false };
    let comes = matches!(event.kind, EventKind::End { op, .. } if *log.ops[op].act == Act::Online);
    let is_meant = targets.contains(&(event.thread as u32));
    let is_online = online.get(event.thread) == Some(&true);
    // Told by whoever runs just then.
    let is_of_all = matches!(event.kind, EventKind::Heals | EventKind::Judged { .. } | EventKind::Settled);
    event.thread != by.thread && event.level != Level::Nmi && !is_of_all && is_meant && (is_online || comes)
}
