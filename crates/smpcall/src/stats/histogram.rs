//! How often a value came.

use crate::sync::{AtomicUsize, Ordering};

/// Buckets of a [`Histogram`]: up to 2^37 ns, some 137 s; the last takes what is more.
pub(super) const BUCKETS: usize = 38;

pub(super) type Buckets = [AtomicUsize; BUCKETS];

/// How often a value came, by powers of two.
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// # use smpcall::{Budget, CpuStats, Event, Stats, Tracing};
/// struct Port(Stats<[CpuStats; 1]>);
/// impl Tracing for Port {
///     const TRACES: bool = true;
///     fn trace(&self, event: &Event) { self.0.count(event); }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Waiting, Reporting, Topology, Tuning, Foreign, Hosting);
/// # let smp = one::machine(Port(Stats::new([CpuStats::new()])));
/// # let mut cpu = smp.as_ref().online().unwrap();
/// (0..3).for_each(|_| smp.post_detached(0, || ()).unwrap());
/// let _ = cpu.flush(Budget::DEFAULT);
///
/// let lens = smp.platform().0.total().batch_lens;
/// assert!(!lens.is_empty() && lens.len() == 1); // one batch,
/// assert_eq!(lens.buckets()[1], 1); // of 2 calls or 3,
/// assert_eq!(lens.below(500), Some(4)); // and so is the median
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram([u64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Histogram {
    pub(super) fn of(buckets: &Buckets) -> Self {
        Self(core::array::from_fn(|at| get(&buckets[at])))
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.0.iter_mut().zip(more.0).for_each(|(sum, more)| *sum += more);
    }

    /// The counts: of values below 2, below 4, and so on, each without those before; the last has no upper end.
    pub fn buckets(&self) -> &[u64] {
        &self.0
    }

    /// How many values were counted.
    pub fn len(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A power of two below which at least `per_mille` of 1,000 values are; `None` if there are no values.
    pub fn below(&self, per_mille: u32) -> Option<u64> {
        let want = (self.len() * u64::from(per_mille.min(1000))).div_ceil(1000).max(1);
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += count;
            seen >= want
        };
        self.0.iter().position(reaches).map(|at| 2 << at)
    }
}

pub(super) fn get(counter: &AtomicUsize) -> u64 {
    // Relaxed: a count.
    counter.load(Ordering::Relaxed) as u64
}

/// The bucket of a value: 0 for 0 and 1, else the power of two that it has reached.
pub(super) fn bucket(value: u64) -> usize {
    (value.max(1).ilog2() as usize).min(BUCKETS - 1)
}
