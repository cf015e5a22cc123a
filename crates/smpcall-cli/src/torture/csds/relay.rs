//! A csd that its own function posts again (P5), to the same CPU or the next.

use super::super::ground::Ground;
use super::super::tally::{Check, Event};
use super::super::words::{Count, Plain, Signal};
use super::{Function, leak_csd};
use smpcall_host::smpcall::{Coalesced, Csd, PostError, Posted};
use std::sync::OnceLock;

pub(in super::super) struct Relay {
    pub(in super::super) csd: &'static Csd<Function>,
    pub(in super::super) body: &'static RelayBody,
}

/// Only one run at a time touches the plain fields: the one that has not posted the next yet.
pub(in super::super) struct RelayBody {
    ground: &'static Ground,
    pub(in super::super) target: Plain,
    /// How often it is still to be posted from inside.
    left: Plain,
    /// Counted before each post, and taken back if that is refused, so that it is never behind.
    pub(in super::super) due: Count,
    pub(in super::super) ended: Signal,
}

impl Relay {
    pub(in super::super) fn new(ground: &'static Ground) -> &'static Self {
        let body: &'static RelayBody = Box::leak(Box::new(RelayBody {
            ground,
            target: Plain::default(),
            left: Plain::default(),
            due: Count::default(),
            ended: Signal::default(),
        }));
        // The csd's function posts the csd, which is made after it.
        let itself: &'static OnceLock<Self> = Box::leak(Box::default());
        let csd = leak_csd(move || itself.get().expect("it is posted only when it is there").run());
        itself.get_or_init(|| Self { csd, body })
    }

    /// Whether it has come to its end.
    pub(in super::super) fn is_settled(&self) -> bool {
        self.body.ended.get() == self.body.due.get()
    }

    /// Starts it, if it is settled. It will run on `target`, and so many times more.
    pub(in super::super) fn start(&'static self, row: usize, target: u32, times: u64) {
        if self.is_settled() {
            self.body.left.write(times);
            self.post(row, target);
        }
    }

    fn run(&'static self) {
        let target = self.body.target.read() as u32;
        let inside = self.body.ground.begin(Some(target));
        let left = self.body.left.read();
        if left > 0 {
            self.body.left.write(left - 1);
            // Every other time somewhere else, where it may begin before this run has ended.
            let next = if left.is_multiple_of(2) { self.body.ground.partner(target, 1) } else { target };
            self.post(inside.here.unwrap_or(target) as usize, next);
        }
        self.body.ended.add(1);
    }

    /// Nobody else posts it, so it must be free.
    fn post(&'static self, row: usize, target: u32) {
        let (body, tally) = (self.body, &self.body.ground.tally);
        body.target.write(target.into());
        body.due.add(1);
        let answer = body.ground.machine.post(target, self.csd);
        match answer {
            Ok(Posted::Queued) => tally.event(row, Event::Post, 1),
            Ok(Posted::Busy { .. }) | Err(_) => body.due.take_back(1),
        }
        if answer == (Err(PostError::Offline { coalesced: Coalesced::No })) {
            tally.event(row, Event::Offline, 1);
        }
        let right =
            matches!(answer, Ok(Posted::Queued) | Err(PostError::Offline { coalesced: Coalesced::No }));
        tally.expect(row, Check::Reuse, right, || {
            format!("a csd that nobody else posts was refused from inside its function: {answer:?}")
        });
    }
}
