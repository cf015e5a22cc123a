//! Small machines, run again and again: under every schedule, or under many seeds. For tests of a few steps, and for whoever
//! brings bodies of its own, as the conformance suite does.

use crate::engine::{Body, End, Handlers, Old, Setup, engine};
use crate::port::Manners;
use crate::strategy::Strategy;
use smpcall_sim_atomics::Memory;
use std::ops::Range;
use std::rc::Rc;

/// Which schedules.
#[derive(Clone, Debug)]
pub enum Search {
    /// Every one, with at most so many preemptions, and every moment at which a late store can reach memory.
    Exhaustive {
        /// How many.
        preemptions: u32,
    },
    /// Those of these seeds.
    Seeds(Range<u64>),
}

/// A small machine.
#[derive(Clone, Debug)]
pub struct Tiny {
    /// How many virtual CPUs.
    pub cpus: usize,
    /// And threads that are none.
    pub callers: usize,
    /// Doorbells interrupt.
    pub interrupts: bool,
    /// How weak memory is. (With every schedule every old value is read.)
    pub memory: Memory,
    /// After how many steps a run has failed.
    pub steps_max: u64,
}

/// What a search has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many runs there were.
    pub runs: u64,
    /// How many of them were bad.
    pub bad: u64,
    /// How many did not end.
    pub endless: u64,
}

/// One run of a small machine: what each virtual CPU does, what the doorbell's handler does, and whether it was bad.
pub struct Run {
    /// The bodies, CPUs first.
    pub bodies: Vec<Box<dyn FnOnce()>>,
    /// The doorbell's handler.
    pub doorbell: Box<dyn Fn()>,
    /// Is asked when all bodies have ended.
    pub is_bad: Box<dyn FnOnce() -> bool>,
}

struct Doorbell(Box<dyn Fn()>);

impl Handlers for Doorbell {
    fn doorbell(&self) {
        (self.0)();
    }

    fn device(&self, _id: usize) {}
}

impl Tiny {
    /// Runs what `make` makes under every schedule of the search.
    ///
    /// # Safety
    ///
    /// Simulated atomics that a body stores to stay in place until its run is over, since a store may reach memory as late as
    /// that: let `is_bad` keep them.
    pub unsafe fn explore(&self, search: &Search, mut make: impl FnMut() -> Run) -> Found {
        let mut found = Found::default();
        match search {
            Search::Exhaustive { preemptions } => loop {
                self.once(0, &Strategy::Exhaustive { preemptions: *preemptions }, make(), &mut found);
                if !engine().next_path() {
                    return found;
                }
            },
            Search::Seeds(seeds) => {
                for seed in seeds.clone() {
                    // From a switch at each step to few.
                    let stay = 1 << (seed % 5);
                    self.once(seed, &Strategy::Random { stay }, make(), &mut found);
                }
                found
            }
        }
    }

    fn once(&self, seed: u64, strategy: &Strategy, run: Run, found: &mut Found) {
        let bodies: Vec<Body> = run.bodies;
        assert_eq!(bodies.len(), self.cpus + self.callers, "a body for each virtual CPU");
        Manners::default().adopt();
        let setup = Setup {
            seed,
            cpus: self.cpus,
            threads: bodies.len(),
            strategy: strategy.clone(),
            drain_every: 1 << (seed % 7),
            memory: self.memory,
            // A long memory, often asked or seldom.
            old: Old { every: 1 << (seed % 3), steps: 1_000 },
            interrupts: self.interrupts,
            steps_max: self.steps_max,
        };
        engine().reset(&setup, Rc::new(Doorbell(run.doorbell)));
        found.runs += 1;
        match engine().run(bodies, || false) {
            End::Done => found.bad += u64::from((run.is_bad)()),
            End::Quiet | End::StepLimit | End::GivenUp => found.endless += 1,
        }
    }
}

/// What a body can ask of the machine that it runs on.
pub mod here {
    use crate::engine::engine;

    /// Takes a step in which others may go first.
    pub fn pause() {
        engine().relax();
    }

    /// Sleeps until the doorbell rings, or for so long. Returns whether it rang.
    pub fn sleep(limit_ns: u64) -> bool {
        let engine = engine();
        engine.sleep(engine.now_ns().saturating_add(limit_ns))
    }

    /// How many doorbells were sent so far.
    pub fn rings() -> u64 {
        engine().rings()
    }

    /// What ports that count have counted, once [`count_for`] was called.
    pub fn counted() -> Option<smpcall_instrumented::Counts> {
        crate::port::counted()
    }

    /// Ports that count do so anew, for so many CPUs.
    pub fn count_for(cpus: usize) {
        crate::port::count_into(Some(Box::leak(Box::new(crate::port::counters_for(cpus)))));
    }

    /// Calls `f` as the handler of an interrupt.
    pub fn interrupt(f: &dyn Fn()) {
        engine().as_irq(f);
    }

    /// Calls `f` as the handler of an NMI.
    pub fn nmi(f: &dyn Fn()) {
        engine().as_nmi(f);
    }

    /// Waits for [`open`]; for a thread that is no CPU.
    pub fn gate() {
        engine().gate();
    }

    /// Goes on on that CPU, as one of its threads: one that is not bound there, and can be moved.
    pub fn go_to(cpu: usize) {
        engine().go_to(cpu);
    }

    /// Goes on on that CPU when a wait pauses next.
    pub fn goes_at_a_pause(cpu: usize) {
        engine().goes_at_a_pause(cpu);
    }

    /// Is moved from now on, at one in so many steps, to any CPU. For a thread that is not a CPU's own.
    pub fn wander(every: u32) {
        engine().wander(every);
    }

    /// How often threads were moved so far.
    pub fn moves() -> u32 {
        engine().moves()
    }

    /// Lets a thread go on that waits at its gate.
    pub fn open(thread: usize) {
        engine().open(thread);
    }
}
