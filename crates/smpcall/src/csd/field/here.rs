//! Where a function runs.

use crate::csd::Op;
use core::fmt;
use core::marker::PhantomData;

/// Where a function runs: call context, and the CPU.
#[derive(Clone, Copy)]
pub struct Here<'run> {
    cpu: u32,
    /// Of this run, on this CPU: neither sent nor kept.
    run: PhantomData<*mut &'run ()>,
}

impl Here<'_> {
    #[inline(always)]
    pub(crate) fn of(op: Op) -> Self {
        Self { cpu: op.cpu(), run: PhantomData }
    }

    /// Returns the number of the CPU that runs the function.
    #[inline(always)]
    pub fn cpu(self) -> u32 {
        self.cpu
    }
}

impl fmt::Debug for Here<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Here").field("cpu", &self.cpu).finish()
    }
}
