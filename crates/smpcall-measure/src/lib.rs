//! What the `smpcall` command and `cargo xtask peers` measure with, so that both hold their rows against the same floors.
//!
//! | module | what it is |
//! |---|---|
//! | [`pace`] | which cores, and how to wait where threads share one |
//! | [`samples`] | calls that are timed together, and their percentiles |
//! | [`floor`] | what the hardware and the kernel take for the same journey with nothing on top |

#![forbid(unsafe_code)]

pub mod floor;
pub mod pace;
pub mod samples;
