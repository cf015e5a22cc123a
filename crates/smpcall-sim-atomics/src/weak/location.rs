//! One location: the values that it had, oldest first.

use super::{Clock, HISTORY, join};
use std::collections::VecDeque;

/// A value, and what comes with it.
#[derive(Default)]
pub(super) struct Message {
    pub(super) value: usize,
    /// The step at which a newer one came; `u64::MAX` for the newest.
    until: u64,
    /// What an acquire takes over, if anything was released with it.
    pub(super) is_released: bool,
    pub(super) carries: Clock,
    /// For each virtual CPU, at which of its times it saw this first; 0: never.
    seen: Clock,
}

impl Message {
    pub(super) fn see(&mut self, by: usize, time: u32) {
        if self.seen[by] == 0 {
            self.seen[by] = time;
        }
    }

    /// Something is released with it.
    pub(super) fn carry(&mut self, known: &Clock) {
        if self.is_released {
            join(&mut self.carries, known);
        } else {
            self.is_released = true;
            self.carries.clone_from(known);
        }
    }

    /// Whether one who knows that much knows of anybody who has seen it.
    fn is_known(&self, known: &Clock) -> bool {
        // 0 wraps round to more than any.
        self.seen.iter().zip(known).any(|(seen, known)| seen.wrapping_sub(1) < *known)
    }
}

/// The values of one location. There is always one.
#[derive(Default)]
pub(super) struct Location {
    messages: VecDeque<Message>,
    /// Those that are no longer needed, for their memory.
    spare: Vec<Message>,
}

impl Location {
    /// Begins anew, with that value alone.
    pub(super) fn begin(&mut self, value: usize, cpus: usize) {
        self.spare.extend(self.messages.drain(..));
        let mut only = self.spare.pop().unwrap_or_default();
        only.value = value;
        only.until = u64::MAX;
        only.is_released = false;
        only.seen.clear();
        only.seen.resize(cpus, 0);
        self.messages.push_back(only);
    }

    pub(super) fn newest(&self) -> &Message {
        self.messages.back().expect("there is always one")
    }

    /// The `back`th newest.
    pub(super) fn back(&mut self, back: usize) -> &mut Message {
        let at = self.messages.len() - 1 - back;
        &mut self.messages[at]
    }

    /// How many of the newest values can be read by who knows that much. Those that were replaced by the step `oldest` are too old.
    pub(super) fn readable(&self, by: usize, known: &Clock, oldest: u64) -> usize {
        let mut values = 0;
        for message in self.messages.iter().rev() {
            if message.until <= oldest {
                return values;
            }
            values += 1;
            // What one has seen oneself is the usual case.
            if message.seen[by] != 0 || message.is_known(known) {
                return values;
            }
        }
        values
    }

    /// Adds a value; one of a read-modify-write goes on carrying what the last carries.
    pub(super) fn push(&mut self, value: usize, cpus: usize, now: u64, continues: bool) -> &mut Message {
        self.back(0).until = now;
        let old = if self.messages.len() < HISTORY { self.spare.pop() } else { self.messages.pop_front() };
        let mut next = old.unwrap_or_default();
        next.value = value;
        next.until = u64::MAX;
        next.is_released = false;
        next.seen.clear();
        next.seen.resize(cpus, 0);
        if continues && self.newest().is_released {
            next.carry(&self.newest().carries);
        }
        self.messages.push_back(next);
        self.back(0)
    }
}
