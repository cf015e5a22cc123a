//! Who listens to a machine's tracepoints: chosen by type, so that a machine nobody listens to has none.

use smpcall::{Counts, CpuStats, Event, Stats};
use std::sync::Arc;

/// A listener.
///
/// ```
/// use smpcall_host::{Machine, Trace, smpcall::{Event, EventKind}};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// /// How many functions each CPU has run.
/// #[derive(Default)]
/// struct Runs(Vec<AtomicUsize>);
/// impl Trace for Runs {
///     fn begin(&mut self, cpus: usize) { self.0.resize_with(cpus, AtomicUsize::default); }
///     fn trace(&self, event: &Event) {
///         if let (EventKind::Exit { .. }, Some(cpu)) = (&event.kind, event.by) {
///             self.0[cpu as usize].fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let machine = Machine::builder().owned(2).trace(Runs::default()).build()?;
/// machine.call(1, || ())?;
/// machine.shutdown()?; // what it has run is counted
/// assert_eq!(machine.tracer().0[1].load(Ordering::Relaxed), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Trace: Send + Sync + 'static {
    /// Whether it listens. If not, no instruction is spent on it.
    const TRACES: bool = true;
    /// Whether it wants latencies: three readings of the clock a call.
    const STAMPS: bool = false;

    /// Is told how many CPUs the machine has, before it starts.
    fn begin(&mut self, cpus: usize) {
        let _ = cpus;
    }

    /// Is told what happened.
    ///
    /// Context: the machine's threads and all that call or post, in any context, signal handlers included; on a CPU, call context.
    /// Must not post to the same machine, nor wait. A panic is caught and [counted](crate::Counts::panics).
    fn trace(&self, event: &Event);
}

/// Nobody listens.
impl Trace for () {
    const TRACES: bool = false;

    fn trace(&self, _event: &Event) {}
}

/// A listener that others hold as well. If they do so when the machine starts, it is not told of the CPUs.
impl<T: Trace> Trace for Arc<T> {
    const TRACES: bool = T::TRACES;
    const STAMPS: bool = T::STAMPS;

    fn begin(&mut self, cpus: usize) {
        if let Some(alone) = Self::get_mut(self) {
            alone.begin(cpus);
        }
    }

    #[inline]
    fn trace(&self, event: &Event) {
        (**self).trace(event);
    }
}

/// Counters for every CPU, and one row for threads that are none.
///
/// ```
/// use smpcall_host::{Latencies, Machine};
///
/// let machine = Machine::builder().owned(1).trace(Latencies::with_latencies()).build()?;
/// machine.call(0, || ())?; // by a thread that is no CPU
/// machine.shutdown()?;
/// let counters = machine.tracer();
/// assert_eq!(counters.others().queued, 1);
/// let ran = counters.cpu(0).expect("it has one CPU");
/// assert_eq!((ran.ran, ran.ran_ns.len()), (1, 1)); // and how long it took
/// assert_eq!(counters.total().queued, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Counters<const STAMPS: bool = false>(Stats<Box<[CpuStats]>>);

/// As [`Counters`], with latencies.
pub type Latencies = Counters<true>;

impl Counters {
    /// Counters at 0, without latencies.
    ///
    /// Example: [`Builder::trace`](crate::Builder::trace).
    pub fn new() -> Self {
        Self(Stats::new(Box::default()))
    }
}

impl Latencies {
    /// Counters at 0, with latencies.
    ///
    /// Example: [`Counters`].
    pub fn with_latencies() -> Self {
        Self(Stats::new(Box::default()))
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl<const STAMPS: bool> Counters<STAMPS> {
    /// Returns what that CPU counted; `None` if there is none of that number.
    ///
    /// Example: [`Counters`].
    pub fn cpu(&self, cpu: u32) -> Option<Counts> {
        self.0.cpu(cpu)
    }

    /// Returns what threads counted that are no CPU.
    ///
    /// Example: [`Counters`].
    pub fn others(&self) -> Counts {
        self.0.others()
    }

    /// Returns the sum.
    ///
    /// Example: [`Counters`].
    pub fn total(&self) -> Counts {
        self.0.total()
    }
}

impl<const STAMPS: bool> Trace for Counters<STAMPS> {
    const STAMPS: bool = STAMPS;

    fn begin(&mut self, cpus: usize) {
        self.0 = Stats::new(std::iter::repeat_with(CpuStats::new).take(cpus).collect());
    }

    #[inline]
    fn trace(&self, event: &Event) {
        self.0.count(event);
    }
}
