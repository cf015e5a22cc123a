//! What it costs between each two cores. For each ordered pair there is a machine of its own: its one thread on the target's core, this
//! thread on the caller's; first with a target that polls, then with one that sleeps.
//!
//! Of more than [`CORES_SHOWN_MAX`] cores as many are taken, spread evenly: pairs grow with the square.

use crate::output::progress;
use crate::pace::Pace;
use anyhow::{Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use smpcall_host::{Cores, Idle, Machine};
use smpcall_measure::floor::{Against, Between, Floor};
use smpcall_measure::samples::{Sample, Samples, round};
use smpcall_report::data::{CORES_SHOWN_MAX, Pair};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// For how long a pair is measured in each state of its target.
const EACH: Duration = Duration::from_millis(10);
const CALLS: u32 = 64;
/// Also where that takes longer, as between cores that others use.
const SAMPLES_MIN: u32 = 15;

/// Each pair; and how often in a second one of the two threads was taken off its core for another thread.
pub(super) fn measure(cores: &[usize]) -> Result<(Vec<Pair>, f64)> {
    let cores = spread(cores);
    let both = cores.iter().flat_map(|from| cores.iter().map(move |to| (*from, *to)));
    let both: Vec<_> = both.filter(|(from, to)| from != to).collect();
    let bar = progress(both.len() as u64, "pairs of cores");
    let (since, before) = (Instant::now(), preempted()?);
    let mut pairs = Vec::new();
    for (from, to) in both {
        pairs.push(pair(from, to)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let switches = preempted()? - before;
    Ok((pairs, round(switches as f64 / since.elapsed().as_secs_f64().max(1e-3), 1)))
}

/// As many of them as are shown, spread evenly.
fn spread(cores: &[usize]) -> Vec<usize> {
    let shown = cores.len().min(CORES_SHOWN_MAX);
    (0..shown).map(|at| cores[at * cores.len() / shown]).collect()
}

/// How often a thread of this process was taken off its core while it could have gone on.
fn preempted() -> Result<i64> {
    Ok(getrusage(UsageWho::RUSAGE_SELF)?.involuntary_context_switches())
}

fn pair(from: usize, to: usize) -> Result<Pair> {
    let mut floor = Floor::new();
    let [mut polling, mut parked] = [Samples::new(), Samples::new()];
    for idle in [Idle::Poll, Idle::Sleep] {
        let machine =
            Machine::builder().owned(1).attachable(1).cores(Cores::These(vec![to])).idle(idle).build()?;
        let here = machine.attach_pinned(1, from)?;
        let between = Between { machine: &machine, target: 0, pace: Pace::Apart };
        // The first sample finds everything cold.
        call(&machine, CALLS)?;
        let (since, mut taken) = (Instant::now(), 0);
        while taken < SAMPLES_MIN || since.elapsed() < EACH {
            if idle == Idle::Poll {
                floor.sample_polling(&between)?;
                polling.record(&call(&machine, CALLS)?);
            } else {
                floor.sample_parked(&between)?;
                between.pace.settle();
                parked.record(&call(&machine, 1)?);
            }
            taken += 1;
        }
        drop(here);
    }
    Ok(Pair {
        from,
        to,
        line_ns: floor.ns(Against::CacheLine),
        call_ns: polling.percentile_ns(50.0),
        futex_ns: floor.ns(Against::Futex),
        doorbell_ns: parked.percentile_ns(50.0),
    })
}

/// So many waiting calls in one sample, each answer checked.
fn call(machine: &Machine, calls: u32) -> Result<Sample> {
    let mut right = 0;
    let sample = Sample::time(calls, || {
        for number in 0..calls {
            right += u32::from(machine.call(0, move || black_box(number) + 1) == Ok(number + 1));
        }
    });
    ensure!(right == calls, "{} of {calls} calls gave back something else (P4)", calls - right);
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_cores_some_are_taken_evenly() {
        assert_eq!(spread(&[]), [] as [usize; 0]);
        assert_eq!(spread(&[3, 5]), [3, 5]);
        let some = spread(&(0..96).collect::<Vec<_>>());
        assert_eq!((some.len(), some[0], some[1], some[CORES_SHOWN_MAX - 1]), (CORES_SHOWN_MAX, 0, 4, 92));
    }
}
