//! Calls to a target that runs something else: another function for a moment, or one that holds it until it is let go.

use super::super::checks::Checks;
use super::super::stage::{Stage, TARGET};
use super::posts::posts;
use crate::pace::{Line, linger_until};
use anyhow::{Result, ensure};
use smpcall_host::smpcall::{Cancel, Coalesced, Csd, Posted};
use smpcall_measure::samples::Sample;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the other function takes, from its start.
pub(super) const TOIL: Duration = Duration::from_micros(3);

const BUSY_POSTS: u32 = 256;
const CANCELS: usize = 64;

/// What the target is at: 0, or inside the other function.
static INSIDE: Line<AtomicU32> = Line(AtomicU32::new(0));
/// Whether it may leave.
static LET_GO: Line<AtomicU32> = Line(AtomicU32::new(0));

static TOILS: Csd<fn()> = Csd::new(|| {
    let since = Instant::now();
    // Release: nothing is published with it.
    INSIDE.0.store(1, Ordering::Release);
    while since.elapsed() < TOIL {
        std::hint::spin_loop();
    }
});

static HOLDS: Csd<fn()> = Csd::new(|| {
    // Release: nothing is published with it.
    INSIDE.0.store(1, Ordering::Release);
    // Acquire: nothing hangs on it.
    linger_until(|| LET_GO.0.load(Ordering::Acquire) == 1);
});

/// Posts one of the two, and waits until the target is in it.
fn occupy(stage: &Stage<'_>, with: &'static Csd<fn()>) -> Result<()> {
    // Relaxed: the post publishes both.
    INSIDE.0.store(0, Ordering::Relaxed);
    // Relaxed: as above.
    LET_GO.0.store(0, Ordering::Relaxed);
    stage.machine.post(TARGET, with)?;
    // Acquire: nothing hangs on it.
    let inside = stage.pace.wait_until(|| INSIDE.0.load(Ordering::Acquire) == 1);
    ensure!(inside, "a post to a target that polls did not run (P1)");
    Ok(())
}

fn let_go() {
    // Release: nothing is published with it.
    LET_GO.0.store(1, Ordering::Release);
}

pub(super) fn call(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    occupy(stage, &TOILS)?;
    let mut answer = Ok(0);
    let sample = Sample::time(1, || answer = stage.machine.call(TARGET, || black_box(7) * 6));
    checks.that("P4", "a waiting call to a busy target gives back its function's result", answer == Ok(42));
    Ok(sample)
}

pub(super) fn post(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    occupy(stage, &TOILS)?;
    Ok(posts(stage, 1, checks))
}

/// What the caller writes before it posts.
static WRITTEN: Line<AtomicU64> = Line(AtomicU64::new(0));
/// What the last run saw of it, and how many there were.
static SAW: Line<(AtomicU64, AtomicU64)> = Line((AtomicU64::new(0), AtomicU64::new(0)));

static SEES: Csd<fn()> = Csd::new(|| {
    // Relaxed: that this sees the caller's write is P2's promise.
    SAW.0.0.store(WRITTEN.0.load(Ordering::Relaxed), Ordering::Relaxed);
    // Release: publishes what was seen; pairs with `told`.
    SAW.0.1.fetch_add(1, Ordering::Release);
});

pub(super) fn told(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    // Relaxed: nothing runs now.
    let (written, ran) = (WRITTEN.0.load(Ordering::Relaxed) + 1, SAW.0.1.load(Ordering::Relaxed));
    occupy(stage, &HOLDS)?;
    let queued = stage.machine.post(TARGET, &SEES).is_ok_and(Posted::is_queued);
    let mut busy = 0;
    let post = || stage.machine.post(TARGET, &SEES) == Ok(Posted::Busy { cpu: TARGET });
    let mut sample = Sample::time(BUSY_POSTS, || {
        for _ in 0..BUSY_POSTS {
            busy += u32::from(post());
        }
    });
    sample.busy = busy;
    // Relaxed: to publish it is the duty of the post that is told Busy (P2).
    WRITTEN.0.store(written, Ordering::Relaxed);
    let told = post();
    let_go();
    // Acquire: shows what the run saw; pairs with the function.
    let came = stage.pace.wait_until(|| SAW.0.1.load(Ordering::Acquire) > ran);
    // A second run would have come before this one, which is posted after it (P6).
    posts(stage, 1, checks);
    checks.all("P3", "a post of a queued csd is told Busy, and where", busy.into(), BUSY_POSTS.into());
    // Relaxed: the run that stored it was seen to have come.
    checks.that("P2", "whoever is told Busy is seen", told && SAW.0.0.load(Ordering::Relaxed) == written);
    // Relaxed: the post above ran after it.
    let runs = SAW.0.1.load(Ordering::Relaxed) - ran;
    checks.that("P1", "one Ok and many Busy are one run", queued && came && runs == 1);
    Ok(sample)
}

/// How often a cancelled csd ran all the same.
static CANCELLED_RAN: AtomicU64 = AtomicU64::new(0);

static CANCELLED: [Csd<fn()>; CANCELS] = [const {
    Csd::new(|| {
        // Relaxed: a count; the post after it publishes it.
        CANCELLED_RAN.fetch_add(1, Ordering::Relaxed);
    })
}; CANCELS];

pub(super) fn cancel(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    occupy(stage, &HOLDS)?;
    let mut queued = 0;
    for csd in &CANCELLED {
        queued += u64::from(stage.machine.post(TARGET, csd).is_ok_and(Posted::is_queued));
    }
    let mut removed = 0;
    let sample = Sample::time(CANCELS as u32, || {
        for csd in &CANCELLED {
            removed += u64::from(csd.cancel() == Cancel::Removed { coalesced: Coalesced::No });
        }
    });
    let_go();
    // Runs after them (P6): then the target has let go of all of them, and they can be posted anew.
    posts(stage, 1, checks);
    checks.all("P1", "a free csd is accepted", queued, CANCELS as u64);
    checks.all("P1", "cancel takes a queued run away", removed, CANCELS as u64);
    // Relaxed: published by the run of the post above.
    let ran = CANCELLED_RAN.swap(0, Ordering::Relaxed);
    checks.all("P1", "a cancelled run does not begin", CANCELS as u64 - ran, CANCELS as u64);
    Ok(sample)
}
