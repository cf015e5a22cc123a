//! How a machine is described and started.

use super::end::Ends;
use super::options::{BuildError, Cores, Idle};
use super::placement::Placement;
use super::seats::Seats;
use super::start::{Place, Threads, start};
use super::{Machine, Shared};
use crate::affinity::allowed_cores;
use crate::allowance::Allowance;
use crate::port::Host;
use crate::spin::Waits;
use crate::stalls::{Stalls, nanos};
use crate::trace::Trace;
use smpcall::{CallStall, CpuCountError, PerCpu, QueueStall};
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A machine to be.
#[must_use]
pub struct Builder<T = ()> {
    owned: usize,
    attachable: usize,
    idle: Option<Idle>,
    cores: Cores,
    threads: Threads,
    stalls: Stalls,
    trace: T,
}

impl<T> std::fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("owned", &self.owned)
            .field("attachable", &self.attachable)
            .field("idle", &self.idle)
            .field("cores", &self.cores)
            .field("stack_size", &self.threads.stack_size)
            .field("stalls", &self.stalls)
            .finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            owned: 0,
            attachable: 0,
            idle: None,
            cores: Cores::Auto,
            threads: Threads::new(),
            stalls: Stalls::new(),
            trace: (),
        }
    }
}

impl<T: Trace> Builder<T> {
    /// CPUs 0 to `cpus` − 1 are threads of the machine's own. None, unless told.
    ///
    /// How many: at most one less than [the process may use cores](crate::process_cores), if threads that are no CPUs call them;
    /// then each CPU has a core, and one is left for the callers. With as many CPUs as cores a caller always shares one with a
    /// CPU, which cannot answer before the caller sleeps, nor the caller go on while the CPU polls; so the CPUs are not pinned
    /// then, and sleep when they have nothing to do, unless told. On two cores that others used as well, with two CPUs and one
    /// caller, a [`call_many`](smpcall::Smp::call_many) to both after a pause took 0.5 of the time that it took with CPUs that
    /// were pinned and polled, and 0.8 of that with pinned ones that slept (medians of five runs); back to back 1.1 and 0.5, and
    /// at the 90th percentile 0.2 and 0.45. Where all callers are CPUs themselves, as in a thread-per-core program, own (or let
    /// attach) as many as there are cores, and pin them: [`Cores::Spread`], [`Idle::PollThenSleep`].
    ///
    /// More for functions that block: see [`Machine`].
    ///
    /// Example: [`Builder::idle`].
    pub fn owned(mut self, cpus: usize) -> Self {
        self.owned = cpus;
        self
    }

    /// The next `cpus` CPUs are for existing threads to attach to. None, unless told.
    ///
    /// Example: [`Machine::attach`](crate::Machine::attach).
    pub fn attachable(mut self, cpus: usize) -> Self {
        self.attachable = cpus;
        self
    }

    /// What its own threads do when they have nothing to run. Unless told, they poll for 50 µs and then sleep if each has a
    /// core, and one is left for others; else they sleep at once. If told to poll for a while, they sleep at once all the same
    /// where two of them are kept on one core, or the process has but one, or no more than one core's time (a cgroup's quota);
    /// and whenever a caller waits on their core.
    ///
    /// ```
    /// use smpcall_host::{Cores, Idle, Machine};
    /// use std::time::Duration;
    ///
    /// // A thread-per-core program, whose callers are CPUs themselves.
    /// let machine = Machine::builder()
    ///     .owned(2)
    ///     .cores(Cores::Spread)
    ///     .idle(Idle::PollThenSleep(Duration::from_micros(100)))
    ///     .thread_name(|cpu| format!("shard-{cpu}"))
    ///     .stack_size(256 * 1024)
    ///     .build()?;
    /// let name = machine.call(1, || std::thread::current().name().map(str::to_owned))?;
    /// assert_eq!(name.as_deref(), Some("shard-1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn idle(mut self, idle: Idle) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Which cores its own threads are pinned to: [`Cores::Auto`], unless told. [`Machine::placement`] says what came of it.
    ///
    /// Pin where each CPU has a core that nothing else wants: an answer then comes within a few cache misses, and what a CPU works
    /// on stays in its caches. Do not pin where others share the cores, callers that are no CPUs included: a CPU that may go
    /// nowhere else waits for whoever is on its core.
    ///
    /// Example: [`Builder::idle`](crate::Builder::idle).
    pub fn cores(mut self, cores: Cores) -> Self {
        self.cores = cores;
        self
    }

    /// How the thread of each CPU is called, by its number: `smpcall-0` and so on, unless told. Linux shows 15 bytes of it. A name
    /// with a zero in it is [`BuildError::Spawn`].
    ///
    /// Example: [`Builder::idle`](crate::Builder::idle).
    pub fn thread_name(mut self, name: impl Fn(u32) -> String + Send + Sync + 'static) -> Self {
        self.threads.name = Box::new(name);
        self
    }

    /// How large the stacks of its own threads are, in bytes: as the standard library has it (2 MiB), unless told. Functions run
    /// there, and those of blocking calls nest.
    ///
    /// Example: [`Builder::idle`](crate::Builder::idle).
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.threads.stack_size = Some(bytes);
        self
    }

    /// What each of its own threads does before its CPU comes online, told the CPU's number: nothing, unless told. It runs where
    /// the CPU will run; it may change its mask, its signals or its priority. [`build`](Self::build) waits for it; if it panics,
    /// there is no machine ([`BuildError::OnStart`]).
    ///
    /// ```
    /// use smpcall_host::Machine;
    /// use std::cell::Cell;
    ///
    /// thread_local! { static SHARD: Cell<u32> = const { Cell::new(u32::MAX) } }
    /// let machine = Machine::builder().owned(2).on_start(|cpu| SHARD.set(cpu)).build()?;
    /// assert_eq!(machine.call(1, || SHARD.get()), Ok(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_start(mut self, on_start: impl Fn(u32) + Send + Sync + 'static) -> Self {
        self.threads.on_start = Some(Arc::new(on_start));
        self
    }

    /// After how long a silent target is reported: 5 s (Linux's default), unless told. Zero: never.
    ///
    /// ```
    /// use smpcall_host::Machine;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::{thread, time::Duration};
    ///
    /// static IS_REPORTED: AtomicBool = AtomicBool::new(false);
    /// static IS_OVER: AtomicBool = AtomicBool::new(false);
    ///
    /// let machine = Machine::builder()
    ///     .owned(1)
    ///     .stall_timeout(Duration::from_millis(1)) // so that this example sees one
    ///     .stall_stop(Duration::from_secs(3600))
    ///     .on_call_stall(|stall| { eprintln!("{stall}"); IS_REPORTED.store(true, Ordering::Relaxed) })
    ///     .on_unstuck(|_| IS_OVER.store(true, Ordering::Relaxed))
    ///     .build()?;
    /// machine.call(0, || while !IS_REPORTED.load(Ordering::Relaxed) { thread::sleep(Duration::from_millis(1)) })?;
    /// assert!(IS_OVER.load(Ordering::Relaxed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stalls.timeout_ns = nanos(timeout);
        self
    }

    /// After how long a wait for a silent target ends the process: never (Linux's default), unless told. Zero: never. Time in
    /// which the whole process was stopped (SIGSTOP, a debugger) does not count; each such time counts for a quarter of the
    /// time-out at most.
    ///
    /// Example: [`Builder::stall_timeout`](crate::Builder::stall_timeout).
    pub fn stall_stop(mut self, after: Duration) -> Self {
        self.stalls.stop_ns = nanos(after);
        self
    }

    /// Who is told of a silent target: standard error, unless told. Called by the waiting thread, also by one that waits for the
    /// machine's end, which a panic in there does not stop: it is [counted](crate::Counts::panics). It may call and post; it cannot
    /// take its own CPU away.
    ///
    /// Example: [`Builder::stall_timeout`](crate::Builder::stall_timeout).
    pub fn on_call_stall(mut self, on_call_stall: impl Fn(&CallStall) + Send + Sync + 'static) -> Self {
        self.stalls.on_call_stall = Box::new(on_call_stall);
        self
    }

    /// Who is told that a wait which was reported has ended after all: standard error, unless told. As for
    /// [`on_call_stall`](Self::on_call_stall).
    ///
    /// Example: [`Builder::stall_timeout`](crate::Builder::stall_timeout).
    pub fn on_unstuck(mut self, on_unstuck: impl Fn(&CallStall) + Send + Sync + 'static) -> Self {
        self.stalls.on_unstuck = Box::new(on_unstuck);
        self
    }

    /// Who is told of what [`Smp::watchdog`](smpcall::Smp::watchdog) finds: standard error, unless told. Called by the watchdog's caller.
    ///
    /// ```
    /// use smpcall_host::{Machine, smpcall::Watch};
    ///
    /// let machine = Machine::builder().owned(2).on_queue_stall(|stall| eprintln!("{stall}")).build()?;
    /// let mut notes = [Watch::new(); 2];
    /// // Every second, say, in a thread of its own:
    /// let held_up = machine.watchdog(5_000_000_000, &mut notes);
    /// assert_eq!(held_up, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_queue_stall(mut self, on_queue_stall: impl Fn(&QueueStall) + Send + Sync + 'static) -> Self {
        self.stalls.on_queue_stall = Box::new(on_queue_stall);
        self
    }

    /// Who is told that a function panicked for which nobody waits, with its CPU and what was thrown: nobody, unless told; the panic
    /// hook has printed it by then. (A waiting call's panic reaches its caller, a [`Message`](smpcall::Message)'s its receiver.) So
    /// who waits by hand for what a posted function does learns that it is not coming. Called on that CPU, in call context; the panic is
    /// [counted](crate::Counts::panics) by then.
    ///
    /// ```
    /// use smpcall_host::Machine;
    /// use std::sync::mpsc;
    ///
    /// let (tell, told) = mpsc::channel();
    /// let machine = Machine::builder().owned(1).on_panic(move |cpu, _| _ = tell.send(cpu)).build()?;
    /// machine.post_detached(0, || std::panic::resume_unwind(Box::new("thrown")))?;
    /// assert_eq!(told.recv()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_panic(mut self, on_panic: impl Fn(u32, &(dyn Any + Send)) + Send + Sync + 'static) -> Self {
        self.stalls.on_panic = Box::new(on_panic);
        self
    }

    /// Who listens to the tracepoints (P12): nobody, unless told, and then they cost nothing.
    /// [`Counters`](crate::Counters) count.
    ///
    /// ```
    /// use smpcall_host::{Counters, Machine};
    ///
    /// let machine = Machine::builder().owned(1).trace(Counters::new()).build()?;
    /// machine.call(0, || ())?;
    /// assert_eq!(machine.tracer().total().queued, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trace<U: Trace>(self, trace: U) -> Builder<U> {
        let Self { owned, attachable, idle, cores, threads, stalls, trace: _ } = self;
        Builder { owned, attachable, idle, cores, threads, stalls, trace }
    }

    /// Starts the machine. Its own CPUs are online when this returns.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    ///
    /// Example: [`Builder::idle`].
    pub fn build(self) -> Result<Machine<T>, BuildError> {
        let allowance = Allowance::of_this_process();
        let places = places(&self.cores, self.owned.min(smpcall::CPUS_MAX), &allowance)?;
        let cpus_len = self.owned.saturating_add(self.attachable);
        if cpus_len > smpcall::CPUS_MAX {
            return Err(BuildError::CpuCount(CpuCountError { asked: cpus_len }));
        }
        let mut trace = self.trace;
        trace.begin(cpus_len);
        let waits = if allowance.is_one_core() { Waits::Sleep } else { Waits::Spin };
        let host = Host::new(cpus_len, waits, self.stalls, trace);
        let storage: Box<[PerCpu]> = std::iter::repeat_with(PerCpu::new).take(cpus_len).collect();
        let smp = smpcall::Machine::with_storage(host, storage).map_err(BuildError::CpuCount)?;
        let idle = idle(self.idle, &places, &allowance);
        let cores = vec![None; self.owned];
        let mut placement = Placement { cores, allowance, builders: allowed_cores(), refused: Vec::new() };
        let (stop, forked) = (AtomicBool::new(false), AtomicBool::new(false));
        let ends = Ends::new(self.owned);
        let mut machine = Machine {
            shared: Arc::new(Shared { smp, idle, stop, forked, ends }),
            threads: Mutex::new(Vec::new()),
            seats: Seats::new(self.owned as u32, self.attachable),
            placement: placement.clone(),
        };
        crate::fork::register(machine.platform().id(), machine.served());
        // If one fails, dropping the machine ends those that have started.
        start(&machine, self.threads, &places, &mut placement)?;
        machine.placement = placement;
        Ok(machine)
    }
}

/// Where each of so many threads is to run.
fn places(cores: &Cores, threads: usize, allowance: &Allowance) -> Result<Vec<Place>, BuildError> {
    let all: Arc<[usize]> = allowance.cores.as_slice().into();
    let place = |thread: usize| match cores {
        Cores::These(cores) => Place::Core(cores[thread % cores.len()]),
        Cores::Spread if !all.is_empty() => Place::CoreOr(all[thread % all.len()], Arc::clone(&all)),
        Cores::Auto if threads < all.len() => Place::CoreOr(all[thread], Arc::clone(&all)),
        Cores::Auto | Cores::Spread | Cores::Unpinned => Place::Any(Arc::clone(&all)),
    };
    match cores {
        Cores::These(cores) if cores.is_empty() => Err(BuildError::NoCores),
        _ => Ok((0..threads).map(place).collect()),
    }
}

/// What idle threads of these places do, if they were asked to do so.
fn idle(asked: Option<Idle>, places: &[Place], allowance: &Allowance) -> Idle {
    let cores: BTreeSet<usize> = places.iter().filter_map(Place::core).collect();
    let shared = cores.len() < places.iter().filter_map(Place::core).count();
    // Nobody knows how many there are: then as if there were enough.
    let crowded = !allowance.cores.is_empty() && places.len() >= allowance.cores.len();
    match asked {
        Some(Idle::PollThenSleep(_)) if allowance.is_one_core() || shared => Idle::Sleep,
        Some(idle) => idle,
        None if allowance.is_one_core() || shared || crowded => Idle::Sleep,
        None => Idle::PollThenSleep(Duration::from_micros(50)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLLS: Idle = Idle::PollThenSleep(Duration::from_micros(50));

    fn allowance(cores: &[usize]) -> Allowance {
        Allowance { cores: cores.to_vec(), quota_millis: None }
    }

    /// The core of each of so many threads on a system of these cores, and what they do when idle.
    fn chosen(
        cores: &Cores,
        asked: Option<Idle>,
        threads: usize,
        allowance: &Allowance,
    ) -> (Vec<Option<usize>>, Idle) {
        let places = places(cores, threads, allowance).expect("there are cores");
        (places.iter().map(Place::core).collect(), idle(asked, &places, allowance))
    }

    #[test]
    fn unless_told_cpus_are_pinned_and_poll_where_a_core_is_left_for_callers() {
        let unless_told = |threads, cores: &[usize]| chosen(&Cores::Auto, None, threads, &allowance(cores));
        assert_eq!(unless_told(2, &[1, 3, 5]), (vec![Some(1), Some(3)], POLLS));
        assert_eq!(unless_told(3, &[1, 3, 5]), (vec![None; 3], Idle::Sleep), "as many as there are cores");
        assert_eq!(unless_told(4, &[1, 3, 5]), (vec![None; 4], Idle::Sleep));
        assert_eq!(unless_told(1, &[1]), (vec![None], Idle::Sleep));
        assert_eq!(unless_told(2, &[]), (vec![None; 2], POLLS), "nobody knows");
        let spread = |threads| chosen(&Cores::Spread, None, threads, &allowance(&[1, 3]));
        assert_eq!(spread(3), (vec![Some(1), Some(3), Some(1)], Idle::Sleep), "as it was asked to");
        assert_eq!(spread(1), (vec![Some(1)], POLLS));
    }

    #[test]
    fn what_idle_threads_do_depends_on_their_cores() {
        let on = |cores: &[usize], threads, asked, allowance: &Allowance| {
            chosen(&Cores::These(cores.to_vec()), Some(asked), threads, allowance).1
        };
        let several = allowance(&[0, 1, 2]);
        for (cores, threads) in [(&[1][..], 2), (&[1, 1], 2), (&[1, 2], 3)] {
            assert_eq!(on(cores, threads, POLLS, &several), Idle::Sleep, "they share a core");
            assert_eq!(on(cores, threads, Idle::Poll, &several), Idle::Poll, "as it was asked to");
        }
        for (cores, threads) in [(&[1][..], 1), (&[1, 2], 2), (&[1, 2, 1], 2), (&[0, 1, 2], 3)] {
            assert_eq!(on(cores, threads, POLLS, &several), POLLS);
        }
        assert_eq!(on(&[1], 1, POLLS, &allowance(&[1])), Idle::Sleep);
        let of_one = Allowance { quota_millis: Some(700), ..several };
        assert_eq!(on(&[1], 1, POLLS, &of_one), Idle::Sleep, "the time of less than one core");
        assert_eq!(chosen(&Cores::Auto, None, 1, &of_one), (vec![Some(0)], Idle::Sleep));
    }
}
