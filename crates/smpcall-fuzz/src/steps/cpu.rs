//! What a CPU does for itself.

use crate::kinds::Kind;
use crate::listen::Listener;
use crate::payload::Frame;
use crate::plant::Plant;
use crate::program::Step;
use crate::world::Host;
use crate::world::World;
use smpcall_host::smpcall::{Budget, Cpu, PerCpu};
use smpcall_host::{AttachError, Attached, Host as Port};
use std::cell::RefCell;
use std::time::{Duration, Instant};

thread_local! {
    /// What makes the thread a CPU. Whoever runs in the thread may drop it.
    static HELD: RefCell<Option<Attached<'static, Listener>>> = const { RefCell::new(None) };
}

pub(super) fn perform(world: &'static World, step: &'static Step) {
    let (at, machine) = world.machine_of(step.machine);
    match step.kind {
        Kind::Attach => attach(world, at, step),
        Kind::Detach => detach(world),
        Kind::Forget => {
            if let Some(held) = take() {
                std::mem::forget(held);
            }
        }
        Kind::Park => park_held(Some(Duration::from_micros(step.us.into()))),
        Kind::Poll => poll_held(),
        Kind::LoopBegin => with_held(|held| held.poll_begin()),
        Kind::Offline => {
            let _ = own(machine).map(Own::offline);
        }
        Kind::Flush => {
            let _ = machine.whole().flush(Budget::DEFAULT);
        }
        Kind::RunBlocking => {
            let _ = own(machine).map(|mut own| own.run_blocking());
        }
        Kind::PollBegin => _ = own(machine).map(|mut own| own.poll_begin()),
        Kind::PollEnd => {
            let _ = own(machine).map(|mut own| own.begin_sleep().map(|guard| _ = guard.commit()));
        }
        _ => nap(world, step),
    }
}

fn nap(world: &World, step: &Step) {
    if world.plant == Plant::Hangs {
        loop {
            std::thread::park();
        }
    }
    std::thread::sleep(Duration::from_micros(step.us.into()));
}

fn attach(world: &'static World, at: usize, step: &Step) {
    let until = Instant::now() + Duration::from_micros(step.us.into());
    let cpu = step.cpu;
    loop {
        match world.machines[at].attach(cpu) {
            Ok(attached) => {
                // Before it runs anything.
                world.demand_alone(at, cpu);
                world.sit_down(at, cpu);
                // Its thread held nothing, or it would not have become a CPU.
                let old = HELD.try_with(|held| held.try_borrow_mut().map(|mut held| held.replace(attached)));
                drop(old);
                return;
            }
            Err(AttachError::Taken) if Instant::now() < until => std::thread::yield_now(),
            Err(_) => return,
        }
    }
}

fn take() -> Option<Attached<'static, Listener>> {
    HELD.try_with(|held| held.try_borrow_mut().ok().and_then(|mut held| held.take())).ok().flatten()
}

fn with_held(f: impl FnOnce(&mut Attached<'static, Listener>)) {
    // It is borrowed meanwhile, as any program's would be: nothing that runs in there can drop it.
    let _ = HELD.try_with(|held| {
        if let Ok(mut held) = held.try_borrow_mut()
            && let Some(held) = &mut *held
        {
            f(held);
        }
    });
}

type Own = Cpu<'static, Port<Listener>, Box<[PerCpu]>>;

/// The handle of the CPU that the thread is, where it may have one now.
fn own(machine: &'static Host) -> Option<Own> {
    machine.whole().as_pin().this_cpu().ok()
}

/// Serves the CPU that the thread is, also where what makes it one was leaked.
pub(crate) fn serve_own(machine: &'static Host) {
    let _ = machine.whole().flush(Budget::DEFAULT);
    let _ = own(machine).map(|mut own| own.run_blocking());
}

fn detach(world: &'static World) {
    let Some(held) = take() else { return };
    /// What stays a CPU, because it was refused, is the same thread again.
    struct Again(&'static World);
    impl Drop for Again {
        fn drop(&mut self) {
            if let Some((at, cpu)) = self.0.here() {
                self.0.sit_down(at, cpu);
            }
        }
    }
    let _again = Again(world);
    let was = world.here();
    if let Some((at, cpu)) = was {
        world.stand_up(at, cpu);
    }
    drop(held);
    if let Some(was) = was
        && world.here().is_none()
        && Frame::is_under(was)
    {
        // It is complained of at the end: what comes of it before says more.
        world.left_under_a_frame.put(true);
    }
}

pub(crate) fn is_held() -> bool {
    HELD.try_with(|held| held.try_borrow().is_ok_and(|held| held.is_some())).unwrap_or(false)
}

pub(crate) fn park_held(timeout: Option<Duration>) {
    with_held(|held| {
        held.park(timeout);
    });
}

pub(crate) fn poll_held() {
    with_held(|held| {
        let _ = held.poll(Budget::DEFAULT);
    });
}

/// The thread stops being a CPU, if it is one, and in no function.
pub(crate) fn leave(world: &'static World) {
    detach(world);
    if let Some((at, _)) = world.here() {
        // It was leaked: the thread is the CPU for good, and takes nothing any more.
        let _ = own(world.machines[at]).map(Own::offline);
    }
}
