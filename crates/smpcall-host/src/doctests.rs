//! The code in the documents is compiled and run.

#[doc = include_str!("../../../README.md")]
struct Readme;

#[doc = include_str!("../../../docs/report.md")]
struct Report;
