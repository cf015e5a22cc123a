//! Many callers of one target on the cores, each call timed by itself: how long the slowest take, and who gets how many.
//!
//! Caller `n` is kept on core `n` round the cores, the target on the second; so from two callers on some share the target's core.

mod crossed;
mod thousand;

pub(crate) use crossed::{crossbeam as crossed_crossbeam, ours as crossed_ours};
pub(crate) use thousand::{FEW, MANY, Target, beside};

use crate::block::{Block, Tail, Visit};
use crate::unpark::{self, Before, Caller};
use crate::work::KEY;
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use smpcall_host::{Idle, Machine};
use smpcall_measure::pace::{Line, pin};
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Calls of each caller that are not counted.
const WARM_UP: u32 = 3;
/// Of the longest call, in ns: longer ones count as this.
const LONGEST: u64 = 60_000_000_000;

/// What one caller has seen.
pub(crate) type Seen = Histogram<u64>;

/// Calls until the end, one at least, each timed by itself. `call` is told a number and says whether it was answered rightly.
pub(crate) fn call_until(end: Instant, mut call: impl FnMut(u32) -> bool) -> Result<Seen> {
    let mut seen = Seen::new_with_bounds(1, LONGEST, 3).expect("constant bounds");
    for number in 0.. {
        let began = Instant::now();
        let right = call(number);
        let took = began.elapsed();
        ensure!(right, "a call was answered wrongly or not at all");
        seen.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LONGEST).max(1));
        if began + took >= end {
            break;
        }
    }
    Ok(seen)
}

/// Where threads wait for each other before they call.
#[derive(Default)]
pub(crate) struct Gate {
    here: Line<AtomicU32>,
    /// When all end; none if one of them could not be started.
    end: OnceLock<Option<Instant>>,
}

impl Gate {
    /// Waits for the others; when all are here, says when the time is over. To be called by each, whatever it has to complain of.
    pub(crate) fn pass(&self) -> Result<Instant> {
        // Relaxed: a count; `end` publishes.
        self.here.0.fetch_add(1, Ordering::Relaxed);
        self.end.wait().context("a thread could not be started")
    }

    /// Opens when so many are here; at once, for them to end, if one is not coming.
    fn open(&self, threads: Option<u32>, time: Duration) {
        // Relaxed: as above.
        while threads.is_some_and(|threads| self.here.0.load(Ordering::Relaxed) < threads) {
            thread::yield_now();
        }
        self.end.get_or_init(|| threads.map(|_| Instant::now() + time));
    }
}

/// Runs `body` in so many threads, told its number and its core, and adds up what they saw, and how long that took.
fn all_at_once(
    visit: &Visit,
    threads: u32,
    body: impl Fn(u32, Option<usize>, &Gate) -> Result<(Seen, Duration)> + Sync,
) -> Result<Block> {
    let gate = &Gate::default();
    thread::scope(|scope| {
        let one = |number: u32| {
            let body = &body;
            let core = visit.place.cores.get(number as usize % visit.place.cores.len().max(1)).copied();
            thread::Builder::new().spawn_scoped(scope, move || body(number, core, gate))
        };
        let started: Result<Vec<_>, _> = (0..threads).map(one).collect();
        gate.open(started.as_ref().ok().map(|_| threads), visit.time);
        let joined = started?.into_iter().map(|thread| thread.join().expect("a caller does not panic"));
        let (all, times): (Vec<_>, Vec<_>) = joined.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(together(&all, times.into_iter().max().context("there are callers")?))
    })
}

/// What all callers have seen together.
pub(crate) fn together(all: &[Seen], time: Duration) -> Block {
    let mut sum = Seen::new_with_bounds(1, LONGEST, 3).expect("constant bounds");
    for seen in all {
        sum.add(seen).expect("the same bounds");
    }
    let calls = || all.iter().map(|seen| seen.len() as f64);
    let (most, least) = (calls().fold(0.0, f64::max), calls().fold(f64::INFINITY, f64::min));
    let at = |quantile| sum.value_at_quantile(quantile) as f64;
    let tail = Tail {
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        fairness: most / least,
        calls_per_s: sum.len() as f64 / time.as_secs_f64(),
    };
    Block { ns: at(0.5), allocations: None, tail: Some(tail) }
}

/// So many threads that call at once; `caller` makes what one of them calls by, in its thread.
fn crowd<C: FnMut(u32) -> bool>(visit: &Visit, callers: u32, caller: impl Fn() -> C + Sync) -> Result<Block> {
    all_at_once(visit, callers, |_, core, gate| {
        let pinned = pin(core);
        let mut call = caller();
        let warm = (0..WARM_UP).all(&mut call);
        let end = gate.pass()?;
        pinned?;
        ensure!(warm, "a call was answered wrongly or not at all");
        let began = Instant::now();
        Ok((call_until(end, call)?, began.elapsed()))
    })
}

fn ours(visit: &Visit, callers: u32, idle: Idle) -> Result<Block> {
    let machine = Machine::builder().owned(1).cores(visit.place.owned()).idle(idle).build()?;
    let call = |number: u32| machine.call(0, move || black_box(number) ^ KEY) == Ok(number ^ KEY);
    crowd(visit, callers, || &call)
}

fn crossbeam(visit: &Visit, callers: u32, idle: unpark::Idle) -> Result<Block> {
    unpark::beside(visit, idle, |target| {
        crowd(visit, callers, || {
            let (caller, target) = (Caller::new(Before::Backoff), target.clone());
            move |number| caller.call(&target, number, || false)
        })
    })
}

pub(crate) fn ours_polling(visit: &Visit, callers: u32) -> Result<Block> {
    ours(visit, callers, Idle::Poll)
}

pub(crate) fn ours_parked(visit: &Visit, callers: u32) -> Result<Block> {
    ours(visit, callers, Idle::Sleep)
}

pub(crate) fn crossbeam_polling(visit: &Visit, callers: u32) -> Result<Block> {
    crossbeam(visit, callers, unpark::Idle::Poll)
}

pub(crate) fn crossbeam_parked(visit: &Visit, callers: u32) -> Result<Block> {
    crossbeam(visit, callers, unpark::Idle::Park(Before::Backoff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_the_most_over_the_least_served() {
        let seen = |calls: u64| {
            let mut seen = Seen::new_with_bounds(1, LONGEST, 3).expect("constant bounds");
            seen.record_n(100, calls).expect("in bounds");
            seen
        };
        let block = together(&[seen(10), seen(40)], Duration::from_secs(2));
        let tail = block.tail.expect("each call was timed");
        assert_eq!((block.ns, tail.p999_ns, tail.fairness, tail.calls_per_s), (100.0, 100.0, 4.0, 25.0));
    }
}
