//! The code in the documents is compiled and run.

#[doc = include_str!("../../../README.md")]
struct Readme;
