//! Multicasts.

use crate::engine::engine;
use crate::ground::{Ground, ground as ground_of_run};
use crate::history::{Act, Came, Of};
use crate::scenario::{Draw, Op};
use smpcall_instrumented::{CpuMask, ManyError, Reached, To};

pub(super) fn draw_mask(draw: &mut Draw, _thread: usize) -> Op {
    Op { cpus: draw.some_cpus(), flag: draw.rng.chance(draw.faults.panics), ..Op::default() }
}

const BITS: usize = usize::BITS as usize;

/// A set of CPUs.
pub(crate) struct Mask(Vec<usize>);

impl std::ops::Deref for Mask {
    type Target = CpuMask;

    fn deref(&self) -> &CpuMask {
        CpuMask::from_words(&self.0)
    }
}

pub(crate) fn mask_of(cpus: &[u32], len: usize) -> Mask {
    let mut words = vec![0; len.div_ceil(BITS)];
    for cpu in cpus {
        words[*cpu as usize / BITS] |= 1 << (*cpu as usize % BITS);
    }
    Mask(words)
}

fn came_of(result: Result<Reached, ManyError>) -> Came {
    match result {
        Ok(Reached { ran, offline, busy, .. }) => Came::Reached { ran, offline, busy },
        Err(ManyError::Full) => Came::NoSlot,
        Err(ManyError::WouldDeadlock) => Came::WouldDeadlock,
        Err(_) => Came::Unexpected,
    }
}

pub(super) fn call(ground: &'static Ground, op: &Op) {
    call_many(ground, op, false);
}

pub(super) fn call_idle(ground: &'static Ground, op: &Op) {
    call_many(ground, op, true);
}

fn call_many(ground: &'static Ground, op: &Op, idle: bool) {
    let act = Act::Many { targets: op.cpus.clone(), waits: true, idle };
    let sender = engine().me();
    ground.op(act, |number| {
        let mask = mask_of(&op.cpus, ground.scenario.cpus);
        let queued = || engine().me() != sender;
        let function = || {
            ground_of_run().as_run(Of::Many(number), queued(), false, || engine().point(crate::engine::PORT))
        };
        let mut words = vec![0; ground.scenario.cpus.div_ceil(BITS)];
        came_of(if idle {
            ground.machine.call_many_idle(To::Mask(&mask), CpuMask::from_words_mut(&mut words), function)
        } else {
            ground.machine.call_many(To::Mask(&mask), function)
        })
    });
}

pub(super) fn post(ground: &'static Ground, op: &Op) {
    scatter(ground, &op.cpus, op.flag);
}

/// A multicast that does not wait.
pub(crate) fn scatter(ground: &'static Ground, cpus: &[u32], panics: bool) {
    // One's own part is run inline, and its panic is the caller's.
    let panics = panics && !engine().cpu().is_some_and(|own| cpus.contains(&own));
    ground.op(Act::Many { targets: cpus.to_vec(), waits: false, idle: false }, |number| {
        let (mask, sender) = (mask_of(cpus, ground.scenario.cpus), engine().me());
        came_of(ground.machine.post_many(To::Mask(&mask), move || {
            ground_of_run().as_run(Of::Many(number), engine().me() != sender, panics, || {
                if panics {
                    Ground::panic_as_meant();
                }
            });
        }))
    });
}

/// To all CPUs but those: whatever was overlooked there is found.
pub(crate) fn recover(ground: &'static Ground) {
    ground.op(Act::Recover, |_| came_of(ground.machine.call_many(To::Others, || ())));
}

/// A function that multicasts to all.
pub(crate) fn scatter_to_all() {
    let ground = ground_of_run();
    let all: Vec<u32> = (0..ground.scenario.cpus as u32).collect();
    scatter(ground, &all, false);
}
