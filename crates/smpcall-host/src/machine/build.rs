//! How a machine is described and started.

use super::end::Ends;
use super::{Machine, Seats, Shared};
use crate::affinity::{allowed_cores, process_cores_len};
use crate::port::Host;
use crate::stalls::Stalls;
use crate::trace::Trace;
use smpcall::{CpuCountError, Overdue, PerCpu, Smp, Stall};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// What one of the machine's own threads does when it has nothing to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Sleeps at once.
    Sleep,
    /// Polls for that long, then sleeps.
    PollThenSleep(Duration),
    /// Polls for ever: the fastest answer, for a whole core.
    Poll,
}

/// Which cores the machine's own threads are pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// CPU i on the i-th core that the process may use, and round again.
    Spread,
    /// CPU i on the i-th of these, and round again.
    These(Vec<usize>),
    /// Wherever the scheduler runs them.
    Unpinned,
}

/// Why a machine could not be started. Nothing of it is left.
#[derive(Debug)]
pub enum BuildError {
    /// It would have no CPU, or too many.
    CpuCount(CpuCountError),
    /// An empty list of cores.
    NoCores,
    /// The kernel would not keep a thread on this core.
    Pin {
        /// The core.
        core: usize,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// The system would not start another thread.
    Spawn(std::io::Error),
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CpuCount(error) => error.fmt(f),
            Self::NoCores => f.write_str("a list of cores with no core in it"),
            Self::Pin { core, error } => write!(f, "cannot pin a thread to core {core}: {error}"),
            Self::Spawn(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// A machine to be.
#[must_use]
pub struct Builder<T = ()> {
    owned: usize,
    attachable: usize,
    idle: Idle,
    cores: Cores,
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
            .field("stalls", &self.stalls)
            .finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            owned: 0,
            attachable: 0,
            idle: Idle::PollThenSleep(Duration::from_micros(50)),
            cores: Cores::Spread,
            stalls: Stalls::new(),
            trace: (),
        }
    }
}

impl<T: Trace> Builder<T> {
    /// CPUs 0 to `cpus` − 1 are threads of the machine's own. None, unless told.
    pub fn owned(mut self, cpus: usize) -> Self {
        self.owned = cpus;
        self
    }

    /// The next `cpus` CPUs are for existing threads to attach to. None, unless told.
    pub fn attachable(mut self, cpus: usize) -> Self {
        self.attachable = cpus;
        self
    }

    /// What its own threads do when they have nothing to run: poll for 50 µs and then sleep, unless told. Threads that
    /// share a core sleep at once, except with [`Idle::Poll`].
    pub fn idle(mut self, idle: Idle) -> Self {
        self.idle = idle;
        self
    }

    /// Which cores its own threads are pinned to: spread over all, unless told.
    pub fn cores(mut self, cores: Cores) -> Self {
        self.cores = cores;
        self
    }

    /// After how long a silent target is reported: 5 s (Linux's default), unless told. Zero: never.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stalls.timeout_ns = nanos(timeout);
        self
    }

    /// After how long a wait for a silent target ends the process: never (Linux's default), unless told. Zero: never. Time in
    /// which the whole process was stopped (SIGSTOP, a debugger) does not count; each such time counts for a quarter of the
    /// time-out at most.
    pub fn stall_stop(mut self, after: Duration) -> Self {
        self.stalls.stop_ns = nanos(after);
        self
    }

    /// Who is told of a silent target: standard error, unless told. Called by the waiting thread, also by one that waits for the
    /// machine's end; must not panic.
    pub fn on_stall(mut self, on_stall: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.stalls.on_stall = Box::new(on_stall);
        self
    }

    /// Who is told that a wait which was reported has ended after all: standard error, unless told. As for
    /// [`on_stall`](Self::on_stall).
    pub fn on_unstuck(mut self, on_unstuck: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.stalls.on_unstuck = Box::new(on_unstuck);
        self
    }

    /// Who is told of what [`Smp::watchdog`] finds: standard error, unless told. Called by the watchdog's caller.
    ///
    /// ```
    /// use smpcall_host::{Machine, smpcall::Watch};
    ///
    /// let machine = Machine::builder().owned(2).on_overdue(|overdue| eprintln!("{overdue}")).build()?;
    /// let mut notes = [Watch::new(); 2];
    /// // Every second, say, in a thread of its own:
    /// let held_up = machine.watchdog(5_000_000_000, &mut notes);
    /// assert_eq!(held_up, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_overdue(mut self, on_overdue: impl Fn(&Overdue) + Send + Sync + 'static) -> Self {
        self.stalls.on_overdue = Box::new(on_overdue);
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
        let Self { owned, attachable, idle, cores, stalls, trace: _ } = self;
        Builder { owned, attachable, idle, cores, stalls, trace }
    }

    /// Starts the machine. Its own CPUs are online when this returns.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn build(self) -> Result<Machine<T>, BuildError> {
        let one_core = process_cores_len() == 1;
        let cores = match &self.cores {
            Cores::Spread => allowed_cores(),
            Cores::These(cores) if cores.is_empty() => return Err(BuildError::NoCores),
            Cores::These(cores) => cores.clone(),
            Cores::Unpinned => Vec::new(),
        };
        let cpus_len = self.owned.saturating_add(self.attachable);
        if cpus_len > smpcall::CPUS_MAX {
            return Err(BuildError::CpuCount(CpuCountError { asked: cpus_len }));
        }
        let mut trace = self.trace;
        trace.begin(cpus_len);
        let host = Host::new(cpus_len, one_core, self.stalls, trace);
        let storage: Box<[PerCpu]> = std::iter::repeat_with(PerCpu::new).take(cpus_len).collect();
        let smp = Smp::with_storage(host, storage).map_err(BuildError::CpuCount)?;
        let idle = match self.idle {
            Idle::PollThenSleep(_) if one_core || share_cores(self.owned, &cores) => Idle::Sleep,
            idle => idle,
        };
        let machine = Machine {
            shared: Arc::new(Shared {
                smp,
                idle,
                stop: AtomicBool::new(false),
                forked: AtomicBool::new(false),
                ends: Ends::new(self.owned),
            }),
            threads: Mutex::new(Vec::new()),
            seats: Seats::new(self.owned as u32, self.attachable),
        };
        crate::fork::register(machine.platform().id(), machine.served());
        // If one fails, dropping the machine ends those that have started.
        start(&machine, self.owned as u32, &cores)?;
        Ok(machine)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns whether two of so many threads are kept on the same core.
fn share_cores(threads: usize, cores: &[usize]) -> bool {
    let used: BTreeSet<usize> = cores.iter().copied().take(threads).collect();
    !cores.is_empty() && used.len() < threads
}

fn start<T: Trace>(machine: &Machine<T>, owned: u32, cores: &[usize]) -> Result<(), BuildError> {
    let (started, starts) = mpsc::channel();
    for cpu in 0..owned {
        let core = (!cores.is_empty()).then(|| cores[cpu as usize % cores.len()]);
        let (shared, started) = (Arc::clone(&machine.shared), started.clone());
        machine.shared.ends.begin(cpu);
        let thread = std::thread::Builder::new()
            .name(format!("smpcall-{cpu}"))
            .spawn(move || {
                shared.run_cpu(cpu, core, |result| {
                    // The receiver is gone only if another CPU failed to start.
                    let _ = started.send((core, result));
                });
            })
            .map_err(|error| {
                // Nobody waits yet.
                machine.shared.ends.end(cpu);
                BuildError::Spawn(error)
            })?;
        machine.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(thread);
    }
    for _ in 0..owned {
        let (core, result) = starts.recv().expect("every thread reports before it ends");
        if let Err(error) = result {
            return Err(BuildError::Pin { core: core.unwrap_or_default(), error });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_on_one_core_are_seen_to_be() {
        assert!(!share_cores(0, &[3]) && !share_cores(1, &[3]) && !share_cores(2, &[3, 5]));
        assert!(share_cores(2, &[3]) && share_cores(3, &[3, 5]) && share_cores(2, &[3, 3]));
        assert!(!share_cores(2, &[3, 5, 3]), "the third is used by nobody");
        assert!(!share_cores(9, &[]), "wherever the scheduler runs them");
    }

    #[test]
    fn what_idle_threads_do_depends_on_their_cores() {
        let idle = |cores: &[usize], owned, idle| {
            let cores = Cores::These(cores.to_vec());
            let machine = Machine::builder().owned(owned).cores(cores).idle(idle).build();
            machine.expect("these cores can be had").shared.idle
        };
        let core = allowed_cores()[0];
        let polls = Idle::PollThenSleep(Duration::from_micros(1));
        assert_eq!(idle(&[core], 2, polls), Idle::Sleep);
        assert_eq!(idle(&[core, core], 2, polls), Idle::Sleep);
        assert_eq!(idle(&[core, core], 2, Idle::Poll), Idle::Poll, "as it was asked to");
        if allowed_cores().len() > 1 {
            assert_eq!(idle(&[core, core], 1, polls), polls);
        }
    }
}
