//! What the kernel can run. All CPUs call [`run`] with the same command; the first one reports.

mod bench;
mod broken;
mod checks;
mod conformance;
mod torture;

use crate::command::Command;

/// One thing to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The conformance suite.
    Conformance,
    /// What only a kernel can test: interrupts, page tables, CPUs that go away.
    Checks,
    /// All kinds of calls at once, while CPUs come and go.
    Torture,
    /// What calls cost.
    Bench,
    /// Kernels that do not work, for the test of the one who reads along.
    Panics,
    Faults,
    Hangs,
    LosesACpu,
}

impl What {
    pub(crate) const ALL: [Self; 8] = [
        Self::Conformance,
        Self::Checks,
        Self::Torture,
        Self::Bench,
        Self::Panics,
        Self::Faults,
        Self::Hangs,
        Self::LosesACpu,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Conformance => "conformance",
            Self::Checks => "checks",
            Self::Torture => "torture",
            Self::Bench => "bench",
            Self::Panics => "panics",
            Self::Faults => "faults",
            Self::Hangs => "hangs",
            Self::LosesACpu => "loses-a-cpu",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.name() == name)
    }
}

/// Runs what was asked for, on this CPU. Returns whether all went well, to the first CPU.
pub(crate) fn run(cpu: u32) -> bool {
    match Command::get().what {
        What::Conformance => conformance::run(),
        What::Checks => checks::run(cpu),
        What::Torture => torture::run(cpu),
        What::Bench => bench::run(cpu),
        What::Panics => broken::panics(cpu),
        What::Faults => broken::faults(cpu),
        What::Hangs => broken::hangs(),
        What::LosesACpu => broken::loses_a_cpu(),
    }
}

/// The alarm's interrupt.
pub(crate) fn alarm() {
    checks::alarm();
}
