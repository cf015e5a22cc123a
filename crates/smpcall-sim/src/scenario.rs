//! A scenario: everything about a run that is drawn before it begins. It is data, so that a failing one can be made smaller
//! ([`crate::shrink()`]), and a function of its seed.

mod draw;
mod in_between;
mod tell;

pub(crate) use draw::Draw;

use crate::engine::Old;
use crate::faults::{Faults, befall};
use crate::kinds::number_of;
use crate::port::Manners;
use crate::rng::Rng;
use crate::strategy::Strategy;
use draw::{draw_cpus, draw_old, draw_strategy};
use smpcall_sim_atomics::Memory;

/// The version of what a seed draws. It grows when any seed draws another scenario than before, and then the corpus has to be made anew.
pub const DRAW: u32 = 1;

/// What a csd's function does, beside looking at its posters' words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether anybody cancels it.
    pub cancels: bool,
    /// It panics, each time.
    pub panics: bool,
    /// For how many steps it runs on.
    pub long: u32,
    /// Where it posts itself from inside, one after another; empty: it does not.
    pub hops: Vec<u32>,
    /// Another csd that it posts, and where to.
    pub posts: Option<(usize, u32)>,
    /// It multicasts, without waiting.
    pub scatters: bool,
    /// It tries to wait, which must be refused.
    pub misuses: bool,
    /// What it posts is posted lazily.
    pub lazy: bool,
}

/// One op of a program: which row of the table, and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Op {
    /// The row of the table of kinds.
    pub kind: usize,
    /// Csds.
    pub csds: Vec<usize>,
    /// CPUs.
    pub cpus: Vec<u32>,
    /// A number of steps, or of times.
    pub amount: u32,
    /// Whether its function panics, or whatever else the row says.
    pub flag: bool,
}

/// An interrupt of a device, or an NMI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub step: u64,
    /// Where.
    pub cpu: usize,
    /// Which of the two.
    pub nmi: bool,
    /// What its handler does.
    pub op: Op,
}

/// A run, as it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Of the schedule, and of the faults.
    pub seed: u64,
    /// Virtual CPUs.
    pub cpus: usize,
    /// Threads that are none, and only call.
    pub callers: usize,
    /// How the scheduler chooses.
    pub strategy: Strategy,
    /// A late store reaches memory at one step in so many.
    pub drain_every: u32,
    /// How weak memory is,
    pub memory: Memory,
    /// and what loads read then.
    pub old: Old,
    /// The doorbell interrupts, and its handler flushes; else it only ends sleeps.
    pub interrupts: bool,
    /// Waiting callers sleep.
    pub parks: bool,
    /// The port traces, stamps and counts.
    pub counts: bool,
    /// One post in so many is left alone, somewhere in the middle: nobody else takes a step until it is over. 0: none.
    pub alone: u32,
    /// How they behave.
    pub manners: Manners,
    /// How many functions a flush may run.
    pub budget: u32,
    /// And how many of them that nobody waits for.
    pub posts: u32,
    /// What goes wrong.
    pub faults: Faults,
    /// The csds.
    pub csds: Vec<Plan>,
    /// What each thread does, CPUs first.
    pub programs: Vec<Vec<Op>>,
    /// What comes in between.
    pub arrivals: Vec<Arrival>,
    /// When faults end, at the latest.
    pub fault_steps: u64,
    /// After how many steps the run is given up.
    pub steps_max: u64,
}

/// What scenarios are drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The fewest CPUs,
    pub cpus_min: usize,
    /// and the most.
    pub cpus_max: usize,
    /// Faults: each run draws its own mix.
    pub faults: FaultChoice,
    /// After how many steps a run is given up; `None`: many times what any has taken so far.
    pub steps_max: Option<u64>,
    /// Programs with calls that are awaited as well: the same ones, with those in between.
    pub futures: bool,
    /// And with CPUs that go to user space, and posts that are deferred until they come back.
    pub users: bool,
    /// And with rendezvous.
    pub meets: bool,
    /// How weak memory is. The programs are the same.
    pub memory: Memory,
    /// Kinds that are drawn four times as often, by the numbers of their rows.
    pub prefer: Vec<usize>,
    /// And with multicasts whose callers have work of their own before they wait.
    pub works: bool,
}

/// Which faults the runs have.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultChoice {
    /// Each run draws a mix of its own.
    Drawn,
    /// Those, in every run.
    These(Faults),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cpus_min: 2,
            cpus_max: 16,
            faults: FaultChoice::Drawn,
            steps_max: None,
            futures: false,
            users: false,
            meets: false,
            memory: Memory::Tso,
            prefer: Vec::new(),
            works: false,
        }
    }
}

impl Scenario {
    /// Draws the scenario of a seed.
    pub fn draw(seed: u64, options: &Options) -> Self {
        let rng = Rng::new(seed, 0);
        let cpus = draw_cpus(&rng, options);
        let callers = rng.below(3);
        let faults = match &options.faults {
            FaultChoice::Drawn => Faults::draw(&rng, seed),
            FaultChoice::These(faults) => faults.clone(),
        };
        let threads = cpus + callers;
        let (own, prefer) = (vec![Vec::new(); threads], options.prefer.clone());
        let mut draw = Draw { rng, cpus, faults, csds: Vec::new(), shared: Vec::new(), own, prefer };
        for _ in 0..draw.rng.between(1, 3) {
            let mut plan = draw.plan();
            plan.cancels = draw.rng.chance(0.4);
            let csd = draw.csd(plan);
            draw.shared.push(csd);
        }
        let ops = draw.rng.between(3, if cpus <= 4 { 14 } else { 7 });
        let mut programs: Vec<Vec<Op>> = (0..threads).map(|thread| draw.program(thread, ops)).collect();
        for program in programs.iter_mut().take(cpus) {
            if draw.rng.chance(draw.faults.stuck * 0.5) {
                program.push(Op { kind: number_of("stuck"), ..Op::default() });
            }
        }
        let fault_steps = (threads * ops * 60 + 2_000) as u64;
        let arrivals = draw.arrivals(fault_steps);
        // By another stream: so seeds are what they were before there was this number.
        let posts = *Rng::new(seed, 5).pick(&[256, 256, 1, 2]);
        // A stream of its own: without futures a seed is what it always was.
        let rng = std::mem::replace(&mut draw.rng, Rng::new(seed, 6));
        draw.in_between(seed, options, &mut programs);
        Self {
            seed,
            posts,
            cpus,
            callers,
            strategy: draw_strategy(&rng, fault_steps),
            drain_every: *rng.pick(&[1, 4, 16, 64, 256]),
            memory: options.memory,
            old: draw_old(seed),
            interrupts: rng.chance(0.6),
            parks: rng.chance(0.5),
            counts: rng.chance(0.3),
            alone: *rng.pick(&[0, 0, 3, 10]),
            manners: Manners {
                looks_first: *rng.pick(&[0, 1, 3, 10]),
                parks_after: *rng.pick(&[0, 1, 4, u32::MAX]),
                // Nobody makes good for a doorbell that should have been sent, unless one may be lost.
                stall_timeout_ns: match draw.faults.lost + draw.faults.stuck {
                    0.0 if rng.chance(0.7) => 0,
                    _ => *rng.pick(&[5_000, 20_000, 100_000]),
                },
            },
            budget: *rng.pick(&[1, 2, 3, 8, 256, 256]),
            faults: draw.faults,
            csds: draw.csds,
            programs,
            arrivals,
            fault_steps,
            // Some thirty times what the longest of the first runs took: who comes there goes round in circles.
            steps_max: options.steps_max.unwrap_or(400_000 + 40_000 * threads as u64),
        }
    }

    /// Sends on their way, in a run that begins, all that comes by itself.
    pub(crate) fn befall(&self, engine: &crate::engine::Engine) {
        use crate::engine::Due;
        for (id, Arrival { step, cpu, nmi, .. }) in self.arrivals.iter().enumerate() {
            engine.later(*step, if *nmi { Due::Nmi(*cpu, id) } else { Due::Irq(*cpu, id) });
        }
        befall(engine, &self.faults, self.cpus, self.fault_steps, &Rng::new(self.seed, 3));
        engine.later(self.fault_steps, Due::Heal);
    }

    /// How many threads there are, CPUs first.
    pub fn threads(&self) -> usize {
        self.cpus + self.callers
    }

    /// How many ops there are in all.
    pub fn ops(&self) -> usize {
        self.programs.iter().map(Vec::len).sum::<usize>() + self.arrivals.len()
    }
}

#[cfg(test)]
mod tests;
