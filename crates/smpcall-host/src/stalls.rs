//! When a target counts as silent, and who is told.

use smpcall::{Overdue, Stall};

/// What is told of silent targets.
pub(crate) type OnStall = Box<dyn Fn(&Stall) + Send + Sync>;
pub(crate) type OnOverdue = Box<dyn Fn(&Overdue) + Send + Sync>;

/// When a target is silent, and who is told.
pub(crate) struct Stalls {
    pub(crate) timeout_ns: u64,
    pub(crate) stop_ns: u64,
    pub(crate) on_stall: OnStall,
    pub(crate) on_unstuck: OnStall,
    pub(crate) on_overdue: OnOverdue,
}

impl Stalls {
    /// Linux's defaults, and standard error.
    pub(crate) fn new() -> Self {
        Self {
            timeout_ns: 5_000_000_000,
            stop_ns: 0,
            on_stall: Box::new(|stall| eprintln!("smpcall: {stall}")),
            on_unstuck: Box::new(|stall| eprintln!("smpcall: {stall}")),
            on_overdue: Box::new(|overdue| eprintln!("smpcall: {overdue}")),
        }
    }
}

impl std::fmt::Debug for Stalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { timeout_ns, stop_ns, .. } = self;
        f.debug_struct("Stalls")
            .field("timeout_ns", timeout_ns)
            .field("stop_ns", stop_ns)
            .finish_non_exhaustive()
    }
}
