//! The contract on host threads: every promise with real threads, bad input, bad luck, and how a machine ends. What the
//! core promises whatever the port is tested, case by case and without a scheduler, in the core's `tests/toy`.
//!
//! No test asserts on time. Each is bounded by `site::bounded`, so that a lost doorbell is a named failure and not a hang.

mod attach;
mod backlog;
mod blocking;
mod build;
mod callers;
mod calls;
mod cores;
mod doorbells;
mod embedded;
mod ends;
mod forked;
mod many;
mod one_core;
mod own_thread;
mod panics;
mod posts;
mod published;
mod raced;
mod refused;
mod self_posts;
mod shut_down;
mod shutdown_raced;
mod site;
mod stalls;
mod stopped;
mod threads;
mod traced;
mod two_machines;
mod watchdog;
