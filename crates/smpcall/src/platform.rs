//! The port: what only the machine knows.
//!
//! Three duties: *where am I* (current CPU, interrupts), *the doorbell*, and *how to wait*. The chapter "Implementing
//! a port" of ARCHITECTURE.md has a complete one.

use crate::smp::Serve;
use crate::stall::{Overdue, Stall};
use crate::trace::Event;

/// What a machine has to offer so that calls can run on it.
///
/// # Safety
///
/// The core's soundness rests on these, each on every CPU of the machine:
///
/// 1. [`current_cpu`](Self::current_cpu) names the CPU that runs the caller, and two callers at the same time that get
///    the same number are one CPU's thread and its own interrupts. A kernel thread that may migrate is either kept
///    where it is while it is inside a function of this crate (preemption off), or gets `None`.
/// 2. Between [`irq_save`](Self::irq_save) and the matching [`irq_restore`](Self::irq_restore) nothing on that CPU
///    calls [`Smp::flush`](crate::Smp::flush), and the caller is not moved to another CPU. (An NMI may come in between;
///    it may post, but it never flushes.)
/// 3. After [`ring`](Self::ring), the CPU calls [`Smp::flush`](crate::Smp::flush) in finite time, and that flush sees
///    all that was written before the ring, also when this ring was merged into one that was pending. A latch is
///    therefore set by a read-modify-write (Release) at every ring, and cleared by one (Acquire) *before* the flush.
///    Late and spurious rings are harmless, also for a CPU that is offline. (A lost ring delays; it corrupts nothing.)
/// 4. [`catch`](Self::catch) calls its function once, and does not unwind.
/// 5. After [`wake`](Self::wake), a [`park`](Self::park) of the same waiter that is under way or begins later returns.
///    `wake` may come after the call that it is for has returned, and must not touch anything that ends with it.
/// 6. [`ring`](Self::ring), [`ring_many`](Self::ring_many), [`wake`](Self::wake), [`caught`](Self::caught), [`trace`](Self::trace),
///    [`stalled`](Self::stalled) and [`unstuck`](Self::unstuck) do not unwind: they are called between a push and its end. A port that
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
/// - [`ring`](Self::ring), [`wake`](Self::wake), [`trace`](Self::trace), [`caught`](Self::caught) that wait, post or allocate: a
///   deadlock, should it happen in the run.
/// - [`nearest`](Self::nearest) that is not near, [`gather`](Self::gather), [`looks_first`](Self::looks_first),
///   [`relax`](Self::relax) and [`prefetch_write`](Self::prefetch_write): only times tell.
/// - A clock that steps back between CPUs: a wait reads its own CPU's.
/// - [`stalled`](Self::stalled), [`unstuck`](Self::unstuck), [`overdue`](Self::overdue), [`stop`](Self::stop): what a port makes of
///   a report is its own; one that panics ends the run.
/// - [`run_foreign`](Self::run_foreign) and [`take_entry`](Self::take_entry): the suite posts no foreign entries.
pub unsafe trait Platform {
    /// What `irq_save` hands to `irq_restore`.
    type IrqState;
    /// What a panic leaves behind; `core::convert::Infallible` where there is no unwinding.
    type Panic: Send;

    /// Whether the port is told of each event by [`trace`](Self::trace). If not, no instruction is spent on it.
    const TRACES: bool = false;

    /// Whether each call is stamped with the time of its queueing, so that [`Entry`](crate::EventKind::Entry) and
    /// [`Exit`](crate::EventKind::Exit) tell latencies. Costs three readings of the clock a call, also in interrupts and NMIs:
    /// [`now_ns`](Self::now_ns) is then called from any context. Of no use without [`TRACES`](Self::TRACES).
    const STAMPS: bool = false;

    /// Whether waiting callers may sleep. If so, completing a call costs a swap instead of a store.
    const PARKS: bool = false;

    /// Whether a CPU that waits looks at its own queue meanwhile, and counts as polling. Where functions must run in an
    /// interrupt's context, as in Linux, it is left to the doorbell's interrupt, which a caller that may wait has on (P10).
    const SERVES_IN_WAITS: bool = true;

    /// Whether everything here may be stopped from outside without its clock, as a process is by SIGSTOP or a debugger. Then a
    /// waiter sleeps for an eighth of the shorter time-out at a time, to know for how long it was stopped; no other sleep has an end
    /// before the next report is due.
    const MAY_BE_STOPPED: bool = false;

    /// How many CPUs are a group that a multicast is relayed to: a power of two, and not more than a word has bits.
    #[cfg(smpcall_sim)]
    const GROUP: u32 = crate::relay::GROUP;

    /// How many CPUs of a group must be meant before they are left to one of them.
    #[cfg(smpcall_sim)]
    const RELAYED_MIN: u32 = crate::relay::RELAYED_MIN;

    /// Returns the number of the CPU that runs the caller; `None` for a thread that is no CPU of this machine.
    ///
    /// Context: any, an NMI included. Should cost one register read.
    fn current_cpu(&self) -> Option<u32>;

    /// Returns whether the caller may wait: interrupts are on, and it runs in no interrupt, signal or NMI handler.
    ///
    /// Context: any. Call context need not be told apart: the core knows it.
    fn can_wait(&self) -> bool;

    /// Makes `cpu` flush soon. Sent with the irq guard held, at most once for each sleep (P7). Sees what that CPU wrote
    /// before it came online, and before the flush or [`Smp::poll_end`](crate::Smp::poll_end) with which it began to
    /// rest; what it wrote when it rested already is for the port to publish. A CPU that rings itself has more to do than a flush
    /// may run at a time, or has posted to itself: a port whose doorbell interrupts may let its thread have a turn before.
    ///
    /// Context: any, an NMI included; must not wait for the target, nor post.
    fn ring(&self, cpu: u32);

    /// Makes several CPUs flush soon: CPU `first + n` for each bit `n` of `cpus`. As [`Self::ring`] for each, unless the
    /// machine can do better.
    ///
    /// Context: as for [`Self::ring`].
    fn ring_many(&self, first: u32, cpus: usize) {
        for bit in crate::mask::bits_of(cpus) {
            self.ring(first + bit);
        }
    }

    /// Returns which CPU of `among` is nearest to `cpu`; `None` if the port does not know: then the next number is taken.
    /// `among` names CPUs that were online a moment ago, lowest first, and not `cpu` itself.
    ///
    /// Context: thread, interrupts on or off, and call context; must not allocate.
    fn nearest(&self, cpu: u32, among: &mut dyn Iterator<Item = u32>) -> Option<u32> {
        let _ = (cpu, among);
        None
    }

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
    /// Context: any where waiting is allowed.
    fn now_ns(&self) -> u64;

    /// Calls `f`; a panic comes back as `Err` where there is unwinding.
    ///
    /// Context: call context, local interrupts off; for a call that may block, the CPU's thread, interrupts on.
    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic>;

    /// Goes on with a panic that `catch` caught on the target, in the waiting caller (P11).
    fn resume(panic: Self::Panic) -> !;

    /// Takes note of a panic in a function that nobody waits for.
    ///
    /// Context: call context; must not unwind, as a payload that is dropped might.
    fn caught(&self, panic: Self::Panic) {
        drop(panic);
    }

    /// Runs the function of a foreign csd ([`Smp::post_foreign`](crate::Smp::post_foreign)). `csd` is its address, a name: it may be
    /// posted anew, or gone, by now.
    ///
    /// Context: call context, local interrupts off; must not unwind.
    ///
    /// # Safety
    ///
    /// `function` and `argument` are what a csd held that was posted as the safety of `post_foreign` demands; called once for
    /// each accepted post.
    unsafe fn run_foreign(&self, function: *const (), argument: *const (), csd: *const ()) {
        let _ = (function, argument, csd);
        unreachable!("a port that posts foreign csds says how to run them")
    }

    /// Takes over something that is no csd ([`Smp::push_entry`](crate::Smp::push_entry)): it is off the queue, and runs now, or
    /// is kept for the end of the flush.
    ///
    /// Context: as for [`Self::run_foreign`].
    ///
    /// # Safety
    ///
    /// `entry` was pushed as the safety of `push_entry` demands; called once for each push that was accepted.
    unsafe fn take_entry(&self, entry: *const crate::Entry) {
        let _ = entry;
        unreachable!("a port that pushes entries says how to run them")
    }

    /// Asks the memory system for `line`, to be written soon. A hint: it reads nothing and never faults.
    #[inline(always)]
    fn prefetch_write(&self, line: *const ()) {
        let _ = line;
    }

    /// Lets a moment pass, about as long as a cache line travels, between a polling CPU's sight of a call that nobody
    /// waits for and its taking of the list. In a flood of posts more come along meanwhile; without, poster and target
    /// would pass the line to and fro for every one of them. May do nothing.
    ///
    /// Context: flush, local interrupts off.
    #[inline(always)]
    fn gather(&self) {}

    /// Returns how often a waiting caller looks at its call before it does anything else: about as long as a polling
    /// target takes to answer. 0 where the target cannot run while the caller does.
    ///
    /// Context: thread, interrupts on.
    #[inline(always)]
    fn looks_first(&self, target: u32) -> u32 {
        let _ = target;
        64
    }

    /// Decides what a waiting caller does next: look again (after a pause of the port's choice), or sleep.
    ///
    /// Context: thread, interrupts on. Called again and again, with `backoff.rounds` counting up.
    fn pause(&self, backoff: &Backoff) -> Pause {
        let _ = backoff;
        self.relax();
        Pause::Again
    }

    /// Returns the number by which a waiting caller can be woken. Called only if [`PARKS`](Self::PARKS); `None` if there
    /// is none left: then the caller naps instead of sleeping.
    fn waiter(&self) -> Option<u16> {
        None
    }

    /// Sleeps until [`wake`](Self::wake)d, or rung if it is a CPU, or `timeout_ns` have passed; may return early.
    ///
    /// Context: thread, interrupts on; the caller's queue is at rest. `waiter` is `None` for a nap.
    fn park(&self, waiter: Option<u16>, timeout_ns: u64) {
        let _ = (waiter, timeout_ns);
        self.relax();
    }

    /// Serves, while a caller waits that is no CPU of this machine, the CPU of another machine that its thread is, if any: by
    /// that machine's [`Smp::serve`](crate::Smp::serve). Without, two CPUs of two machines that call each other's would wait for
    /// ever (P10). Nothing to do where a thread is a CPU of one machine at most, and of the same one for all.
    ///
    /// Context: thread, interrupts on. Called again and again.
    fn serve_elsewhere(&self, serve: Serve) {
        let _ = serve;
    }

    /// Calls `sleep`, which asks to be woken and [`park`](Self::park)s, once; for a caller whose thread is a CPU of another
    /// machine by that machine's [`Smp::rest`](crate::Smp::rest), and in a way in which a ring of that CPU ends the sleep too.
    ///
    /// Context: as for [`park`](Self::park); the caller is no CPU of this machine.
    fn rest_elsewhere(&self, serve: Serve, sleep: &mut dyn FnMut()) {
        let _ = serve;
        sleep();
    }

    /// A caller that is no CPU of this machine runs code of its user's, a condition or a handler, above a frame of this crate, until
    /// [`frame_ends`](Self::frame_ends). Nests. A port by which threads become CPUs refuses that meanwhile: the frame would wait as
    /// the thread that is none, and serve nobody (P10).
    ///
    /// Context: thread, interrupts on.
    fn frame_begins(&self) {}

    /// As for [`frame_begins`](Self::frame_begins), which this undoes.
    fn frame_ends(&self) {}

    /// Wakes a caller that sleeps, or that did: the call may be over, or its wait given up. Sees what that caller wrote before its
    /// [`pause`](Self::pause) returned [`Pause::Park`].
    ///
    /// Context: the target, in call context or with the irq guard held; must not wait.
    fn wake(&self, waiter: u16) {
        let _ = waiter;
    }

    /// Is told of what happens (P12), if [`TRACES`](Self::TRACES). [`Stats`](crate::Stats) counts.
    ///
    /// Context: any, an NMI included, with interrupts off, and on a CPU in call context; must not post, wait, or panic.
    #[inline(always)]
    fn trace(&self, event: &Event) {
        let _ = event;
    }

    /// Returns after how long a silent target is reported, in ns; 0: never. Linux's default (`csd_lock_timeout`) is 5 s.
    fn stall_timeout_ns(&self) -> u64 {
        5_000_000_000
    }

    /// Returns after how long a wait for a silent target is the end, in ns; 0: never. Linux's default
    /// (`panic_on_ipistall`) is 0.
    fn stall_stop_ns(&self) -> u64 {
        0
    }

    /// Stops everything: a wait has gone on for [`stall_stop_ns`](Self::stall_stop_ns). It cannot be left otherwise.
    ///
    /// Context: thread, interrupts on, the waiting caller's. A panic here, which is what it does unless told, does not
    /// unwind: the process is aborted.
    fn stop(&self, stall: &Stall) -> ! {
        panic!("{stall}")
    }

    /// Is told of a target that does not answer (P10). The wait goes on. If a multicast waits for several, it is told of one after
    /// the other, of eight at most, before the wait looks again.
    ///
    /// May call the machine. What stalls meanwhile on the same CPU is not reported, so that reports do not nest; for a thread that is
    /// no CPU, a port whose handlers may call sees to that itself.
    ///
    /// Context: thread, interrupts on, the waiting caller's; must not panic (the process is aborted if it does, since
    /// the call's frame cannot be left).
    fn stalled(&self, stall: &Stall) {
        let _ = stall;
    }

    /// Is told that a wait which was reported as stalled has ended after all.
    ///
    /// Context: as for [`stalled`](Self::stalled).
    fn unstuck(&self, stall: &Stall) {
        let _ = stall;
    }

    /// Is told of a CPU whose queue does not move, and when it does again, by [`Smp::watchdog`](crate::Smp::watchdog).
    ///
    /// Context: the watchdog's caller's.
    fn overdue(&self, overdue: &Overdue) {
        let _ = overdue;
    }
}

/// How long a wait has gone on, for [`Platform::pause`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Backoff {
    /// How often `pause` was called before in this wait.
    pub rounds: u32,
    /// The CPU that is waited for.
    pub target: u32,
    /// How long the wait has gone on, in ns.
    pub waited_ns: u64,
}

/// What a waiting caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Looks again.
    Again,
    /// Sleeps.
    Park,
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
