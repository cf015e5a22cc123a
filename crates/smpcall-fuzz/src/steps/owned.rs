//! What is posted with what it owns: closures in boxes, owners that embed a csd, and owners that lie on the poster's stack.

use crate::count::Count;
use crate::judge::complain;
use crate::kinds::Kind;
use crate::payload::{self, Payload};
use crate::program::Step;
use crate::world::{Host, World};
use smpcall_host::smpcall::{CsdField, CsdOwner, Here, Lent, Platform, Posted, Refused, csd_field};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn perform(world: &'static World, step: &'static Step) {
    let (_, machine) = world.machine_of(step.machine);
    match step.kind {
        Kind::PostBoxed => boxed(world, machine, step),
        Kind::PostEmbedded => embedded(world, machine, step),
        // The drop of one that is pending waits, or ends the process where it must not; so it is not made there.
        Kind::PostPinned if machine.platform().can_wait() => pinned(world, machine, step),
        _ => {}
    }
}

/// The function of the step runs on `cpu`.
fn act(world: &'static World, step: &'static Step) {
    world.counts[step.id as usize].ran.add(1);
    let (at, _) = world.machine_of(step.machine);
    world.demand_cpu(at, step.cpu, step.id);
    let _ = payload::act(world, step.id, &step.body);
}

fn boxed(world: &'static World, machine: &'static Host, step: &'static Step) {
    let held = Payload::of(world, &step.body.captured);
    let function = move || {
        act(world, step);
        drop(held);
    };
    match machine.post_boxed(step.cpu, function) {
        Ok(()) => {
            world.counts[step.id as usize].accepted.add(1);
        }
        // It comes back, with what it holds.
        Err(Refused { function, .. }) => drop(function),
    }
}

/// Owned by those who have counted it.
struct Task {
    csd: CsdField,
    world: &'static World,
    step: &'static Step,
    #[expect(dead_code, reason = "there to be dropped")]
    held: Option<Payload>,
}

csd_field! { impl Task { csd } }

impl CsdOwner for Task {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, here: Here<'_>) {
        demand_here(this.step, here);
        act(this.world, this.step);
    }
}

fn demand_here(step: &Step, here: Here<'_>) {
    if here.cpu() != step.cpu {
        complain("memory: wrong thread", &format!("[{}] was told that it is on CPU {}", step.id, here.cpu()));
    }
}

fn embedded(world: &'static World, machine: &'static Host, step: &'static Step) {
    let held = Payload::of(world, &step.body.captured);
    let task = Arc::new(Task { csd: CsdField::new(), world, step, held });
    for _ in 0..=step.us % 2 {
        if let Ok(Posted::Queued) = machine.post(step.cpu, &task) {
            world.counts[step.id as usize].accepted.add(1);
        }
    }
}

/// Lies on its poster's stack.
struct Visit {
    csd: CsdField,
    world: &'static World,
    step: &'static Step,
    ran: Arc<Count>,
}

csd_field! { impl Visit { csd } }

impl CsdOwner for Visit {
    type Pointer = Lent;

    fn run(this: &Self, here: Here<'_>) {
        demand_here(this.step, here);
        this.ran.add(1);
        let (at, _) = this.world.machine_of(this.step.machine);
        this.world.demand_cpu(at, this.step.cpu, this.step.id);
        let _ = payload::act(this.world, this.step.id, &this.step.body);
        // What was lent is there to the end.
        this.ran.add(0);
    }
}

fn pinned(world: &'static World, machine: &'static Host, step: &'static Step) {
    let ran = Arc::new(Count::new());
    let (queued, waited) = {
        let visit = Visit { csd: CsdField::new(), world, step, ran: Arc::clone(&ran) };
        let visit = pin!(machine.pinned(visit));
        let queued = matches!(machine.post(step.cpu, visit.as_ref()), Ok(Posted::Queued));
        let timeout = Duration::from_micros(step.us.into());
        let waited = match step.mask % 3 {
            0 => machine.wait(visit.as_ref()).is_ok(),
            1 => machine.wait_timeout(visit.as_ref(), timeout).is_ok(),
            _ => false,
        };
        (queued, queued && waited)
    };
    if Arc::strong_count(&ran) != 1 {
        complain("P11", &format!("[{}] has left its scope, and its owner is still there", step.id));
    }
    if ran.get() > u32::from(queued) || ran.get() < u32::from(waited) {
        let what = format!("[{}] ran {} times, queued: {queued}, waited for: {waited}", step.id, ran.get());
        complain("P1", &what);
    }
}
