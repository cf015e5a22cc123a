//! A block: one contestant alone on the two cores for a moment, set up for it and taken down after it.

use crate::counting::allocations;
use anyhow::{Result, ensure};
use smpcall_measure::pace::Place;
use smpcall_measure::samples::{Sample, Samples};
use std::time::{Duration, Instant};

/// Samples that are not counted, since everything is cold; fewer where they take longer than the visit.
const WARM_UP: u32 = 3;

/// Where and for how long a block runs.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) place: Place,
    pub(crate) time: Duration,
}

/// What a block came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// The median, in ns a call.
    pub(crate) ns: f64,
    /// A call; not counted where each call is timed.
    pub(crate) allocations: Option<f64>,
    pub(crate) tail: Option<Tail>,
}

/// What single calls came to, where each is timed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) p99_ns: f64,
    pub(crate) p999_ns: f64,
    /// Calls of the caller that got most over those of the one that got least; infinite if one got none.
    pub(crate) fairness: f64,
    pub(crate) calls_per_s: f64,
}

impl Block {
    /// A floor's median, which needs no more.
    pub(crate) fn of_floor(ns: f64) -> Self {
        Self { ns, allocations: None, tail: None }
    }
}

/// What a sample consists of.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// So many calls back to back; fewer in a visit that is over in less than a microsecond for each.
    Batch(u32),
    /// So many posts, of which the last is waited for.
    Flood(u32),
    /// One call, after the target was left alone for long enough to fall asleep.
    AfterRest,
    /// One call, after a rest that outlasts a receiver that spins or yields for a while first.
    AfterLongRest,
}

/// How many rests a long one is.
const LONG: u32 = 40;

impl Visit {
    /// Takes samples for the visit's time: `run` makes so many calls, and says how many were answered rightly.
    pub(crate) fn measure(&self, shape: Shape, mut run: impl FnMut(u32) -> u32) -> Result<Block> {
        let pace = self.place.pace();
        let calls = match shape {
            Shape::Batch(calls) => pace.batch(calls.min(self.time.as_micros() as u32).max(1)),
            Shape::Flood(posts) => posts,
            Shape::AfterRest | Shape::AfterLongRest => 1,
        };
        let mut sample = || {
            let rests = match shape {
                Shape::Batch(_) | Shape::Flood(_) => 0,
                Shape::AfterRest => 1,
                Shape::AfterLongRest => LONG,
            };
            (0..rests).for_each(|_| pace.settle());
            let mut right = 0;
            let sample = Sample::time(calls, || right = run(calls));
            ensure!(right == calls, "{} of {calls} calls were answered wrongly or not at all", calls - right);
            Ok(sample)
        };
        let since = Instant::now();
        for warmed in 0..WARM_UP {
            // Where all others want the cores as well, one has to do.
            if warmed > 0 && since.elapsed() > self.time {
                break;
            }
            sample()?;
        }
        let mut samples = Samples::new();
        let since = Instant::now();
        while samples.is_empty() || since.elapsed() < self.time {
            samples.record(&sample()?);
        }
        let mut last = Ok(Sample::default());
        let allocations = allocations(|| last = sample());
        last?;
        let allocations = Some(allocations as f64 / f64::from(calls));
        Ok(Block { ns: samples.percentile_ns(50.0), allocations, tail: None })
    }
}
