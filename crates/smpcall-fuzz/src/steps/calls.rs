//! Calls that somebody waits for, and calls to many.

use crate::count::Count;
use crate::judge::{complain, discard};
use crate::kinds::Kind;
use crate::payload::{self, Payload, Returned};
use crate::program::{Step, Whom};
use crate::world::{Host, World};
use smpcall_host::smpcall::{CallError, CpuSet, ManyError, Reached, To};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What a function leaves in its caller's frame.
const WROTE: u64 = 0x5eed_5eed_5eed_5eed;

pub(super) fn perform(world: &'static World, step: &'static Step) {
    let (at, machine) = world.machine_of(step.machine);
    await_target(world, machine, step);
    match step.kind {
        Kind::CallMany | Kind::CallManyIdle | Kind::CallManyMeanwhile => call_many(world, machine, step),
        Kind::CallMap => call_map(world, machine, step),
        Kind::PostMany => post_many(world, machine, step),
        // By half of the calls a function goes that fits the room which a target has for one.
        Kind::Call if step.us % 2 == 1 && step.body.captured.is_none() => small(world, at, step),
        _ => call(world, at, step),
    }
}

/// A thread that is no CPU, and holds nobody up, waits for a while for its target to be there.
fn await_target(world: &World, machine: &Host, step: &Step) {
    let until = Instant::now() + Duration::from_micros(step.us.into());
    while step.cpu < machine.cpus_len()
        && !machine.is_online_racy(step.cpu)
        && world.here().is_none()
        && Instant::now() < until
    {
        std::thread::yield_now();
    }
}

/// A call with a borrow, a result, and something that the function holds.
fn call(world: &'static World, at: usize, step: &'static Step) {
    let ran = Count::new();
    let mut wrote = 0_u64;
    let held = Payload::of(world, &step.body.captured);
    let answer = {
        let (ran, wrote) = (&ran, &mut wrote);
        let function = move || {
            ran.add(1);
            demand(world, at, step);
            *wrote = WROTE;
            let returned = payload::act(world, step.id, &step.body);
            // Not at the end of the scope: a panic there would leak the result, by the language's own doing.
            drop(held);
            returned
        };
        catch_unwind(AssertUnwindSafe(|| send(world.machines[at], step, function)))
    };
    match answer {
        Ok(Ok(returned)) if ran.get() == 1 && wrote == WROTE && returned.id == step.id => drop(returned),
        Ok(Ok(returned)) => complain(
            "memory: a call's answer",
            &format!("[{}] ran {} times, gave back {}", step.id, ran.get(), returned.id),
        ),
        Ok(Err(_)) if ran.get() == 0 => {}
        Ok(Err(why)) => complain("P1", &format!("[{}] ran and was refused: {why}", step.id)),
        Err(panic) if ran.get() <= 1 => discard(panic),
        Err(_) => complain("memory: a call's answer", &format!("[{}] ran {} times", step.id, ran.get())),
    }
}

fn send<F>(machine: &Host, step: &Step, function: F) -> Result<Returned, CallError>
where
    F: FnOnce() -> Returned + Send,
{
    match step.kind {
        Kind::Call => machine.call(step.cpu, function),
        Kind::CallBlocking => machine.call_blocking(step.cpu, function),
        _ => machine.call_nearest(&mask(step), function),
    }
}

/// A function of one word, without a result.
fn small(world: &'static World, at: usize, step: &'static Step) {
    struct Frame {
        world: &'static World,
        at: usize,
        step: &'static Step,
        ran: Count,
    }
    let frame = Frame { world, at, step, ran: Count::new() };
    let frame = &frame;
    let answer = catch_unwind(AssertUnwindSafe(|| {
        world.machines[at].call(step.cpu, || {
            frame.ran.add(1);
            demand(frame.world, frame.at, frame.step);
            let _ = payload::act(frame.world, frame.step.id, &frame.step.body);
        })
    }));
    let ran = frame.ran.get();
    let fits = match &answer {
        Ok(answer) => ran == u32::from(answer.is_ok()),
        Err(_) => ran <= 1,
    };
    if !fits {
        complain(
            "memory: a call's answer",
            &format!("[{}] ran {ran} times, not {}", step.id, 1 - ran.min(1)),
        );
    }
    if let Err(panic) = answer {
        discard(panic);
    }
}

fn demand(world: &World, at: usize, step: &Step) {
    if step.kind == Kind::CallNearest {
        world.demand_a_cpu("a call to the nearest");
    } else {
        world.demand_cpu(at, step.cpu, step.id);
    }
}

fn mask(step: &Step) -> CpuSet<1> {
    (0..4).filter(|cpu| step.mask >> cpu & 1 != 0).collect()
}

/// Names the CPUs of a machine that a step means, as the step asks for it.
fn with_to<R>(
    world: &'static World,
    machine: &Host,
    step: &'static Step,
    send: impl FnOnce(To<'_>) -> R,
) -> R {
    let cpus: CpuSet<1> = mask(step).iter().filter(|cpu| *cpu < machine.cpus_len()).collect();
    let (at, _) = world.machine_of(step.machine);
    let mut condition = |cpu: u32| {
        payload::act_aside(world, at, step.id, &step.aside);
        cpus.contains(cpu)
    };
    send(match step.to {
        Whom::Others => To::Others,
        Whom::All => To::All,
        Whom::Mask => To::Mask(&cpus),
        Whom::If => To::If(&mut condition),
    })
}

fn call_many(world: &'static World, machine: &'static Host, step: &'static Step) {
    let (ran, worked) = (Count::new(), Count::new());
    let function = || {
        ran.add(1);
        world.demand_a_cpu("a call to many");
        let _ = payload::act(world, step.id, &step.body);
    };
    let works = step.kind == Kind::CallManyMeanwhile;
    let reached = catch_unwind(AssertUnwindSafe(|| -> Result<Reached, ManyError> {
        with_to(world, machine, step, |to| match step.kind {
            Kind::CallMany => machine.call_many(to, function),
            Kind::CallManyMeanwhile => {
                let work = || {
                    worked.add(1);
                    payload::act_aside(world, world.machine_of(step.machine).0, step.id, &step.aside);
                };
                machine.call_many_meanwhile(to, function, work).map(|(reached, ())| reached)
            }
            _ => machine.call_many_idle(to, &mut CpuSet::<1>::new(), function),
        })
    }));
    match reached {
        Ok(Ok(reached)) if reached.ran == ran.get() && (worked.get() == 1) == works => {}
        Ok(Err(_)) if ran.get() == 0 && worked.get() == 0 => {}
        Err(panic) if ran.get() <= machine.cpus_len() && worked.get() <= 1 => discard(panic),
        other => {
            let answer = other.ok();
            complain("P1", &format!("[{}] ran {} times, and the answer is {answer:?}", step.id, ran.get()));
        }
    }
}

/// With a result of each, which is dropped once.
fn call_map(world: &'static World, machine: &'static Host, step: &'static Step) {
    let ran = Count::new();
    let function = |cpu: u32| {
        ran.add(1);
        world.demand_cpu(world.machine_of(step.machine).0, cpu, step.id);
        payload::act(world, step.id, &step.body)
    };
    let mut results: Vec<Option<Returned>> = (0..machine.cpus_len()).map(|_| None).collect();
    let call = || with_to(world, machine, step, |to| machine.call_map(to, &mut results, function));
    let answer = catch_unwind(AssertUnwindSafe(call));
    let here = results.iter().flatten().filter(|result| result.id == step.id).count() as u32;
    let fits = match &answer {
        Ok(Ok(reached)) => reached.ran == ran.get() && here == ran.get(),
        Ok(Err(_)) => ran.get() == 0 && here == 0,
        Err(_) => here <= ran.get() && ran.get() <= machine.cpus_len(),
    };
    if !fits {
        let answer = answer.as_ref().ok();
        let what = format!("[{}] ran {} times, {here} results, the answer is {answer:?}", step.id, ran.get());
        complain("P1", &what);
    }
    // One at a time: each may panic as it is dropped.
    for result in results {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
            discard(panic);
        }
    }
    if let Err(panic) = answer {
        discard(panic);
    }
}

fn post_many(world: &'static World, machine: &'static Host, step: &'static Step) {
    let runs = &world.counts[step.id as usize];
    let function = move || {
        world.counts[step.id as usize].ran.add(1);
        world.demand_a_cpu("a post to many");
        let _ = payload::act(world, step.id, &step.body);
    };
    let post = || with_to(world, machine, step, |to| machine.post_many(to, function));
    match catch_unwind(AssertUnwindSafe(post)) {
        Ok(Ok(reached)) => {
            runs.accepted.add(reached.ran);
        }
        Ok(Err(_)) => {}
        Err(panic) => {
            runs.unknown.put(true);
            discard(panic);
        }
    }
}
