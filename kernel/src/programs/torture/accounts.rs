//! What must agree at rest.
//!
//! | account | who posts | what it shows |
//! |---|---|---|
//! | [`Shared`] | everybody, to any CPU | P1: as many runs as accepted posts. P2: the last run saw what everybody wrote who was accepted or told Busy |
//! | [`Contested`] | everybody, and everybody cancels | P2, and who owes; P1 within bounds |
//! | numbered | one sender to one target, each with a number | P1, P6: each number is the last one plus one |
//!
//! `written` and `seen` are Relaxed throughout: it is the posts that must publish them.

use crate::console::println;
use crate::cpus::{CPUS_MAX, count};
use crate::machine::SMP;
use core::sync::atomic::{AtomicU64, Ordering};
use smpcall::{Cancel, Csd, PostError, Posted, Coalesced};

/// How many csds of a kind there are.
pub(super) const CSDS: usize = 8;

static WRONGS: AtomicU64 = AtomicU64::new(0);

/// Something is not as it was promised. Says so at once: what comes after may hide it.
pub(super) fn wrong(what: core::fmt::Arguments<'_>) {
    // Relaxed: a figure.
    if WRONGS.fetch_add(1, Ordering::Relaxed) < 10 {
        println!("wrong: {what}");
    }
}

pub(super) fn wrongs() -> u64 {
    // Relaxed: a figure.
    WRONGS.load(Ordering::Relaxed)
}

/// One csd's accounts.
struct Body {
    /// Data that only the posts publish: each poster makes it greater.
    written: AtomicU64,
    /// What a run that was promised must have seen.
    owed: AtomicU64,
    seen: AtomicU64,
    accepted: AtomicU64,
    removed: AtomicU64,
    /// Release and Acquire: at rest, what the runs wrote is compared.
    ran: AtomicU64,
}

impl Body {
    const fn new() -> Self {
        Self {
            written: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            ran: AtomicU64::new(0),
        }
    }

    fn run(&self) {
        self.see();
        // Release: at rest, what the runs wrote is compared; pairs with `sum`.
        self.ran.fetch_add(1, Ordering::Release);
    }

    fn see(&self) {
        // Relaxed: it is the posts that publish it.
        self.seen.fetch_max(self.written.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn is_blind(&self) -> bool {
        // Relaxed: asked at rest.
        self.seen.load(Ordering::Relaxed) < self.owed.load(Ordering::Relaxed)
    }
}

fn sum(bodies: &[Body], of: fn(&Body) -> &AtomicU64) -> u64 {
    // Acquire: pairs with `run`, for the count of runs.
    bodies.iter().map(|body| of(body).load(Ordering::Acquire)).sum()
}

/// What a post came to.
#[derive(PartialEq, Eq)]
pub(super) enum Outcome {
    Due,
    Refused,
}

/// Posts, and books what it came to.
fn book(body: &Body, post: impl FnOnce() -> Result<Posted, PostError>, owes_accepted: bool) -> Outcome {
    // Relaxed: the post publishes what is written; the rest is compared at rest.
    let value = body.written.fetch_add(1, Ordering::Relaxed) + 1;
    match post() {
        Ok(Posted::Queued) => {
            body.accepted.fetch_add(1, Ordering::Relaxed);
            if owes_accepted {
                body.owed.fetch_max(value, Ordering::Relaxed);
            }
            Outcome::Due
        }
        Ok(Posted::Busy { cpu }) => {
            // Relaxed: as above.
            body.owed.fetch_max(value, Ordering::Relaxed);
            if cpu >= count() {
                wrong(format_args!("busy on CPU {cpu}, which there is not"));
            }
            Outcome::Due
        }
        Err(PostError::Offline { coalesced }) => {
            // Others relied on a run that is not going to be: what they wrote is visible here, and this is their run.
            if coalesced == Coalesced::Yes {
                body.see();
            }
            Outcome::Refused
        }
        Err(PostError::Cancelled { .. }) => Outcome::Refused,
        Err(PostError::NoSuchCpu) => {
            wrong(format_args!("no such CPU"));
            Outcome::Refused
        }
    }
}

/// As many csds as accounts, each with a function of its own.
macro_rules! csds {
    ($bodies:ident) => {
        csds!($bodies, 0 1 2 3 4 5 6 7)
    };
    ($bodies:ident, $($which:literal)*) => {
        [$(Csd::new(|| $bodies[$which].run())),*]
    };
}
/// A csd that everybody posts to any CPU.
pub(super) struct Shared;

static SHARED: [Body; CSDS] = [const { Body::new() }; CSDS];
static SHARED_CSDS: [Csd<fn()>; CSDS] = csds!(SHARED);

/// A csd that everybody posts to any CPU, and cancels.
pub(super) struct Contested;

static CONTESTED: [Body; CSDS] = [const { Body::new() }; CSDS];
static CONTESTED_CSDS: [Csd<fn()>; CSDS] = csds!(CONTESTED);

impl Shared {
    pub(super) fn csd(which: usize) -> &'static Csd<fn()> {
        &SHARED_CSDS[which]
    }

    pub(super) fn post(which: usize, cpu: u32) -> Outcome {
        book(&SHARED[which], || SMP.post(cpu, &SHARED_CSDS[which]), true)
    }

    pub(super) fn post_lazy(which: usize, cpu: u32) -> Outcome {
        book(&SHARED[which], || SMP.post_lazy(cpu, &SHARED_CSDS[which]), true)
    }

    /// How many were accepted, and how many ran.
    pub(super) fn runs() -> (u64, u64) {
        (sum(&SHARED, |body| &body.accepted), sum(&SHARED, |body| &body.ran))
    }
}

impl Contested {
    /// An accepted run may be taken away by another, who then only owes what others were told: so those are booked alone.
    pub(super) fn post(which: usize, cpu: u32) -> Outcome {
        book(&CONTESTED[which], || SMP.post(cpu, &CONTESTED_CSDS[which]), false)
    }

    pub(super) fn cancel(which: usize) {
        let body = &CONTESTED[which];
        if let Cancel::Removed { coalesced } = CONTESTED_CSDS[which].cancel() {
            // Relaxed: compared at rest.
            body.removed.fetch_add(1, Ordering::Relaxed);
            if coalesced == Coalesced::Yes {
                body.see();
            }
        }
    }

    /// The least and the greatest number of runs that the answers allow, and how many there were: a post that gives a
    /// cancelled csd its run back is told Busy, and so is not among the accepted.
    pub(super) fn bounds() -> (u64, u64, u64) {
        let (accepted, removed) =
            (sum(&CONTESTED, |body| &body.accepted), sum(&CONTESTED, |body| &body.removed));
        (accepted.saturating_sub(removed), accepted, sum(&CONTESTED, |body| &body.ran))
    }
}

/// How many csds there are, and how many have not seen what they owe.
pub(super) fn blind() -> (usize, usize) {
    let all = || SHARED.iter().chain(&CONTESTED);
    (all().count(), all().filter(|body| body.is_blind()).count())
}

/// Calls that carry their sender and a number: detached, or a multicast.
#[derive(Clone, Copy)]
pub(super) enum Lane {
    Detached,
    Many,
}

type Numbers = [[AtomicU64; CPUS_MAX]; CPUS_MAX];

/// The last number that each sender has sent to each target, and that ran there.
static SENT: [Numbers; 2] = [const { [const { [const { AtomicU64::new(0) }; CPUS_MAX] }; CPUS_MAX] }; 2];
static RAN: [Numbers; 2] = [const { [const { [const { AtomicU64::new(0) }; CPUS_MAX] }; CPUS_MAX] }; 2];

impl Lane {
    fn sent(self, from: u32, to: u32) -> &'static AtomicU64 {
        &SENT[self as usize][from as usize][to as usize]
    }

    /// The number of the next call from one CPU to another. To be [`Self::accepted`], or forgotten.
    pub(super) fn next(self, from: u32, to: u32) -> u64 {
        // Relaxed: the sender's own.
        self.sent(from, to).load(Ordering::Relaxed) + 1
    }

    /// It was accepted.
    pub(super) fn accepted(self, from: u32, to: u32, number: u64) {
        // Relaxed: the sender's own.
        self.sent(from, to).store(number, Ordering::Relaxed);
    }

    /// It runs.
    pub(super) fn ran(self, from: u32, to: u32, number: u64) {
        // Relaxed: the target's own.
        let last = RAN[self as usize][from as usize][to as usize].swap(number, Ordering::Relaxed);
        if number != last + 1 {
            wrong(format_args!("number {number} from CPU {from} ran on CPU {to} after {last}"));
        }
    }
}

/// How many numbered calls were accepted, and how many ran.
pub(super) fn numbered() -> (u64, u64) {
    let sum = |numbers: &[Numbers; 2]| {
        // Relaxed: compared at rest.
        numbers.iter().flatten().flatten().map(|number| number.load(Ordering::Relaxed)).sum()
    };
    (sum(&SENT), sum(&RAN))
}

/// Whether everything that was accepted has run.
pub(super) fn settled() -> bool {
    let ((accepted, ran), (sent, came)) = (Shared::runs(), numbered());
    accepted == ran && sent == came && CONTESTED_CSDS.iter().chain(&SHARED_CSDS).all(|csd| !csd.is_pending())
}
