//! A deterministic simulator of machines that run smpcall: virtual CPUs under one seeded scheduler, on bad hardware if one
//! likes. Bad schedules come by the million, and each failure repeats from its seed.
//!
//! ```
//! use smpcall_sim::{Options, Scenario, play};
//!
//! let scenario = Scenario::draw(7, &Options::default());
//! let first = play(&scenario);
//! assert_eq!(first.violation, None);
//! assert_eq!(first.hash, play(&scenario).hash, "the same seed is the same run, to its last step");
//! ```
//!
//! What runs is the *same* core, from the same sources (`crates/smpcall-instrumented`): its atomics are
//! [`smpcall_sim_atomics`]', in which each access is a scheduling point, and memory as weak as one asks: plain stores wait in a store buffer, as on
//! x86, or loads read old values, as Rust's memory model allows, and what is no atomic can race ([`Options::memory`]).
//!
//! Small machines with bodies of one's own, under every schedule, are in [`explore`].
//!
//! # What a run is
//!
//! First faults: nothing unsafe may happen. Then they end, and everything must finish, also what a lost doorbell was for: a
//! waiter's stall path finds it. Who is stuck for ever must have been named to those who wait for it. At the end everybody
//! sleeps; if no doorbell was lost, nobody has looked by himself, and nothing may be left (P7).
//!
//! # Determinism
//!
//! One OS thread, no clock but the steps, no choice but a draw from the seed, no map whose order depends on addresses; the hash
//! of a run takes in every step and every choice, and no address. Tests run each seed twice, the second time with other addresses
//! ([`play_elsewhere`]), and compare.
//!
//! # Machines that relay, ports that count, posts that are left alone
//!
//! Relays begin at 8 CPUs here instead of 128: the instrumented core asks the port how large a group is. Some ports count (P12), into
//! simulated words, so that to count is to take steps. And some posts are left alone in the middle (P9).
//!
//! # What it does not see
//!
//! Load buffering, and what else [`smpcall_sim_atomics`] leaves out (CAVEATS, O124 to O126). With store buffers, also orderings weaker than x86's:
//! every load acquires there and every store releases. A run that cannot finish is reported as such, with its seed, never as passed; so is a virtual
//! CPU that dies.
//!
//! # The price of growth
//!
//! is another machine for the same instrumented core, on which time is what accesses cost: `scale`, behind the feature of that name.

// | module | what it is |
// |---|---|
// | `engine` | virtual CPUs as coroutines; points, interrupts, time; posts that are left alone; threads that migrate |
// | `strategy` | who runs next: random, priorities (PCT), in turn, exhaustive |
// | `port`, `faults` | the machine that the core sees, and what goes wrong with it |
// | `scenario`, `kinds` | what is drawn from a seed; the table of calls |
// | `ground`, `sim` | one run and its phases |
// | `corpus` | seeds that once failed |
// | `coverage` | which states runs have come to |
// | `history`, `check` | the record of a run, and a checker for each promise |
// | `shrink`, `timeline` | a failing run made small, and told |
//
// A new kind of call is one row of the table in `kinds`: how it is drawn and what is done. If its outcome is a promise, a
// checker in `check` says so from the record (`history::Act` and `Came`).

mod check;
pub mod corpus;
mod coverage;
mod engine;
pub mod explore;
mod faults;
mod ground;
mod history;
mod kinds;
mod machine;
mod port;
mod rng;
#[cfg(feature = "scale")]
pub mod scale;
mod scenario;
mod shrink;
mod sim;
mod strategy;
mod timeline;

pub use check::Violation;
pub use coverage::Coverage;
pub use engine::Old;
pub use faults::{BadFaults, Faults};
pub use history::History;
pub use kinds::{kind_name, kind_of};
pub use port::Virtual;
pub use scenario::{DRAW, FaultChoice, Options, Scenario};
pub use shrink::shrink;
pub use sim::{Outcome, play, play_and_cover, play_and_tell, play_elsewhere};
pub use smpcall_sim_atomics::Memory;
pub use timeline::{chrome_trace, timeline};
