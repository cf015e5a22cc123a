//! A machine of threads: start, what its own threads do, and end.

mod build;
mod placement;
mod start;

pub use self::build::{BuildError, Builder, Cores, Idle};
pub use self::placement::{Placement, PlacementWarning};

use crate::attach::{AttachError, Attached};
use crate::here::{self, Here};
use crate::port::Host;
use crate::spin::short_pause;
use crate::trace::Trace;
use pin_project_lite::pin_project;
use smpcall::{Budget, Flushed, PerCpu, Platform, Sleep, Smp};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// A machine whose CPUs are threads. Everything of [`Smp`] can be asked of it.
///
/// Dropping it shuts it down.
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
    shared: Pin<Arc<Shared<T>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    seats: Seats,
    placement: Placement,
}

pin_project! {
    /// What the machine's own threads hold on to.
    #[derive(Debug)]
    pub(crate) struct Shared<T> {
        // CPUs come online in a machine that stays where it is.
        #[pin]
        smp: Smp<Host<T>, Box<[PerCpu]>>,
        idle: Idle,
        // Set once: its own threads go offline and end.
        stop: AtomicBool,
    }
}

/// Why a machine did not shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// One of its own threads asked for it, and cannot wait for itself. The machine's threads have been told to end.
    OwnThread,
}

impl std::fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a machine's own thread cannot wait for its end")
    }
}

impl std::error::Error for ShutdownError {}

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
    pub fn tracer(&self) -> &T {
        self.platform().tracer()
    }

    /// Returns where the machine's own threads run, and what was found out about the cores when it was built.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Makes the calling thread a CPU, wherever the scheduler runs it.
    ///
    /// # Errors
    ///
    /// [`AttachError`].
    pub fn attach(&self, cpu: u32) -> Result<Attached<'_, T>, AttachError> {
        Attached::new(self, cpu, None)
    }

    /// Makes the calling thread a CPU, and keeps it on `core`. It stays there after it detached, and threads that it starts
    /// inherit that one core, a pool's too: see [`unpin_this_thread`](crate::unpin_this_thread).
    ///
    /// # Errors
    ///
    /// [`AttachError`].
    pub fn attach_pinned(&self, cpu: u32, core: usize) -> Result<Attached<'_, T>, AttachError> {
        Attached::new(self, cpu, Some(core))
    }

    /// Ends the machine's own threads: each goes offline, runs what it had accepted, and ends. Every later post is told
    /// `Offline` (P8). May be called again, and at the same time. Attached threads stay CPUs until they detach.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`].
    pub fn shutdown(&self) -> Result<(), ShutdownError> {
        self.seats.close();
        // Release: pairs with the threads' look after the ring; the ring itself orders it too.
        self.shared.stop.store(true, Ordering::Release);
        for cpu in 0..self.cpus_len() {
            self.platform().cpu(cpu).doorbell.ring();
        }
        if self.platform().current_cpu().is_some_and(|cpu| !self.seats.has(cpu)) {
            return Err(ShutdownError::OwnThread);
        }
        let mut threads = self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for thread in threads.drain(..) {
            // What functions throw is caught in the port, so this could only be a defect of the library.
            thread.join().expect("a machine's own thread does not panic");
        }
        Ok(())
    }

    /// Returns what was counted so far.
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

    pub(crate) fn seats(&self) -> &Seats {
        &self.seats
    }

    pub(crate) fn pinned(&self) -> Pin<&Smp<Host<T>, Box<[PerCpu]>>> {
        self.shared.as_ref().project_ref().smp
    }
}

impl<T: Trace> Drop for Machine<T> {
    fn drop(&mut self) {
        // One of its own threads may be the last to hold it: then its threads end by themselves.
        let _ = self.shutdown();
    }
}

/// Which CPUs threads may attach to, and which of them are taken.
#[derive(Debug)]
pub(crate) struct Seats {
    first: u32,
    taken: Box<[AtomicBool]>,
    closed: AtomicBool,
}

impl Seats {
    fn new(first: u32, len: usize) -> Self {
        let taken = std::iter::repeat_with(|| AtomicBool::new(false)).take(len).collect();
        Self { first, taken, closed: AtomicBool::new(false) }
    }

    fn has(&self, cpu: u32) -> bool {
        self.seat(cpu).is_some()
    }

    fn seat(&self, cpu: u32) -> Option<&AtomicBool> {
        self.taken.get(cpu.checked_sub(self.first)? as usize)
    }

    fn close(&self) {
        // Relaxed: a thread that attaches at this very moment is an attached one, and shutting down waits for none.
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take(&self, cpu: u32) -> Result<(), AttachError> {
        let seat = self.seat(cpu).ok_or(AttachError::NotAttachable)?;
        // Relaxed: see `close`.
        if self.closed.load(Ordering::Relaxed) {
            return Err(AttachError::ShutDown);
        }
        // Acquire: we are the CPU after its last thread was; pairs with `give_back`. Failure Relaxed: not ours.
        match seat.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => Err(AttachError::Taken),
        }
    }

    pub(crate) fn give_back(&self, cpu: u32) {
        if let Some(seat) = self.seat(cpu) {
            // Release: the CPU's next thread sees its own flags as we left them; pairs with `take`.
            seat.store(false, Ordering::Release);
        }
    }
}

impl<T: Trace> Shared<T> {
    /// Makes the calling thread, one of the machine's own, that CPU; it may be kept on a core.
    fn become_cpu(&self, cpu: u32, core: Option<usize>) {
        let host = self.smp.platform();
        here::set(Here { machine: host.id(), cpu, core: host.settle(cpu, core) });
    }

    /// What one of the machine's own threads does, from its coming online to its end.
    fn run_cpu(self: Pin<&Self>, cpu: u32, started: impl FnOnce()) {
        let host = self.smp.platform();
        self.project_ref().smp.online().expect("a new machine's CPUs are offline");
        started();
        while !self.stopping() {
            if self.idle != Idle::Sleep {
                self.poll(cpu);
            }
            // The doorbell was acknowledged when we woke, before this flush. If it leaves something over, it rings us.
            let _ = self.smp.flush(Budget::DEFAULT);
            self.smp.run_blocking();
            if self.idle != Idle::Poll && !self.stopping() {
                host.cpu(cpu).doorbell.sleep(None);
                host.show_core(cpu);
            }
        }
        self.smp.offline().expect("the CPU is online, and its thread in no call");
        // It stays this CPU to its very end: destructors of its thread may hold the machine, and must not wait for it.
    }

    /// Looks at the queue until nothing has come for a while, or for ever. Leaves with the mark at rest, or to stop.
    fn poll(&self, cpu: u32) {
        self.smp.poll_begin();
        let mut idle_since = None;
        let mut looks = 0_u32;
        while !self.stopping() {
            if self.smp.has_work() {
                idle_since = None;
                // `More` needs no answer: we look again.
                let _: Flushed = self.smp.flush(Budget::DEFAULT);
                self.smp.run_blocking();
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
                    if self.smp.has_work() {
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
        while !self.stopping() && self.smp.poll_end() == Sleep::Work {
            let _: Flushed = self.smp.flush(Budget::DEFAULT);
            self.smp.run_blocking();
        }
    }

    fn stopping(&self) -> bool {
        // Acquire: pairs with the store in `shutdown`.
        self.stop.load(Ordering::Acquire)
    }
}
