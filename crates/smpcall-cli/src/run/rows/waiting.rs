//! Waiting calls: to a target that polls, to one that sleeps, and to oneself.

use super::super::checks::Checks;
use super::super::stage::{CALLER, Stage, TARGET};
use crate::pace::Line;
use anyhow::Result;
use smpcall_host::{Machine, Trace};
use smpcall_measure::samples::Sample;
use std::hint::black_box;

pub(super) const CALLS: u32 = 64;
const CALLS_TO_ONESELF: u32 = 1024;
/// What the function does to its argument.
const KEY: u32 = 0x5a5a;

pub(super) fn to_polling(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    Ok(calls(stage, TARGET, stage.pace.batch(CALLS), checks))
}

pub(super) fn to_parked(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    stage.pace.settle();
    Ok(calls(stage, TARGET, 1, checks))
}

pub(super) fn to_oneself(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    Ok(calls(stage, CALLER, CALLS_TO_ONESELF, checks))
}

fn calls(stage: &Stage<'_>, cpu: u32, calls: u32, checks: &mut Checks) -> Sample {
    calls_on(stage.machine, cpu, calls, checks)
}

/// So many calls on any machine, in one sample.
pub(super) fn calls_on<T: Trace>(machine: &Machine<T>, cpu: u32, calls: u32, checks: &mut Checks) -> Sample {
    let mut right = 0;
    let sample = Sample::time(calls, || {
        for number in 0..calls {
            let answer = machine.call(cpu, move || black_box(number) ^ KEY);
            right += u32::from(answer == Ok(number ^ KEY));
        }
    });
    checks.all("P4", "a waiting call gives back its function's result", right.into(), calls.into());
    sample
}

/// The closure reads and writes the caller's stack: a line more, there and back.
pub(super) fn borrowing(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    let calls = stage.pace.batch(CALLS);
    let mut sum = Line(0_u64);
    let mut right = 0;
    let sample = Sample::time(calls, || {
        for _ in 0..calls {
            let before = sum.0;
            let answer = stage.machine.call(TARGET, || {
                sum.0 += 1;
                sum.0
            });
            right += u32::from(answer == Ok(before + 1) && sum.0 == before + 1);
        }
    });
    checks.all("P4", "what a borrowing closure wrote is there afterwards", right.into(), calls.into());
    Ok(sample)
}
