//! Waiting calls on machines that nobody listens to, whose events are counted, and whose latencies are: three rows, one
//! after another in each round, so that they see the same machine.

use super::super::checks::Checks;
use super::super::stage::{CALLER, TARGET};
use super::waiting;
use crate::pace::{Pace, Place};
use anyhow::Result;
use smpcall_host::smpcall::Counts;
use smpcall_host::{Counters, Idle, Latencies, Machine, Trace};
use smpcall_measure::samples::Sample;
use std::time::{Duration, Instant};

/// How a row hands its samples on.
type Record<'a> = dyn FnMut(&Sample, u64) + 'a;

pub(super) fn off(place: &Place, time: Duration, checks: &mut Checks, record: &mut Record<'_>) -> Result<()> {
    measure(place, time, checks, record, (), |(), _| true)
}

pub(super) fn on(place: &Place, time: Duration, checks: &mut Checks, record: &mut Record<'_>) -> Result<()> {
    let all = |counters: &Counters, calls| agrees(&counters.total(), calls, 0);
    measure(place, time, checks, record, Counters::new(), all)
}

pub(super) fn stamped(
    place: &Place,
    time: Duration,
    checks: &mut Checks,
    record: &mut Record<'_>,
) -> Result<()> {
    let all = |counters: &Latencies, calls| agrees(&counters.total(), calls, calls);
    measure(place, time, checks, record, Latencies::with_latencies(), all)
}

fn agrees(counted: &Counts, calls: u64, stamped: u64) -> bool {
    let latencies = (counted.queued_ns.len(), counted.ran_ns.len());
    (counted.queued, counted.ran, latencies) == (calls, calls, (stamped, stamped))
}

/// Calls for about `time`; then asks whether the listener has heard of each.
fn measure<T: Trace>(
    place: &Place,
    time: Duration,
    checks: &mut Checks,
    record: &mut Record<'_>,
    trace: T,
    heard: impl Fn(&T, u64) -> bool,
) -> Result<()> {
    let builder = Machine::builder().owned(1).attachable(1).cores(place.owned()).idle(Idle::Poll);
    let machine = builder.trace(trace).build()?;
    let here = Place::attach(&machine, CALLER, place.caller())?;
    let pace = place.pace();
    let calls = pace.batch(waiting::CALLS);
    let (since, mut made) = (Instant::now(), 0);
    // The first sample finds everything cold.
    let mut counts = pace == Pace::Shared;
    let mut recorded = 0;
    // One sample at least, also where the first took all of the time.
    while recorded == 0 || since.elapsed() < time {
        let before = machine.counts().rings;
        let sample = waiting::calls_on(&machine, TARGET, calls, checks);
        made += u64::from(calls);
        if counts {
            record(&sample, machine.counts().rings - before);
            recorded += 1;
        }
        counts = true;
    }
    drop(here);
    // The target may be off its core between its answer and the last of its counts.
    checks.that("P12", "each call was counted", pace.wait_until(|| heard(machine.tracer(), made)));
    Ok(())
}
