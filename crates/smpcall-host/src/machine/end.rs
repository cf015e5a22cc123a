//! How a machine ends: its own threads, and who waits for them.

use super::{Machine, Shared};
use crate::callers;
use crate::here::{self, Served};
use crate::stalls::nanos;
use crate::trace::Trace;
use smpcall::{Budget, Flushed, Platform, Serve, WaitError, Waiting};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a stall report says that is waited for.
const WHAT: &str = "smpcall_host::Machine::shutdown";

/// Why a machine did not shut down. Its threads have been told to end, and end by themselves; every later post is refused as each
/// of them goes offline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// One of its own threads asked for it, and cannot wait for itself.
    OwnThread,
    /// It was asked for in call context, of any machine, or in a function of [`call_blocking`](smpcall::Smp::call_blocking), whose
    /// caller may be one of those that are to end: waiting there could deadlock (P10).
    WouldDeadlock,
    /// The time is up.
    TimedOut {
        /// The CPUs whose threads have not ended.
        left: Vec<u32>,
    },
}

impl std::fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OwnThread => f.write_str("a machine's own thread cannot wait for its end"),
            Self::WouldDeadlock => f.write_str("waiting for a machine's end here could deadlock"),
            Self::TimedOut { left } => write!(f, "these CPUs have not ended: {left:?}"),
        }
    }
}

impl std::error::Error for ShutdownError {}

/// Which of the machine's own threads have ended, and who waits for that.
#[derive(Debug)]
pub(crate) struct Ends {
    ended: Box<[AtomicBool]>,
    waiters: Mutex<Vec<u16>>,
}

impl Ends {
    /// So many threads, none of which has begun.
    pub(super) fn new(threads: usize) -> Self {
        let ended = std::iter::repeat_with(|| AtomicBool::new(true)).take(threads).collect();
        Self { ended, waiters: Mutex::new(Vec::new()) }
    }

    /// The thread is going to be started.
    pub(super) fn begin(&self, cpu: u32) {
        // Relaxed: starting the thread publishes it; nobody else has the machine yet.
        self.ended[cpu as usize].store(false, Ordering::Relaxed);
    }

    fn cpus(&self) -> std::ops::Range<u32> {
        0..self.ended.len() as u32
    }

    fn has_ended(&self, cpu: u32) -> bool {
        // Acquire: whoever sees that it ended sees what it did; pairs with `end`.
        self.ended[cpu as usize].load(Ordering::Acquire)
    }

    /// Asks for a wake-up when the next thread ends; `false` if that one has.
    fn ask(&self, cpu: u32, waiter: u16) -> bool {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        // If `end` had the lock before us, we see its store by that; if not, it finds us.
        if self.has_ended(cpu) {
            return false;
        }
        if !waiters.contains(&waiter) {
            waiters.push(waiter);
        }
        true
    }

    /// The thread ends, or was not started. Returns who is to be woken.
    pub(super) fn end(&self, cpu: u32) -> Vec<u16> {
        // Release: publishes what the thread did; pairs with `has_ended`.
        self.ended[cpu as usize].store(true, Ordering::Release);
        std::mem::take(&mut *self.waiters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Trace> Served for Shared<T> {
    fn serve(&self, serve: Serve) {
        self.pinned().serve_elsewhere(serve);
    }

    fn rest(&self, serve: Serve, sleep: &mut dyn FnMut()) {
        let host = self.smp.platform();
        let Some(cpu) = host.current_cpu() else {
            return self.pinned().rest_elsewhere(serve, sleep);
        };
        let latch = &host.cpu(cpu).latch;
        let caller = callers::waiter();
        // Before the CPU rests: from then on it is rung.
        if latch.divert(caller) {
            self.pinned().rest_elsewhere(serve, sleep);
            latch.acknowledge();
        }
    }

    fn is_in_blocking(&self) -> bool {
        self.smp.is_in_blocking()
    }

    fn interrupted(&self) {
        let host = self.smp.platform();
        if let Some(cpu) = host.current_cpu() {
            host.cpu(cpu).latch.answer();
            // What is left over rings by itself.
            let _: Flushed = self.smp.flush(Budget::DEFAULT);
        }
    }

    fn ended(&self, cpu: u32) {
        for waiter in self.ends.end(cpu) {
            self.smp.platform().wake(waiter);
        }
    }

    fn forked(&self) {
        // SAFETY: this is the child's one thread, so nobody else is in any function of the machine, nor will any CPU's thread
        // but perhaps this one ever come back to it.
        unsafe { self.smp.abandon() };
        // Release: pairs with `is_forked`.
        self.forked.store(true, Ordering::Release);
        // Release: pairs with `stopping`.
        self.stop.store(true, Ordering::Release);
    }
}

impl<T> Shared<T> {
    /// Whether this is the child of a fork, which has none of the machine's threads.
    pub(super) fn is_forked(&self) -> bool {
        // Acquire: pairs with the store in `forked`.
        self.forked.load(Ordering::Acquire)
    }
}

impl<T: Trace> Machine<T> {
    /// Ends the machine's own threads: each goes offline, runs what it had accepted, and ends. Every later post is told
    /// `Offline` (P8). May be called again, and at the same time. Attached threads stay CPUs until they detach; one that
    /// [parks](crate::Attached::park) comes back, now and whenever it parks again.
    ///
    /// It waits as [`Smp::call_blocking`](smpcall::Smp::call_blocking) does: a caller that is a CPU, of this machine or another,
    /// serves its queue and its blocking calls meanwhile; a thread that does not end is
    /// [reported](crate::Builder::on_call_stall), with the function that it runs. So does dropping the machine.
    ///
    /// # Errors
    ///
    /// [`ShutdownError::OwnThread`], [`ShutdownError::WouldDeadlock`].
    ///
    /// ```
    /// use smpcall_host::{Machine, smpcall::CallError};
    ///
    /// let machine = Machine::builder().owned(1).build()?;
    /// machine.post_detached(0, || println!("was accepted, and runs"))?;
    /// machine.shutdown()?;
    /// assert_eq!(machine.call(0, || ()), Err(CallError::Offline));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown(&self) -> Result<(), ShutdownError> {
        if !here::is_in_blocking() {
            return self.end(None);
        }
        // Who waits for this function may be one of its threads, by whatever chain of calls.
        match self.end(Some(Duration::ZERO)) {
            Err(ShutdownError::TimedOut { .. }) => Err(ShutdownError::WouldDeadlock),
            other => other,
        }
    }

    /// As [`Machine::shutdown`], and gives up after that time, so that a function of
    /// [`call_blocking`](smpcall::Smp::call_blocking) may wait as well. Dropping the machine afterwards waits on.
    ///
    /// ```
    /// use smpcall_host::{Machine, ShutdownError};
    /// use std::time::Duration;
    ///
    /// let machine = Machine::builder().owned(2).build()?;
    /// match machine.shutdown_timeout(Duration::from_secs(10)) {
    ///     Err(ShutdownError::TimedOut { left }) => eprintln!("CPUs {left:?} do not end"),
    ///     other => other?,
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShutdownError`].
    pub fn shutdown_timeout(&self, timeout: Duration) -> Result<(), ShutdownError> {
        self.end(Some(timeout))
    }

    /// Returns whether the machine was told to end, which cannot be taken back: [`Machine::shutdown`] was called, or this is the
    /// child of a fork. For the event loop of an attached thread.
    ///
    /// ```
    /// use smpcall_host::Machine;
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let mut here = machine.attach(0).expect("nobody else is CPU 0");
    ///         while !machine.is_shut_down() { here.park(None); }
    ///     });
    ///     while !machine.is_online_racy(0) { std::thread::yield_now(); }
    ///     machine.shutdown()
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_shut_down(&self) -> bool {
        self.shared.stopping()
    }

    fn end(&self, timeout: Option<Duration>) -> Result<(), ShutdownError> {
        let (shared, host) = (&self.shared, self.platform());
        if shared.is_forked() {
            return Ok(());
        }
        // Release: pairs with the threads' look after the ring; the ring itself orders it too.
        shared.stop.store(true, Ordering::Release);
        for cpu in 0..self.cpus_len() {
            // An attached thread that cannot be rung is not waited for.
            let _ = host.ring_doorbell(cpu);
        }
        if host.current_cpu().is_some_and(|cpu| !self.seats.has(cpu)) {
            return Err(ShutdownError::OwnThread);
        }
        let deadline_ns = timeout.map(|time| host.now_ns().saturating_add(nanos(time)));
        let ends = &shared.ends;
        for cpu in ends.cpus() {
            let (ask, ended) = (|waiter| ends.ask(cpu, waiter), || ends.has_ended(cpu));
            match shared.smp.wait_by_port(cpu, WHAT, deadline_ns, ask, ended) {
                Ok(()) => {}
                Err(WaitError::WouldDeadlock) => return Err(ShutdownError::WouldDeadlock),
                Err(WaitError::TimedOut(_)) => {
                    let left = ends.cpus().filter(|&cpu| !ends.has_ended(cpu)).collect();
                    return Err(ShutdownError::TimedOut { left });
                }
                Err(_) => {
                    unreachable!("a thread is no csd, and has its CPU")
                }
            }
        }
        // All have run their last: what is left of them waits for nobody.
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // What functions throw is caught in the port, so this could only be a defect of the library.
            thread.join().expect("a machine's own thread does not panic");
        }
        Ok(())
    }
}

impl<T: Trace> Drop for Machine<T> {
    fn drop(&mut self) {
        // One of its own threads may be the last to hold it, or a function: then its threads end by themselves. Not so in a function
        // that may block: a thread that waits for that, and for which this waits, would hold the machine, but by way of another.
        let _ = self.end(None);
        if self.shared.is_forked() {
            // Handles of threads that this process never had.
            let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(std::mem::take(threads));
        } else {
            crate::fork::forget(self.platform().id());
        }
    }
}
