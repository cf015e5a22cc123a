//! What befalls the CPUs themselves.

use super::Faults;
use crate::engine::{Due, Engine};
use crate::rng::Rng;

/// Sends the CPUs' own faults on their way: who is slow, who is taken off, who is rung for nothing.
pub(crate) fn befall(engine: &Engine, faults: &Faults, cpus: usize, steps: u64, rng: &Rng) {
    let some = |rate: f64, times: usize, lasts: (usize, usize), cpu: usize| {
        if rng.chance(rate) {
            for _ in 0..times {
                let from = rng.below(steps as usize) as u64;
                engine.later(from, Due::Stop(cpu));
                engine.later(from + rng.between(lasts.0, lasts.1) as u64, Due::Resume(cpu));
            }
        }
    };
    for cpu in 0..cpus {
        some(faults.slow, 16, (20, 200), cpu);
        some(faults.stopped, 2, (1_000, 4_000), cpu);
    }
    for cpu in (0..cpus).filter(|_| rng.chance(faults.spurious)) {
        for _ in 0..4 {
            engine.later(rng.below(steps as usize) as u64, Due::Ring(cpu));
        }
    }
}
