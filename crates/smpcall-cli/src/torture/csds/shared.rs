//! A csd that everybody posts, from threads and signal handlers, to one CPU (P3).

use super::super::ground::Ground;
use super::super::tally::{Check, Event};
use super::super::words::{Count, Plain, Signal};
use super::{Function, Outcome, Urgency, leak_csd};
use smpcall_host::smpcall::{Coalesced, Csd, PostError, Posted};

pub(in super::super) struct Shared {
    pub(in super::super) csd: &'static Csd<Function>,
    pub(in super::super) body: &'static SharedBody,
}

pub(in super::super) struct SharedBody {
    ground: &'static Ground,
    pub(in super::super) target: u32,
    /// Counts the posts; each poster's data.
    written: Plain,
    /// The youngest data of a poster to whom a run was promised.
    pub(in super::super) owed: Plain,
    pub(in super::super) accepted: Count,
    /// The youngest data that a run, or one who owed it, saw.
    pub(in super::super) seen: Plain,
    pub(in super::super) ended: Signal,
}

impl SharedBody {
    fn run(&self) {
        let _inside = self.ground.begin(Some(self.target));
        let value = self.written.read();
        self.seen.raise(value);
        self.ground.dawdle(value);
        self.ended.add(1);
    }
}

impl Shared {
    pub(in super::super) fn new(ground: &'static Ground, target: u32) -> Self {
        let body: &'static SharedBody = Box::leak(Box::new(SharedBody {
            ground,
            target,
            written: Plain::default(),
            owed: Plain::default(),
            accepted: Count::default(),
            seen: Plain::default(),
            ended: Signal::default(),
        }));
        Self { csd: leak_csd(move || body.run()), body }
    }

    /// Writes, and posts; the data that a run will see is in the answer's second part. Fit for signal handlers.
    pub(in super::super) fn post(&self, row: usize, haste: Urgency) -> (Outcome, u64) {
        let (body, tally) = (self.body, &self.body.ground.tally);
        let value = body.written.write_next();
        let answer = match haste {
            Urgency::Now => body.ground.machine.post(body.target, self.csd),
            Urgency::Lazy => body.ground.machine.post_lazy(body.target, self.csd),
        };
        let (posted, right) = match answer {
            Ok(Posted::Queued) => {
                tally.event(row, Event::Post, 1);
                body.accepted.add(1);
                (Outcome::Due, true)
            }
            Ok(Posted::Busy { cpu }) => {
                tally.event(row, Event::Busy, 1);
                (Outcome::Due, cpu == body.target)
            }
            Err(PostError::Offline { coalesced }) => {
                tally.event(row, Event::Offline, 1);
                if coalesced == Coalesced::Yes {
                    // We see what they wrote who relied on us, and owe them the run: the work itself will do (P2).
                    tally.event(row, Event::Coalesced, 1);
                    body.seen.raise(body.written.read());
                }
                (Outcome::Refused, true)
            }
            Err(PostError::Cancelled { .. } | PostError::NoSuchCpu) => (Outcome::Refused, false),
        };
        if posted == Outcome::Due {
            body.owed.raise(value);
        }
        (if tally.check(row, Check::Answer, right) { posted } else { Outcome::Wrong }, value)
    }
}
