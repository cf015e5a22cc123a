//! Makes a failing scenario smaller: fewer CPUs, fewer calls, fewer faults, as long as the same promise breaks. Each smaller one
//! is tried under its own schedule and a few others, since what is left out shifts everything that comes after it.

use crate::faults::Faults;
use crate::scenario::{Op, Plan, Scenario};
use crate::sim::play;
use smpcall_sim_atomics::Memory;

/// How many other schedules are tried for each smaller scenario.
const SCHEDULES: u64 = 12;

/// The search, and what is left of its budget.
struct Shrinking {
    best: Scenario,
    promise: &'static str,
    /// Of the steps that all runs may take together.
    steps_left: u64,
}

/// Shrinks a scenario that breaks a promise, in runs that take at most so many steps together. The same scenario always shrinks
/// to the same one.
pub fn shrink(scenario: &Scenario, steps_max: u64) -> Scenario {
    let Some(violation) = play(scenario).violation else { return scenario.clone() };
    let mut shrinking =
        Shrinking { best: scenario.clone(), promise: violation.promise, steps_left: steps_max };
    // Who goes round in circles does so in fewer steps as well.
    while shrinking
        .change(|scenario| scenario.steps_max = scenario.steps_max.min((scenario.steps_max / 4).max(20_000)))
    {
    }
    while shrinking.steps_left > 0 && shrinking.round() {}
    shrinking.best
}

impl Shrinking {
    /// Tries everything once; `false` if nothing got smaller.
    fn round(&mut self) -> bool {
        let mut smaller = self.fewer_cpus();
        smaller |= self.fewer_faults();
        smaller |= self.fewer_arrivals();
        smaller |= self.change(|scenario| scenario.alone = 0);
        smaller |= self.change(|scenario| scenario.counts = false);
        smaller |= self.change(|scenario| scenario.memory = Memory::Tso);
        smaller |= self.fewer_ops();
        smaller | self.simpler_functions()
    }

    /// Keeps the candidate if it still breaks the same promise, under any of a few schedules.
    fn keeps(&mut self, candidate: &Scenario) -> bool {
        for shift in 0..SCHEDULES {
            if self.steps_left == 0 {
                return false;
            }
            let mut one = candidate.clone();
            one.seed = candidate.seed.wrapping_add(shift);
            let outcome = play(&one);
            self.steps_left = self.steps_left.saturating_sub(outcome.steps);
            if outcome.violation.is_some_and(|violation| violation.promise == self.promise) {
                self.best = one;
                return true;
            }
        }
        false
    }

    fn change(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        candidate != self.best && self.keeps(&candidate)
    }

    fn fewer_cpus(&mut self) -> bool {
        let mut smaller = false;
        while self.best.callers > 0 && self.change(without_caller) {
            smaller = true;
        }
        let mut cpu = self.best.cpus;
        while cpu > 0 {
            cpu -= 1;
            smaller |= self.best.cpus > 1 && self.change(|scenario| without_cpu(scenario, cpu));
        }
        smaller
    }

    fn fewer_faults(&mut self) -> bool {
        let mut smaller = false;
        for name in Faults::NAMES {
            smaller |= self.change(|scenario| {
                if let Some(rate) = scenario.faults.rate_mut(name) {
                    *rate = 0.0;
                }
            });
        }
        smaller
    }

    fn fewer_arrivals(&mut self) -> bool {
        let mut smaller = self.change(|scenario| scenario.arrivals.clear());
        let mut at = self.best.arrivals.len();
        while at > 0 {
            at -= 1;
            smaller |= self.change(|scenario| _ = scenario.arrivals.remove(at));
        }
        smaller
    }

    fn fewer_ops(&mut self) -> bool {
        let mut smaller = false;
        for thread in 0..self.best.programs.len() {
            smaller |= self.change(|scenario| scenario.programs[thread].clear());
            let mut at = self.best.programs[thread].len();
            while at > 0 {
                at -= 1;
                smaller |= self.change(|scenario| _ = scenario.programs[thread].remove(at));
            }
        }
        smaller
    }

    fn simpler_functions(&mut self) -> bool {
        let mut smaller = false;
        for csd in 0..self.best.csds.len() {
            smaller |= self.change(|scenario| scenario.csds[csd] = Plan::default());
            smaller |= self.change(|scenario| {
                let cancels = scenario.csds[csd].cancels;
                scenario.csds[csd] = Plan { cancels, ..Plan::default() };
            });
        }
        for thread in 0..self.best.programs.len() {
            for at in 0..self.best.programs[thread].len() {
                smaller |= self.change(|scenario| shorten(&mut scenario.programs[thread][at]));
            }
        }
        smaller
    }
}

fn shorten(op: &mut Op) {
    op.amount = op.amount.min(2);
    op.csds.truncate(2);
    op.flag = false;
}

fn without_caller(scenario: &mut Scenario) {
    scenario.callers -= 1;
    scenario.programs.pop();
}

/// Those who called that CPU call another one.
fn without_cpu(scenario: &mut Scenario, gone: usize) {
    scenario.cpus -= 1;
    let (gone_cpu, cpus) = (gone as u32, scenario.cpus as u32);
    let moved = |cpu: u32| if cpu > gone_cpu { cpu - 1 } else { cpu % cpus };
    scenario.programs.remove(gone);
    scenario.arrivals.retain(|arrival| arrival.cpu != gone);
    for arrival in scenario.arrivals.iter_mut().filter(|arrival| arrival.cpu > gone) {
        arrival.cpu -= 1;
    }
    let ops = scenario
        .programs
        .iter_mut()
        .flatten()
        .chain(scenario.arrivals.iter_mut().map(|arrival| &mut arrival.op));
    for op in ops {
        // A set of CPUs has each of them once.
        let set = op.cpus.len() > 1;
        op.cpus.iter_mut().for_each(|cpu| *cpu = moved(*cpu));
        if set {
            op.cpus.sort_unstable();
            op.cpus.dedup();
        }
    }
    for plan in &mut scenario.csds {
        plan.hops.iter_mut().for_each(|cpu| *cpu = moved(*cpu));
        plan.posts = plan.posts.map(|(csd, cpu)| (csd, moved(cpu)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Options;

    #[test]
    fn a_machine_with_fewer_cpus_is_still_sound() {
        for seed in 0..50 {
            let mut scenario = Scenario::draw(seed, &Options::default());
            while scenario.cpus > 1 {
                let gone = seed as usize % scenario.cpus;
                without_cpu(&mut scenario, gone);
                assert_eq!(scenario.programs.len(), scenario.threads());
                assert_eq!(play(&scenario).violation, None, "seed {seed}, {} CPUs", scenario.cpus);
            }
            while scenario.callers > 0 {
                without_caller(&mut scenario);
            }
            assert_eq!(play(&scenario).violation, None, "seed {seed}");
        }
    }

    #[test]
    fn a_run_that_cannot_finish_shrinks_to_next_to_nothing_and_says_so() {
        let mut scenario = Scenario::draw(1, &Options::default());
        scenario.steps_max = 20;
        let small = shrink(&scenario, 1_000_000);
        assert!(small.ops() < scenario.ops() && small.cpus <= scenario.cpus, "{small}");
        let violation = play(&small).violation.expect("it still fails");
        assert!(violation.what.contains("not finished within 20 steps"), "{violation}");
        assert_eq!(shrink(&scenario, 1_000_000), small, "the same, each time");
    }
}
