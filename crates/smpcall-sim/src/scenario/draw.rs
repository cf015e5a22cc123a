//! How a scenario is drawn.

use super::{Arrival, Op, Options, Plan};
use crate::engine::Old;
use crate::faults::Faults;
use crate::kinds::{KINDS, Places};
use crate::rng::Rng;
use crate::strategy::Strategy;

/// A scenario that is being drawn.
pub(crate) struct Draw {
    pub(crate) rng: Rng,
    pub(crate) cpus: usize,
    pub(crate) faults: Faults,
    pub(crate) csds: Vec<Plan>,
    /// Csds that everybody posts.
    pub(crate) shared: Vec<usize>,
    /// Csds of one thread.
    pub(super) own: Vec<Vec<usize>>,
    pub(super) prefer: Vec<usize>,
}

impl Draw {
    /// A CPU.
    pub(crate) fn cpu(&self) -> u32 {
        self.rng.below(self.cpus) as u32
    }

    /// A new csd.
    pub(crate) fn csd(&mut self, plan: Plan) -> usize {
        self.csds.push(plan);
        self.csds.len() - 1
    }

    /// A csd of that thread, which nobody else posts.
    pub(crate) fn own_csd(&mut self, thread: usize) -> usize {
        if self.own[thread].len() < 2 || (self.own[thread].len() < 6 && self.rng.chance(0.3)) {
            let plan = self.plan();
            let csd = self.csd(plan);
            self.own[thread].push(csd);
        }
        *self.rng.pick(&self.own[thread])
    }

    /// A function, with what the rates ask of it.
    pub(super) fn plan(&self) -> Plan {
        let rng = &self.rng;
        Plan {
            panics: rng.chance(self.faults.panics),
            long: if rng.chance(self.faults.long) { rng.between(20, 600) as u32 } else { 0 },
            posts: if rng.chance(self.faults.reposts) && !self.shared.is_empty() {
                Some((*rng.pick(&self.shared), self.cpu()))
            } else {
                None
            },
            scatters: rng.chance(self.faults.multicasts * 0.5),
            misuses: rng.chance(0.05),
            lazy: rng.chance(0.2),
            ..Plan::default()
        }
    }

    /// A set of CPUs, not empty.
    pub(crate) fn some_cpus(&self) -> Vec<u32> {
        let share = *self.rng.pick(&[0.2, 0.5, 1.0]);
        let mut some: Vec<u32> = (0..self.cpus as u32).filter(|_| self.rng.chance(share)).collect();
        if some.is_empty() {
            some.push(self.cpu());
        }
        some
    }

    /// An op for a place like that.
    pub(super) fn op(&mut self, thread: usize, fits: impl Fn(Places) -> bool) -> Op {
        let weight = |kind: &crate::kinds::Kind, faults: &Faults| match kind.name {
            // Among some 100 of the others.
            "hotplug" => (faults.hotplug * 60.0) as usize,
            _ => kind.weight,
        };
        let rows: Vec<(usize, usize)> = KINDS
            .iter()
            .enumerate()
            .filter(|(_, kind)| fits(kind.places))
            .map(|(at, kind)| {
                (at, weight(kind, &self.faults) * if self.prefer.contains(&at) { 4 } else { 1 })
            })
            .collect();
        let mut left = self.rng.below(rows.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in rows {
            if left < weight {
                return Op { kind, ..(KINDS[kind].draw)(self, thread) };
            }
            left -= weight;
        }
        unreachable!("the weights were summed")
    }
}

impl Draw {
    pub(super) fn program(&mut self, thread: usize, ops: usize) -> Vec<Op> {
        let is_cpu = thread < self.cpus;
        let fits = |places| {
            matches!(places, Places::Anywhere | Places::Threads) || (is_cpu && places == Places::Cpus)
        };
        let ops = self.rng.between(1, ops);
        (0..ops).map(|_| self.op(thread, fits)).collect()
    }

    pub(super) fn arrivals(&mut self, steps: u64) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for cpu in 0..self.cpus {
            while self.rng.chance(self.faults.interrupts * 0.6) && arrivals.len() < 4 * self.cpus {
                let (step, nmi) = (self.rng.below(steps as usize) as u64, self.rng.chance(0.5));
                let op = self.op(cpu, |places| places == Places::Anywhere);
                arrivals.push(Arrival { step, cpu, nmi, op });
            }
        }
        arrivals
    }
}

/// Half of the runs have few CPUs: there the races are sharper.
pub(super) fn draw_cpus(rng: &Rng, options: &Options) -> usize {
    let (min, max) = (options.cpus_min, options.cpus_max);
    let few = max.min(min.max(4));
    if rng.chance(0.5) { rng.between(min, few) } else { rng.between(min, max) }
}

/// By a stream of its own: without weak memory a seed is what it always was.
pub(super) fn draw_old(seed: u64) -> Old {
    let rng = Rng::new(seed, 9);
    Old { every: *rng.pick(&[1, 2, 4, 16]), steps: *rng.pick(&[20, 60, 200, 600]) }
}

pub(super) fn draw_strategy(rng: &Rng, steps: u64) -> Strategy {
    match rng.below(10) {
        0..=5 => Strategy::Random { stay: *rng.pick(&[1, 2, 4, 8, 16, 40]) },
        6..=8 => Strategy::Pct { changes: rng.between(1, 12) as u32, steps: steps as u32 },
        _ => Strategy::RoundRobin { quantum: *rng.pick(&[1, 3, 7, 20]) },
    }
}
