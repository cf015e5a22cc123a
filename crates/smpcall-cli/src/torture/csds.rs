//! The csds that are tortured, each with the accounts that tell whether its promises were kept.
//!
//! | csd | who posts it | what its accounts show |
//! |---|---|---|
//! | [`Own`] | one thread, or one signal handler | P1 and P2 to the last post: nobody else's post hides a fault; who may be told Busy, and by whom |
//! | [`Shared`] | everybody, to one CPU | P1, P2, P3 |
//! | [`Contested`] | everybody, to any CPU; everybody cancels it | P2 and who owes (`Coalesced`); P1 within bounds |
//! | [`Relay`] | its own function | P5 |
//! | [`Kept`]: a detached call, or a multicast; no csd | one thread, to one or many | P1, P2, P6 |
//!
//! In each, `written` is data that only the post publishes, and `seen` what the last run read of it. All comparisons are
//! exact when everything is at rest; [`Own`] is also checked whenever its poster finds that all its runs have ended.

mod contested;
mod kept;
mod relay;
mod shared;

pub(super) use self::contested::Contested;
pub(super) use self::kept::Kept;
pub(super) use self::relay::Relay;
pub(super) use self::shared::Shared;

use super::ground::{Ground, Order};
use super::tally::{Check, Event};
use super::words::{Count, Plain, Signal};
use smpcall_host::smpcall::{Cancel, Coalesced, Csd, PostError, Posted};

/// The function of a csd, whatever it captures.
pub(super) type Function = Box<dyn Fn() + Send + Sync>;

/// Makes a csd that lives for ever.
pub(super) fn leak_csd(function: impl Fn() + Send + Sync + 'static) -> &'static Csd<Function> {
    let function: Function = Box::new(function);
    Box::leak(Box::new(Csd::new(function)))
}

/// What a post came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A run is to come, by this post or by an earlier one.
    Due,
    /// Nothing was queued.
    Refused,
    /// An answer that this poster cannot have been given. Counted as an error already.
    Wrong,
}

/// Whether a post rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    Now,
    /// To be followed by one that does, before its poster rests.
    Lazy,
}

/// A csd with one poster.
pub(super) struct Own {
    pub(super) csd: &'static Csd<Function>,
    pub(super) body: &'static Body,
}

/// Its accounts.
pub(super) struct Body {
    ground: &'static Ground,
    /// Where its poster counts.
    row: usize,
    /// For complaints.
    pub(super) what: &'static str,
    order: Option<&'static Order>,
    /// Poster: where it is queued, if it is.
    pub(super) target: Plain,
    /// Poster: the data.
    written: Plain,
    /// Poster: the youngest data that a run must have seen.
    pub(super) owed: Plain,
    /// Poster: how many runs there must have been.
    pub(super) due: Count,
    /// Poster: a cancelled run may still be linked in the queue of this CPU, plus 1.
    cancelled_on: Plain,
    /// Poster: whether it was told Busy since it last was accepted, or cancelled: then `COALESCED` must say so.
    told: Plain,
    /// Target: the data as the last run saw it.
    pub(super) seen: Plain,
    /// Target: how many runs have ended.
    pub(super) ended: Signal,
}

impl Body {
    fn run(&self) {
        let target = self.target.read() as u32;
        let _inside = self.ground.begin(Some(target));
        let value = self.written.read();
        if let Some(order) = self.order {
            order.ran(self.ground, target, value);
        }
        self.seen.write(value);
        self.ground.dawdle(value);
        self.ended.add(1);
    }
}

impl Own {
    /// Makes one whose poster counts in `row`. With an `order`, its runs are checked against those of its sender's others.
    pub(super) fn new(
        ground: &'static Ground,
        row: usize,
        what: &'static str,
        order: Option<&'static Order>,
    ) -> Self {
        let body: &'static Body = Box::leak(Box::new(Body {
            ground,
            row,
            what,
            order,
            target: Plain::default(),
            written: Plain::default(),
            owed: Plain::default(),
            due: Count::default(),
            cancelled_on: Plain::default(),
            told: Plain::default(),
            seen: Plain::default(),
            ended: Signal::default(),
        }));
        Self { csd: leak_csd(move || body.run()), body }
    }

    /// Whether every run that is due has ended. What they wrote is visible then.
    pub(super) fn is_settled(&self) -> bool {
        self.body.ended.get() == self.body.due.get()
    }

    /// Whether all that was owed was seen. To be asked when it is settled.
    pub(super) fn is_seen(&self) -> bool {
        self.body.seen.read() >= self.body.owed.read()
    }

    /// Writes the data that the next post is to publish.
    pub(super) fn write(&self, target: u32, value: u64) {
        self.body.target.write(target.into());
        self.body.written.write(value);
    }

    /// Writes the next data, and posts. To another CPU than before only if it is settled.
    pub(super) fn post_next(&self, target: u32) -> Outcome {
        self.post(target, self.body.written.read() + 1)
    }

    /// Writes the data, and posts. Fit for signal handlers.
    pub(super) fn post(&self, target: u32, value: u64) -> Outcome {
        // Settled, and no cancelled run left in a queue: then it must be free.
        let is_free = self.is_settled() && self.body.cancelled_on.read() == 0;
        self.write(target, value);
        let answer = self.body.ground.machine.post(target, self.csd);
        self.take_note(target, answer, is_free)
    }

    /// As [`Self::post_next`], without a doorbell: until somebody expedites it, its run need not come.
    pub(super) fn post_lazily(&self, target: u32) -> Outcome {
        let is_free = self.is_settled() && self.body.cancelled_on.read() == 0;
        self.write(target, self.body.written.read() + 1);
        let answer = self.body.ground.machine.post_lazy(target, self.csd);
        self.take_note(target, answer, is_free)
    }

    fn take_note(&self, target: u32, answer: Result<Posted, PostError>, is_free: bool) -> Outcome {
        let (body, tally) = (self.body, &self.body.ground.tally);
        let (posted, right) = match answer {
            Ok(Posted::Queued) => {
                self.is_due();
                (Outcome::Due, true)
            }
            Ok(Posted::Busy { cpu }) => {
                tally.event(body.row, Event::Busy, 1);
                // After a cancel, Busy means that the post gave the csd its run back.
                let revived = body.cancelled_on.replace(0) != 0;
                body.due.add(revived.into());
                body.told.write(1);
                body.owed.write(body.written.read());
                (Outcome::Due, cpu == target && !is_free)
            }
            Err(PostError::Offline { coalesced }) => {
                tally.event(body.row, Event::Offline, 1);
                (Outcome::Refused, coalesced == Coalesced::No)
            }
            Err(PostError::Cancelled { cpu }) => {
                (Outcome::Refused, cpu != target && body.cancelled_on.read() == u64::from(cpu) + 1)
            }
            Err(PostError::NoSuchCpu) => (Outcome::Refused, false),
        };
        if tally.check(body.row, Check::Answer, right) { posted } else { Outcome::Wrong }
    }

    /// A post was accepted: one run more is due, which sees what is written now.
    pub(super) fn is_due(&self) {
        self.body.ground.tally.event(self.body.row, Event::Post, 1);
        self.body.due.add(1);
        self.body.cancelled_on.write(0);
        self.body.told.write(0);
        self.body.owed.write(self.body.written.read());
    }

    /// Cancels the run that is pending, if it has not begun: then it is `Refused`. `Wrong` if the answer does not say
    /// rightly whether this poster was told Busy before.
    pub(super) fn cancel(&self) -> Outcome {
        let (body, tally) = (self.body, &self.body.ground.tally);
        let Cancel::Removed { coalesced } = self.csd.cancel() else { return Outcome::Due };
        tally.event(body.row, Event::Cancelled, 1);
        body.due.take_back(1);
        body.cancelled_on.write(body.target.read() + 1);
        // What the cancelled run was to see, nobody will see.
        body.owed.write(0);
        let expected = if body.told.replace(0) == 0 { Coalesced::No } else { Coalesced::Yes };
        if tally.check(body.row, Check::Answer, coalesced == expected) {
            Outcome::Refused
        } else {
            Outcome::Wrong
        }
    }
}
