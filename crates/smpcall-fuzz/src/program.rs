//! What a program is: machines, csds, and threads with steps to do one after another.
//!
//! Everything that shrinking may take out has a number, given in the order in which it is printed.

mod print;
mod walk;

pub use self::walk::Part;

use crate::kinds::Kind;

/// A whole program. It is a function of its seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it was drawn from.
    pub seed: u64,
    /// One or two.
    pub machines: Vec<MachineSpec>,
    /// The csds that all threads share.
    pub csds: Vec<CsdSpec>,
    /// What each thread does.
    pub threads: Vec<ThreadSpec>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineSpec {
    /// Its number as a part.
    pub id: u32,
    /// CPUs that are threads of its own.
    pub owned: usize,
    /// CPUs that threads may attach to.
    pub attachable: usize,
    /// What its own threads do when they have nothing to run.
    pub idle: IdleSpec,
    /// After how long a silent target is reported.
    pub stall_us: u32,
    /// What the report's handlers do.
    pub stall: Option<Drops>,
    /// What the listener to the tracepoints does.
    pub tap: Option<Tap>,
}

impl MachineSpec {
    /// How many CPUs it has.
    pub fn cpus(&self) -> u32 {
        (self.owned + self.attachable) as u32
    }
}

/// As [`smpcall_host::Idle`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdleSpec {
    /// Sleeps at once.
    #[default]
    Sleep,
    /// Polls for a while, then sleeps.
    PollThenSleep,
    /// Polls for ever.
    Poll,
}

/// A listener that does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// At which kind of event, by its place in [`smpcall_host::smpcall::EventKind`].
    pub at: u32,
    /// What.
    pub acts: Drops,
}

/// A csd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsdSpec {
    /// How it is kept.
    pub held: Held,
    /// Its function.
    pub body: Body,
}

/// How a csd is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// As `&'static Csd`.
    Static,
    /// As `Arc<Csd>`.
    Counted,
}

/// A thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadSpec {
    /// Its number as a part.
    pub id: u32,
    /// What it does.
    pub steps: Vec<Step>,
    /// How it serves its CPU, if it is one at its end, until all others have ended too.
    pub serve: Serve,
    /// How it stops being one.
    pub leave: Leave,
}

/// How a thread serves at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// Sleeps until something comes.
    Park,
    /// Flushes and runs what may block, through the machine.
    Flush,
    /// The same through what it has of its own.
    Poll,
}

/// How a thread stops being a CPU at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Drops what it has.
    Drop,
    /// Leaves that to the destructors of the thread's variables.
    Late,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub id: u32,
    /// What is done. It decides which of the others mean anything.
    pub kind: Kind,
    /// The machine.
    pub machine: usize,
    /// The CPU; one past the last, now and then.
    pub cpu: u32,
    /// The csd.
    pub csd: usize,
    /// A time.
    pub us: u32,
    /// A set of CPUs, or of csds.
    pub mask: u32,
    /// Whom a multicast is for.
    pub to: Whom,
    /// The function.
    pub body: Body,
    /// The condition, or the iterator.
    pub aside: Body,
}

/// As [`smpcall_host::smpcall::To`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whom {
    /// All CPUs but the caller's.
    #[default]
    Others,
    /// All.
    All,
    /// Those of the mask.
    Mask,
    /// The same by a condition.
    If,
}

/// What a function does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// One step after another.
    pub steps: Vec<Step>,
    /// The panic that it ends in.
    pub panic: Option<Panic>,
    /// What is done when what the function holds is dropped.
    pub captured: Option<Drops>,
    /// What is done when its result is dropped.
    pub result: Option<Drops>,
}

/// A panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// Its number as a part.
    pub id: u32,
    /// What is done when its payload is dropped.
    pub payload: Option<Drops>,
}

/// What is done in a destructor, or a handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Its number as a part.
    pub id: u32,
    /// One step after another.
    pub steps: Vec<Step>,
    /// The panic that it ends in, by its number.
    pub panic: Option<u32>,
}
