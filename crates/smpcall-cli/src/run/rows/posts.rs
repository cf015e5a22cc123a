//! Asynchronous posts of one csd, and detached calls, one after the other, each until the caller sees that it has run.

use super::super::checks::Checks;
use super::super::samples::Sample;
use super::super::stage::{CALLER, Stage, TARGET};
use crate::pace::Line;
use anyhow::Result;
use smpcall_host::smpcall::{Budget, Csd, Flushed, Posted, Sleep};
use std::sync::atomic::{AtomicU64, Ordering};

const POSTS: u32 = 64;

/// How often the csd has run. Written by its function only, and that runs on one CPU at a time: a plain count will do.
static RUNS: Line<AtomicU64> = Line(AtomicU64::new(0));

static COUNT: Csd<fn()> = Csd::new(count);

fn count() {
    // Relaxed: only we write it.
    let runs = RUNS.0.load(Ordering::Relaxed);
    // Release: the caller reads it; pairs with `runs`.
    RUNS.0.store(runs + 1, Ordering::Release);
}

fn runs() -> u64 {
    // Acquire: pairs with the function.
    RUNS.0.load(Ordering::Acquire)
}

pub(super) fn to_polling(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    Ok(posts(stage, stage.pace.batch(POSTS), checks))
}

pub(super) fn to_parked(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    stage.pace.settle();
    Ok(posts(stage, 1, checks))
}

/// Posts so often, each until it has run.
pub(super) fn posts(stage: &Stage<'_>, posts: u32, checks: &mut Checks) -> Sample {
    let before = runs();
    let mut accepted = 0;
    let mut came = 0;
    let sample = Sample::time(posts, || {
        for _ in 0..posts {
            // It is free again before its function starts (P5), so no post is told Busy.
            accepted += u32::from(stage.machine.post(TARGET, &COUNT).is_ok_and(Posted::is_queued));
            came += u32::from(stage.pace.wait_until(|| runs() >= before + u64::from(accepted)));
        }
    });
    checks.all("P5", "a csd whose function has begun can be posted", accepted.into(), posts.into());
    checks.all("P1", "a post that returns Ok runs", came.into(), posts.into());
    checks.same("P1", "a post that returns Ok runs once", runs() - before, accepted.into());
    sample
}

/// Posts to the CPU that posts, each followed by the flush that runs it.
pub(super) fn to_oneself(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    // Looking, so that it need not ring itself.
    stage.machine.poll_begin();
    let mut ran = 0;
    let sample = Sample::time(POSTS, || {
        for _ in 0..POSTS {
            let posted = stage.machine.post(CALLER, &COUNT).is_ok_and(Posted::is_queued);
            ran += u32::from(posted && stage.machine.flush(Budget::DEFAULT) == Flushed::All(1));
        }
    });
    let empty = stage.machine.poll_end() == Sleep::Ready;
    checks.all("P1", "a post to oneself runs in the next flush", ran.into(), POSTS.into());
    checks.that("P1", "and only once", empty);
    Ok(sample)
}

/// Detached calls, each until it has run.
pub(super) fn detached(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    let calls = stage.pace.batch(POSTS);
    let before = runs();
    let (mut accepted, mut came) = (0, 0);
    let sample = Sample::time(calls, || {
        for _ in 0..calls {
            // The place is free again before the function starts (P5), so there is room.
            accepted += u32::from(stage.machine.post_detached(TARGET, count).is_ok());
            came += u32::from(stage.pace.wait_until(|| runs() >= before + u64::from(accepted)));
        }
    });
    checks.all(
        "P5",
        "a detached call whose function has begun leaves its place",
        accepted.into(),
        calls.into(),
    );
    checks.all("P1", "a detached call that is accepted runs", came.into(), calls.into());
    checks.same("P1", "a detached call runs once", runs() - before, accepted.into());
    Ok(sample)
}
