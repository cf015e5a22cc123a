//! The csds that a soak posts, each with the accounts that tell whether its promises were kept.
//!
//! | [`Role`] | who posts it | what its accounts show |
//! |---|---|---|
//! | `Own` | one thread, or one handler | P1 and P2 to the last post: nobody else's post hides a fault; who may be told Busy, and by whom |
//! | `Shared` | everybody, to one CPU or to any | P1, P2, P3 |
//! | `Contested` | everybody, to any CPU; everybody cancels it | P2 and who owes ([`Coalesced`]); P1 within bounds |
//! | `Relay` | its own function | P5 |
//! | `Kept`: only accounts, of what needs no csd | one thread, to one CPU or many | P1, P2, P6 |
//!
//! In each, `written` is data that only the post publishes, and `seen` what the last run read of it. All comparisons are
//! exact when everything is at rest; an `Own` is also checked whenever its poster finds that all its runs have ended.

use super::tally::{Check, Event};
use super::words::{Count, Plain, Signal};
use super::{Order, Rig, Soak};
use smpcall::{Cancel, Coalesced, CsdField, CsdOwner, Here, PostError, Posted, csd_field};

/// What a post came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A run is to come, by this post or by an earlier one.
    Due,
    /// Nothing was queued; of a cancel: it was removed.
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

/// Who posts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Own,
    Shared,
    Contested,
    Relay,
    Kept,
}

/// A csd with its accounts.
pub(super) struct Entry<R: Rig> {
    csd: CsdField,
    soak: &'static Soak<R>,
    role: Role,
    /// For complaints.
    pub(super) what: &'static str,
    /// Where its poster counts.
    row: usize,
    order: Option<Order>,
    /// Where its runs are to be, plus 1; 0: on any CPU.
    target: Plain,
    /// The poster's data, or that of all of them.
    written: Plain,
    /// The youngest data that a run must have seen.
    pub(super) owed: Plain,
    /// How many runs there must have been.
    pub(super) due: Count,
    /// How many of those may have been taken away by others.
    removed: Count,
    /// Own: a cancelled run may still be linked in the queue of this CPU, plus 1.
    cancelled_on: Plain,
    /// Own: whether its poster was told Busy since it last was accepted, or cancelled: then `Coalesced` must say so.
    coalesced: Plain,
    /// Relay: how often it is still to be posted from inside.
    left: Plain,
    /// The data as the last run saw it, or one who owed it.
    pub(super) seen: Plain,
    /// How many runs have ended.
    ended: Signal,
}

csd_field! { impl{R: Rig} Entry<R> { csd } }

impl<R: Rig> CsdOwner for Entry<R> {
    type Pointer = &'static Self;

    fn run(this: &'static Self, here: Here<'_>) {
        let (target, value) = (this.target(), this.written.read());
        let _inside = this.soak.begin(target);
        match this.role {
            Role::Own => {
                if let Some(order) = this.order {
                    order.ran(this.soak, here.cpu(), value);
                }
                this.seen.write(value);
            }
            Role::Relay => this.pass_on(here.cpu()),
            Role::Shared | Role::Contested | Role::Kept => this.seen.raise(value),
        }
        this.soak.dawdle(value);
        this.ended.add(1);
    }
}

/// One of any role.
impl<R: Rig> Entry<R> {
    /// Makes one. With an order, its runs are checked against others of its sender.
    pub(super) fn new(
        soak: &'static Soak<R>,
        (role, what): (Role, &'static str),
        row: usize,
        order: Option<Order>,
    ) -> Self {
        let (zero, none) = (Plain::new, Count::new);
        Self {
            csd: CsdField::new(),
            soak,
            role,
            what,
            row,
            order,
            target: zero(0),
            written: zero(0),
            owed: zero(0),
            due: none(),
            removed: none(),
            cancelled_on: zero(0),
            coalesced: zero(0),
            left: zero(0),
            seen: zero(0),
            ended: Signal::new(0),
        }
    }

    /// Whose runs are all on that CPU.
    pub(super) fn on(self, cpu: u32) -> Self {
        self.target.write(cpu as usize + 1);
        self
    }

    /// The CPU that it was last posted to, if that is known.
    pub(super) fn target(&self) -> Option<u32> {
        self.target.read().checked_sub(1).map(|cpu| cpu as u32)
    }

    /// Whether every run that is due has ended. What they wrote is visible then.
    pub(super) fn is_settled(&self) -> bool {
        self.ended.get() == self.due.get()
    }

    /// Whether all that was owed was seen. To be asked when it is settled.
    pub(super) fn is_seen(&self) -> bool {
        self.seen.read() >= self.owed.read()
    }

    pub(super) fn is_pending(&self) -> bool {
        self.csd.is_pending()
    }

    /// How many runs there must have been, at least and at most, and how many there were.
    pub(super) fn runs(&self) -> (core::ops::RangeInclusive<usize>, usize) {
        // A contested run that was removed may have been given back by a post that was told Busy.
        let due = self.due.get();
        (due.saturating_sub(self.removed.get())..=due, self.ended.get())
    }

    fn post_as(&'static self, urgency: Urgency, target: u32) -> Result<Posted, PostError> {
        match urgency {
            Urgency::Now => self.soak.smp().post(target, self),
            Urgency::Lazy => self.soak.smp().post_lazy(target, self),
        }
    }
}

/// One with one poster.
impl<R: Rig> Entry<R> {
    /// Writes the data that the next post is to publish.
    pub(super) fn write(&self, target: u32, value: usize) {
        self.target.write(target as usize + 1);
        self.written.write(value);
    }

    /// Writes the next data, and posts. To another CPU than before only if it is settled.
    pub(super) fn post_next(&'static self, target: u32, urgency: Urgency) -> Outcome {
        self.post(target, self.written.read() + 1, urgency)
    }

    /// Writes the data, and posts. Fit for handlers of interrupts.
    pub(super) fn post(&'static self, target: u32, value: usize, urgency: Urgency) -> Outcome {
        // Settled, and no cancelled run left in a queue: then it must be free.
        let is_free = self.is_settled() && self.cancelled_on.read() == 0;
        self.write(target, value);
        let (posted, right) = match self.post_as(urgency, target) {
            Ok(Posted::Queued) => {
                self.is_due();
                (Outcome::Due, true)
            }
            Ok(Posted::Busy { cpu }) => {
                self.soak.event(self.row, Event::Busy, 1);
                // After a cancel, Busy means that the post gave the csd its run back.
                let revived = self.cancelled_on.replace(0) != 0;
                self.due.add(revived.into());
                self.coalesced.write(1);
                self.owed.write(self.written.read());
                (Outcome::Due, cpu == target && !is_free)
            }
            Err(PostError::Offline { coalesced }) => {
                self.soak.event(self.row, Event::Offline, 1);
                (Outcome::Refused, coalesced == Coalesced::No)
            }
            Err(PostError::Cancelled { cpu }) => {
                (Outcome::Refused, cpu != target && self.cancelled_on.read() == cpu as usize + 1)
            }
            Err(_) => (Outcome::Refused, false),
        };
        self.judged(self.row, posted, right)
    }

    fn judged(&self, row: usize, outcome: Outcome, right: bool) -> Outcome {
        if self.soak.check(row, Check::Answer, right) { outcome } else { Outcome::Wrong }
    }

    /// A post was accepted: one run more is due, which sees what is written now.
    pub(super) fn is_due(&self) {
        self.soak.event(self.row, Event::Post, 1);
        self.due.add(1);
        self.cancelled_on.write(0);
        self.coalesced.write(0);
        self.owed.write(self.written.read());
    }

    /// Cancels the run that is pending, if it has not begun: then it is `Refused`. `Wrong` if the answer does not say
    /// rightly whether this poster was told Busy before.
    pub(super) fn cancel(&self) -> Outcome {
        let Cancel::Removed { coalesced } = self.csd.cancel() else { return Outcome::Due };
        self.soak.event(self.row, Event::Cancelled, 1);
        self.due.take_back(1);
        self.cancelled_on.write(self.target.read());
        // What the cancelled run was to see, nobody will see.
        self.owed.write(0);
        let expected = if self.coalesced.replace(0) == 0 { Coalesced::No } else { Coalesced::Yes };
        self.judged(self.row, Outcome::Refused, coalesced == expected)
    }

    /// Waits for its run, and says whether that was allowed.
    pub(super) fn wait(&'static self, until_ns: Option<u64>) -> Result<(), smpcall::WaitError> {
        match until_ns {
            None => self.soak.smp().wait(self),
            Some(until_ns) => self.soak.smp().wait_until(self, until_ns),
        }
    }
}

/// One that everybody posts.
impl<R: Rig> Entry<R> {
    /// Writes, and posts, to its own CPU if it has one; the data that a run will see is in the answer's second part. Fit for
    /// handlers of interrupts.
    pub(super) fn post_shared(&'static self, row: usize, cpu: u32, urgency: Urgency) -> (Outcome, usize) {
        let (soak, target, value) = (self.soak, self.target().unwrap_or(cpu), self.written.write_next());
        let (posted, right) = match self.post_as(urgency, target) {
            Ok(Posted::Queued) => {
                soak.event(row, Event::Post, 1);
                self.due.add(1);
                // A run that others may cancel is theirs: who takes it away then owes only what was told Busy.
                if self.role == Role::Shared {
                    self.owed.raise(value);
                }
                (Outcome::Due, true)
            }
            Ok(Posted::Busy { cpu }) => {
                soak.event(row, Event::Busy, 1);
                self.owed.raise(value);
                (Outcome::Due, self.target().map_or(cpu < soak.cpus_len(), |own| own == cpu))
            }
            Err(PostError::Offline { coalesced }) => {
                soak.event(row, Event::Offline, 1);
                self.pay(row, coalesced);
                (Outcome::Refused, true)
            }
            Err(PostError::Cancelled { cpu }) => {
                (Outcome::Refused, self.role == Role::Contested && cpu != target)
            }
            Err(_) => (Outcome::Refused, false),
        };
        (self.judged(row, posted, right), value)
    }

    /// Cancels whatever run is pending.
    pub(super) fn cancel_shared(&self, row: usize) {
        if let Cancel::Removed { coalesced } = self.csd.cancel() {
            self.soak.event(row, Event::Cancelled, 1);
            self.removed.add(1);
            self.pay(row, coalesced);
        }
    }

    /// If others relied on a run that is not going to be: what they wrote is visible to us, and the work itself will do (P2).
    fn pay(&self, row: usize, coalesced: Coalesced) {
        if coalesced == Coalesced::Yes {
            self.soak.event(row, Event::Coalesced, 1);
            self.seen.raise(self.written.read());
        }
    }
}

/// One that its own function posts again (P5). Only one run at a time touches the plain fields: the one that has not posted the
/// next yet.
impl<R: Rig> Entry<R> {
    /// Starts it, if it is settled. It will run on `target`, and so many times more.
    pub(super) fn start(&'static self, target: u32, times: usize) -> Outcome {
        if !self.is_settled() {
            return Outcome::Refused;
        }
        self.left.write(times);
        self.post_free(self.row, target)
    }

    fn pass_on(&'static self, here: u32) {
        let left = self.left.read();
        if left > 0 {
            self.left.write(left - 1);
            // Every other time somewhere else, where it may begin before this run has ended.
            let next = if left % 2 == 0 { self.soak.partner(here, 1) } else { here };
            self.post_free(here as usize, next);
        }
    }

    /// Nobody else posts it, so it must be free.
    fn post_free(&'static self, row: usize, target: u32) -> Outcome {
        self.target.write(target as usize + 1);
        // Before the post, and taken back if that is refused, so that it is never behind.
        self.due.add(1);
        let answer = self.post_as(Urgency::Now, target);
        let outcome = match answer {
            Ok(Posted::Queued) => {
                self.soak.event(row, Event::Post, 1);
                Outcome::Due
            }
            Err(PostError::Offline { coalesced: Coalesced::No }) => {
                self.soak.event(row, Event::Offline, 1);
                Outcome::Refused
            }
            _ => Outcome::Wrong,
        };
        if outcome != Outcome::Due {
            self.due.take_back(1);
        }
        self.soak.expect(
            row,
            Check::Reuse,
            outcome != Outcome::Wrong,
            format_args!("a csd that nobody else posts was refused from inside its function: {answer:?}"),
        );
        outcome
    }
}

/// Only accounts: the function is kept for its sender, by the library.
impl<R: Rig> Entry<R> {
    /// The number of the next call, which its function is to see.
    pub(super) fn next_kept(&self) -> usize {
        let number = self.written.read() + 1;
        self.written.write(number);
        number
    }

    /// It runs: on `target`; of a multicast, on any CPU.
    pub(super) fn run_kept(&self, target: Option<u32>, number: usize) {
        let inside = self.soak.begin(target);
        if let (Some(here), Some(order)) = (inside.here, self.order) {
            order.ran(self.soak, here, number);
            let written = self.written.read();
            self.soak.expect(
                here as usize,
                Check::Seen,
                written >= number,
                format_args!("{} call {number} of a sender saw {written} on CPU {here}", self.what),
            );
        }
        self.soak.dawdle(number);
        self.ended.add(1);
    }

    /// Whether the sender's order has room for what runs on that CPU.
    pub(super) fn knows(&self, cpu: u32) -> bool {
        self.order.is_some_and(|order| order.knows(self.soak, cpu))
    }

    /// So many runs are due, or so many less.
    pub(super) fn add_due(&self, runs: usize) {
        self.soak.event(self.row, Event::Post, runs);
        self.due.add(runs);
    }
}
