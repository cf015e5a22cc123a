//! Samples of one row or one floor, and their percentiles.

use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Picoseconds: a call of a few ns, averaged over many, differs from the next one by less than one.
const UNIT_PER_NS: f64 = 1000.0;
/// The longest sample, in picoseconds: longer ones count as this.
const LONGEST: u64 = 1_000_000_000_000_000;

/// What one sample came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// How many calls it was.
    pub calls: u32,
    /// How long all of them took.
    pub elapsed: Duration,
    /// How many of the calls were told Busy.
    pub busy: u32,
}

impl Sample {
    /// Times `calls` calls, which `run` makes.
    #[inline]
    pub fn time(calls: u32, run: impl FnOnce()) -> Self {
        let started = Instant::now();
        run();
        Self { calls, elapsed: started.elapsed(), busy: 0 }
    }
}

/// A histogram of ns per call.
#[derive(Debug)]
pub struct Samples(Histogram<u64>);

impl Default for Samples {
    fn default() -> Self {
        Self::new()
    }
}

impl Samples {
    /// None yet.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("constant bounds"))
    }

    /// Takes one more.
    pub fn record(&mut self, sample: &Sample) {
        let ns = sample.elapsed.as_nanos() as f64 / f64::from(sample.calls.max(1));
        self.0.saturating_record(((ns * UNIT_PER_NS) as u64).max(1));
    }

    /// Takes those of another.
    pub fn add(&mut self, others: &Self) {
        // Both have the same bounds.
        self.0.add(&others.0).expect("it has room for what the other has");
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fastest, in ns a call.
    pub fn min_ns(&self) -> f64 {
        ns(self.0.min())
    }

    /// So many percent of the samples took no longer, in ns a call.
    pub fn percentile_ns(&self, percent: f64) -> f64 {
        ns(self.0.value_at_quantile(percent / 100.0))
    }
}

/// In ns, to a tenth: what is printed is what is written to the file.
fn ns(units: u64) -> f64 {
    round(units as f64 / UNIT_PER_NS, 1)
}

/// Rounds to so many decimals.
pub fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_per_call() {
        let mut samples = Samples::new();
        for calls_ns in 1..=100 {
            samples.record(&Sample { calls: 10, elapsed: Duration::from_nanos(10 * calls_ns), busy: 0 });
        }
        assert_eq!((samples.min_ns(), samples.percentile_ns(50.0)), (1.0, 50.0));
        let mut both = Samples::new();
        both.record(&Sample { calls: 1, elapsed: Duration::from_nanos(1_000), busy: 0 });
        both.add(&samples);
        // Three digits.
        assert!(both.min_ns() == 1.0 && (both.percentile_ns(100.0) - 1_000.0).abs() <= 1.0, "{both:?}");
        assert_eq!(round(2.0 / 3.0, 2), 0.67);
    }
}
