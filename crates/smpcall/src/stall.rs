//! What is said of a target that does not answer (P10).

/// How many CPUs one report names, if a multicast waits for more. All of them are rung.
pub(crate) const NAMED_MAX: u32 = 8;

/// A report on a call that somebody waits for: on one CPU that it waits for. Of a multicast, each CPU that has still to acknowledge it is
/// told of by itself, the first eight by number; [`pending`](Self::pending) says how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallStall {
    /// Who waits; `None` for a thread that is no CPU.
    pub waiter: Option<u32>,
    /// The CPU that does not answer; when it is over, the one that was named first in the last report.
    pub target: u32,
    /// How many CPUs have still to acknowledge the call, this one among them; more than one only for a multicast. None if it is over; or if
    /// a multicast waits for one of the machine's slots, and those who hold them have still to send, or to let go: then
    /// [`target`](Self::target) says nothing.
    pub pending: u32,
    /// The name of the waited-for function's type.
    pub function: &'static str,
    /// How far the call has come.
    pub phase: Phase,
    /// How long it has been waited for, in ns.
    pub waited_ns: u64,
    /// How often this wait was reported before.
    pub reports: u32,
}

/// How far a call has come that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Its function runs.
    Running,
    /// It is queued, and its target runs the function at this address.
    Behind(usize),
    /// A call that may block: its target has dequeued it, and its thread has not come to it yet. It runs another,
    /// or code of its own, or never calls [`Cpu::flush`](crate::Cpu::flush).
    Dequeued,
    /// It is queued, or dequeued as above, and its target's thread runs the function at this address, of a
    /// [`call_blocking`](crate::Smp::call_blocking): it does not look meanwhile, unless an interrupt makes it.
    BehindBlocking(usize),
    /// It is queued, and its target is in no call: interrupts off, not polling, or not rung.
    Queued,
    /// It is queued, its target is in no call, and the doorbell could not be sent ([`RingError`](crate::RingError)). It is rung again.
    Unrung,
    /// It was reported, and is done after all ([`Reporting::unstuck`](crate::Reporting::unstuck)).
    Over,
}

/// A report on a CPU whose queue does not move, whether or not anybody waits; made by
/// [`Smp::watchdog`](crate::Smp::watchdog).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStall {
    /// The CPU.
    pub cpu: u32,
    /// What holds it up.
    pub cause: StallCause,
    /// For how long the watchdog has seen that, in ns: at least so long it is.
    pub for_ns: u64,
    /// How many reports this one was preceded by.
    pub reports: u32,
}

/// What holds up a CPU whose queue does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallCause {
    /// Calls are queued, and the CPU runs none: interrupts off, not polling, or not rung. It was rung again.
    Queued,
    /// As `Queued`, and the doorbell could not be sent ([`RingError`](crate::RingError)). It is rung again.
    Unrung,
    /// The function at this address does not return; nothing is queued behind it.
    Running(usize),
    /// The function at this address does not return, and calls are queued behind it.
    Behind(usize),
    /// Calls are queued, and the CPU's thread runs the function at this address, of a
    /// [`call_blocking`](crate::Smp::call_blocking). It was rung again.
    BehindBlocking(usize),
    /// It was reported, and a run has ended since.
    Over,
}

impl core::fmt::Display for QueueStall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (cpu, millis) = (self.cpu, self.for_ns / 1_000_000);
        match self.cause {
            StallCause::Queued => {
                write!(f, "CPU {cpu} has not flushed its queue for {millis} ms, and runs no call")
            }
            StallCause::Unrung => {
                write!(f, "CPU {cpu} has calls queued for {millis} ms, and its doorbell fails")
            }
            StallCause::Running(func) => {
                write!(f, "CPU {cpu} has run the function at {func:#x} for {millis} ms")
            }
            StallCause::Behind(func) => {
                write!(f, "CPU {cpu} has run the function at {func:#x} for {millis} ms, with calls behind it")
            }
            StallCause::BehindBlocking(func) => write!(
                f,
                "CPU {cpu} has not flushed its queue for {millis} ms, behind the blocking function at {func:#x}"
            ),
            StallCause::Over => write!(f, "CPU {cpu} came forward after {millis} ms"),
        }
    }
}

impl core::fmt::Display for CallStall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.waiter {
            Some(cpu) => write!(f, "CPU {cpu}")?,
            None => write!(f, "a thread")?,
        }
        let millis = self.waited_ns / 1_000_000;
        if self.phase == Phase::Over {
            return write!(f, " got `{}` done by CPU {} after {millis} ms", self.function, self.target);
        }
        let Self { target, pending, function, .. } = self;
        match pending {
            0 => {
                return write!(
                    f,
                    " has waited {millis} ms for a slot to send `{function}`, and no CPU has one to acknowledge"
                );
            }
            1 => write!(f, " has waited {millis} ms for CPU {target}: `{function}` is ")?,
            _ => write!(f, " has waited {millis} ms for CPU {target}, one of {pending}: `{function}` is ")?,
        }
        match self.phase {
            Phase::Running => write!(f, "running"),
            Phase::Behind(func) => write!(f, "queued behind the function at {func:#x}"),
            Phase::BehindBlocking(func) => write!(f, "queued behind the blocking function at {func:#x}"),
            Phase::Dequeued => write!(f, "dequeued, and the CPU's thread has not come to it"),
            Phase::Queued => write!(f, "queued, and the CPU runs no call"),
            Phase::Unrung => write!(f, "queued, and the CPU's doorbell fails"),
            Phase::Over => write!(f, "done"),
        }
    }
}
