//! An existing thread as a CPU: it looks at its queue from its own event loop.

use crate::doorbell::{Doorbell, Futex};
use crate::here::{self, Here};
use crate::interrupt;
use crate::latch::Latch;
use crate::machine::{Machine, Own};
use crate::pin_this_thread;
use crate::port::Host;
use crate::trace::Trace;
use smpcall::{Budget, Cpu, Flushed, HotplugError, PerCpu, Platform, SleepGuard};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Why a thread could not become a CPU.
#[derive(Debug)]
#[non_exhaustive]
pub enum AttachError {
    /// The machine has no CPU of that number that threads may attach to. See [`Builder::attachable`](crate::Builder::attachable).
    NotAttachable,
    /// Another thread is that CPU. Wait for it to detach, or take another CPU.
    Taken,
    /// The calling thread is a CPU already, of this machine or another. One thread is one CPU.
    ThreadIsACpu,
    /// The calling thread is inside of a call, a post or a wait: in a function, a tracer, a condition or a handler. Attach outside.
    InCall,
    /// The machine was shut down, or this is the child of a fork.
    ShutDown,
    /// The CPU could not be brought online.
    Refused(HotplugError),
    /// The kernel refused to keep the thread on the core asked for.
    Pin(std::io::Error),
    /// The signal has a handler already, or is ignored. Take another number.
    SignalTaken(i32),
    /// There is no signal of that number, or none that a program may send itself and catch.
    NoSuchSignal(i32),
    /// The kernel has no timer left.
    Timer(std::io::Error),
}

/// What a ring of the CPU comes to, while its thread is awake and in its own loop.
pub(crate) enum Rings {
    /// The thread is awake, unless it parks.
    Latch,
    /// It may be asleep: its doorbell is rung.
    Doorbell,
    /// The same, and that interrupts it, by this signal.
    Interrupt(i32),
}

impl std::fmt::Display for AttachError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAttachable => f.write_str("the machine has no such CPU for threads to attach to"),
            Self::Taken => f.write_str("another thread is that CPU"),
            Self::ThreadIsACpu => f.write_str("this thread is a CPU already"),
            Self::InCall => f.write_str("a thread does not become a CPU inside of a call"),
            Self::ShutDown => f.write_str("the machine was shut down"),
            Self::Refused(error) => write!(f, "the CPU does not come online: {error}"),
            Self::Pin(error) => write!(f, "cannot pin the thread: {error}"),
            Self::SignalTaken(signal) => write!(f, "signal {signal} has a handler, or is ignored"),
            Self::NoSuchSignal(signal) => write!(f, "signal {signal} cannot interrupt a CPU"),
            Self::Timer(error) => write!(f, "no timer: {error}"),
        }
    }
}

impl std::error::Error for AttachError {}

/// The calling thread as a CPU, online until this is dropped. It stays on its thread.
///
/// Its event loop calls [`poll`](Self::poll) now and then, or [`park`](Self::park)s. While it does neither, calls to it
/// wait, and are reported as stalled if somebody waits for them. One that sleeps otherwise, in epoll for example, attaches with a
/// [`Doorbell`] that ends such sleeps, and [begins each](Self::begin_sleep) of them; or it polls whenever it wakes.
///
/// While it is in a function of [`call_blocking`](smpcall::Smp::call_blocking), nothing else that was posted to it runs: see
/// [`Machine`].
///
/// If it is leaked instead of dropped, or dropped inside a function that it runs, the CPU stays online with nobody to look
/// at its queue, and its thread is that CPU until the machine is gone.
#[derive(Debug)]
pub struct Attached<'m, T: Trace = (), D: Doorbell = Futex> {
    pub(crate) machine: &'m Machine<T>,
    pub(crate) own: Own<'m, T>,
    pub(crate) bell: Arc<D>,
    /// A sleep was refused since the machine is at its end.
    pub(crate) was_told_of_the_end: bool,
}

impl<'m, T: Trace, D: Doorbell> Attached<'m, T, D> {
    pub(crate) fn new(
        machine: &'m Machine<T>,
        cpu: u32,
        core: Option<usize>,
        bell: D,
        rings: Rings,
    ) -> Result<Self, AttachError> {
        if here::is_a_cpu() {
            return Err(AttachError::ThreadIsACpu);
        }
        if here::is_inside() {
            return Err(AttachError::InCall);
        }
        machine.take_seat(cpu)?;
        if let Err(error) = core.map_or(Ok(()), pin_this_thread) {
            machine.seats().give_back(cpu);
            return Err(AttachError::Pin(error));
        }
        let core = machine.platform().settle(cpu, core);
        here::set(Here { machine: machine.platform().id(), cpu, core });
        here::serve(Some(machine.served()));
        let bell = Arc::new(bell);
        let rung: Arc<dyn Doorbell> = Arc::<D>::clone(&bell);
        machine.platform().set_bell(cpu, Some(rung));
        // Before anybody can ring: a ring that only latched would be lost to a loop that looks when it is rung.
        let latch = &machine.platform().cpu(cpu).latch;
        match rings {
            Rings::Latch => {}
            Rings::Doorbell => latch.leave(),
            Rings::Interrupt(signal) => {
                latch.interrupts();
                interrupt::begin(machine.shared(), signal);
            }
        }
        match machine.pinned().online() {
            Ok(own) => Ok(Self { machine, own, bell, was_told_of_the_end: false }),
            Err(error) => {
                Self::get_up(machine, cpu);
                Err(AttachError::Refused(error))
            }
        }
    }

    /// The calling thread, whose CPU is offline, is that CPU no more.
    fn get_up(machine: &Machine<T>, cpu: u32) {
        machine.platform().cpu(cpu).latch.reset();
        machine.platform().set_bell(cpu, None);
        interrupt::end();
        here::clear();
        machine.seats().give_back(cpu);
    }

    /// Returns the CPU's number.
    ///
    /// Example: [`Machine::attach`](crate::Machine::attach).
    pub fn cpu(&self) -> u32 {
        self.own.number()
    }

    /// Returns its doorbell.
    ///
    /// ```
    /// use smpcall_host::{EventFd, Machine};
    /// use std::os::fd::AsFd;
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let here = machine.attach_with(0, EventFd::new()?)?;
    /// let _watched = here.doorbell().as_fd(); // what epoll is to watch
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn doorbell(&self) -> &D {
        &self.bell
    }

    pub(crate) fn latch(&self) -> &'m Latch {
        &self.machine.platform().cpu(self.own.number()).latch
    }

    /// The thread may be asleep in its own loop from now on, for all that posters know. To be followed by a look at the queue.
    pub(crate) fn may_be_outside(&self) {
        self.latch().leave();
    }

    /// Takes note of all rings so far, where the thread counts as one that may be asleep in its own loop. To be followed by a
    /// flush; part of [`poll`](Self::poll) and [`Asleep::woken`](crate::Asleep::woken), and for who flushes by another way.
    ///
    /// Context: the CPU's thread. Progress: wait-free, and a read of what the doorbell left behind, if it rang.
    ///
    /// ```
    /// use smpcall_host::{EventFd, Machine, smpcall::{Budget, Flushed}};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach_with(0, EventFd::new()?)?;
    /// machine.post_detached(0, || ())?;
    /// here.acknowledge(); // first,
    /// assert_eq!(here.handle().flush(Budget::DEFAULT), Flushed::All(1)); // then the flush: together they are a `poll`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acknowledge(&self) {
        let latch = self.latch();
        if latch.is_outside() {
            latch.acknowledge();
            self.bell.acknowledge();
        }
    }

    /// Returns the core's handle of the CPU, for a loop that does by itself, in steps, what [`poll`](Self::poll) and
    /// [`park`](Self::park) do. It knows of no doorbell but the latch: [`acknowledge`](Self::acknowledge) before each flush, and begin
    /// the sleeps that another doorbell ends by [`Self::begin_sleep`].
    ///
    /// Example: [`Attached::acknowledge`](crate::Attached::acknowledge).
    pub fn handle(&mut self) -> &mut Cpu<'m, Host<T>, Box<[PerCpu]>> {
        &mut self.own
    }

    /// Runs what was posted, as far as `budget` goes, and then the calls that may block; so hold no lock here that such a
    /// function could want. On an empty queue it costs a few loads.
    ///
    /// A loop that has a [`Doorbell`] may do nothing else when that has rung. If it [begins its sleeps](Self::begin_sleep) it is rung
    /// once for each sleep, instead of once for each poll; but then it begins every one.
    ///
    /// ```
    /// use smpcall_host::{Machine, smpcall::{Budget, Flushed}};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach(0)?;
    /// machine.post_detached(0, || ())?; // to oneself: runs when one looks
    /// assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll(&mut self, budget: Budget) -> Flushed {
        self.acknowledge();
        let flushed = self.own.flush(budget);
        if flushed == Flushed::All(0) && here::polled_in_vain() {
            // It may have been moved: who calls it is to know, or would sleep for it where spinning is right.
            self.machine.platform().show_core(self.cpu());
        }
        flushed
    }

    /// Says that this thread polls from now on, so that posts to it need not ring; until [`park`](Self::park).
    ///
    /// ```
    /// use smpcall_host::{Machine, smpcall::Budget};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach(0)?;
    /// let asked = AtomicBool::new(false);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| machine.call(0, || asked.store(true, Ordering::Relaxed)));
    ///     here.poll_begin(); // for the fastest answer, and no system call of the poster's
    ///     while !asked.load(Ordering::Relaxed) { let _ = here.poll(Budget::DEFAULT); }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_begin(&mut self) {
        self.own.poll_begin();
        self.machine.platform().show_core(self.cpu());
    }

    /// Runs what was posted, calls that may block included; if there is nothing, sleeps until a post rings or `timeout` has
    /// passed, and runs what came.
    /// `None`: for as long as it takes. Returns how many functions ran; 0 also if it woke for no reason.
    ///
    /// Once the machine was shut down it does not sleep: it runs what is there, and returns. A loop that parks asks
    /// [`Machine::is_shut_down`]. For `Some(Duration::ZERO)` it makes no system call; longer times end late by the kernel's timer
    /// slack (50 µs, unless told by `prctl(PR_SET_TIMERSLACK)`).
    ///
    /// # Panics
    ///
    /// From inside a function, or with soft interrupts off: who sleeps there may sleep for ever.
    ///
    /// ```
    /// use smpcall_host::Machine;
    /// use std::time::Duration;
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach(0)?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| machine.post_detached(0, || ()));
    ///     while here.park(Some(Duration::from_secs(60))) == 0 {} // runs what came, and says how much that was
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn park(&mut self, timeout: Option<Duration>) -> u32 {
        assert!(self.machine.platform().can_wait(), "park is for thread context");
        // The ring that told of the end may have been taken note of long ago, by another park or a wait; which then shows this.
        let timeout = if self.machine.is_shut_down() { Some(Duration::ZERO) } else { timeout };
        let (host, cpu) = (self.machine.platform(), self.cpu());
        let flushed = if let Ok(guard) = self.own.begin_sleep() {
            let asleep = guard.commit();
            host.cpu(cpu).latch.sleep(timeout);
            host.show_core(cpu);
            asleep.woken(Budget::DEFAULT)
        } else {
            self.own.flush(Budget::DEFAULT)
        };
        // A thread that polled and had work polls no longer. An error: more has come, and the next park looks first.
        let _ = self.own.begin_sleep().map(SleepGuard::commit);
        match flushed {
            Flushed::All(ran) | Flushed::More(ran) => ran,
            Flushed::Nested | Flushed::NotACpu => unreachable!("thread context of a CPU is in no flush"),
        }
    }
}

/// The doorbell's, which is readable when the CPU is rung.
impl<T: Trace, D: Doorbell + AsFd> AsFd for Attached<'_, T, D> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl<T: Trace, D: Doorbell + AsFd> AsRawFd for Attached<'_, T, D> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: Trace, D: Doorbell> Drop for Attached<'_, T, D> {
    /// Goes offline: runs what was accepted; later posts are told `Offline`.
    ///
    /// # Panics
    ///
    /// From inside a function of this CPU. The thread then stays the CPU, as if this had been leaked.
    fn drop(&mut self) {
        let left = match self.machine.pinned().this_cpu() {
            Ok(own) => own.offline().map(|_| ()).map_err(|(_, error)| error),
            // By another handle of its, that of a machine that lives for ever.
            Err(HotplugError::Offline) => Ok(()),
            Err(error) => Err(error),
        };
        match left {
            Ok(()) => Self::get_up(self.machine, self.cpu()),
            // A flush is under way on this very stack. With the seat given back, another thread could be this CPU at the
            // same time, which the port's first promise rules out.
            Err(_) if std::thread::panicking() => {}
            Err(error) => panic!("CPU {} cannot detach: {error}", self.cpu()),
        }
    }
}
