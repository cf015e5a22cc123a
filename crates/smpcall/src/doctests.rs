//! The code in the documents is compiled and run.

#[doc = include_str!("../../../ARCHITECTURE.md")]
struct Architecture;
