//! The price of growth: what calls cost on machines of 2 to 8192 CPUs, by a model of caches and interrupts.
//!
//! The *same* core runs, instrumented, on virtual CPUs whose clocks move by what each access of memory and each interrupt costs
//! ([`Cost`]: a table of constants with their sources). Beside it runs Linux's algorithm, written from a description of its
//! behaviour, on the same virtual machine. What comes out says how cost *grows*; it is no measurement.

// | file | what |
// |---|---|
// | `cost.rs` | the constants |
// | `lines.rs` | cache lines: who has which, what an access costs |
// | `machine.rs`, `vcpu.rs` | virtual CPUs, each with its clock, and interrupts |
// | `port.rs`, `ours.rs` | the core on that machine |
// | `linux.rs` | the comparison |
// | `workload.rs` | the shapes of calls |
// | `pair.rs` | two CPUs: what `smpcall run` measures, predicted |

mod cost;
mod lines;
mod linux;
mod machine;
mod ours;
mod pair;
mod port;
mod vcpu;
mod workload;

pub use cost::{Cost, Ipi};
pub use pair::{Floors, Pair, Prediction, looked_at_round_trip, oneself, predict, round_trip};
pub use workload::{Algorithm, Price, Workload, price};
