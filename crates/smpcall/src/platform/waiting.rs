//! How callers wait: [`Waiting`], one of the [extensions](super::extensions).

use super::Platform;

/// How callers wait. **Implement this when** they may sleep, pause otherwise than by a spin, or migrate meanwhile; or when functions
/// have to run in an interrupt's context.
///
/// Duties: 1, 5 and 6 of [`Platform`].
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// use smpcall::{Backoff, Pause, Waiting};
/// use std::{cell::Cell, hint, sync::OnceLock, thread::{self, Thread}, time::Duration};
///
/// thread_local! { static ME: Cell<Option<u16>> = const { Cell::new(None) } }
///
/// /// Callers are threads, known by their place here.
/// #[derive(Default)]
/// struct Port { threads: [OnceLock<Thread>; 8] }
/// impl Waiting for Port {
///     const PARKS: bool = true;
///     fn pause(&self, backoff: &Backoff) -> Pause {
///         hint::spin_loop();
///         if backoff.rounds < 100 { Pause::Again } else { Pause::Park }
///     }
///     fn hold(&self, rounds: u32) {
///         if rounds < 100 { hint::spin_loop() } else { thread::yield_now() }
///     }
///     fn is_bound(&self) -> bool { ME.get().is_some() } // asked only where threads migrate
///     fn waiter(&self) -> Option<u16> { ME.get() }
///     fn park(&self, _waiter: Option<u16>, timeout_ns: u64) { thread::park_timeout(Duration::from_nanos(timeout_ns)) }
///     fn wake(&self, waiter: u16) { self.threads[usize::from(waiter)].get().inspect(|thread| thread.unpark()); }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
///
/// let port = Port::default();
/// port.threads[3].set(thread::current()).unwrap();
/// ME.set(Some(3));
/// port.wake(3); // comes first, and is kept:
/// port.park(port.waiter(), u64::MAX); // returns at once
/// # (0..200).for_each(|rounds| port.hold(rounds));
/// # assert!(port.is_bound());
/// ```
pub trait Waiting {
    /// Whether waiting callers may sleep. If so, completing a call costs a swap instead of a store.
    const PARKS: bool = false;

    /// Whether a CPU that waits looks at its own queue meanwhile, and counts as polling. Where functions must run in an
    /// interrupt's context, as in Linux, it is left to the doorbell's interrupt, which a caller that may wait has on (P10).
    const SERVES_IN_WAITS: bool = true;

    /// Whether a thread may be preempted inside functions of this crate, and go on on another CPU: it is kept on its CPU from
    /// [`irq_save`](Platform::irq_save) to [`irq_restore`](Platform::irq_restore) only, also while it waits (P15). Costs nothing
    /// where it is `false`: preemption is off then, or a CPU is a thread.
    ///
    /// If it is `true`, doorbells interrupt whatever thread their CPU runs; a CPU does not count as polling while a caller waits
    /// there, only in its idle loop, which is not preempted between [`Cpu::poll_begin`](crate::Cpu::poll_begin) and
    /// [`Cpu::begin_sleep`](crate::Cpu::begin_sleep); and a multicast that means the caller's own CPU reaches that by its queue, with a
    /// ring.
    const MIGRATES: bool = false;

    /// Whether other CPUs can read and write the caller's stack, as they can where all memory is shared. Where they cannot (each
    /// CPU maps its stacks for itself), what would lie there does not compile: [`Smp::call`](crate::Smp::call),
    /// [`call_blocking`](crate::Smp::call_blocking), [`call_many`](crate::Smp::call_many), [`call_map`](crate::Smp::call_map),
    /// [`pinned`](crate::Smp::pinned). Left are [`call_in`](crate::Smp::call_in),
    /// [`call_many_copied`](crate::Smp::call_many_copied), and all that is posted.
    const SHARED_STACKS: bool = true;

    /// Decides what a waiting caller does next: look again (after a pause of the port's choice), or sleep.
    ///
    /// Context: thread, interrupts on. Called again and again, with `backoff.rounds` counting up.
    fn pause(&self, backoff: &Backoff) -> Pause
    where
        Self: Platform,
    {
        let _ = backoff;
        self.relax();
        Pause::Again
    }

    /// Lets a moment pass on a CPU that is held in a [rendezvous](crate::Smp::rendezvous): a step of a spin, at first; where other CPUs may share its
    /// core, and one of them has still to arrive, what lets that run. Called again and again, with `rounds` counting up.
    ///
    /// Context: call context. Must not wait for another CPU.
    fn hold(&self, rounds: u32)
    where
        Self: Platform,
    {
        let _ = rounds;
        self.relax();
    }

    /// Returns whether the caller is the one thread of its CPU that is bound there, never migrates, and runs what may block
    /// ([`Cpu::run_blocking`](crate::Cpu::run_blocking)); only that one takes the CPU offline. Asked only if
    /// [`MIGRATES`](Self::MIGRATES).
    ///
    /// Context: any. The doorbell's handler has that thread come forward, which may sleep, after its flush.
    fn is_bound(&self) -> bool {
        false
    }

    /// Returns the number by which a waiting caller can be woken. Called only if [`PARKS`](Self::PARKS); `None` if there
    /// is none left: then the caller naps instead of sleeping. Where threads [migrate](Self::MIGRATES) it is the thread's, and not
    /// its CPU's.
    fn waiter(&self) -> Option<u16> {
        None
    }

    /// Sleeps until [`wake`](Self::wake)d, or rung if it is a CPU, or `timeout_ns` have passed; may return early.
    ///
    /// Context: thread, interrupts on; the caller's queue is at rest. `waiter` is `None` for a nap.
    fn park(&self, waiter: Option<u16>, timeout_ns: u64)
    where
        Self: Platform,
    {
        let _ = (waiter, timeout_ns);
        self.relax();
    }

    /// Wakes a caller that sleeps, or that did: the call may be over, or its wait given up. Sees what that caller wrote before its
    /// [`pause`](Self::pause) returned [`Pause::Park`].
    ///
    /// Context: the target, in call context or with the irq guard held; must not wait.
    fn wake(&self, waiter: u16) {
        let _ = waiter;
    }
}

/// Refuses what would lie on a caller's stack, where no other CPU sees it.
pub(crate) const fn demand_shared_stacks<P: Waiting>() {
    assert!(
        P::SHARED_STACKS,
        "other CPUs cannot see this stack (`Waiting::SHARED_STACKS`): take `call_in`, `call_many_copied`, or post a csd"
    );
}

/// How long a wait has gone on, for [`Waiting::pause`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Backoff {
    /// How often `pause` was called before in this wait.
    pub rounds: u32,
    /// The CPU that is waited for, or one of them.
    pub target: u32,
    /// Whether others are waited for besides it, as by a multicast: that it cannot run now says nothing of them.
    pub with_others: bool,
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
