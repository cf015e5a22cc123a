//! smpcall's promises as test bodies.
#![cfg_attr(not(test), no_std)]

mod cases;
mod check;
mod ctx;
mod idle;
mod itself;
mod memory;
mod once;
mod report;
mod rig;
mod suite;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use check::{LogFault, check_log};
pub use memory::{Memory, memory_bytes};
pub use report::{Failure, Lines, Outcome, Reporter, Summary};
pub use rig::{Rig, Woken};
pub use suite::{Aborted, Suite};
