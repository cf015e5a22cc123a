//! P9: a flush runs no more than its budget says, in all and of those that nobody waits for.

use super::{Log, Violation};
use crate::history::{EventKind, Of};

const P9: &str = "P9 progress";

pub(super) fn check(log: &Log<'_>) -> Option<Violation> {
    // What each flush under way on a thread has run, the innermost last: an interrupt's may come in before one has begun.
    let mut under_way: Vec<Vec<(u32, u32)>> = vec![Vec::new(); log.scenario.threads() + 1];
    log.history.iter().enumerate().find_map(|(at, event)| {
        let flushes = &mut under_way[event.thread];
        match &event.kind {
            EventKind::Looks => flushes.push((0, 0)),
            EventKind::Flushed => _ = flushes.pop(),
            EventKind::RunBegin { of, queued: true, .. } => {
                let (calls, posts) = flushes.last_mut()?;
                *calls += 1;
                *posts += u32::from(!matches!(of, Of::Call(_) | Of::Many(_)));
                if *calls > log.scenario.budget.max(1) || *posts > log.scenario.posts.max(1) {
                    let what = format!("{of} is call {calls} of a flush, and {posts} of them are posts");
                    return log.broken(P9, at, what);
                }
            }
            _ => {}
        }
        None
    })
}
