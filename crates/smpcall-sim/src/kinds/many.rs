//! Multicasts.

use crate::engine::{PORT, engine};
use crate::ground::{Ground, ground as ground_of_run};
use crate::history::{Act, Came, EventKind, Of};
use crate::scenario::{Draw, Op};
use smpcall_instrumented::{CpuMask, ManyError, Reached, To};
use std::cell::Cell;

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
        let function = || ground_of_run().as_run(Of::Many(number), queued(), false, || engine().point(PORT));
        let mut words = vec![0; ground.scenario.cpus.div_ceil(BITS)];
        came_of(if idle {
            ground.machine.call_many_idle(To::Mask(&mask), CpuMask::from_words_mut(&mut words), function)
        } else {
            ground.machine.call_many(To::Mask(&mask), function)
        })
    });
}

/// One whose caller has work of its own, which may post to many in its turn. Drawn only where a run is asked for it
/// ([`crate::Options::works`]), from a stream of its own.
pub(super) fn call_meanwhile(ground: &'static Ground, op: &Op) {
    let sender = engine().me();
    ground.op(Act::Many { targets: op.cpus.clone(), waits: true, idle: false }, |number| {
        let mask = mask_of(&op.cpus, ground.scenario.cpus);
        let function = || {
            let queued = engine().me() != sender;
            ground_of_run().as_run(Of::Many(number), queued, false, || engine().point(PORT));
        };
        let worked = Cell::new(false);
        let work = || {
            worked.set(true);
            engine().log(EventKind::Works { op: number });
            (0..op.amount).for_each(|_| engine().point(PORT));
            if op.flag {
                scatter_to_all();
            }
        };
        match came_of(ground.machine.call_many_meanwhile(To::Mask(&mask), function, work)) {
            Came::Reached { .. } if !worked.get() => Came::Unexpected,
            came => came,
        }
    });
}

pub(super) fn draw_work(draw: &mut Draw, thread: usize) -> Op {
    let amount = draw.rng.between(1, 60) as u32;
    Op { amount, flag: draw.rng.chance(0.5), ..draw_mask(draw, thread) }
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
