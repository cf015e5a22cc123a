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

mod counts;
mod histogram;
mod left_over;

pub use self::counts::Counts;
pub use self::histogram::Histogram;
pub use self::left_over::LeftOver;

#[cfg(not(loom))]
use self::histogram::BUCKETS;
use self::histogram::{Buckets, bucket, get};
use self::left_over::Backlogs;
use crate::percpu::Line;
use crate::sync::{AtomicUsize, Ordering, const_unless_loom};
use crate::trace::{Event, EventKind};

/// What one CPU counts: a line for what its posts do, and lines for what its flushes do.
///
/// ```
/// use smpcall::CpuStats;
///
/// let counted = CpuStats::new().read();
/// assert_eq!((counted.queued, counted.ran), (0, 0));
/// ```
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
    left_over: Backlogs,
}

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
            EventKind::LeftOver { len, behind_ns, .. } => {
                step(&flushes.left_over.flushes);
                flushes.left_over.behind(len, behind_ns);
            }
            EventKind::CaughtUp { behind_ns } => {
                step(&flushes.left_over.caught_up);
                flushes.left_over.behind(0, behind_ns);
            }
            EventKind::Queue { .. } | EventKind::Entry { queued_ns: None, .. } => {}
        }
    }

    /// Returns what was counted so far.
    pub fn read(&self) -> Counts {
        let (posts, flushes) = (&*self.posts, &*self.flushes);
        Counts {
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
            left_over: flushes.left_over.read(),
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
            left_over: Backlogs::new(),
        }
    }

    #[cfg(loom)]
    fn new() -> Self {
        let empty = || core::array::from_fn(|_| AtomicUsize::new(0));
        let (ran, batches) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let left_over = Backlogs::new();
        Self { ran, batches, batch_lens: empty(), queued_ns: empty(), ran_ns: empty(), left_over }
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

/// The counters of a machine: a row for each CPU, in memory of the port's choice (an array, a boxed slice, a `&'static`
/// one), and one for threads that are no CPU.
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// # use smpcall::{Budget, Tracing, Event};
/// use smpcall::{CpuStats, Stats};
///
/// static STATS: Stats<[CpuStats; 4]> = Stats::new([const { CpuStats::new() }; 4]);
///
/// struct Port;
/// impl Tracing for Port {
///     const TRACES: bool = true;
///     fn trace(&self, event: &Event) { STATS.count(event); }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Waiting, Reporting, Topology, Tuning, Foreign, Hosting);
/// # let smp = one::machine(Port);
/// # let mut cpu = smp.as_ref().online().unwrap();
/// smp.post_detached(0, || ()).unwrap(); // by CPU 0
/// let _ = cpu.flush(Budget::DEFAULT);
/// assert_eq!(STATS.cpu(0).map(|counts| (counts.queued, counts.ran)), Some((1, 1)));
/// assert_eq!((STATS.others().queued, STATS.total().queued), (0, 1));
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
    pub fn cpu(&self, cpu: u32) -> Option<Counts> {
        self.cpus.as_ref().get(cpu as usize).map(CpuStats::read)
    }

    /// Returns what threads counted that are no CPU.
    pub fn others(&self) -> Counts {
        self.others.read()
    }

    /// Returns the sum.
    pub fn total(&self) -> Counts {
        self.cpus.as_ref().iter().fold(self.others(), |sum, cpu| sum.plus(&cpu.read()))
    }
}
