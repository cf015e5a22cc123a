//! What a platform gives a soak.

use super::Soak;
use super::kinds::Came;
use core::fmt::Arguments;
use smpcall::{Budget, Platform};

/// How the handler is come to that posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An interrupt.
    Interrupt,
    /// What cannot be masked.
    Nmi,
}

/// A platform with its CPUs, as a soak uses it. Of what it shares with the suite's rig the machine, its CPUs, the memory and
/// the pause are used.
///
/// Examples: [`Soak`]; `crates/smpcall-cli/src/torture/rig.rs`, in the repository, whose functions panic.
pub trait Rig: crate::Rig {
    /// A thread of the soak's.
    type Thread: Thread;

    /// Whether functions may panic: [`Self::throw`] unwinds.
    const UNWINDS: bool = false;

    /// Is told of a promise that was broken: at once, since what comes after may hide it.
    fn complain(&self, what: Arguments<'_>);

    /// Has a handler call [`Soak::interrupted`], on `cpu` or on the caller's: once, at once or soon. One at a time on each CPU.
    fn raise(&self, soak: &'static Soak<Self>, source: Source, cpu: u32) -> Came;

    /// Runs inside a function, now and then: what a long function does.
    fn dawdle(&self) {}

    /// Panics with that number, preferably without a message.
    fn throw(&self, number: usize) -> ! {
        panic!("{number}")
    }

    /// Returns the number of a panic that [`Self::throw`] began.
    fn thrown(panic: <Self::Platform as Platform>::Panic) -> Option<usize> {
        drop(panic);
        None
    }
}

/// A thread: a CPU's, or one that only calls.
///
/// Example: [`Soak`].
pub trait Thread {
    /// Why it cannot go on.
    type Error;

    /// Draws a number less than `end`.
    fn below(&mut self, end: u32) -> u32;

    /// Brings its CPU online.
    fn online(&mut self) -> Result<(), Self::Error>;

    /// Takes its CPU offline.
    fn offline(&mut self) -> Result<(), Self::Error>;

    /// Its CPU is offline, and was found to be. What can be switched off is, and enters anew.
    fn left(&mut self) {}

    /// Runs what was posted to its CPU, calls that may block included; returns how many functions of the queue that were.
    fn poll(&mut self, budget: Budget) -> usize;

    /// Does what a thread does between two calls: it polls, sleeps, or lets its queue grow.
    fn serve(&mut self);

    /// Posts nothing until `is_over`, and runs what is posted.
    fn rest(&mut self, is_over: &dyn Fn() -> bool);
}
