//! crossbeam-channel between threads that sleep by `park`: the sender unparks, and who waits looks before it sleeps.
//!
//! Requests are boxed closures by a channel of the target's; the answer is a word of the caller's, and an unpark. Both sides wait as
//! the documentation of crossbeam's `Backoff` shows it: spin, then yield, then park. One row shows the same where both park at once.

use crate::block::{Block, Shape, Visit};
use crate::work::KEY;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use crossbeam_utils::Backoff;
use smpcall_measure::pace::{Line, pin};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};

/// A boxed closure that runs on the target and answers its caller.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// No answer yet. Answers are 32 bits.
const NONE: u64 = u64::MAX;

/// What a side does before it parks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// It spins and yields for a moment.
    Backoff,
    Nothing,
}

/// A caller's place for answers, which it keeps.
pub(crate) struct Caller {
    before: Before,
    word: Arc<Line<AtomicU64>>,
    thread: Thread,
}

/// The way to one target.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) jobs: Sender<Job>,
    pub(crate) thread: Thread,
}

impl Caller {
    /// The calling thread's.
    pub(crate) fn new(before: Before) -> Self {
        Self { before, word: Arc::new(Line(AtomicU64::new(NONE))), thread: thread::current() }
    }

    /// Sends a closure, and waits for its answer. Between two looks the caller serves others, if it is called itself: `serve` says
    /// whether there was anything.
    pub(crate) fn call(&self, target: &Target, number: u32, mut serve: impl FnMut() -> bool) -> bool {
        let (word, thread) = (Arc::clone(&self.word), self.thread.clone());
        let job = move || {
            // Release: the answer is all there is; pairs with the caller's look.
            word.0.store(u64::from(black_box(number) ^ KEY), Ordering::Release);
            thread.unpark();
        };
        if target.jobs.send(Box::new(job)).is_err() {
            return false;
        }
        target.thread.unpark();
        let backoff = Backoff::new();
        loop {
            // Acquire: pairs with the job's store.
            let answer = self.word.0.load(Ordering::Acquire);
            if answer != NONE {
                // Relaxed: the next job is sent after it.
                self.word.0.store(NONE, Ordering::Relaxed);
                return answer == u64::from(number ^ KEY);
            }
            if serve() {
                backoff.reset();
            } else if self.before == Before::Nothing || backoff.is_completed() {
                thread::park();
            } else {
                backoff.snooze();
            }
        }
    }
}

/// What the target does with a channel that stays empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    Park(Before),
    /// It spins for a moment, and then yields between looks.
    Poll,
}

/// Serves until all senders are gone; who drops the last unparks.
fn serve(jobs: &Receiver<Job>, idle: Idle) {
    let backoff = Backoff::new();
    loop {
        match jobs.try_recv() {
            Ok(job) => {
                job();
                backoff.reset();
            }
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => match idle {
                Idle::Park(Before::Nothing) => thread::park(),
                Idle::Park(Before::Backoff) if backoff.is_completed() => thread::park(),
                Idle::Park(Before::Backoff) | Idle::Poll => backoff.snooze(),
            },
        }
    }
}

/// Runs `body` beside a target on the visit's second core.
pub(crate) fn beside<R>(visit: &Visit, idle: Idle, body: impl FnOnce(Target) -> Result<R>) -> Result<R> {
    let (tx, rx) = unbounded();
    let core = visit.place.target();
    let worker = thread::Builder::new()
        .spawn(move || -> Result<()> {
            pin(core)?;
            serve(&rx, idle);
            Ok(())
        })
        .context("cannot start a thread")?;
    let thread = worker.thread().clone();
    let result = body(Target { jobs: tx, thread: thread.clone() });
    // The last sender is gone: it looks, and ends.
    thread.unpark();
    worker.join().expect("the target does not panic")?;
    result
}

pub(crate) fn parked(visit: &Visit, rest: Shape, before: Before) -> Result<Block> {
    pin(visit.place.caller())?;
    beside(visit, Idle::Park(before), |target| {
        let caller = Caller::new(before);
        visit.measure(rest, |n| (0..n).map(|number| u32::from(caller.call(&target, number, || false))).sum())
    })
}
