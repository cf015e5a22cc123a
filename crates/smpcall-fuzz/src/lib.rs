//! A fuzzer of smpcall-host's safe interface: it draws whole programs, runs them, and judges what they came to.
//!
//! `cargo xtask fuzz` builds it under the sanitizers and starts it. There is no unsafe code here, so whatever a sanitizer
//! reports is a fault of the library (P11).
//!
//! # What is drawn
//!
//! One or two machines with up to two CPUs of their own and three to attach to, four csds (static and counted), and two to
//! four threads, which attach or only call. Each thread has a list of steps ([`kinds`] is the table of them): every operation
//! of the safe interface, through what makes the thread a CPU, or through `&Machine` from anywhere. Functions, conditions,
//! iterators, stall handlers, and destructors of what functions hold, of results and of panics' payloads have steps of their
//! own, up to three deep, and may end in a panic. Messages do what the csds do. In one program of twenty a listener to tracepoints does something too.
//! A program is a function of its seed, and nothing else ([`program`], `draw`).
//!
//! # What is judged
//!
//! | what | how |
//! |---|---|
//! | memory | the sanitizers; two threads that are one CPU; a run for a CPU in a thread that is not that CPU; a call that runs twice; a signal |
//! | P1 | an accepted post has run once when all are offline, a cancelled one at most once; a refused one never; a multicast says how many ran; what was sent by a message came out of it once, as an answer, a panic, or a value back |
//! | P2 | after a Busy, a run has seen what was written before the post (unless a run was cancelled or refused) |
//! | P4 | what a function wrote into its caller's frame, and its result |
//! | P8 | a machine that was told to end says so |
//! | P10 | a program ends: each waits only for CPUs whose threads serve until all others are done |
//! | P11 | what a function holds, its result and its panic's payload are dropped once; a counted csd is given back, a pinned one is no longer run when its scope ends; no thread stops being a CPU under a frame of that CPU |
//! | panics | each that is not drawn, and not one that the documentation names, and each that ends the process |
//!
//! A listener that does more than panic does what its documentation says it must not: then only memory is judged, and the process may end.
//!
//! # What comes of a failure
//!
//! Each process plays some programs; the one that fails is played again without one part after another, as long as it fails
//! in the same way, and printed. Which steps were drawn repeats with the seed; how the machine interleaves the threads does
//! not, so a smaller program is tried several times.

#![forbid(unsafe_code)]

mod child;
mod count;
mod cut;
mod doing;
mod draw;
mod hunt;
mod judge;
pub mod kinds;
mod listen;
mod payload;
mod plant;
mod play;
pub mod program;
mod steps;
mod world;

pub use child::{Less, run as run_child};
pub use cut::{Cut, Names};
pub use hunt::{Args as HuntArgs, run as hunt, show};
pub use plant::Plant;
