//! What is said of a target that does not answer (P10).

/// A report on a call that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stall {
    /// Who waits; `None` for a thread that is no CPU.
    pub waiter: Option<u32>,
    /// The CPU that does not answer.
    pub target: u32,
    /// The name of the waited-for function's type.
    pub function: &'static str,
    /// How far the call has come.
    pub phase: Phase,
    /// How long it has been waited for, in ns.
    pub waited_ns: u64,
    /// How many reports this wait made before.
    pub reports: u32,
}

/// How far a call has come that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its function runs.
    Running,
    /// It is queued, and its target runs the function at this address.
    Behind(usize),
    /// A call that may block: its target has taken it off its queue, and its thread has not come to it yet. It runs another,
    /// or code of its own, or never calls [`Smp::run_blocking`](crate::Smp::run_blocking).
    Taken,
    /// It is queued, and its target is in no call: interrupts off, not polling, or not rung.
    Queued,
}

impl core::fmt::Display for Stall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.waiter {
            Some(cpu) => write!(f, "CPU {cpu}")?,
            None => write!(f, "a thread")?,
        }
        let millis = self.waited_ns / 1_000_000;
        write!(f, " has waited {millis} ms for CPU {}: `{}` is ", self.target, self.function)?;
        match self.phase {
            Phase::Running => write!(f, "running"),
            Phase::Behind(func) => write!(f, "queued behind the function at {func:#x}"),
            Phase::Taken => write!(f, "taken, and the CPU's thread has not come to it"),
            Phase::Queued => write!(f, "queued, and the CPU runs no call"),
        }
    }
}
