//! What is put between the ops of programs, where a run is asked for it: by streams of their own, so that without it a seed is what it always was.

use super::{Draw, Op, Options};
use crate::kinds::{AWAITED, KINDS, USERS, number_of};
use crate::rng::Rng;

impl Draw {
    /// Puts in between what was asked for besides, each kind by a stream of its own.
    pub(super) fn in_between(&mut self, seed: u64, options: &Options, programs: &mut [Vec<Op>]) {
        if options.futures {
            self.futures(programs);
        }
        self.rng = Rng::new(seed, 7);
        if options.users {
            self.users(programs);
        }
        self.rng = Rng::new(seed, 8);
        if options.meets && self.faults.stuck == 0.0 {
            self.some_of(number_of("meet"), self.cpus, programs);
        }
        // 9 is that of old values.
        self.rng = Rng::new(seed, 10);
        if options.works {
            self.some_of(number_of("many meanwhile"), programs.len(), programs);
        }
    }

    /// Puts calls that are awaited into programs, never as the last op of one.
    fn futures(&mut self, programs: &mut [Vec<Op>]) {
        for (thread, program) in programs.iter_mut().enumerate() {
            for _ in 0..self.rng.between(0, 3) {
                let kind = number_of(self.rng.pick::<&str>(&AWAITED));
                let op = Op { kind, ..(KINDS[kind].draw)(self, thread) };
                program.insert(self.rng.below(program.len().max(1)), op);
            }
        }
    }

    /// Puts programs in user space, and deferred posts, into those of each thread, never as the last op of one.
    fn users(&mut self, programs: &mut [Vec<Op>]) {
        for (thread, program) in programs.iter_mut().enumerate() {
            let kinds = if thread < self.cpus { &USERS[..] } else { &USERS[..2] };
            for _ in 0..self.rng.between(1, 6) {
                let kind = number_of(self.rng.pick::<&str>(kinds));
                let op = Op { kind, ..(KINDS[kind].draw)(self, thread) };
                program.insert(self.rng.below(program.len().max(1)), op);
            }
        }
    }

    /// Puts some of that kind into the programs of the first so many threads.
    fn some_of(&mut self, kind: usize, threads: usize, programs: &mut [Vec<Op>]) {
        for (thread, program) in programs.iter_mut().take(threads).enumerate() {
            for _ in 0..self.rng.between(0, 3) {
                let op = Op { kind, ..(KINDS[kind].draw)(self, thread) };
                program.insert(self.rng.below(program.len().max(1)), op);
            }
        }
    }
}
