//! Asynchronous posts of one csd, and detached calls, one after the other, each until the caller sees that it has run.

use super::super::checks::Checks;
use super::super::stage::{CALLER, Stage, TARGET};
use crate::pace::Line;
use anyhow::{Context, Result};
use smpcall_host::smpcall::{Budget, Csd, Flushed, Posted};
use smpcall_measure::samples::Sample;
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
    let says = [
        "a csd whose function has begun can be posted",
        "a post that returns Ok runs",
        "a post that returns Ok runs once",
    ];
    until_seen(stage, posts, checks, says, || stage.machine.post(TARGET, &COUNT).is_ok_and(Posted::is_queued))
}

/// Sends so often, each until it has run. It leaves its place before its function starts (P5), so all are accepted.
fn until_seen(
    stage: &Stage<'_>,
    calls: u32,
    checks: &mut Checks,
    [free, runs_each, runs_once]: [&'static str; 3],
    send: impl Fn() -> bool,
) -> Sample {
    let before = runs();
    let (mut accepted, mut came) = (0, 0);
    let sample = Sample::time(calls, || {
        for _ in 0..calls {
            accepted += u32::from(send());
            came += u32::from(stage.pace.wait_until(|| runs() >= before + u64::from(accepted)));
        }
    });
    checks.all("P5", free, accepted.into(), calls.into());
    checks.all("P1", runs_each, came.into(), calls.into());
    checks.same("P1", runs_once, runs() - before, accepted.into());
    sample
}

/// Posts to the CPU that posts, each followed by the flush that runs it.
pub(super) fn to_oneself(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    // Looking, so that it need not ring itself.
    let mut here = stage.here.borrow_mut();
    let cpu = here.as_mut().context("the caller is a CPU")?.handle();
    cpu.poll_begin();
    let mut ran = 0;
    let sample = Sample::time(POSTS, || {
        for _ in 0..POSTS {
            let posted = stage.machine.post(CALLER, &COUNT).is_ok_and(Posted::is_queued);
            ran += u32::from(posted && cpu.flush(Budget::DEFAULT) == Flushed::All(1));
        }
    });
    let empty = cpu.begin_sleep().is_ok();
    checks.all("P1", "a post to oneself runs in the next flush", ran.into(), POSTS.into());
    checks.that("P1", "and only once", empty);
    Ok(sample)
}

/// Detached calls, each until it has run.
pub(super) fn detached(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    let says = [
        "a detached call whose function has begun leaves its place",
        "a detached call that is accepted runs",
        "a detached call runs once",
    ];
    let send = || stage.machine.post_detached(TARGET, count).is_ok();
    Ok(until_seen(stage, stage.pace.batch(POSTS), checks, says, send))
}
