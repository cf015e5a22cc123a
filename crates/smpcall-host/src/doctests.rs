//! The code in the documents is compiled and run.

#[doc = include_str!("../../../README.md")]
struct Readme;

#[doc = include_str!("../../../docs/report.md")]
struct Report;
#[doc = include_str!("../../../docs/applications.md")]
struct Applications;

#[doc = include_str!("../../../docs/porting.md")]
struct Porting;

#[doc = include_str!("../../../docs/troubleshooting.md")]
struct Troubleshooting;
