//! The race itself, the same for every protocol.

use crate::pace::{Line, Pace};
use anyhow::{Result, bail, ensure};
use indicatif::ProgressBar;
use serde::Serialize;
use smpcall_host::smpcall::Posted;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many raced posts between two moves of the bar.
const BAR_STEP: u64 = 1 << 14;
/// The message's cache lines. They must take longer to become visible than the one line of the csd takes to come to the
/// core that unlocks it, or a protocol that does not publish looks sound: with four, our core without the loser's write
/// lost one in a thousand, with sixteen one in three. More than the store buffer holds would make the poster wait.
const WORDS: usize = 16;
/// The longest wait before a raced post, in turns of an empty loop.
const DELAY_MAX: u32 = 1 << 14;
/// The raced post comes up to this much later than the steering says.
const JITTER: u32 = 64;

/// One side of a protocol: the poster's.
pub(super) trait Protocol {
    /// Posts, and gives the protocol's answer.
    fn post(&self) -> Result<Posted>;
}

/// What came of the races.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Raced posts that were told Busy.
    pub(crate) busy: u64,
    /// Those of them that no run saw.
    pub(crate) lost: u64,
}

/// What the two sides share beside the csd.
pub(super) struct Site {
    /// What the caller writes before it posts. Several lines, written first to last: the last becomes visible late.
    message: [Line<AtomicU64>; WORDS],
    /// Written by the target only.
    target: Line<Target>,
}

struct Target {
    /// The oldest word of the message as the last run saw it.
    seen: AtomicU64,
    /// How many runs have ended.
    runs: AtomicU64,
}

impl Site {
    pub(super) fn new() -> Self {
        let target = Target { seen: AtomicU64::new(0), runs: AtomicU64::new(0) };
        Self { message: [const { Line(AtomicU64::new(0)) }; WORDS], target: Line(target) }
    }

    /// The csd's function.
    #[inline]
    pub(super) fn run(&self) {
        // Relaxed: whether this sees the caller's write is the question, and the protocol's to answer. Last word first.
        let seen =
            self.message.iter().rev().map(|word| word.0.load(Ordering::Relaxed)).fold(u64::MAX, u64::min);
        let target = &self.target.0;
        // Relaxed: published by the count below.
        target.seen.store(seen, Ordering::Relaxed);
        // Relaxed: only this thread writes it.
        let runs = target.runs.load(Ordering::Relaxed);
        // Release: publishes what was seen; pairs with `seen_after`.
        target.runs.store(runs + 1, Ordering::Release);
    }

    #[inline]
    fn write(&self, value: u64) {
        for word in &self.message {
            // Relaxed: to publish it is the protocol's duty.
            word.0.store(value, Ordering::Relaxed);
        }
    }

    /// Waits until so many runs have ended; what the last one saw.
    #[inline]
    fn seen_after(&self, runs: u64, pace: Pace) -> Result<u64> {
        // Acquire: shows what the run saw; pairs with `run`.
        let ended = pace.wait_until(|| self.target.0.runs.load(Ordering::Acquire) >= runs);
        ensure!(ended, "a post that was queued never ran: run {runs} is missing (P1)");
        // Acquire: pairs with `run`.
        let ran = self.target.0.runs.load(Ordering::Acquire);
        ensure!(ran == runs, "{runs} posts were queued, but {ran} ran (P1)");
        // Relaxed: published by the count; every run has ended, so nobody writes it now.
        Ok(self.target.0.seen.load(Ordering::Relaxed))
    }
}

/// Races `posts` posts under one protocol.
pub(super) fn race(
    protocol: &impl Protocol,
    site: &Site,
    posts: u64,
    pace: Pace,
    bar: &ProgressBar,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut queued = 0;
    let mut aim = Aim { delay: 0, jitter: fastrand::Rng::with_seed(1) };
    for value in 1..=posts {
        // The first post: its target will unlock the csd in a moment. Every run has ended, so it is free.
        match protocol.post()? {
            Posted::Queued => queued += 1,
            Posted::Busy { .. } => bail!("a csd that is free was said to be busy"),
        }
        // Every other time the csd has been found busy before: a protocol must not think that once was enough.
        if value % 2 == 0 && matches!(protocol.post()?, Posted::Queued) {
            queued += 1;
        }
        aim.wait();
        site.write(value);
        let posted = protocol.post()?;
        if matches!(posted, Posted::Queued) {
            queued += 1;
        }
        // If it was told Busy, the first post's run is the only one, and has to have seen the value.
        let seen = site.seen_after(queued, pace)?;
        match posted {
            Posted::Queued => {
                aim.sooner();
                ensure!(seen == value, "a post that was queued ran, and did not see its caller's write");
            }
            Posted::Busy { .. } => {
                aim.later();
                outcome.busy += 1;
                outcome.lost += u64::from(seen != value);
            }
        }
        if value % BAR_STEP == 0 {
            bar.set_position(value);
        }
    }
    Ok(outcome)
}

/// When to send the raced post: steered to where the csd is unlocked, with some jitter.
struct Aim {
    delay: u32,
    jitter: fastrand::Rng,
}

impl Aim {
    #[inline]
    fn wait(&mut self) {
        for turn in 0..self.delay + self.jitter.u32(..JITTER) {
            black_box(turn);
        }
    }

    fn sooner(&mut self) {
        self.delay = self.delay.saturating_sub(1);
    }

    fn later(&mut self) {
        self.delay = (self.delay + 1).min(DELAY_MAX);
    }
}
