//! What the kernel can run. All CPUs call [`run`] with the same command; the first one reports.

mod bench;
mod broken;
mod checks;
mod conformance;
mod torture;

use crate::command::Command;

/// One thing to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The conformance suite.
    Conformance,
    /// What only a kernel can test: interrupts, page tables, CPUs that go away.
    Checks,
    /// A TLB shootdown, step by step.
    Demo,
    /// All kinds of calls at once, while CPUs come and go.
    Torture,
    /// What calls cost.
    Bench,
    /// Kernels that do not work, for the test of the one who reads along.
    Panics,
    Faults,
    Hangs,
    LosesACpu,
    NeverUp,
    Vanishes,
    Broadcasts,
}

impl Program {
    pub(crate) const ALL: [Self; 12] = [
        Self::Conformance,
        Self::Checks,
        Self::Demo,
        Self::Torture,
        Self::Bench,
        Self::Panics,
        Self::Faults,
        Self::Hangs,
        Self::LosesACpu,
        Self::NeverUp,
        Self::Vanishes,
        Self::Broadcasts,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Conformance => "conformance",
            Self::Checks => "checks",
            Self::Demo => "demo",
            Self::Torture => "torture",
            Self::Bench => "bench",
            Self::Panics => "panics",
            Self::Faults => "faults",
            Self::Hangs => "hangs",
            Self::LosesACpu => "loses-a-cpu",
            Self::NeverUp => "never-up",
            Self::Vanishes => "vanishes",
            Self::Broadcasts => "broadcasts-to-itself",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.name() == name)
    }
}

/// Runs what was asked for, on this CPU. Returns whether all went well, to the first CPU.
pub(crate) fn run(cpu: u32) -> bool {
    match Command::get().what {
        Program::Conformance => conformance::run(),
        Program::Checks => checks::run(cpu),
        Program::Demo => checks::demo(cpu),
        Program::Torture => torture::run(cpu),
        Program::Bench => bench::run(cpu),
        Program::Panics => broken::panics(cpu),
        Program::Faults => broken::faults(cpu),
        Program::Hangs | Program::NeverUp => broken::hangs(),
        Program::Vanishes => broken::vanishes(cpu),
        Program::Broadcasts => checks::broken_broadcast(cpu),
        Program::LosesACpu => broken::loses_a_cpu(),
    }
}

/// Another CPU is about to enter.
pub(crate) fn before_enter(cpu: u32) {
    broken::never_up(cpu);
}

/// The alarm's interrupt.
pub(crate) fn alarm() {
    checks::alarm();
}
