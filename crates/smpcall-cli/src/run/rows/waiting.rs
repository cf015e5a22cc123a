//! Waiting calls: to a target that polls, to one that sleeps, and to oneself.

use super::super::checks::Checks;
use super::super::samples::Sample;
use super::super::stage::{CALLER, Stage, TARGET};
use anyhow::Result;
use std::hint::black_box;

const CALLS: u32 = 64;
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
    let mut right = 0;
    let sample = Sample::time(calls, || {
        for number in 0..calls {
            let answer = stage.machine.call(cpu, || black_box(number) ^ KEY);
            right += u32::from(answer == Ok(number ^ KEY));
        }
    });
    checks.all("P4", "a waiting call gives back its function's result", right.into(), calls.into());
    sample
}
