//! What is done with csds, and detached calls: nobody waits for these.

use crate::count::Count;
use crate::kinds::Kind;
use crate::payload;
use crate::plant::Plant;
use crate::program::Step;
use crate::world::{AnyCsd, CsdThere, HeldCsd, Host, World};
use smpcall_host::smpcall::{Cancel, Platform, Post, PostError, Posted};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The csd in both ways in which it can be posted.
macro_rules! with_csd {
    ($there:expr, $csd:ident => $with:expr) => {
        match &$there.held {
            HeldCsd::Static(csd) => {
                let $csd: &'static AnyCsd = csd;
                $with
            }
            HeldCsd::Counted(_) => {
                let Some(csd) = counted($there) else { return };
                let $csd = &csd;
                $with
            }
        }
    };
}

pub(super) fn perform(world: &'static World, step: &'static Step) {
    let (_, machine) = world.machine_of(step.machine);
    let there = &world.csds[step.csd];
    match step.kind {
        Kind::Post => with_csd!(there, csd => post(there, || machine.post(step.cpu, csd))),
        Kind::PostLazy => with_csd!(there, csd => post(there, || machine.post_lazy(step.cpu, csd))),
        Kind::PostAll => post_all(world, machine, step),
        Kind::Cancel => with_csd!(there, csd => cancel(world, there, csd)),
        Kind::DropCsd => {
            if let HeldCsd::Counted(held) = &there.held {
                let csd = held.lock().unwrap_or_else(PoisonError::into_inner).take();
                drop(csd);
            }
        }
        // With two machines it may be queued on the other one, on which it must be waited for: here for a while only.
        Kind::Wait if world.machines.len() == 1 => with_csd!(there, csd => { let _ = machine.wait(csd); }),
        Kind::Wait | Kind::WaitUntil => {
            let until_ns = machine.platform().now_ns() + u64::from(step.us) * 1_000;
            with_csd!(there, csd => { let _ = machine.wait_until(csd, until_ns); });
        }
        Kind::WaitTimeout => {
            let timeout = Duration::from_micros(step.us.into());
            with_csd!(there, csd => { let _ = machine.wait_timeout(csd, timeout); });
        }
        _ => detached(world, machine, step),
    }
}

pub(crate) fn counted(there: &CsdThere) -> Option<Arc<AnyCsd>> {
    match &there.held {
        HeldCsd::Static(_) => None,
        HeldCsd::Counted(held) => held.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    }
}

fn post(there: &CsdThere, post: impl FnOnce() -> Result<Posted, PostError>) {
    let mine = there.runs.wrote.add(1) + 1;
    match post() {
        Ok(Posted::Queued) => {
            there.runs.accepted.add(1);
            there.runs.owed.raise_to(mine);
        }
        Ok(Posted::Busy { .. }) => there.runs.owed.raise_to(mine),
        Err(PostError::Offline { .. }) => {
            there.runs.refused.add(1);
        }
        Err(_) => {}
    }
}

fn cancel(world: &World, there: &CsdThere, csd: &AnyCsd) {
    if world.plant == Plant::Aborts {
        std::process::abort();
    }
    if let Cancel::Removed { .. } = csd.cancel() {
        there.runs.removed.add(1);
    }
}

fn post_all(world: &'static World, machine: &'static Host, step: &'static Step) {
    let meant = |at: &usize| step.mask >> at & 1 != 0;
    let among: Vec<&CsdThere> = (0..world.csds.len()).filter(meant).map(|at| &world.csds[at]).collect();
    let asked = Count::new();
    let statics: Vec<&'static AnyCsd> = among
        .iter()
        .filter_map(|there| match &there.held {
            HeldCsd::Static(csd) => Some(*csd),
            HeldCsd::Counted(_) => None,
        })
        .collect();
    if statics.is_empty() {
        let held: Vec<Arc<AnyCsd>> = among.iter().filter_map(|there| counted(there)).collect();
        chain(world, machine, step, &among, held.iter(), &asked);
    } else {
        chain(world, machine, step, &among, statics.into_iter(), &asked);
    }
}

fn chain<T: Post>(
    world: &'static World,
    machine: &'static Host,
    step: &'static Step,
    among: &[&CsdThere],
    csds: impl Iterator<Item = T>,
    asked: &Count,
) {
    // Which of them were accepted is not said: each may have been.
    for there in among {
        there.runs.accepted.add(1);
        there.runs.removed.add(1);
        there.runs.refused.add(1);
    }
    let csds = csds.inspect(|_| {
        asked.add(1);
        // The same steps at each; the panic only at the second, so that the first is on its way.
        if asked.get() == 1 {
            super::run(world, &step.aside.steps);
        } else {
            let _ = payload::act_outside(world, step.id, &step.aside);
        }
    });
    let _ = machine.post_all(step.cpu, csds);
}

fn detached(world: &'static World, machine: &'static Host, step: &'static Step) {
    let function = move || {
        world.counts[step.id as usize].ran.add(1);
        let (at, _) = world.machine_of(step.machine);
        world.demand_cpu(at, step.cpu, step.id);
        let _ = payload::act(world, step.id, &step.body);
    };
    if world.plant == Plant::Lost || machine.post_detached(step.cpu, function).is_ok() {
        world.counts[step.id as usize].accepted.add(1);
    }
}
