//! What happened in a run: the only thing that the checkers and the timeline look at.
//!
//! An *op* is one call of the library's interface, with a beginning and an end; a *run* is one function on a CPU. Both have
//! steps, so "before" and "after" are exact.

mod tell;

use smpcall_instrumented::Counted;

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
        /// Without a doorbell.
        lazy: bool,
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
    /// A post of a function that is kept at its target.
    Detached {
        /// Where to.
        target: u32,
        /// The sender's word.
        value: u32,
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
    /// A waiting call to a CPU's thread.
    Blocking {
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
        coalesced: bool,
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
        coalesced: bool,
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
    /// No place at the target was free.
    NoRoom,
    /// The deadline has passed.
    TimedOut,
    /// The run that was waited for was cancelled.
    WasCancelled,
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
    /// The detached call's.
    Detached(usize),
    /// The waiting call's.
    Call(usize),
    /// The blocking call's.
    Blocking(usize),
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
pub enum EventKind {
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
    /// A flush takes a batch off its queue. (Where the port counts.)
    Batch {
        /// How many calls.
        len: u32,
    },
    /// A post that was left alone has not ended within its steps.
    Waits {
        /// Which.
        op: usize,
        /// So many steps of its own.
        steps: u32,
    },
    /// What the port has counted, at the end: each CPU, then the threads that are none.
    Counted(Vec<Counted>),
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
    pub kind: EventKind,
}

/// Everything that happened in a run, in order.
pub type History = Vec<Event>;
