//! The code in the document is compiled. (Registers are x86-64's.)

#[doc = include_str!("../../../docs/vcpus.md")]
struct Vcpus;
