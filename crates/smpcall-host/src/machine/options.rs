//! What can be asked of a machine that is to be built, and why it is not.

use smpcall::CpuCountError;
use std::time::Duration;

/// What one of the machine's own threads does when it has nothing to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Sleeps at once.
    Sleep,
    /// Polls for that long, then sleeps.
    PollThenSleep(Duration),
    /// Polls for ever: the fastest answer, for a whole core.
    Poll,
}

/// Which cores the machine's own threads are pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cores {
    /// As `Spread` if that leaves a core to threads that only call; else as `Unpinned`.
    Auto,
    /// CPU i on the i-th core that the process may use, and round again, whatever the thread that builds the machine is kept
    /// on. A CPU whose core the kernel refuses after all runs on any of the others; [`Machine::placement`](crate::Machine::placement) says so.
    Spread,
    /// CPU i on the i-th of these, and round again.
    These(Vec<usize>),
    /// Wherever the scheduler runs them, on any core that the process may use.
    Unpinned,
}

/// Why a machine could not be started. Nothing of it is left.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// It would have no CPU, or too many.
    CpuCount(CpuCountError),
    /// An empty list of cores.
    NoCores,
    /// The kernel would not keep a thread on this core.
    Pin {
        /// The core.
        core: usize,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// The system would not start another thread; or its name had a zero in it.
    Spawn(std::io::Error),
    /// What was to run in each thread before it comes online ([`Builder::on_start`](crate::Builder::on_start)) panicked.
    OnStart {
        /// The thread's CPU.
        cpu: u32,
        /// The panic's text.
        panic: String,
    },
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CpuCount(error) => error.fmt(f),
            Self::NoCores => f.write_str("a list of cores with no core in it"),
            Self::Pin { core, error } => write!(f, "cannot pin a thread to core {core}: {error}"),
            Self::Spawn(error) => write!(f, "cannot start a thread: {error}"),
            Self::OnStart { cpu, panic } => write!(f, "the start of CPU {cpu} panicked: {panic}"),
        }
    }
}

impl std::error::Error for BuildError {}
