//! What happened in a run: the only thing that the checkers and the timeline look at.
//!
//! An *op* is one call of the library's interface, with a beginning and an end; a *run* is one function on a CPU. Both have
//! steps, so "before" and "after" are exact.

mod tell;

use smpcall_instrumented::Counts;
use smpcall_sim_atomics::Race;

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

/// What an op is. `target`: where to; `value`: what its sender wrote before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A post of a csd; a lazy one is without a doorbell.
    Post { csd: usize, target: u32, value: u32, urgency: Urgency },
    /// A chain of csds, in order.
    Chain { csds: Vec<usize>, target: u32, value: u32 },
    /// A post of a counted csd, which nobody else has.
    Counted { target: u32 },
    /// A post of a function that is kept at its target.
    Detached { target: u32, value: u32 },
    /// A cancel.
    Cancel { csd: usize },
    /// A waiting call; whether its function panics.
    Call { target: u32, panics: bool },
    /// A waiting call to a CPU's thread; likewise.
    Blocking { target: u32, panics: bool },
    /// A waiting call to the nearest of these.
    Nearest { mask: Vec<u32> },
    /// A multicast to those CPUs, the caller's own included if it is among them: whether the caller waits, and whether busy
    /// CPUs are left out.
    Many { targets: Vec<u32>, waits: bool, idle: bool },
    /// A wait for a csd's run, or until a deadline.
    Wait { csd: usize, until: bool },
    /// A waiting call where waiting is not allowed.
    Misuse,
    /// The CPU comes online.
    Online,
    /// The CPU goes offline.
    Offline,
    /// The CPU looks by itself, for a while.
    Poll,
    /// The CPU runs a program in user space, for a while.
    User,
    /// The CPU holds those, and runs a function meanwhile.
    Meet { targets: Vec<u32> },
    /// The CPU is stuck, interrupts off.
    Stuck,
    /// All CPUs are visited, and what was overlooked is found.
    Recover,
    /// Calls whose future is polled, and answered, dropped or forgotten.
    Await { targets: Vec<u32>, how: How },
    /// A static slot is taken for calls that are awaited.
    Take { slot: usize },
    /// It is given back, or one on the heap let go of.
    Give { slot: Option<usize> },
}

/// How urgent a post is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// It rings.
    Now,
    /// It rings nobody.
    Lazy,
    /// It rings who is in the kernel.
    Deferred,
}

/// What an op came to. `coalesced`: whether others relied on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Done.
    Ok,
    /// Queued already, for that CPU.
    Busy(u32),
    /// Refused.
    Offline { coalesced: bool },
    /// Cancelled, and still queued for that CPU.
    Cancelled(u32),
    /// A chain: how many were queued, were queued already, or were cancelled.
    Chained { queued: u32, busy: u32, cancelled: u32 },
    /// A run was taken away.
    Removed { coalesced: bool },
    /// There was none.
    NotPending,
    /// A waiting call has returned: with the right result, and what it wrote is visible.
    Answered { right: bool, visible: bool },
    /// The function's panic came back.
    Panicked,
    /// Waiting is not allowed there.
    WouldDeadlock,
    /// A multicast's figures: ran, or will; offline; left out.
    Reached { ran: u32, offline: u32, busy: u32 },
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
    /// A future was dropped before its answer.
    Dropped,
    /// A future was forgotten before its answer.
    Forgotten,
    /// Something that the scenario does not ask for.
    Unexpected,
}

/// How awaited calls have their slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The future owns it.
    Once,
    /// It is on the heap, for several calls.
    Own,
    /// It is static.
    Slot,
    /// One for each CPU, owned by the future.
    Many,
}

/// What an awaited call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its result.
    Right,
    /// Its function's panic.
    Panicked,
    /// It was refused.
    Offline,
    /// Anything else.
    Wrong,
}

/// What an awaited call carries, and that is dropped once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its function.
    Function,
    /// The result of that CPU.
    Result(u32),
    /// The task's waker of that number.
    Waker(u32),
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
    /// The awaited call's, to that CPU.
    Awaited(usize, u32),
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
    /// Not at all: the port says that it could not send it.
    Unsent,
}

/// Something that happened. `op`: its number; `seen`: what a function saw, sender and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An op begins.
    Begin { op: usize, act: Act },
    /// An op has ended.
    End { op: usize, came: Came },
    /// A function begins, and has looked at the words of all who posted it: whether it is in call context, and came through
    /// the queue, not inline.
    RunBegin { of: Of, in_context: bool, queued: bool, seen: Vec<(usize, u32)> },
    /// A function has ended, or panics.
    RunEnd { of: Of, panics: bool },
    /// Somebody who took a run away does its work.
    Paid { csd: usize, seen: Vec<(usize, u32)> },
    /// A doorbell is sent; whether the sender held the irq guard.
    Ring { to: u32, fate: Fate, guarded: bool },
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
    /// The caller of that multicast does its own work; when it has rung, and before it waits.
    Works { op: usize },
    /// All whom that rendezvous holds are held,
    Holds { op: usize },
    /// and go on.
    LetsGo { op: usize },
    /// It is in user space.
    User,
    /// It enters the kernel,
    Enters,
    /// and has caught up.
    Kernel,
    /// That post was told that its run comes with its target's entry.
    AtEntry { op: usize },
    /// It sleeps.
    Sleeps,
    /// A waiting caller is woken.
    Wakes(usize),
    /// A target that does not answer is named.
    Stalled { target: u32 },
    /// A panic that nobody waits for was caught.
    Caught,
    /// A counted csd, of that op, was freed.
    Freed { op: usize },
    /// Something of an awaited call is there,
    Made { op: usize, part: Part },
    /// and is dropped.
    Gone { op: usize, part: Part },
    /// The future of awaited calls is about to be polled, with that waker.
    Polled { op: usize, waker: u32 },
    /// It was pending.
    Pends { op: usize, waker: u32 },
    /// That waker was used.
    Woken { op: usize, waker: u32 },
    /// An awaited call's future has said what became of it.
    Told { op: usize, cpu: u32, answer: Answer },
    /// A flush takes a batch of so many calls off its queue. (Where the port counts.)
    Batch { len: u32 },
    /// A post that was left alone has not ended within so many steps of its own.
    Waits { op: usize, steps: u32 },
    /// What the port has counted, at the end: each CPU, then the threads that are none.
    Counted(Vec<Counts>),
    /// Faults end.
    Heals,
    /// All who could have ended, but for these, though nothing that is stuck was named to them.
    Judged { unexcused: Vec<usize> },
    /// The programs are over, and everything is at rest.
    Settled,
    /// Two accesses to memory that is no atomic, of which neither comes before the other.
    Raced(Race),
    /// Something unwound that should not have.
    Panicked { message: String },
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
