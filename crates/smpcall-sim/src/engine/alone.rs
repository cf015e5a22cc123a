//! A post that is left alone (P9): from some step in the middle of it on, nobody else takes one, and no interrupt comes in, until it
//! has ended. If it needs more than so many steps of its own, it waits for somebody.

use super::Engine;
use crate::history::{EventKind, Level};

/// After how many steps of its own a post is left alone, at most.
const FIRST_STEPS_MAX: usize = 16;

/// A post that is left alone, or will be.
#[derive(Clone, Copy)]
pub(super) struct Alone {
    op: usize,
    thread: usize,
    /// In which its steps are made: those of an interrupt on top of it are not its own.
    level: Level,
    /// How many it makes before.
    before: u32,
    steps: u32,
    steps_max: u32,
}

impl Engine {
    /// The running virtual CPU begins a post, which is left alone after a few steps, and then has so many to end. Nothing if
    /// another one is.
    pub(crate) fn leave_alone(&self, op: usize, steps_max: u32) {
        if self.alone.get().is_none() {
            let (thread, level) = (self.current.get(), self.level());
            let before = self.rng.below(FIRST_STEPS_MAX) as u32;
            self.alone.set(Some(Alone { op, thread, level, before, steps: 0, steps_max }));
        }
    }

    /// The post has ended.
    pub(crate) fn in_company(&self, op: usize) {
        if self.alone.get().is_some_and(|alone| alone.op == op) {
            self.alone.set(None);
        }
    }

    /// Whether somebody is, now: then it is the one that runs.
    #[inline]
    pub(super) fn is_alone(&self) -> bool {
        self.alone.get().is_some_and(|alone| alone.steps > 0)
    }

    /// A step was made.
    #[inline]
    pub(super) fn count_alone(&self, me: usize) {
        if let Some(mut alone) = self.alone.get()
            && alone.thread == me
            && alone.level == self.level()
        {
            match alone.before.checked_sub(1) {
                Some(before) => alone.before = before,
                None => alone.steps += 1,
            }
            self.alone.set(Some(alone));
            if alone.steps > alone.steps_max {
                self.waits_for_company(alone);
            }
        }
    }

    /// Whoever runs goes to sleep, or was stopped.
    pub(super) fn alone_sleeps(&self) {
        if self.is_alone()
            && let Some(alone) = self.alone.take()
            && !self.is_stopped(alone.thread)
        {
            self.waits_for_company(alone);
        }
    }

    fn waits_for_company(&self, alone: Alone) {
        self.alone.set(None);
        self.log(EventKind::Waits { op: alone.op, steps: alone.steps });
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::{End, Handlers, PORT, Setup, engine};
    use crate::history::EventKind;
    use crate::strategy::Strategy;
    use std::cell::Cell;
    use std::rc::Rc;

    struct None;

    impl Handlers for None {
        fn doorbell(&self) {}
        fn device(&self, _id: usize) {}
    }

    /// Two threads, of which the first does that as its post, and the second goes on for long; whether the post was found to wait.
    fn waits(post: impl Fn(&Cell<bool>) + 'static) -> bool {
        let setup = Setup {
            seed: 1,
            cpus: 2,
            threads: 2,
            strategy: Strategy::Random { stay: 1 },
            drain_every: 1,
            memory: Default::default(),
            old: Default::default(),
            interrupts: false,
            steps_max: 10_000,
        };
        let flag = Rc::new(Cell::new(false));
        let set = Rc::clone(&flag);
        let engine = engine();
        engine.reset(&setup, Rc::new(None));
        let poster = move || {
            engine.leave_alone(7, 40);
            post(&flag);
            engine.in_company(7);
        };
        let other = move || {
            (0..100).for_each(|_| engine.point(PORT));
            set.set(true);
        };
        assert_eq!(engine.run(vec![Box::new(poster), Box::new(other)], || false), End::Done);
        engine.with_history(|history| {
            history.iter().any(|event| matches!(event.kind, EventKind::Waits { op: 7, .. }))
        })
    }

    #[test]
    fn a_post_that_spins_or_sleeps_is_found_and_one_that_takes_its_steps_is_not() {
        assert!(waits(|flag| {
            while !flag.get() {
                engine().relax();
            }
        }));
        assert!(waits(|_| {
            (0..20).for_each(|_| engine().point(PORT));
            _ = engine().sleep(engine().now_ns() + 1_000);
        }));
        assert!(!waits(|_| (0..39).for_each(|_| engine().point(PORT))));
    }
}
