//! Two CPUs that call each other at the same time: each serves the other's calls while it waits for its own (P10).

use super::super::checks::Checks;
use super::super::stage::{CALLER, TARGET};
use crate::pace::{Line, Pace, Place, linger_until};
use crate::threads::spawn;
use anyhow::{Result, ensure};
use smpcall_host::smpcall::Budget;
use smpcall_host::{Attached, Machine};
use smpcall_measure::samples::Sample;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CALLS: u32 = 64;
/// Tells the other CPU to end.
const STOP: u32 = u32::MAX;

/// How the two keep in step: both words count rounds.
#[derive(Default)]
struct Rounds {
    begun: Line<AtomicU32>,
    /// By the other CPU; [`STOP`] if it could not begin.
    done: Line<AtomicU32>,
    /// How many of its calls were answered rightly.
    right: Line<AtomicU32>,
}

/// Ends the other CPU, also when this one is at an error.
struct Stop<'a>(&'a Rounds);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // Release: nothing is published with it.
        self.0.begun.0.store(STOP, Ordering::Release);
    }
}

/// Takes samples for about `time`; each is this CPU's calls of a round, while the other makes as many.
pub(in super::super) fn measure(
    place: &Place,
    time: Duration,
    checks: &mut Checks,
    record: &mut dyn FnMut(&Sample, u64),
) -> Result<()> {
    let machine = &Machine::builder().attachable(2).build()?;
    let pace = place.pace();
    let rounds = Rounds::default();
    thread::scope(|scope| {
        let other = spawn(scope, || other(machine, place, &rounds))?;
        let stop = Stop(&rounds);
        let mut here = Place::attach(machine, CALLER, place.caller())?;
        here.poll_begin();
        ensure!(
            serve_until(&mut here, pace, || machine.is_online_racy(TARGET)),
            "the other CPU did not come online"
        );
        let since = Instant::now();
        let calls = pace.batch(CALLS);
        for round in 1.. {
            let before = machine.counts().rings;
            // Release: nothing is published with it.
            rounds.begun.0.store(round, Ordering::Release);
            let mut right = 0;
            let sample = Sample::time(calls, || right = call_each(machine, TARGET, calls));
            // Acquire: shows the other's count.
            let done = serve_until(&mut here, pace, || rounds.done.0.load(Ordering::Acquire) == round);
            // Relaxed: published with `done`.
            right += rounds.right.0.load(Ordering::Relaxed);
            checks.that("P10", "two CPUs that call each other both finish", done);
            checks.all("P4", "calls both ways give back their results", right.into(), (2 * calls).into());
            // The first finds everything cold.
            if round > 1 || pace == Pace::Shared {
                record(&sample, machine.counts().rings - before);
            }
            if !done || (round > 1 && since.elapsed() >= time) {
                break;
            }
        }
        drop(stop);
        // The other may be at its last calls to us.
        serve_until(&mut here, pace, || other.is_finished());
        other.join().expect("the other CPU does not panic")
    })
}

/// What the other CPU does: the same.
fn other(machine: &Machine, place: &Place, rounds: &Rounds) -> Result<()> {
    let pace = place.pace();
    let mut here = Place::attach(machine, TARGET, place.target())?;
    here.poll_begin();
    let mut last = 0;
    loop {
        // Acquire: nothing hangs on it.
        serve_until(&mut here, pace, || rounds.begun.0.load(Ordering::Acquire) != last);
        // Acquire: as above.
        last = rounds.begun.0.load(Ordering::Acquire);
        if last == STOP {
            return Ok(());
        }
        let right = call_each(machine, CALLER, pace.batch(CALLS));
        // Relaxed: published by the next store.
        rounds.right.0.store(right, Ordering::Relaxed);
        // Release: publishes the count.
        rounds.done.0.store(last, Ordering::Release);
    }
}

/// Waits like a CPU: with an eye on its queue.
fn serve_until(here: &mut Attached<'_>, pace: Pace, done: impl Fn() -> bool) -> bool {
    let look = || {
        // `More` needs no answer: we look again.
        let _ = here.poll(Budget::DEFAULT);
        done()
    };
    match pace {
        Pace::Apart => linger_until(look),
        Pace::Shared => pace.wait_until(look),
    }
}

fn call_each(machine: &Machine, cpu: u32, calls: u32) -> u32 {
    (0..calls).map(|number| u32::from(machine.call(cpu, || black_box(number) + 1) == Ok(number + 1))).sum()
}
