//! A csd that everybody posts to any CPU, and everybody cancels: who takes a run away answers to those who relied on it.

use super::super::ground::Ground;
use super::super::tally::{Check, Event};
use super::super::words::{Count, Plain, Signal};
use super::{Function, Outcome, leak_csd};
use smpcall_host::smpcall::{Cancel, Coalesced, Csd, PostError, Posted};

pub(in super::super) struct Contested {
    pub(in super::super) csd: &'static Csd<Function>,
    pub(in super::super) body: &'static ContestedBody,
}

pub(in super::super) struct ContestedBody {
    ground: &'static Ground,
    written: Plain,
    /// The youngest data of those who were told Busy: theirs is the promise that only `Coalesced` takes over.
    pub(in super::super) owed: Plain,
    pub(in super::super) accepted: Count,
    pub(in super::super) removed: Count,
    /// The youngest data that a run, or one who owed it, saw.
    pub(in super::super) seen: Plain,
    pub(in super::super) ended: Signal,
}

impl ContestedBody {
    fn run(&self) {
        let _inside = self.ground.begin(None);
        let value = self.written.read();
        self.seen.raise(value);
        self.ground.dawdle(value);
        self.ended.add(1);
    }

    /// Others relied on a run that is not going to be: what they wrote is visible to us, and we do the work.
    fn pay(&self, row: usize) {
        self.ground.tally.event(row, Event::Coalesced, 1);
        self.seen.raise(self.written.read());
    }
}

impl Contested {
    pub(in super::super) fn new(ground: &'static Ground) -> Self {
        let body: &'static ContestedBody = Box::leak(Box::new(ContestedBody {
            ground,
            written: Plain::default(),
            owed: Plain::default(),
            accepted: Count::default(),
            removed: Count::default(),
            seen: Plain::default(),
            ended: Signal::default(),
        }));
        Self { csd: leak_csd(move || body.run()), body }
    }

    pub(in super::super) fn post(&self, row: usize, target: u32) -> Outcome {
        let (body, tally) = (self.body, &self.body.ground.tally);
        let value = body.written.write_next();
        let (posted, right) = match body.ground.machine.post(target, self.csd) {
            Ok(Posted::Queued) => {
                tally.event(row, Event::Post, 1);
                body.accepted.add(1);
                (Outcome::Due, true)
            }
            Ok(Posted::Busy { cpu }) => {
                tally.event(row, Event::Busy, 1);
                body.owed.raise(value);
                (Outcome::Due, cpu < body.ground.cpus_len())
            }
            Err(PostError::Offline { coalesced }) => {
                tally.event(row, Event::Offline, 1);
                if coalesced == Coalesced::Yes {
                    body.pay(row);
                }
                (Outcome::Refused, true)
            }
            Err(PostError::Cancelled { cpu }) => (Outcome::Refused, cpu != target),
            Err(PostError::NoSuchCpu) => (Outcome::Refused, false),
        };
        if tally.check(row, Check::Answer, right) { posted } else { Outcome::Wrong }
    }

    pub(in super::super) fn cancel(&self, row: usize) {
        if let Cancel::Removed { coalesced } = self.csd.cancel() {
            self.body.ground.tally.event(row, Event::Cancelled, 1);
            self.body.removed.add(1);
            if coalesced == Coalesced::Yes {
                self.body.pay(row);
            }
        }
    }
}
