//! Who moves when: all threads run, or all are at rest, or the run is over.
//!
//! At rest no post is under way: each thread has ended what it did, and waits. CPUs wait in `park` without an end, so
//! that what is still in their queues, and only that, wakes them. What control writes before a new turn, the threads see
//! in it; what they wrote before they rest, control sees.

use super::words::Signal;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What a thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Make calls.
    Run,
    /// Come to rest, and stay so until the turn has another number.
    Rest(u64),
    /// End.
    Stop,
}

/// The turn, as a number: even ones are rests, odd ones runs.
pub(super) struct Stage {
    turn: Signal,
    /// How many threads are at rest in this turn.
    resting: Signal,
    sleepers: Mutex<()>,
    changed: Condvar,
}

const STOP: u64 = u64::MAX;

impl Stage {
    /// Starts at rest.
    pub(super) fn new() -> Self {
        Self {
            turn: Signal::new(0),
            resting: Signal::new(0),
            sleepers: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    pub(super) fn turn(&self) -> Turn {
        match self.turn.get() {
            STOP => Turn::Stop,
            turn if turn % 2 == 0 => Turn::Rest(turn),
            _ => Turn::Run,
        }
    }

    /// Control: the next turn. The caller rings those CPUs that sleep on their doorbells.
    pub(super) fn next(&self) {
        self.resting.set(0);
        self.change(self.turn.get() + 1);
    }

    /// Control: the run is over.
    pub(super) fn stop(&self) {
        self.change(STOP);
    }

    fn change(&self, turn: u64) {
        let sleepers = self.lock();
        self.turn.set(turn);
        drop(sleepers);
        self.changed.notify_all();
    }

    /// Control: how many threads have come to rest.
    pub(super) fn resting(&self) -> u64 {
        self.resting.get()
    }

    /// A thread: is at rest from now on; it posts nothing more in this turn.
    pub(super) fn rests(&self) {
        self.resting.add(1);
    }

    /// A thread that is no CPU: sleeps until the rest is over.
    pub(super) fn sleep(&self, rest: u64) {
        let mut sleepers = self.lock();
        while self.turn() == Turn::Rest(rest) {
            sleepers = self.changed.wait(sleepers).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
