//! What the tests of the suite have in common: a port of its own kind, faults to wrap around it, and signals as interrupts.

pub(crate) mod faulty;
pub(crate) mod port;
pub(crate) mod rig;
pub(crate) mod signal;
