//! What happened in a run: the only thing that the checkers and the timeline look at.
//!
//! An *op* is one call of the library's interface, with a beginning and an end; a *run* is one function on a CPU. Both have
//! steps, so "before" and "after" are exact.

use std::fmt;

/// In which context something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A thread.
    Thread,
    /// An interrupt's handler.
    Irq,
    /// A function that the library runs.
    Call,
    /// An NMI's handler.
    Nmi,
}

/// How many levels there are: each virtual CPU is that many senders.
pub(crate) const LEVELS: usize = 4;

/// What an op is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A post of a csd. `value` is what its sender wrote before.
    Post {
        /// Which.
        csd: usize,
        /// Where to.
        target: u32,
        /// The sender's word.
        value: u32,
    },
    /// A chain of csds.
    Chain {
        /// Which, in order.
        csds: Vec<usize>,
        /// Where to.
        target: u32,
        /// The sender's word.
        value: u32,
    },
    /// A post of a counted csd, which nobody else has.
    Counted {
        /// Where to.
        target: u32,
    },
    /// A cancel.
    Cancel {
        /// Which.
        csd: usize,
    },
    /// A waiting call.
    Call {
        /// Where to.
        target: u32,
        /// Whether its function panics.
        panics: bool,
    },
    /// A waiting call to the nearest.
    Nearest {
        /// Of these.
        mask: Vec<u32>,
    },
    /// A multicast to those CPUs, the caller's own included if it is among them.
    Many {
        /// To whom.
        targets: Vec<u32>,
        /// Whether the caller waits.
        waits: bool,
        /// Whether busy CPUs are left out.
        idle: bool,
    },
    /// A wait for a csd's run.
    Wait {
        /// Which.
        csd: usize,
        /// With a deadline.
        until: bool,
    },
    /// A waiting call where waiting is not allowed.
    Misuse,
    /// The CPU comes online.
    Online,
    /// The CPU goes offline.
    Offline,
    /// The CPU looks by itself, for a while.
    Poll,
    /// The CPU is stuck, interrupts off.
    Stuck,
    /// All CPUs are visited, and what was overlooked is found.
    Recover,
}

/// What an op came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Done.
    Ok,
    /// Queued already, for that CPU.
    Busy(u32),
    /// Refused; whether others relied on it.
    Offline {
        /// Whether they did.
        told: bool,
    },
    /// Cancelled, and still queued for that CPU.
    Cancelled(u32),
    /// A chain.
    Chained {
        /// How many were queued,
        queued: u32,
        /// were queued already,
        busy: u32,
        /// or cancelled.
        cancelled: u32,
    },
    /// A run was taken away; whether others relied on it.
    Removed {
        /// Whether they did.
        told: bool,
    },
    /// There was none.
    NotPending,
    /// A waiting call has returned.
    Answered {
        /// With the right result.
        right: bool,
        /// And what it wrote is visible.
        visible: bool,
    },
    /// The function's panic came back.
    Panicked,
    /// Waiting is not allowed there.
    WouldDeadlock,
    /// A multicast's figures.
    Reached {
        /// Ran, or will.
        ran: u32,
        /// Offline.
        offline: u32,
        /// Left out.
        busy: u32,
    },
    /// No slot was free.
    NoSlot,
    /// The deadline has passed.
    TimedOut,
    /// How many functions ran as the CPU went offline.
    WentOffline(u32),
    /// Something that the scenario does not ask for.
    Unexpected,
}

/// Whose run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// A csd's.
    Csd(usize),
    /// The counted csd's of that op.
    Counted(usize),
    /// The waiting call's.
    Call(usize),
    /// The multicast's.
    Many(usize),
}

/// What became of a doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// Never.
    Lost,
    /// So many steps late.
    Late(u64),
    /// Twice.
    Doubled,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An op begins.
    Begin {
        /// Its number.
        op: usize,
        /// What it is.
        act: Act,
    },
    /// An op has ended.
    End {
        /// Its number.
        op: usize,
        /// What it came to.
        came: Came,
    },
    /// A function begins, and has looked at the words of all who posted it.
    RunBegin {
        /// Whose.
        of: Of,
        /// Whether it is in call context.
        in_context: bool,
        /// Whether it came through the queue, not inline.
        queued: bool,
        /// What it saw: sender and value.
        seen: Vec<(usize, u32)>,
    },
    /// A function has ended.
    RunEnd {
        /// Whose.
        of: Of,
        /// By a panic.
        panics: bool,
    },
    /// Somebody who took a run away does its work.
    Paid {
        /// Whose.
        csd: usize,
        /// What it saw.
        seen: Vec<(usize, u32)>,
    },
    /// A doorbell is sent.
    Ring {
        /// Where to.
        to: u32,
        /// What became of it.
        fate: Fate,
        /// Whether the sender held the irq guard.
        guarded: bool,
    },
    /// A doorbell's handler begins.
    Doorbell,
    /// A flush begins.
    Looks,
    /// A flush has ended.
    Flushed,
    /// The CPU polls from now on.
    Polls,
    /// And no longer, as far as it knows.
    StopsPolling,
    /// It sleeps.
    Sleeps,
    /// A waiting caller is woken.
    Wakes(usize),
    /// A target that does not answer is named.
    Stalled {
        /// Which.
        target: u32,
    },
    /// A panic that nobody waits for was caught.
    Caught,
    /// A counted csd was freed.
    Freed {
        /// Of which op.
        op: usize,
    },
    /// Faults end.
    Heals,
    /// All who could have ended.
    Judged {
        /// And those have not, though nothing that is stuck was named to them.
        unexcused: Vec<usize>,
    },
    /// The programs are over, and everything is at rest.
    Settled,
    /// Something unwound that should not have.
    Panicked {
        /// Its text.
        message: String,
    },
}

/// What happened, when, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The step.
    pub step: u64,
    /// The simulated time.
    pub ns: u64,
    /// The virtual CPU, or thread that is none.
    pub thread: usize,
    /// In which context.
    pub level: Level,
    /// What.
    pub what: What,
}

/// Everything that happened in a run, in order.
pub type History = Vec<Event>;

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Post { csd, target, value } => write!(f, "post csd {csd} to CPU {target} (wrote {value})"),
            Self::Chain { csds, target, .. } => write!(f, "post chain {csds:?} to CPU {target}"),
            Self::Counted { target } => write!(f, "post a counted csd to CPU {target}"),
            Self::Cancel { csd } => write!(f, "cancel csd {csd}"),
            Self::Call { target, panics: false } => write!(f, "call CPU {target}"),
            Self::Call { target, panics: true } => write!(f, "call CPU {target}, to panic"),
            Self::Nearest { mask } => write!(f, "call the nearest of {mask:?}"),
            Self::Many { targets, waits, idle } => {
                let what = match (waits, idle) {
                    (true, true) => "multicast to the idle",
                    (true, false) => "multicast",
                    (false, _) => "multicast without waiting",
                };
                write!(f, "{what} of {targets:?}")
            }
            Self::Wait { csd, until: false } => write!(f, "wait for csd {csd}"),
            Self::Wait { csd, until: true } => write!(f, "wait for csd {csd}, not for long"),
            Self::Misuse => write!(f, "a waiting call where waiting is not allowed"),
            Self::Online => write!(f, "come online"),
            Self::Offline => write!(f, "go offline"),
            Self::Poll => write!(f, "poll"),
            Self::Stuck => write!(f, "stuck, interrupts off"),
            Self::Recover => write!(f, "visit all CPUs"),
        }
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Csd(csd) => write!(f, "csd {csd}"),
            Self::Counted(op) => write!(f, "the counted csd of op {op}"),
            Self::Call(op) => write!(f, "the call of op {op}"),
            Self::Many(op) => write!(f, "the multicast of op {op}"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { op, act } => write!(f, "op {op}: {act}"),
            Self::End { op, came } => write!(f, "op {op} → {came:?}"),
            Self::RunBegin { of, seen, .. } if seen.is_empty() => write!(f, "run {of}"),
            Self::RunBegin { of, seen, .. } => write!(f, "run {of}, sees (sender, value) {seen:?}"),
            Self::RunEnd { of, panics: false } => write!(f, "end of {of}"),
            Self::RunEnd { of, panics: true } => write!(f, "{of} panics"),
            Self::Paid { csd, seen } => write!(f, "does the work of csd {csd} itself, sees {seen:?}"),
            Self::Ring { to, fate: Fate::Arrives, .. } => write!(f, "ring CPU {to}"),
            Self::Ring { to, fate, .. } => write!(f, "ring CPU {to}: {fate:?}"),
            Self::Doorbell => write!(f, "the doorbell interrupts"),
            Self::Looks => write!(f, "looks at its queue"),
            Self::Flushed => write!(f, "flushed"),
            Self::Polls => write!(f, "polls from now on"),
            Self::StopsPolling => write!(f, "stops polling"),
            Self::Sleeps => write!(f, "sleeps"),
            Self::Wakes(thread) => write!(f, "wakes {thread}"),
            Self::Stalled { target } => write!(f, "CPU {target} does not answer"),
            Self::Caught => write!(f, "a panic was caught"),
            Self::Freed { op } => write!(f, "the counted csd of op {op} is freed"),
            Self::Heals => write!(f, "faults end here"),
            Self::Judged { unexcused } => {
                write!(f, "all but what is stuck should have ended; not: {unexcused:?}")
            }
            Self::Settled => write!(f, "everything is at rest"),
            Self::Panicked { message } => write!(f, "PANIC: {message}"),
        }
    }
}
