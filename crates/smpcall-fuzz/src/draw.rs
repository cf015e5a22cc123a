//! Draws a program from a seed, and from nothing else.

use crate::kinds::{Kind, Place, Uses, Wanted};
use crate::program::{
    Body, CsdSpec, Drops, Held, IdleSpec, Leave, MachineSpec, Panic, Program, Serve, Step, Tap, ThreadSpec,
    Whom,
};

/// How deep functions lie in functions.
const DEPTH_MAX: u32 = 3;
const CSDS: usize = 4;
const NAP_LONG: u32 = 5_000;

impl Program {
    /// Draws one. The same seed, and the same kinds of steps that are wanted, the same program.
    pub(crate) fn draw(seed: u64, wanted: &Wanted<'_>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Few programs have a listener that acts: of these less can be demanded.
        let taps = rng.u32(..20) == 0;
        let mut machines = vec![machine(&mut rng, taps)];
        if rng.u32(..4) == 0 {
            machines.push(machine(&mut rng, false));
        }
        let cpus = machines.iter().map(|machine| (machine.owned as u32, machine.cpus())).collect();
        let meet = if rng.u32(..3) == 0 { Meet::AtOneCpu } else { Meet::ByChance };
        let mut draw = Draw { rng, cpus, meet, wanted };
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
    // Few CPUs: faults come of several threads that mean the same one.
    let owned = [0, 0, 1, 1, 2][rng.usize(..5)];
    let attachable = [1, 1, 1, 2, 3][rng.usize(..5)] - usize::from(owned > 0 && rng.u32(..4) == 0);
    let idle = [IdleSpec::Sleep, IdleSpec::Sleep, IdleSpec::PollThenSleep, IdleSpec::Poll][rng.usize(..4)];
    let tap = taps.then(|| Tap { at: rng.u32(..10), acts: Drops::default() });
    MachineSpec { id: 0, owned, attachable, idle, stall_us: rng.u32(500..5_000), stall: None, tap }
}

/// Whom steps are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meet {
    /// Any CPU.
    ByChance,
    /// Nearly all of them for the first CPU of the first machine that threads attach to: one after another they are that CPU.
    AtOneCpu,
}

/// What a thread is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Either,
    /// It is a CPU, and mostly there to run what others send.
    Serves,
    /// It is none.
    Calls,
}

impl Role {
    fn takes(self, name: &str) -> bool {
        const CALLS: [&str; 8] = [
            "call-blocking",
            "call-many",
            "call-many-idle",
            "call-many-meanwhile",
            "call-map",
            "call-nearest",
            "kick",
            "wait",
        ];
        match self {
            Self::Either => true,
            Self::Serves => !CALLS.contains(&name),
            Self::Calls => name != "attach",
        }
    }
}

struct Draw<'a> {
    wanted: &'a Wanted<'a>,
    meet: Meet,
    rng: fastrand::Rng,
    /// How many each machine has of its own, and altogether.
    cpus: Vec<(u32, u32)>,
}

impl Draw<'_> {
    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn handlers(&mut self, machine: &mut MachineSpec) {
        if self.one_in(4) {
            let steps = self.steps(1..=2, Place::Inside, 2);
            machine.stall = Some(Drops { id: 0, steps, panic: self.one_in(3).then_some(0) });
        }
        if let Some(tap) = &mut machine.tap {
            tap.acts.steps = self.steps(0..=2, Place::Tracer, DEPTH_MAX);
            tap.acts.panic = self.one_in(3).then_some(0);
        }
    }

    fn csd(&mut self, at: usize) -> CsdSpec {
        let held = if at.is_multiple_of(2) { Held::Static } else { Held::Counted };
        let mut body = self.body(2);
        body.result = None;
        if held == Held::Static {
            body.captured = None;
        }
        CsdSpec { held, body }
    }

    fn thread(&mut self) -> ThreadSpec {
        let role = match self.meet {
            Meet::ByChance => Role::Either,
            Meet::AtOneCpu => [Role::Either, Role::Serves, Role::Calls, Role::Calls][self.rng.usize(..4)],
        };
        let mut steps = Vec::new();
        for _ in 0..self.rng.usize(2..=7) {
            let wanted = self.wanted;
            let kind = Kind::draw(&mut self.rng, Place::Thread, &|name| wanted(name) && role.takes(name));
            steps.push(self.step_of(kind, 0));
        }
        if role == Role::Serves || role == Role::Either && !self.one_in(3) {
            steps.insert(0, self.step_of(Kind::Attach, 0));
        }
        let serve = [Serve::Park, Serve::Flush, Serve::Flush, Serve::Poll][self.rng.usize(..4)];
        let leave = if self.one_in(4) { Leave::Late } else { Leave::Drop };
        ThreadSpec { id: 0, steps, serve, leave }
    }

    fn steps(&mut self, len: std::ops::RangeInclusive<usize>, place: Place, depth: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..self.rng.usize(len) {
            let kind = Kind::draw(&mut self.rng, place, self.wanted);
            steps.push(self.step_of(kind, depth));
            // What a thread does that is no CPU any more matters most when somebody else has become that CPU.
            if kind == Kind::Detach && place == Place::Inside && self.one_in(2) {
                steps.push(Step { us: NAP_LONG, ..self.step_of(Kind::Nap, depth) });
            }
        }
        steps
    }

    /// A CPU: one that threads attach to if there are any and it is `Attach` that asks, and by half of the times else; one
    /// past the last, now and then.
    fn cpu(&mut self, machine: usize, kind: Kind) -> u32 {
        let (owned, all) = self.cpus[machine];
        if self.meet == Meet::AtOneCpu && machine == 0 && owned < all && !self.one_in(8) {
            return owned;
        }
        let of_threads = if kind == Kind::Attach { !self.one_in(16) } else { self.one_in(2) };
        match self.rng.u32(..40) {
            0 => all,
            _ if of_threads && owned < all => self.rng.u32(owned..all),
            _ => self.rng.u32(..all),
        }
    }

    fn step_of(&mut self, kind: Kind, depth: u32) -> Step {
        let mut step = Step { kind, ..Step::default() };
        step.machine = self.rng.usize(..self.cpus.len());
        if self.meet == Meet::AtOneCpu && !self.one_in(8) {
            step.machine = 0;
        }
        step.cpu = self.cpu(step.machine, kind);
        step.csd = self.rng.usize(..CSDS);
        step.us = [1, 50, 300, 1_000, NAP_LONG][self.rng.usize(..5)];
        if self.meet == Meet::AtOneCpu && kind == Kind::Attach {
            step.us = 4 * NAP_LONG;
        }
        step.mask = self.rng.u32(1..16);
        step.to = [Whom::Others, Whom::All, Whom::Mask, Whom::If][self.rng.usize(..4)];
        if kind.has(Uses::Body) {
            step.body = self.body(depth + 1);
            if matches!(
                kind,
                Kind::Detached
                    | Kind::CallMany
                    | Kind::CallManyIdle
                    | Kind::CallManyMeanwhile
                    | Kind::PostMany
            ) {
                step.body.captured = None;
                step.body.result = None;
            }
            if matches!(kind, Kind::PostBoxed | Kind::PostEmbedded | Kind::Send) {
                step.body.result = None;
            }
            if matches!(kind, Kind::CallMap | Kind::PostPinned | Kind::WithLocal) {
                step.body.captured = None;
            }
            if kind == Kind::Send {
                // It is the message that has a function.
                step.body = Body { captured: step.body.captured, ..Body::default() };
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

    fn draw(seed: u64) -> Program {
        Program::draw(seed, &|_| true)
    }

    #[test]
    fn the_same_seed_draws_the_same_program_and_another_another() {
        for seed in 0..200 {
            let program = draw(seed);
            assert_eq!(program, draw(seed));
            assert_ne!(program.to_string(), draw(seed + 1_000).to_string());
            let parts = program.parts();
            assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len(), "each number once");
        }
    }

    #[test]
    fn every_kind_is_drawn() {
        let text: String = (0..400).map(|seed| draw(seed).to_string()).collect();
        for name in Kind::names() {
            assert!(text.contains(&format!("] {name}")), "{name}");
        }
    }

    #[test]
    fn only_what_is_wanted_is_drawn() {
        let text: String =
            (0..50).map(|seed| Program::draw(seed, &|name| name == "post").to_string()).collect();
        assert!(text.contains("] post machine") && !text.contains("] call"), "{text}");
    }

    #[test]
    fn what_is_cut_is_gone_with_all_that_is_in_it() {
        let program = draw(7);
        for id in program.parts() {
            let smaller = program.without(&"".parse::<crate::Cut>().unwrap().and(id));
            assert!(!smaller.parts().contains(&id) && smaller.parts().len() < program.parts().len());
        }
    }
}
