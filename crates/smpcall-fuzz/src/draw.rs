//! Draws a program from a seed, and from nothing else.

use crate::kinds::{Kind, Place, Uses};
use crate::program::{
    Body, CsdSpec, Drops, Held, IdleSpec, Leave, MachineSpec, Panic, Program, Serve, Step, Tap, ThreadSpec,
    Whom,
};

/// How deep functions lie in functions.
const DEPTH_MAX: u32 = 3;
const CSDS: usize = 4;

impl Program {
    /// Draws one. The same seed, the same program.
    pub fn draw(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Few programs have a listener that acts: of these less can be demanded.
        let taps = rng.u32(..20) == 0;
        let mut machines = vec![machine(&mut rng, taps)];
        if rng.u32(..4) == 0 {
            machines.push(machine(&mut rng, false));
        }
        let cpus = machines.iter().map(MachineSpec::cpus).collect();
        let mut draw = Draw { rng, cpus };
        for machine in &mut machines {
            draw.handlers(machine);
        }
        let csds = (0..CSDS).map(|at| draw.csd(at)).collect();
        let threads = (0..draw.rng.usize(2..=4)).map(|_| draw.thread()).collect();
        let mut program = Self { seed, machines, csds, threads };
        program.number();
        program
    }
}

fn machine(rng: &mut fastrand::Rng, taps: bool) -> MachineSpec {
    let owned = rng.usize(..=2);
    let attachable = if owned == 0 { rng.usize(1..=3) } else { rng.usize(..=2) };
    let idle = [IdleSpec::Sleep, IdleSpec::Sleep, IdleSpec::PollThenSleep, IdleSpec::Poll][rng.usize(..4)];
    let tap = taps.then(|| Tap { at: rng.u32(..10), acts: Drops::default() });
    MachineSpec { id: 0, owned, attachable, idle, stall_us: rng.u32(500..5_000), stall: None, tap }
}

struct Draw {
    rng: fastrand::Rng,
    /// How many each machine has.
    cpus: Vec<u32>,
}

impl Draw {
    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn handlers(&mut self, machine: &mut MachineSpec) {
        if self.one_in(4) {
            machine.stall = Some(Drops { id: 0, steps: self.steps(1..=2, Place::Inside, 2), panic: None });
        }
        if let Some(tap) = &mut machine.tap {
            tap.acts.steps = self.steps(0..=2, Place::Tracer, DEPTH_MAX);
            tap.acts.panic = self.one_in(3).then_some(0);
        }
    }

    fn csd(&mut self, at: usize) -> CsdSpec {
        let held = if at % 2 == 0 { Held::Static } else { Held::Counted };
        let mut body = self.body(2);
        body.result = None;
        if held == Held::Static {
            body.captured = None;
        }
        CsdSpec { held, body }
    }

    fn thread(&mut self) -> ThreadSpec {
        let mut steps = self.steps(2..=7, Place::Thread, 0);
        if !self.one_in(3) {
            steps.insert(0, self.step_of(Kind::Attach, 0));
        }
        let serve = [Serve::Park, Serve::Flush, Serve::Flush, Serve::Poll][self.rng.usize(..4)];
        let leave = if self.one_in(4) { Leave::Late } else { Leave::Drop };
        ThreadSpec { id: 0, steps, serve, leave }
    }

    fn steps(&mut self, len: std::ops::RangeInclusive<usize>, place: Place, depth: u32) -> Vec<Step> {
        (0..self.rng.usize(len))
            .map(|_| {
                let kind = Kind::draw(&mut self.rng, place);
                self.step_of(kind, depth)
            })
            .collect()
    }

    fn step_of(&mut self, kind: Kind, depth: u32) -> Step {
        let mut step = Step { kind, ..Step::default() };
        step.machine = self.rng.usize(..self.cpus.len());
        let cpus = self.cpus[step.machine];
        // One past the last, now and then.
        step.cpu = if self.one_in(40) { cpus } else { self.rng.u32(..cpus) };
        step.csd = self.rng.usize(..CSDS);
        step.us = [1, 50, 300, 1_000, 3_000][self.rng.usize(..5)];
        step.mask = self.rng.u32(1..16);
        step.to = [Whom::Others, Whom::All, Whom::Mask, Whom::If][self.rng.usize(..4)];
        if kind.has(Uses::Body) {
            step.body = self.body(depth + 1);
            if matches!(kind, Kind::Detached | Kind::CallMany | Kind::CallManyIdle | Kind::PostMany) {
                step.body.captured = None;
                step.body.result = None;
            }
        }
        if kind.has(Uses::Aside) && (step.to == Whom::If || kind == Kind::PostAll) {
            step.aside = Body { captured: None, result: None, ..self.body(depth + 2) };
        }
        step
    }

    fn body(&mut self, depth: u32) -> Body {
        let steps = if depth < DEPTH_MAX { self.steps(0..=3, Place::Inside, depth) } else { Vec::new() };
        let panic =
            self.one_in(8).then(|| Panic { id: 0, payload: self.one_in(2).then(|| self.drops(depth)) });
        let captured = self.one_in(5).then(|| self.drops(depth));
        let result = self.one_in(8).then(|| self.drops(depth));
        Body { steps, panic, captured, result }
    }

    fn drops(&mut self, depth: u32) -> Drops {
        let steps = if depth < DEPTH_MAX { self.steps(0..=2, Place::Inside, depth + 1) } else { Vec::new() };
        Drops { id: 0, steps, panic: self.one_in(3).then_some(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_draws_the_same_program_and_another_another() {
        for seed in 0..200 {
            let program = Program::draw(seed);
            assert_eq!(program, Program::draw(seed));
            assert_ne!(program.to_string(), Program::draw(seed + 1_000).to_string());
            let parts = program.parts();
            assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len(), "each number once");
        }
    }

    #[test]
    fn every_kind_is_drawn() {
        let text: String = (0..400).map(|seed| Program::draw(seed).to_string()).collect();
        for name in Kind::names() {
            assert!(text.contains(&format!("] {name}")), "{name}");
        }
    }

    #[test]
    fn what_is_cut_is_gone_with_all_that_is_in_it() {
        let program = Program::draw(7);
        for id in program.parts() {
            let smaller = program.without(&"".parse::<crate::Cut>().unwrap().and(id));
            assert!(!smaller.parts().contains(&id) && smaller.parts().len() < program.parts().len());
        }
    }
}
