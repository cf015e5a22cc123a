//! What a port may do besides: traits of which every method and constant has a default. [`waiting`](super::waiting), [`tuning`](super::tuning)
//! and [`hosted`](super::hosted) have the others.
//!
//! A port that leaves one alone writes `impl Tuning for MyPort {}`, or lists it in [`simple_port!`](crate::simple_port). What they must
//! not do is part of the numbered duties of [`Platform`].

use super::{Platform, RingError};
use crate::stall::{CallStall, QueueStall};
use crate::trace::Event;

/// Who is told of what went wrong. **Implement this when** there is a console or a log, or a time-out other than Linux's.
///
/// Duty: 6 of [`Platform`].
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// use smpcall::{CallStall, Platform, QueueStall, Reporting};
///
/// struct Port;
/// impl Reporting for Port {
///     fn stall_timeout_ns(&self) -> u64 { 1_000_000_000 }
///     fn stall_stop_ns(&self) -> u64 { 60_000_000_000 } // then a reboot is better
///     fn stop(&self, stall: &CallStall) -> ! { println!("{stall}"); std::process::abort() }
///     fn call_stalled(&self, stall: &CallStall) { println!("{stall}"); }
///     fn unstuck(&self, stall: &CallStall) { println!("it was slow: {stall}"); }
///     fn queue_stalled(&self, stall: &QueueStall) { println!("{stall}"); }
///     fn caught(&self, panic: <Self as Platform>::Panic) { match panic {} } // nothing unwinds here
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Waiting, Tracing, Topology, Tuning, Foreign, Hosting);
/// assert!(Port.stall_timeout_ns() < Port.stall_stop_ns());
/// ```
pub trait Reporting {
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
    fn stop(&self, stall: &CallStall) -> ! {
        panic!("{stall}")
    }

    /// Is told of a target that does not answer (P10). The wait goes on. If a multicast waits for several, it is told of one after
    /// the other, of eight at most, before the wait looks again.
    ///
    /// May call the machine. What stalls meanwhile on the same CPU is not reported, so that reports do not nest; for a thread that is
    /// no CPU, or may [migrate](crate::Waiting::MIGRATES), a port whose handlers may call sees to that itself.
    ///
    /// Context: thread, interrupts on, the waiting caller's; must not panic (the process is aborted if it does, since
    /// the call's frame cannot be left).
    fn call_stalled(&self, stall: &CallStall) {
        let _ = stall;
    }

    /// Is told that a wait which was reported as stalled has ended after all.
    ///
    /// Context: as for [`call_stalled`](Self::call_stalled).
    fn unstuck(&self, stall: &CallStall) {
        let _ = stall;
    }

    /// Is told of a CPU whose queue does not move, and when it does again, by [`Smp::watchdog`](crate::Smp::watchdog).
    ///
    /// Context: the watchdog's caller's.
    fn queue_stalled(&self, stall: &QueueStall) {
        let _ = stall;
    }

    /// Takes note of a panic in a function that nobody waits for.
    ///
    /// Context: call context; must not unwind, as a payload that is dropped might.
    fn caught(&self, panic: <Self as Platform>::Panic)
    where
        Self: Platform,
    {
        drop(panic);
    }
}

/// Tracepoints (P12). **Implement this when** events are to be counted or recorded; [`Stats`](crate::Stats) counts.
///
/// Duty: 6 of [`Platform`].
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// # use smpcall::Budget;
/// use smpcall::{CpuStats, Event, Stats, Tracing};
///
/// struct Port(Stats<[CpuStats; 1]>);
/// impl Tracing for Port {
///     const TRACES: bool = true;
///     fn trace(&self, event: &Event) { self.0.count(event); }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Waiting, Reporting, Topology, Tuning, Foreign, Hosting);
/// # let smp = one::machine(Port(Stats::new([CpuStats::new()])));
/// # let mut cpu = smp.as_ref().online().unwrap();
/// smp.post_detached(0, || ()).unwrap();
/// let _ = cpu.flush(Budget::DEFAULT);
/// let counts = smp.platform().0.total();
/// assert_eq!((counts.queued, counts.ran), (1, 1));
/// ```
pub trait Tracing {
    /// Whether the port is told of each event by [`trace`](Self::trace). If not, no instruction is spent on it.
    const TRACES: bool = false;

    /// Whether each call is stamped with the time of its queueing, so that [`Entry`](crate::EventKind::Entry) and
    /// [`Exit`](crate::EventKind::Exit) tell latencies. Costs three readings of the clock a call, also in interrupts and NMIs:
    /// [`now_ns`](Platform::now_ns) is then called from any context. Of no use without [`TRACES`](Self::TRACES).
    const STAMPS: bool = false;

    /// Is told of what happens, if [`TRACES`](Self::TRACES).
    ///
    /// Context: any, an NMI included, with interrupts off, and on a CPU in call context; must not post, wait, or panic.
    #[inline(always)]
    fn trace(&self, event: &Event) {
        let _ = event;
    }
}

/// Machines of many CPUs. **Implement this when** one doorbell reaches several CPUs at once, a CPU's own is to wait until its thread
/// has had a turn, or some CPUs are nearer than others.
///
/// Duties: 3 and 6 of [`Platform`].
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// use smpcall::{RingError, Topology};
/// # use std::cell::Cell;
///
/// /// Two sockets of four CPUs; the interrupt controller takes a mask.
/// #[derive(Default)]
/// struct Port { sent: Cell<usize>, after_the_tick: Cell<bool> }
/// impl Topology for Port {
///     fn ring_many(&self, first: u32, cpus: usize) -> usize {
///         self.sent.set(self.sent.get() | cpus << first);
///         0 // all were sent
///     }
///     fn ring_self(&self, _cpu: u32) -> Result<(), RingError> {
///         self.after_the_tick.set(true); // when the thread has had a turn
///         Ok(())
///     }
///     fn nearest(&self, cpu: u32, among: &mut dyn Iterator<Item = u32>) -> Option<u32> {
///         among.filter(|other| other / 4 == cpu / 4).next()
///     }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Waiting, Reporting, Tracing, Tuning, Foreign, Hosting);
///
/// let port = Port::default();
/// assert_eq!((port.ring_many(4, 0b11), port.sent.get()), (0, 0b11_0000));
/// assert_eq!((port.ring_self(5), port.after_the_tick.get()), (Ok(()), true));
/// assert_eq!(port.nearest(5, &mut [1, 2, 6].into_iter()), Some(6));
/// ```
pub trait Topology {
    /// How many CPUs are a group that a multicast is relayed to: a power of two, and not more than a word has bits.
    #[cfg(smpcall_sim)]
    const GROUP: u32 = crate::multicast::SLOTS as u32;

    /// How many CPUs of a group must be meant before they are left to one of them.
    #[cfg(all(feature = "relays", smpcall_sim))]
    const RELAYED_MIN: u32 = crate::relay::RELAYED_MIN;

    /// Makes several CPUs flush soon: CPU `first + n` for each bit `n` of `cpus`. As [`Platform::ring`] for each, unless the
    /// machine can do better. Returns those whose doorbell could not be sent ([`RingError`]), a bit for each; 0: all
    /// were.
    ///
    /// Context: as for [`Platform::ring`].
    fn ring_many(&self, first: u32, cpus: usize) -> usize
    where
        Self: Platform,
    {
        let failed = |bit: &u32| self.ring(first + bit).is_err();
        crate::mask::bits_of(cpus).filter(failed).fold(0, |unrung, bit| unrung | 1 << bit)
    }

    /// Makes `cpu`, which runs the caller, flush again: its flush has stopped at its budget, and there is more. As
    /// [`Platform::ring`], but may arrive when the CPU's thread has had a turn; must arrive.
    ///
    /// Where doorbells interrupt, one that arrives at once comes in as soon as the handler returns, and the thread gets no turn until
    /// the flood ebbs. Nobody else rings meanwhile: the queue's mark says that the CPU looks. So a port that knows when its thread
    /// has run, by its scheduler or a timer, puts the ring off until then; if the thread sleeps, it arrives at once.
    ///
    /// Context: as for [`Platform::ring`]; the CPU does not poll.
    ///
    /// # Errors
    ///
    /// As for [`Platform::ring`].
    fn ring_self(&self, cpu: u32) -> Result<(), RingError>
    where
        Self: Platform,
    {
        self.ring(cpu)
    }

    /// Returns which CPU of `among` is nearest to `cpu`; `None` if the port does not know: then the next number is taken.
    /// `among` names CPUs that were online a moment ago, lowest first, and not `cpu` itself.
    ///
    /// Context: thread, interrupts on or off, and call context; must not allocate.
    fn nearest(&self, cpu: u32, among: &mut dyn Iterator<Item = u32>) -> Option<u32> {
        let _ = (cpu, among);
        None
    }
}
