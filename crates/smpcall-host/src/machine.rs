//! A machine of threads: start, what its own threads do, and end.

mod build;
mod end;
mod options;
mod placement;
mod publish;
mod seats;
mod start;

pub use self::build::Builder;
pub use self::end::ShutdownError;
pub use self::options::{BuildError, Cores, Idle};
pub use self::placement::{Placement, PlacementWarning};
pub use self::publish::Publisher;

use self::end::Ends;
use self::seats::Seats;

use crate::attach::{AttachError, Attached, Rings};
use crate::doorbell::{Doorbell, Futex};
use crate::here::{self, Here, Served};
use crate::port::Host;
use crate::spin::short_pause;
use crate::trace::Trace;
use smpcall::{Budget, Cpu, Flushed, PerCpu, Smp};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

/// A machine whose CPUs are threads. What any thread may ask of a machine can be asked of it: all of [`Smp`]. What only a CPU's own
/// thread may do is done by the machine's own threads, and by the handle of one that [attaches](Machine::attach).
///
/// Dropping it [shuts it down](Machine::shutdown), and waits for that where waiting is allowed: not in call context.
///
/// **Functions that block.** [`Smp::call_blocking`] runs its function in the CPU's own thread, and *that CPU runs nothing else until
/// the function returns*: a `call` to it waits as long, and so does everything that was posted to it. For a pool of threads that
/// may block, let the machine own further CPUs that nobody calls otherwise (or have a machine for it), [not
/// pinned](Cores::Unpinned), and take one that is free:
///
/// ```
/// use smpcall_host::{Cores, Idle, Machine};
/// use std::{thread, time::Duration};
///
/// let cpus = Machine::builder().owned(1).build()?;
/// let pool = Machine::builder().owned(4).cores(Cores::Unpinned).idle(Idle::Sleep).build()?;
/// thread::scope(|scope| {
///     let slow = scope.spawn(|| pool.call_blocking(3, || thread::sleep(Duration::from_millis(20))));
///     assert_eq!(cpus.call(0, || 5), Ok(5)); // does not wait for it
///     slow.join().expect("it only calls")
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The panic of a call can be caught without further ado, for the machine is as after any other call (P11):
///
/// ```
/// use smpcall_host::Machine;
/// use std::panic::{catch_unwind, resume_unwind};
///
/// let machine = Machine::builder().owned(1).build()?;
/// let caught = catch_unwind(|| machine.call(0, || resume_unwind(Box::new("thrown"))));
/// assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"thrown"));
/// assert_eq!(machine.call(0, || 5), Ok(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Machine<T: Trace = ()> {
    shared: Arc<Shared<T>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    seats: Seats,
    placement: Placement,
}

/// What the machine's own threads hold on to.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    smp: smpcall::Machine<Host<T>, Box<[PerCpu]>>,
    idle: Idle,
    /// Set once: its own threads go offline and end.
    stop: AtomicBool,
    /// Set once, in the child of a fork: none of its own threads is here.
    forked: AtomicBool,
    ends: Ends,
}

/// The handle of one of its CPUs.
pub(crate) type Own<'m, T> = Cpu<'m, Host<T>, Box<[PerCpu]>>;

/// Counted on paths that cost a system call or a stall anyway, or that should not happen.
#[derive(Default)]
pub(crate) struct CpuCounts {
    /// Rings that the core asked for, by target.
    pub(crate) rings: AtomicU64,
    /// Those of them, and of the wake-ups of callers, that had to wake a thread.
    pub(crate) wakes: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) stalls: AtomicU64,
}

/// What was counted since the start, over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Doorbells that posts and budgets asked for (P7).
    pub rings: u64,
    /// System calls that it took to wake CPUs.
    pub wakes: u64,
    /// Panics in functions that nobody waited for, in tracers, and in handlers of reports.
    pub panics: u64,
    /// Stall reports.
    pub stalls: u64,
}

// The core says why of what it is made of (`Smp`). Listeners and handlers of stalls do not panic, so no unwinding leaves them
// half-way; the lock on the list of threads is taken whatever happened under it.
impl<T: Trace> UnwindSafe for Machine<T> {}
impl<T: Trace> RefUnwindSafe for Machine<T> {}

impl<T: Trace> std::ops::Deref for Machine<T> {
    type Target = Smp<Host<T>, Box<[PerCpu]>>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.shared.smp
    }
}

impl Machine {
    /// Starts to describe a machine.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl<T: Trace> Machine<T> {
    /// Returns what listens to the machine's tracepoints, as [`Builder::trace`] was given it.
    ///
    /// Example: [`Builder::trace`](crate::Builder::trace).
    pub fn tracer(&self) -> &T {
        self.platform().tracer()
    }

    /// Returns where the machine's own threads run, and what was found out about the cores when it was built.
    ///
    /// Example: [`Placement`].
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Makes the calling thread a CPU, wherever the scheduler runs it.
    ///
    /// # Errors
    ///
    /// [`AttachError`].
    ///
    /// ```
    /// use smpcall_host::Machine;
    ///
    /// let machine = Machine::builder().owned(1).attachable(1).build()?;
    /// let here = machine.attach(1)?; // behind those that it owns
    /// assert_eq!(here.cpu(), 1);
    /// assert_eq!(machine.call(0, || 6 * 7), Ok(42)); // meanwhile this CPU serves its own queue
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach(&self, cpu: u32) -> Result<Attached<'_, T>, AttachError> {
        Attached::new(self, cpu, None, Futex(()), Rings::Latch)
    }

    /// Makes the calling thread a CPU that is woken by `doorbell` out of the sleeps of its own loop: see [`Doorbell`].
    ///
    /// To keep it on a core as well, [pin](crate::pin_this_thread) it first.
    ///
    /// ```
    /// use smpcall_host::{EventFd, Machine};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let here = machine.attach_with(0, EventFd::new()?)?;
    /// # drop(here);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AttachError`].
    pub fn attach_with<D: Doorbell>(&self, cpu: u32, doorbell: D) -> Result<Attached<'_, T, D>, AttachError> {
        // Rung from the beginning, for loops that only poll when they are.
        Attached::new(self, cpu, None, doorbell, Rings::Doorbell)
    }

    /// Makes the calling thread a CPU, and keeps it on `core`. It stays there after it detached, and threads that it starts
    /// inherit that one core, a pool's too: see [`unpin_this_thread`](crate::unpin_this_thread).
    ///
    /// # Errors
    ///
    /// [`AttachError`].
    ///
    /// ```
    /// use smpcall_host::{Machine, allowed_cores, process_cores};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let core = process_cores()[0];
    /// let here = machine.attach_pinned(0, core)?;
    /// assert_eq!(allowed_cores(), [core]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach_pinned(&self, cpu: u32, core: usize) -> Result<Attached<'_, T>, AttachError> {
        Attached::new(self, cpu, Some(core), Futex(()), Rings::Latch)
    }

    /// Returns what was counted so far.
    ///
    /// ```
    /// use smpcall_host::Machine;
    ///
    /// let machine = Machine::builder().owned(1).build()?;
    /// machine.call(0, || ())?;
    /// assert_eq!(machine.counts().panics, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn counts(&self) -> Counts {
        self.platform().counts().fold(Counts::default(), |sum, cpu| Counts {
            // Relaxed: statistics.
            rings: sum.rings + cpu.rings.load(Ordering::Relaxed),
            // Relaxed: as above.
            wakes: sum.wakes + cpu.wakes.load(Ordering::Relaxed),
            // Relaxed: as above.
            panics: sum.panics + cpu.panics.load(Ordering::Relaxed),
            // Relaxed: as above.
            stalls: sum.stalls + cpu.stalls.load(Ordering::Relaxed),
        })
    }

    /// Makes the calling thread the only one that may become that CPU.
    pub(crate) fn take_seat(&self, cpu: u32) -> Result<(), AttachError> {
        let seat = self.seats.seat(cpu).ok_or(AttachError::NotAttachable)?;
        // A thread that attaches at this very moment is an attached one, and shutting down waits for none.
        if self.is_shut_down() {
            return Err(AttachError::ShutDown);
        }
        // Acquire: we are the CPU after its last thread was; pairs with `give_back`. Failure Relaxed: not ours.
        match seat.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => Err(AttachError::Taken),
        }
    }

    /// Returns the machine as its port has it, for programs that test just that: they bring CPUs up and down by themselves, and
    /// what they break is theirs.
    ///
    /// ```
    /// use smpcall_host::Machine;
    ///
    /// let machine = Machine::builder().owned(2).build()?;
    /// let whole = machine.whole(); // with what a port may do
    /// assert_eq!((whole.cpus_len(), whole.has_work_here()), (2, false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "conformance")]
    pub fn whole(&self) -> &smpcall::Machine<Host<T>, Box<[PerCpu]>> {
        &self.shared.smp
    }

    pub(crate) fn seats(&self) -> &Seats {
        &self.seats
    }

    pub(crate) fn pinned(&self) -> Pin<&smpcall::Machine<Host<T>, Box<[PerCpu]>>> {
        self.shared.pinned()
    }

    /// For a thread that is interrupted on its behalf.
    pub(crate) fn shared(&self) -> Arc<dyn Served> {
        let shared: Arc<Shared<T>> = Arc::clone(&self.shared);
        shared
    }

    /// For the threads that are its CPUs.
    pub(crate) fn served(&self) -> Weak<dyn Served> {
        self.shared.served()
    }
}

impl<T: Trace> Shared<T> {
    /// The core's machine, which stays where it is.
    fn pinned(&self) -> Pin<&smpcall::Machine<Host<T>, Box<[PerCpu]>>> {
        // SAFETY: a `Shared` is made inside its `Arc` (`build`), from which nothing takes it, so that it is not moved before it is
        // dropped.
        unsafe { Pin::new_unchecked(&self.smp) }
    }

    /// The calling thread, one of the machine's own, begins: its end will be told. First of all in that thread.
    fn begin_thread(self: &Arc<Self>, cpu: u32) {
        here::begin_thread(self.served(), cpu);
    }

    fn served(self: &Arc<Self>) -> Weak<dyn Served> {
        let itself: Weak<Self> = Arc::downgrade(self);
        itself
    }

    /// Makes the calling thread, one of the machine's own, that CPU; it may be kept on a core.
    fn become_cpu(self: &Arc<Self>, cpu: u32, core: Option<usize>) {
        let host = self.smp.platform();
        here::set(Here { machine: host.id(), cpu, core: host.settle(cpu, core) });
        here::serve(Some(self.served()));
    }

    /// What one of the machine's own threads does, from its coming online to its end.
    fn run_cpu(&self, cpu: u32, started: impl FnOnce()) {
        let host = self.smp.platform();
        let mut own = self.pinned().online().expect("a new machine's CPUs are offline");
        started();
        while !self.stopping() {
            if self.idle != Idle::Sleep {
                self.poll(&mut own);
            }
            // The doorbell was acknowledged when we woke, before this flush. If it leaves something over, it rings us.
            let _: Flushed = own.flush(Budget::DEFAULT);
            if self.idle != Idle::Poll && !self.stopping() {
                host.cpu(cpu).latch.sleep(None);
                host.show_core(cpu);
            }
        }
        if let Err((_, error)) = own.offline() {
            panic!("CPU {cpu} cannot end: {error}");
        }
        // It stays this CPU to its very end: destructors of its thread may hold the machine, and must not wait for it.
    }

    /// Looks at the queue until nothing has come for a while, or for ever. Leaves with the mark at rest, or to stop.
    fn poll(&self, own: &mut Own<'_, T>) {
        let cpu = own.number();
        own.poll_begin();
        let mut idle_since = None;
        let mut looks = 0_u32;
        while !self.stopping() {
            if own.has_work() {
                idle_since = None;
                // `More` needs no answer: we look again.
                let _: Flushed = own.flush(Budget::DEFAULT);
                continue;
            }
            if looks & 0x3ff == 0 {
                // Where a thread that nobody keeps on its core is moved while it polls, callers are to know.
                self.smp.platform().show_core(cpu);
            }
            looks = looks.wrapping_add(1);
            let wanted = self.smp.platform().core_is_wanted(cpu);
            if let Idle::PollThenSleep(time) = self.idle {
                if wanted {
                    break;
                }
                // Not at every look: the clock costs more than a look.
                for _ in 0..32 {
                    short_pause();
                    if own.has_work() {
                        break;
                    }
                }
                if idle_since.get_or_insert_with(Instant::now).elapsed() >= time {
                    break;
                }
            } else if wanted {
                std::thread::yield_now();
            } else {
                short_pause();
            }
        }
        // Not if it is to stop: a function that posts itself would keep it here for ever. Going offline ends that.
        while !self.stopping() {
            if let Ok(guard) = own.begin_sleep() {
                // The one who sleeps is `run_cpu`, after a flush.
                let _ = guard.commit();
                return;
            }
            let _: Flushed = own.flush(Budget::DEFAULT);
        }
    }

    fn stopping(&self) -> bool {
        // Acquire: pairs with the stores in `end`.
        self.stop.load(Ordering::Acquire)
    }
}
