//! A signal to the thread: a real interrupt.

use super::Doorbell;
use crate::attach::{AttachError, Attached, Rings};
use crate::interrupt;
use crate::machine::Machine;
use crate::trace::Trace;
use nix::errno::Errno;
use nix::libc::{self, c_int, pid_t};
use smpcall::RingError;
use std::mem::MaybeUninit;
use std::process;
use std::ptr;

/// How long the thread has before it is interrupted for what an interrupt has left over, in ns: about as long as a flush of the
/// default budget takes, so that in a flood it gets half of its time.
const TURN_NS: i64 = 100_000;

/// A signal that interrupts its CPU's thread, whatever that does: its handler runs what was posted, at once. By
/// [`Machine::attach_interrupted`], which is unsafe: what is posted there runs in a signal's handler.
///
/// | the thread | what was posted to it runs |
/// |---|---|
/// | computes, or is in a system call | in the handler. Calls that are interrupted go on, where the kernel restarts them |
/// | holds the soft irq guard: is inside of a post, a flush, a function | when that ends |
/// | [parks](Attached::park), or waits for a call | as on any other CPU: a futex ends the sleep, and the thread runs it |
/// | has the signal blocked | when it opens it, polls, parks, or waits |
///
/// One signal is sent for each time that the queue was at rest, or less. What a handler's budget leaves over is run by another signal
/// a tenth of a millisecond later, so that a flood of posts leaves the thread half of its time. Calls that may block wait until the thread
/// [polls](Attached::poll), parks or waits. All CPUs, of all machines, may have the same signal, since each thread knows whose it is.
#[derive(Debug)]
pub struct Signal {
    number: c_int,
    process: u32,
    thread: pid_t,
    /// Sends the same signal, when the thread has had its turn.
    timer: Timer,
}

impl Signal {
    /// Returns the number of the `nth` real-time signal that programs may use, from 0; `None` if there are not so many.
    ///
    /// The kernel keeps each of them until it is delivered, up to `RLIMIT_SIGPENDING` of a user's; then rings fail.
    ///
    /// ```
    /// use smpcall_host::{Machine, Signal, smpcall::Flushed};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let signal = Signal::real_time(5).ok_or("too few real-time signals")?;
    /// // SAFETY: what is posted here is async-signal-safe.
    /// let here = unsafe { machine.attach_interrupted(0, signal)? };
    /// assert_eq!(here.doorbell().number(), signal); // for the mask of `ppoll`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn real_time(nth: u32) -> Option<i32> {
        let number = libc::SIGRTMIN().checked_add_unsigned(nth)?;
        (number <= libc::SIGRTMAX()).then_some(number)
    }

    /// Returns its number, as for the mask of `ppoll` or `epoll_pwait`.
    ///
    /// Example: [`Signal::real_time`](crate::Signal::real_time).
    pub fn number(&self) -> i32 {
        self.number
    }

    /// For the calling thread.
    fn new(number: c_int) -> Result<Self, AttachError> {
        interrupt::install(number).map_err(|why| why.of(number))?;
        // SAFETY: asks for the calling thread's own number.
        let thread = unsafe { libc::gettid() };
        let timer = Timer::new(number, thread).map_err(AttachError::Timer)?;
        Ok(Self { number, process: process::id(), thread, timer })
    }

    /// In a signal's handler `errno` is not ours. In the child of a fork the thread has another number, and is not rung.
    fn try_by(&self, ring: impl FnOnce() -> bool) -> Result<(), RingError> {
        let errno = Errno::last_raw();
        let sent = process::id() == self.process && ring();
        Errno::set_raw(errno);
        if sent { Ok(()) } else { Err(RingError) }
    }
}

impl Doorbell for Signal {
    fn ring(&self) -> Result<(), RingError> {
        // SAFETY: if there is no such thread the kernel says so; if the number is another thread's by now, the handler does nothing there.
        let send = || unsafe { libc::syscall(libc::SYS_tgkill, self.process, self.thread, self.number) == 0 };
        self.try_by(send)
    }

    /// At once, it would come as the handler returns, and the thread to nothing.
    fn ring_self(&self) -> Result<(), RingError> {
        self.try_by(|| self.timer.start())
    }
}

/// A timer of the kernel's that sends one thread a signal.
#[derive(Debug)]
struct Timer {
    id: libc::timer_t,
    process: u32,
}

// SAFETY: its number is a name, and the kernel's calls may be made by any thread of the process.
unsafe impl Send for Timer {}
// SAFETY: as above.
unsafe impl Sync for Timer {}

impl Timer {
    fn new(signal: c_int, thread: pid_t) -> std::io::Result<Self> {
        // SAFETY: all zeroes is a request, and what is asked for is filled in below.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event.sigev_notify_thread_id = thread;
        let mut id = ptr::null_mut();
        // SAFETY: the kernel reads the one and writes the other before it returns.
        let made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut id) };
        Errno::result(made)?;
        Ok(Self { id, process: process::id() })
    }

    /// Async-signal-safe, but for `errno`.
    fn start(&self) -> bool {
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let once =
            libc::itimerspec { it_interval: never, it_value: libc::timespec { tv_nsec: TURN_NS, ..never } };
        // SAFETY: it was made by `new`, and is there until the drop.
        unsafe { libc::timer_settime(self.id, 0, &once, ptr::null_mut()) == 0 }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // The child of a fork has no such timer, and perhaps another of this number.
        if process::id() == self.process {
            // SAFETY: it was made by `new`, and nobody else deletes it.
            unsafe { libc::timer_delete(self.id) };
        }
    }
}

impl<T: Trace> Machine<T> {
    /// Makes the calling thread a CPU that a signal interrupts to run what is posted to it: see [`Signal`]. `signal` is a number that the
    /// program uses for nothing else, such as [`Signal::real_time`]`(0)`; its handler is set, and stays.
    ///
    /// ```
    /// use smpcall_host::smpcall::Csd;
    /// use smpcall_host::{Machine, Signal};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// static STOP: AtomicBool = AtomicBool::new(false);
    /// static CSD: Csd<fn()> = Csd::new(|| STOP.store(true, Ordering::Relaxed));
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// // SAFETY: what is posted to it stores a flag, and the thread keeps it to its end.
    /// let here = unsafe { machine.attach_interrupted(0, Signal::real_time(0).unwrap()) }?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| machine.post(0, &CSD));
    ///     while !STOP.load(Ordering::Relaxed) {} // computes, and never looks
    /// });
    /// # drop(here);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// **System calls.** The handler is installed with `SA_RESTART`. Calls that the kernel does not restart fail with `EINTR`, as
    /// `nanosleep`, `poll` and `epoll_wait` do. A loop that sleeps in one of these, and makes calls that may block run, blocks the signal, [looks
    /// again](crate::SleepGuard::look_again), and opens it by `ppoll` or `epoll_pwait` alone: otherwise a handler may come just before the sleep, and
    /// leave such a call for when it is over.
    ///
    /// **The thread's end.** A signal that is under way when the thread detaches does nothing. In the child of a fork rings fail.
    ///
    /// # Safety
    ///
    /// Until the thread has detached, and for ever if its [`Attached`] is leaked, all that anybody posts or sends to this CPU is
    /// *async-signal-safe*: it runs between any two instructions of the thread, inside of its allocator too. So the functions of posts,
    /// calls and multicasts, and what is dropped with them, neither allocate nor free memory, nor take a lock that the thread takes
    /// elsewhere, nor panic, nor touch what it touches otherwise than by atomics. In particular:
    ///
    /// 1. A csd in an `Arc` is held by somebody else as well, who is not the last to drop it in a function. A
    ///    [detached post](smpcall::Smp::post_detached) frees its closure there, if that does not fit into three words, and drops it in any case.
    /// 2. A call that is awaited, or a csd that is a `Waker`, wakes a task there: its waker is one that may be called in a handler.
    /// 3. What listens to the machine ([`Builder::trace`](crate::Builder::trace)), and a doorbell that such a function rings, is so, too.
    /// 4. Functions of [`call_blocking`](smpcall::Smp::call_blocking) are free of all this: the thread runs them when it looks.
    ///
    /// # Errors
    ///
    /// [`AttachError`]: of its own [`SignalTaken`](AttachError::SignalTaken), [`NoSuchSignal`](AttachError::NoSuchSignal),
    /// [`Timer`](AttachError::Timer).
    pub unsafe fn attach_interrupted(
        &self,
        cpu: u32,
        signal: i32,
    ) -> Result<Attached<'_, T, Signal>, AttachError> {
        Attached::new(self, cpu, None, Signal::new(signal)?, Rings::Interrupt(signal))
    }
}
