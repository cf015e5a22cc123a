//! One small error for each operation; each variant says what to do next.

mod call;
mod rendezvous;

pub use self::call::{CallError, CallInError};
pub use self::rendezvous::RendezvousError;

use crate::csd::Coalesced;
use crate::stall::CallStall;
use core::fmt;

/// Why no run is to come of a post. (That the csd is queued already is no error: [`Posted::Busy`](crate::Posted::Busy).)
///
/// | error | what it means | who relies on what | what to do |
/// |---|---|---|---|
/// | [`Offline`](Self::Offline), `coalesced: No` | the CPU takes nothing; nothing was queued (P8) | nobody | post to another CPU, or again when it is online |
/// | [`Offline`](Self::Offline), `coalesced: Yes` | the same, and meanwhile others were told Busy | they on this post: the caller owes them the run (P2) | the same, now, or the work itself |
/// | [`Cancelled`](Self::Cancelled) | cancelled, and another CPU's queue still has it | nobody | post to that CPU, or again once it has flushed |
/// | [`NoSuchCpu`](Self::NoSuchCpu) | the machine has no CPU of that number | nobody | mend the caller |
///
/// ```
/// use smpcall::{Coalesced, Csd, Platform, PostError, Smp, Storage};
///
/// fn post_or_run<P: Platform, S: Storage>(smp: &Smp<P, S>, csd: &'static Csd<fn()>, work: fn()) {
///     match smp.post(1, csd) {
///         Ok(_) => {} // queued, or busy: a run is to come
///         Err(PostError::Offline { coalesced: Coalesced::Yes }) => work(), // others rely on it
///         Err(error) => println!("{error}"),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostError {
    /// The CPU is offline, and nothing was queued (P8). Post to another CPU, or again when it is online.
    Offline {
        /// Whether others were told Busy meanwhile on the strength of this post: then the caller sees what they wrote,
        /// and owes them the run (P2).
        coalesced: Coalesced,
    },
    /// The csd was cancelled, and `cpu`, another CPU than the one asked for, has not let go of it yet. No run is
    /// promised: post again once that CPU has flushed, or post to that CPU to give the csd its run back.
    Cancelled {
        /// The CPU whose queue the csd is still linked in.
        cpu: u32,
    },
    /// The machine has no CPU of that number.
    NoSuchCpu,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline { coalesced: Coalesced::No } => write!(f, "the CPU is offline"),
            Self::Offline { coalesced: Coalesced::Yes } => {
                write!(f, "the CPU is offline, and others relied on this post")
            }
            Self::Cancelled { cpu } => write!(f, "cancelled, but CPU {cpu} has not let go of it yet"),
            Self::NoSuchCpu => write!(f, "no such CPU"),
        }
    }
}

impl core::error::Error for PostError {}

/// Why a detached call was not queued. Its function was not run.
///
/// | error | what it means | who relies on what | what to do |
/// |---|---|---|---|
/// | [`Full`](Self::Full) | all detached slots of that CPU are in use | nobody | again when it has flushed, or post a csd of your own |
/// | [`Offline`](Self::Offline) | the CPU takes nothing; nothing was queued (P8) | nobody | another CPU, or again when it is online |
/// | [`NoSuchCpu`](Self::NoSuchCpu) | the machine has no CPU of that number | nobody | mend the caller |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DetachedError {
    /// As many detached calls to that CPU are on their way as the machine has slots for: there is no room. Unlike
    /// [`Posted::Busy`](crate::Posted::Busy) this promises nothing: no run of this function is to come. Try again when the CPU has flushed, or
    /// post a csd of your own, which needs no slot.
    Full,
    /// The CPU is offline, and nothing was queued (P8). Call another CPU, or again when it is online.
    Offline,
    /// The machine has no CPU of that number.
    NoSuchCpu,
}

impl fmt::Display for DetachedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "as many detached calls to that CPU are in flight as there are slots",
            Self::Offline => "the CPU is offline",
            Self::NoSuchCpu => "no such CPU",
        })
    }
}

impl core::error::Error for DetachedError {}

/// An owned function that was not posted ([`Smp::post_boxed`](crate::Smp::post_boxed)), handed back.
#[derive(Clone, Copy)]
pub struct Refused<F> {
    /// The function. It was not run.
    pub function: F,
    /// Why.
    pub why: WhyRefused,
}

/// Why an owned function was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyRefused {
    /// The CPU is offline, and nothing was queued (P8). Post to another CPU, or again when it is online.
    Offline,
    /// The machine has no CPU of that number.
    NoSuchCpu,
}

impl fmt::Display for WhyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "the CPU is offline",
            Self::NoSuchCpu => "no such CPU",
        })
    }
}

impl core::error::Error for WhyRefused {}

impl<F> fmt::Debug for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("why", &self.why).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<F> core::error::Error for Refused<F> {}

/// Why a multicast did not start. Nothing was sent, and the function was not run.
///
/// | error | what it means | who relies on what | what to do |
/// |---|---|---|---|
/// | [`WouldDeadlock`](Self::WouldDeadlock) | waiting here could deadlock (P10) | nobody | `post_many`, or from thread context |
/// | [`NoSuchCpu`](Self::NoSuchCpu) | the mask names a CPU that the machine has not | nobody | mend the caller |
/// | [`Full`](Self::Full) | no slot is free for those who do not wait | nobody | again later, or wait with `call_many` |
/// | [`MaskTooSmall`](Self::MaskTooSmall) | the mask for the answer has too little room | nobody | a larger mask |
/// | [`SliceTooShort`](Self::SliceTooShort) | the slice for the results has too little room | nobody | a longer slice |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManyError {
    /// The caller waits, and is in a context in which that could deadlock (P10): in call context, in an interrupt, or with
    /// interrupts off. Multicast without waiting ([`Smp::post_many`](crate::Smp::post_many)), or from thread context.
    WouldDeadlock,
    /// The mask names a CPU that the machine has not.
    NoSuchCpu,
    /// The caller does not wait, and as many multicasts are in flight as the machine has slots for such callers. Unlike
    /// [`Posted::Busy`](crate::Posted::Busy) this promises nothing. A slot is held until the last of its CPUs has answered, so that one CPU which
    /// does not look at its queue can hold all of these: [`Smp::watchdog`](crate::Smp::watchdog) names it. Try again later, post
    /// a csd of your own to each CPU, or wait: [`Smp::call_many`](crate::Smp::call_many) has slots that nobody else takes.
    Full,
    /// The mask for the answer has no room for all CPUs of the machine.
    MaskTooSmall,
    /// The slice for the results has no room for all CPUs of the machine ([`Smp::call_map`](crate::Smp::call_map)).
    SliceTooShort,
}

impl fmt::Display for ManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldDeadlock => "waiting here could deadlock",
            Self::NoSuchCpu => "the mask names a CPU that the machine has not",
            Self::Full => "as many multicasts are in flight as there are slots for callers that do not wait",
            Self::MaskTooSmall => "the mask for the answer is too small for the machine",
            Self::SliceTooShort => "the slice for the results is too short for the machine",
        })
    }
}

impl core::error::Error for ManyError {}

/// Why a wait for a csd did not end with its run.
///
/// | error | what it means | who relies on what | what to do |
/// |---|---|---|---|
/// | [`WouldDeadlock`](Self::WouldDeadlock) | waiting here could deadlock (P10) | the caller, on a run that is still to come | wait from thread context |
/// | [`TimedOut`](Self::TimedOut) | the deadline has passed | the same | wait again, or cancel |
/// | [`Cancelled`](Self::Cancelled) | the run does not come | nobody | post again, or do without |
/// | [`NoSuchCpu`](Self::NoSuchCpu) | the csd is another machine's | the caller, on a run there | wait by way of that machine |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// As for [`CallError::WouldDeadlock`].
    WouldDeadlock,
    /// The deadline has passed; the run is still to come. The csd outlives the wait, so nothing is left dangling.
    TimedOut(CallStall),
    /// The run that was waited for was [cancelled](crate::Csd::cancel): it does not come, unless a post to the same CPU gives it
    /// back. Post again, or do without.
    Cancelled,
    /// The csd was last posted to a CPU of a number that the machine has not: it was on another machine, and only that one can wait
    /// for it.
    NoSuchCpu,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldDeadlock => f.write_str("waiting here could deadlock"),
            Self::TimedOut(stall) => write!(f, "timed out: {stall}"),
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::NoSuchCpu => f.write_str("posted to a CPU that this machine has not"),
        }
    }
}

impl core::error::Error for WaitError {}

/// Why a CPU did not come online or go offline.
///
/// | error | what it means | who relies on what | what to do |
/// |---|---|---|---|
/// | [`NotACpu`](Self::NotACpu) | the caller is no CPU of this machine | nobody | mend the caller |
/// | [`Already`](Self::Already) | it is in that state already | nobody | nothing |
/// | [`InCall`](Self::InCall) | from inside a call, a condition or a handler | nobody | from the CPU's own thread or start-up code |
/// | [`Held`](Self::Held) | a [rendezvous](crate::Smp::rendezvous) is under way, and counts on who is offline to stay so | nobody | again, in a moment |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HotplugError {
    /// The caller is no CPU of this machine; or it may [migrate](crate::Waiting::MIGRATES), and takes no CPU offline.
    NotACpu,
    /// It is online, or offline, already.
    Already,
    /// It is offline: a handle is for one that [came online](crate::Machine::online).
    Offline,
    /// The caller runs in call context, or under a frame of this crate that uses the CPU: in a function of
    /// [`Smp::call_blocking`](crate::Smp::call_blocking), a condition, a handler of reports. The CPU changes its state from its own
    /// thread's, or start-up, code.
    InCall,
    /// A [rendezvous](crate::Smp::rendezvous) is under way: nobody comes online before it is over. Try again.
    Held,
}

impl fmt::Display for HotplugError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotACpu => "the caller is no CPU of this machine",
            Self::Already => "the CPU is in that state already",
            Self::Offline => "the CPU is offline",
            Self::InCall => "not from inside a call, a condition or a handler",
            Self::Held => "a rendezvous is under way",
        })
    }
}

impl core::error::Error for HotplugError {}

/// Why a machine cannot have that many CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuCountError {
    /// How many were asked for.
    pub asked: usize,
}

impl fmt::Display for CpuCountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a machine has 1 to {} CPUs, not {}", crate::percpu::CPUS_MAX, self.asked)
    }
}

impl core::error::Error for CpuCountError {}
