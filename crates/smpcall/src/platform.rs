//! The port: what only the machine knows.
//!
//! Three duties: *where am I* (current CPU, interrupts), *the doorbell*, and *how to wait*. The chapter "Implementing
//! a port" of ARCHITECTURE.md has a complete one.
//!
//! [`Platform`] has the nine methods that every port needs, of which [`no_unwinding!`](crate::no_unwinding) writes two where a panic is
//! the end. The rest is in seven extensions, each all defaults; [`simple_port!`](crate::simple_port) takes them as they are:
//!
//! | extension | implement this when |
//! |---|---|
//! | [`Waiting`] | callers may sleep, pause otherwise than by a spin, or migrate; or functions have to run in an interrupt's context |
//! | [`Reporting`] | there is a console or a log, or a time-out other than Linux's |
//! | [`Tracing`] | events are to be counted or recorded |
//! | [`Topology`] | one doorbell reaches several CPUs at once, a CPU's own may wait for its thread's turn, or some are nearer than others |
//! | [`Tuning`] | it was measured to be faster, or some of this crate is never used |
//! | [`Foreign`] | another language posts csds of its own |
//! | [`Hosting`] | a thread may be a CPU of one machine and call another; the whole program may be stopped from outside |
//!
//! Apart from these is [`Broadcasting`], for hardware that does on other CPUs what a call would have them do.

mod broadcasting;
mod extensions;
mod hosted;
mod tuning;
mod waiting;

pub use self::broadcasting::{Broadcasting, NotBroadcast};
pub use self::extensions::{Reporting, Topology, Tracing};
pub use self::hosted::{Foreign, Hosting};
pub use self::tuning::Tuning;
pub(crate) use self::tuning::demand_used;
pub(crate) use self::waiting::demand_shared_stacks;
pub use self::waiting::{Backoff, Pause, Waiting};

/// What a machine has to offer so that calls can run on it.
///
/// # Safety
///
/// The core's soundness rests on these, each on every CPU of the machine:
///
/// 1. [`current_cpu`](Self::current_cpu) names the CPU that runs the caller, and two callers at the same time that get
///    the same number are one CPU's thread and its own interrupts. A kernel thread stays where it is while it is inside a
///    function of this crate (preemption off), or gets `None`. If [`MIGRATES`](Waiting::MIGRATES), it stays there, and nobody but
///    interrupts comes in between, from [`irq_save`](Self::irq_save) to [`irq_restore`](Self::irq_restore) only; interrupts are
///    then off for the port's [`can_wait`](Self::can_wait) too. Threads take turns on a CPU, and each sees what was written there,
///    and what it wrote elsewhere, before its turn. A thread that [`is_bound`](Waiting::is_bound) never moves, and is the only one
///    of its CPU.
/// 2. Between [`irq_save`](Self::irq_save) and the matching [`irq_restore`](Self::irq_restore) nothing on that CPU
///    calls [`Machine::flush`](crate::Machine::flush), and the caller is not moved to another CPU. (An NMI may come in between;
///    it may post, but it never flushes.)
/// 3. After a [`ring`](Self::ring), or a [`ring_self`](Topology::ring_self), that was answered `Ok`, the CPU calls [`Machine::flush`](crate::Machine::flush) in finite time, and that flush sees
///    all that was written before the ring, also when this ring was merged into one that was pending. A latch is
///    therefore set by a read-modify-write (Release) at every ring, and cleared by one (Acquire) *before* the flush.
///    Late and spurious rings are harmless, also for a CPU that is offline. (A lost ring delays; it corrupts nothing.)
/// 4. [`catch`](Self::catch) calls its function once, and does not unwind.
/// 5. After [`wake`](Waiting::wake), a [`park`](Waiting::park) of the same waiter that is under way or begins later returns.
///    `wake` may come after the call that it is for has returned, and must not touch anything that ends with it.
/// 6. [`ring`](Self::ring), [`ring_many`](Topology::ring_many), [`ring_self`](Topology::ring_self), [`wake`](Waiting::wake), [`hold`](Waiting::hold), [`caught`](Reporting::caught), [`trace`](Tracing::trace),
///    [`call_stalled`](Reporting::call_stalled) and [`unstuck`](Reporting::unstuck) do not unwind: they are called between a push and its end. A port that
///    calls code of its users' there catches what that throws.
///
/// # How it is checked
///
/// The conformance suite has a case for each duty, `duty1` to `duty5` in its name, and for most of what the methods ask. What no
/// run from outside can see is the port's to argue, in the `SAFETY:` line of its implementation:
///
/// - 1: a thread that migrates between [`current_cpu`](Self::current_cpu) and the use of its answer. Two threads that are one
///   CPU are found only while both take part.
/// - 2: a handler that would have come, and was late. What does come in is found.
/// - 3: a flush that misses what was written before a merged ring: on most machines nothing shows it. "Finite time" is what the
///   rig calls its patience.
/// - 4: a function called a second time only when it panics.
/// - 5: a `wake` that touches what is gone; an address sanitizer sees it, or nobody.
/// - 6: what would unwind. The core ends the process where a frame could not be left.
/// - [`can_wait`](Self::can_wait) in an NMI, or in a signal's handler: not every port can know of these.
/// - [`ring`](Self::ring), [`wake`](Waiting::wake), [`trace`](Tracing::trace), [`caught`](Reporting::caught) that wait, post or allocate: a
///   deadlock, should it happen in the run.
/// - [`nearest`](Topology::nearest) that is not near, [`gather`](Tuning::gather), [`looks_first`](Tuning::looks_first),
///   [`relax`](Self::relax) and [`prefetch_write`](Tuning::prefetch_write): only times tell.
/// - A clock that steps back between CPUs: a wait reads its own CPU's.
/// - [`call_stalled`](Reporting::call_stalled), [`unstuck`](Reporting::unstuck), [`queue_stalled`](Reporting::queue_stalled), [`stop`](Reporting::stop): what a port makes of
///   a report is its own; one that panics ends the run.
/// - [`run_foreign`](Foreign::run_foreign) and [`take_entry`](Foreign::take_entry): the suite posts no foreign entries.
///
/// ```
/// use smpcall::{Machine, PerCpu, Platform, RingError};
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::{any::Any, cell::Cell, panic, thread, time::Instant};
///
/// thread_local! { static ME: Cell<Option<u32>> = const { Cell::new(None) } }
///
/// /// A CPU is a thread that looks at its queue again and again.
/// struct Polled { started: Instant }
///
/// // SAFETY: 1. One thread sets ME to each number. 2. Nothing interrupts it. 3. It flushes until it goes offline, rung or not; what
/// // was written before a post it sees by the queue. 4. `catch_unwind` calls it once. 5. Nobody parks. 6. None of them unwinds.
/// unsafe impl Platform for Polled {
///     type IrqState = ();
///     type Panic = Box<dyn Any + Send>;
///     fn current_cpu(&self) -> Option<u32> { ME.get() }
///     fn can_wait(&self) -> bool { true }
///     fn ring(&self, _cpu: u32) -> Result<(), RingError> { Ok(()) }
///     fn irq_save(&self) {}
///     fn irq_restore(&self, (): ()) {}
///     fn relax(&self) { thread::yield_now(); }
///     fn now_ns(&self) -> u64 { self.started.elapsed().as_nanos() as u64 }
///     fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> { panic::catch_unwind(panic::AssertUnwindSafe(f)) }
///     fn resume(panic: Self::Panic) -> ! { panic::resume_unwind(panic) }
/// }
/// smpcall::simple_port!(Polled);
///
/// let machine = Box::pin(Machine::new(Polled { started: Instant::now() }, [const { PerCpu::new() }; 2]));
/// let ends = AtomicBool::new(false);
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         ME.set(Some(1));
///         let mut cpu = machine.as_ref().online().unwrap();
///         cpu.serve(|| ends.load(Ordering::Relaxed));
///         cpu.offline().unwrap();
///     });
///     while !machine.is_online_racy(1) { thread::yield_now(); }
///     assert_eq!(machine.call(1, || 6 * 7), Ok(42));
///     ends.store(true, Ordering::Relaxed);
/// });
/// ```
pub unsafe trait Platform:
    Waiting + Reporting + Tracing + Topology + Tuning + Foreign + Hosting
{
    /// What `irq_save` hands to `irq_restore`.
    type IrqState;

    /// What a panic leaves behind; `core::convert::Infallible` where there is no unwinding.
    type Panic: Send + 'static;

    /// Returns the number of the CPU that runs the caller; `None` for a thread that is no CPU of this machine.
    ///
    /// Context: any, an NMI included. Should cost one register read.
    fn current_cpu(&self) -> Option<u32>;

    /// Returns whether the caller may wait: interrupts are on, and it runs in no interrupt, signal or NMI handler.
    ///
    /// Context: any. Call context need not be told apart: the core knows it.
    fn can_wait(&self) -> bool;

    /// Makes `cpu` flush soon. Sent with the irq guard held, at most once for each sleep (P7). Sees what that CPU wrote
    /// before it came online, and before the flush or [`Cpu::begin_sleep`](crate::Cpu::begin_sleep) with which it began to
    /// rest; what it wrote when it rested already is for the port to publish. A CPU that rings itself by
    /// this has posted to itself; for more than a flush may run at a time there is [`ring_self`](Topology::ring_self).
    ///
    /// Context: any, an NMI included; must not wait for the target, nor post.
    ///
    /// # Errors
    ///
    /// [`RingError`] if the doorbell cannot be sent. What is queued stays so, and the core rings again: see there. A port that never
    /// fails answers `Ok(())`, and nothing is left of the question.
    fn ring(&self, cpu: u32) -> Result<(), RingError>;

    /// Switches local interrupts (those that flush) off, and returns what they were. Nests.
    ///
    /// Context: any, an NMI included.
    fn irq_save(&self) -> Self::IrqState;

    /// Switches local interrupts back to what they were.
    fn irq_restore(&self, state: Self::IrqState);

    /// Takes one step of a spin: the CPU's pause hint.
    fn relax(&self);

    /// Returns a monotonic time in nanoseconds.
    ///
    /// Context: any where waiting is allowed; call context, if a call that is awaited has a deadline.
    fn now_ns(&self) -> u64;

    /// Calls `f`; a panic comes back as `Err` where there is unwinding.
    ///
    /// Context: call context, local interrupts off; for a call that may block, the CPU's thread, interrupts on.
    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic>;

    /// Goes on with a panic that `catch` caught on the target, in the waiting caller (P11).
    fn resume(panic: Self::Panic) -> !;
}

/// The doorbell was not sent: the interrupt controller has no room, the CPU is gone.
///
/// Nothing is lost by it. What was queued stays accepted, a post's answer is what it would have been, and the doorbell is *owed*: it
/// is rung again by the next post to that CPU, by whoever waits for it (now and then, before it sleeps, and at each report), by
/// [`Smp::watchdog`](crate::Smp::watchdog), and by [`Smp::ring_owed`](crate::Smp::ring_owed), which a port calls when it knows that
/// there is room again. (One that reports no stalls has to: who sleeps already when somebody else's ring fails learns of it by a report.) Until then [`Smp::is_unrung_racy`](crate::Smp::is_unrung_racy) says so, reports name it
/// ([`Phase::Unrung`](crate::Phase::Unrung), [`StallCause::Unrung`](crate::StallCause::Unrung)), and it is traced
/// ([`EventKind::Unrung`](crate::EventKind::Unrung)). A CPU that looks by itself, or goes offline, runs what is there all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingError;

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the doorbell was not sent")
    }
}

impl core::error::Error for RingError {}

/// Writes, inside `impl Platform for …`, what a panic is where nothing unwinds: the end. (`type Panic`, [`catch`](Platform::catch) and
/// [`resume`](Platform::resume).)
#[macro_export]
macro_rules! no_unwinding {
    () => {
        type Panic = ::core::convert::Infallible;

        #[inline(always)]
        fn catch<R>(f: impl FnOnce() -> R) -> ::core::result::Result<R, Self::Panic> {
            ::core::result::Result::Ok(f())
        }

        fn resume(panic: Self::Panic) -> ! {
            match panic {}
        }
    };
}

/// Leaves a port's extensions as they are: all of them, `simple_port!(MyPort)`, or those that are listed,
/// `simple_port!(MyPort: Tuning, Foreign)`. An empty `impl` for each is all that it writes.
#[macro_export]
macro_rules! simple_port {
    ($port:ty) => {
        $crate::simple_port!($port: Waiting, Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
    };
    ($port:ty: $($extension:ident),+) => {
        $(impl $crate::$extension for $port {})+
    };
}

/// Local interrupts off, until it is dropped.
pub(crate) struct IrqGuard<'p, P: Platform> {
    platform: &'p P,
    state: Option<P::IrqState>,
}

impl<'p, P: Platform> IrqGuard<'p, P> {
    #[inline(always)]
    pub(crate) fn new(platform: &'p P) -> Self {
        Self { platform, state: Some(platform.irq_save()) }
    }
}

impl<P: Platform> Drop for IrqGuard<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.platform.irq_restore(state);
        }
    }
}
