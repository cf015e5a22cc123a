//! P10 of multicasts whose callers have work of their own: it is done once, by the caller, in its thread, while the multicast is under way; not at all
//! if that is refused. That the doorbells come before it is P7's checker's, and that nobody's run comes behind the end, P4's.

use super::{Log, Violation};
use crate::history::{Came, EventKind, Level};

const P10: &str = "P10 a caller's own work";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    let works = || {
        let of = |event: &crate::history::Event| match event.kind {
            EventKind::Works { op } => Some(op),
            _ => None,
        };
        log.history.iter().enumerate().filter_map(move |(at, event)| Some((at, event, of(event)?)))
    };
    works().find_map(|(at, event, number)| {
        let op = &log.ops[number];
        let in_its_thread = (event.thread, event.level) == (op.thread, Level::Thread);
        let is_once = works().filter(|(_, _, of)| *of == number).count() == 1;
        let is_refused =
            matches!(op.end, Some((_, came)) if !matches!(came, Came::Reached { .. } | Came::Panicked));
        if in_its_thread && is_once && !is_refused && (op.begin..op.ended()).contains(&at) {
            return None;
        }
        log.broken(
            P10,
            at,
            format!(
                "op {number} ({}): its caller works on thread {}, {:?}",
                op.act, event.thread, event.level
            ),
        )
    })
}
