//! Multicasts to all, waited for: between the two CPUs of the table, and on eight that share the cores.

use super::super::checks::Checks;
use super::super::stage::Stage;
use crate::pace::{Line, Place};
use anyhow::Result;
use smpcall_host::Machine;
use smpcall_host::smpcall::To;
use smpcall_measure::samples::Sample;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const CALLS: u32 = 64;
const CPUS: usize = 8;

pub(super) fn to_both(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    Ok(to_all(stage.machine, stage.pace.batch(CALLS), 2, checks))
}

/// Eight CPUs, threads of the machine's own that sleep when they have nothing to run; the caller is no CPU.
pub(in super::super) fn to_eight(
    place: &Place,
    time: Duration,
    checks: &mut Checks,
    record: &mut dyn FnMut(&Sample, u64),
) -> Result<()> {
    let machine = Machine::builder().owned(CPUS).cores(place.owned()).build()?;
    let since = Instant::now();
    loop {
        let before = machine.counts().rings;
        let sample = to_all(&machine, 1, CPUS as u32, checks);
        record(&sample, machine.counts().rings - before);
        if since.elapsed() >= time {
            return Ok(());
        }
    }
}

fn to_all(machine: &Machine, calls: u32, cpus: u32, checks: &mut Checks) -> Sample {
    let ran = Line(AtomicU32::new(0));
    let mut reached = 0;
    let sample = Sample::time(calls, || {
        for _ in 0..calls {
            // Relaxed: P4 is what makes it visible.
            let answer = machine.call_many(To::All, || _ = ran.0.fetch_add(1, Ordering::Relaxed));
            reached += answer.map_or(0, |reached| reached.ran);
        }
    });
    checks.same("P1", "a multicast reaches all", reached.into(), (calls * cpus).into());
    // Relaxed: all have answered.
    let ran = ran.0.load(Ordering::Relaxed);
    checks.same("P4", "a multicast's functions have run when it returns", ran.into(), (calls * cpus).into());
    sample
}
