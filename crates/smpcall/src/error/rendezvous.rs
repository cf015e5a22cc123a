//! Why CPUs did not come together.

use crate::stall::CallStall;
use core::fmt;

/// Why a [rendezvous](crate::Smp::rendezvous) did not take place. The function was not run, and nobody is held.
///
/// | error | what it means | what to do |
/// |---|---|---|
/// | [`WouldDeadlock`](Self::WouldDeadlock) | in call context, in an interrupt, or with interrupts off (P10) | from a thread, interrupts on |
/// | [`NotACpu`](Self::NotACpu) | the caller is no CPU of the machine, or may migrate | have a CPU do it: [`call_blocking`](crate::Smp::call_blocking) |
/// | [`Offline`](Self::Offline) | the caller's CPU is offline | come online first |
/// | [`NoSuchCpu`](Self::NoSuchCpu) | the mask names one that the machine has not | mend the caller |
/// | [`TimedOut`](Self::TimedOut) | they did not come together in time | again later; look at who did not come, and why |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RendezvousError {
    /// As for [`CallError::WouldDeadlock`](crate::CallError::WouldDeadlock).
    WouldDeadlock,
    /// The caller is no CPU of this machine: its function could wait for one that is held, and nobody would know. Or it is not
    /// [bound](crate::Waiting::is_bound) to its CPU: it could be moved to one that is held.
    NotACpu,
    /// The caller's CPU is offline.
    Offline,
    /// The mask names a CPU that the machine has not.
    NoSuchCpu,
    /// Not all came in time, or another rendezvous was under way for as long. One of those that did not come, and what it does.
    TimedOut(CallStall),
}

impl fmt::Display for RendezvousError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldDeadlock => f.write_str("waiting here could deadlock"),
            Self::NotACpu => f.write_str("the caller is no CPU of this machine that it stays on"),
            Self::Offline => f.write_str("the caller's CPU is offline"),
            Self::NoSuchCpu => f.write_str("the mask names a CPU that the machine has not"),
            Self::TimedOut(stall) => write!(f, "not all came in time: {stall}"),
        }
    }
}

impl core::error::Error for RendezvousError {}
