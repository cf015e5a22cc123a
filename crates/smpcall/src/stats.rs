//! Counters, ready-made (P12): a port holds a [`Stats`], and hands it each [`Event`] of its
//! [`trace`](crate::Tracing::trace).
//!
//! # Who writes what
//!
//! Each CPU has two lines. What *posters* do (posts, busies, refusals, doorbells, stalls) is counted on the CPU that does
//! it, by relaxed read-modify-writes, since an NMI may post between any two instructions of its CPU; threads that are no
//! CPU share a line of their own. What *flushes* do (batches, runs, latencies) has one writer, the CPU itself with its
//! interrupts off, which no NMI does: a load and a store, which cost next to nothing. So no count is lost. A reader sees
//! each counter at some moment of its own; when nothing is under way, they agree.
//!
//! Every access is Relaxed: counters order nothing.

use crate::percpu::Line;
use crate::sync::{AtomicUsize, Ordering, const_unless_loom};
use crate::trace::{Event, EventKind};

/// Buckets of a [`Histogram`]: up to 2^37 ns, some 137 s; the last takes what is more.
const BUCKETS: usize = 38;

/// What one CPU counts: a line for what its posts do, and lines for what its flushes do.
pub struct CpuStats {
    posts: Line<Posts>,
    flushes: Line<Flushes>,
}

/// Written by read-modify-writes.
struct Posts {
    queued: AtomicUsize,
    busy: AtomicUsize,
    refused: AtomicUsize,
    rings: AtomicUsize,
    unrung: AtomicUsize,
    saved: AtomicUsize,
    stalls: AtomicUsize,
}

/// Written by their CPU only.
struct Flushes {
    ran: AtomicUsize,
    batches: AtomicUsize,
    batch_lens: Buckets,
    queued_ns: Buckets,
    ran_ns: Buckets,
}

type Buckets = [AtomicUsize; BUCKETS];

impl CpuStats {
    const_unless_loom! {
        /// All counters at 0.
        pub fn new() -> Self {
            Self { posts: Line::new(Posts::new()), flushes: Line::new(Flushes::new()) }
        }
    }

    /// `step` counts one in what flushes write.
    #[inline(always)]
    fn count(&self, what: &EventKind, step: impl Fn(&AtomicUsize)) {
        let (posts, flushes) = (&*self.posts, &*self.flushes);
        match *what {
            EventKind::Pushed { calls, .. } => add(&posts.queued, calls as usize),
            EventKind::Busy { .. } => add(&posts.busy, 1),
            EventKind::Refused { .. } => add(&posts.refused, 1),
            EventKind::Ring { cpus, .. } => add(&posts.rings, cpus.count_ones() as usize),
            EventKind::Unrung { cpus, .. } => add(&posts.unrung, cpus.count_ones() as usize),
            EventKind::Saved { .. } => add(&posts.saved, 1),
            EventKind::Stalled { .. } => add(&posts.stalls, 1),
            EventKind::Batch { len } => {
                step(&flushes.batches);
                step(&flushes.batch_lens[bucket(len.into())]);
            }
            EventKind::Entry { queued_ns: Some(ns), .. } => step(&flushes.queued_ns[bucket(ns)]),
            EventKind::Exit { ran_ns, .. } => {
                step(&flushes.ran);
                if let Some(ns) = ran_ns {
                    step(&flushes.ran_ns[bucket(ns)]);
                }
            }
            EventKind::Queue { .. } | EventKind::Entry { queued_ns: None, .. } => {}
        }
    }

    /// Returns what was counted so far.
    pub fn read(&self) -> Counted {
        let (posts, flushes) = (&*self.posts, &*self.flushes);
        Counted {
            queued: get(&posts.queued),
            busy: get(&posts.busy),
            refused: get(&posts.refused),
            rings: get(&posts.rings),
            unrung: get(&posts.unrung),
            saved: get(&posts.saved),
            stalls: get(&posts.stalls),
            ran: get(&flushes.ran),
            batches: get(&flushes.batches),
            batch_lens: Histogram::of(&flushes.batch_lens),
            queued_ns: Histogram::of(&flushes.queued_ns),
            ran_ns: Histogram::of(&flushes.ran_ns),
        }
    }
}

impl core::fmt::Debug for CpuStats {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.read().fmt(f)
    }
}

impl Default for CpuStats {
    fn default() -> Self {
        Self::new()
    }
}

impl Posts {
    const_unless_loom! {
        fn new() -> Self {
            Self {
                queued: AtomicUsize::new(0),
                busy: AtomicUsize::new(0),
                refused: AtomicUsize::new(0),
                rings: AtomicUsize::new(0),
                unrung: AtomicUsize::new(0),
                saved: AtomicUsize::new(0),
                stalls: AtomicUsize::new(0),
            }
        }
    }
}

impl Flushes {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self {
            ran: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
            batch_lens: [const { AtomicUsize::new(0) }; BUCKETS],
            queued_ns: [const { AtomicUsize::new(0) }; BUCKETS],
            ran_ns: [const { AtomicUsize::new(0) }; BUCKETS],
        }
    }

    #[cfg(loom)]
    fn new() -> Self {
        let empty = || core::array::from_fn(|_| AtomicUsize::new(0));
        let (ran, batches) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { ran, batches, batch_lens: empty(), queued_ns: empty(), ran_ns: empty() }
    }
}

fn add(counter: &AtomicUsize, more: usize) {
    // Relaxed: a count; a read-modify-write, since an NMI may count as well.
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Only for the one writer of the counter.
fn step(counter: &AtomicUsize) {
    // Relaxed: a count, and nobody else writes it.
    let count = counter.load(Ordering::Relaxed);
    // Relaxed: as above.
    counter.store(count.wrapping_add(1), Ordering::Relaxed);
}

fn get(counter: &AtomicUsize) -> u64 {
    // Relaxed: a count.
    counter.load(Ordering::Relaxed) as u64
}

/// The place of a value: 0 for 0 and 1, else the power of two that it has reached.
fn bucket(value: u64) -> usize {
    (value.max(1).ilog2() as usize).min(BUCKETS - 1)
}

/// The counters of a machine: a row for each CPU, in memory of the port's choice (an array, a boxed slice, a `&'static`
/// one), and one for threads that are no CPU.
///
/// ```
/// use smpcall::{CpuStats, Stats};
///
/// static STATS: Stats<[CpuStats; 4]> = Stats::new([const { CpuStats::new() }; 4]);
/// // In the port: `fn trace(&self, event: &Event) { STATS.count(event); }`
/// assert_eq!(STATS.total().queued, 0);
/// ```
#[derive(Debug)]
pub struct Stats<S> {
    cpus: S,
    others: CpuStats,
}

impl<S> Stats<S> {
    const_unless_loom! {
        /// Makes counters for as many CPUs as there are rows.
        pub fn new(cpus: S) -> Self {
            Self { cpus, others: CpuStats::new() }
        }
    }
}

impl<S: AsRef<[CpuStats]>> Stats<S> {
    /// Counts one event. What is done by a CPU without a row is counted with the threads that are no CPU.
    ///
    /// Context: as for [`Tracing::trace`](crate::Tracing::trace). Progress: wait-free.
    #[inline]
    pub fn count(&self, event: &Event) {
        match event.by.and_then(|cpu| self.cpus.as_ref().get(cpu as usize)) {
            Some(row) => row.count(&event.kind, step),
            // CPUs without a row share this one, so that nothing in it has one writer.
            None => self.others.count(&event.kind, |counter| add(counter, 1)),
        }
    }

    /// Returns what that CPU counted; `None` if it has no row.
    pub fn cpu(&self, cpu: u32) -> Option<Counted> {
        self.cpus.as_ref().get(cpu as usize).map(CpuStats::read)
    }

    /// Returns what threads counted that are no CPU.
    pub fn others(&self) -> Counted {
        self.others.read()
    }

    /// Returns the sum.
    pub fn total(&self) -> Counted {
        self.cpus.as_ref().iter().fold(self.others(), |sum, cpu| sum.plus(&cpu.read()))
    }
}

/// What was counted up to some moment. On a 32-bit machine the counts go round at 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// Calls that were queued: posts that were accepted, waiting calls, and each target of a multicast.
    pub queued: u64,
    /// Posts that were told Busy.
    pub busy: u64,
    /// Refusals of targets that were offline; a chain's counts once.
    pub refused: u64,
    /// Doorbells sent.
    pub rings: u64,
    /// Those of them that the port said could not be sent.
    pub unrung: u64,
    /// Pushes that needed none.
    pub saved: u64,
    /// Stall reports.
    pub stalls: u64,
    /// Calls that were run, or found cancelled.
    pub ran: u64,
    /// Batches that flushes took.
    pub batches: u64,
    /// How many calls were in a batch.
    pub batch_lens: Histogram,
    /// How long calls were queued, in ns; only where the port stamps.
    pub queued_ns: Histogram,
    /// How long functions ran, in ns; only where the port stamps.
    pub ran_ns: Histogram,
}

impl Counted {
    fn plus(mut self, more: &Self) -> Self {
        self.queued += more.queued;
        self.busy += more.busy;
        self.refused += more.refused;
        self.rings += more.rings;
        self.unrung += more.unrung;
        self.saved += more.saved;
        self.stalls += more.stalls;
        self.ran += more.ran;
        self.batches += more.batches;
        self.batch_lens.add(&more.batch_lens);
        self.queued_ns.add(&more.queued_ns);
        self.ran_ns.add(&more.ran_ns);
        self
    }
}

impl core::fmt::Display for Counted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { queued, busy, refused, rings, unrung, saved, stalls, ran, batches, .. } = self;
        write!(
            f,
            "{queued} queued, {ran} ran, {busy} busy, {refused} refused, {rings} doorbells, {saved} saved, "
        )?;
        write!(f, "{batches} batches")?;
        for (name, histogram) in
            [("batch", &self.batch_lens), ("queued ns", &self.queued_ns), ("ran ns", &self.ran_ns)]
        {
            if let (Some(p50), Some(p99)) = (histogram.below(500), histogram.below(990)) {
                write!(f, ", {name} p50 < {p50} p99 < {p99}")?;
            }
        }
        if *unrung > 0 {
            write!(f, ", {unrung} doorbells failed")?;
        }
        write!(f, ", {stalls} stalls")
    }
}

/// How often a value came, by powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram([u64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Histogram {
    fn of(buckets: &Buckets) -> Self {
        Self(core::array::from_fn(|at| get(&buckets[at])))
    }

    fn add(&mut self, more: &Self) {
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
