//! Faults of the fuzzer's own, so that its tests see it find, shrink and report one.

/// What is planted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// Nothing.
    #[default]
    Nothing,
    /// A csd's run is counted twice.
    RunsTwice,
    /// A nap never ends.
    Hangs,
    /// A cancel ends the process by a signal.
    Aborts,
    /// A detached call is taken for accepted though it was not made.
    Lost,
}
