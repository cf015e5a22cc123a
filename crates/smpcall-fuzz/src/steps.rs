//! Does steps: one after another, each with its panics caught, since a panic in one is no reason to leave out the next.

mod calls;
mod cpu;
mod machines;
mod messages;
mod owned;
mod posts;

pub(crate) use self::cpu::{is_held, leave, park_held, poll_held, serve_own};

use crate::doing::Inside;
use crate::judge::discard;
use crate::kinds::Kind;
use crate::program::Step;
use crate::world::World;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does steps.
pub(crate) fn run(world: &'static World, steps: &'static [Step]) {
    for step in steps {
        if !world.may_step() {
            return;
        }
        let _inside = Inside::new(step.id, step.kind.name());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| perform(world, step))) {
            discard(panic);
        }
    }
}

/// Does steps in a handler or a listener; `false` if the thread is in one already: they would call one another for ever.
pub(crate) fn run_nested(world: &'static World, steps: &'static [Step]) -> bool {
    thread_local! {
        static NESTED: Cell<u32> = const { Cell::new(0) };
    }
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            NESTED.set(NESTED.get() - 1);
        }
    }
    if NESTED.get() > 0 {
        return false;
    }
    NESTED.set(1);
    let _leave = Leave;
    run(world, steps);
    true
}

fn perform(world: &'static World, step: &'static Step) {
    match step.kind {
        Kind::Attach
        | Kind::Detach
        | Kind::Forget
        | Kind::Park
        | Kind::Poll
        | Kind::LoopBegin
        | Kind::Offline
        | Kind::Flush
        | Kind::RunBlocking
        | Kind::PollBegin
        | Kind::PollEnd
        | Kind::Nap => cpu::perform(world, step),
        Kind::Post
        | Kind::PostAll
        | Kind::PostLazy
        | Kind::Cancel
        | Kind::DropCsd
        | Kind::Detached
        | Kind::Wait
        | Kind::WaitTimeout
        | Kind::WaitUntil => posts::perform(world, step),
        Kind::Call
        | Kind::CallBlocking
        | Kind::CallMany
        | Kind::CallMap
        | Kind::CallManyIdle
        | Kind::CallManyMeanwhile
        | Kind::PostMany
        | Kind::CallNearest => calls::perform(world, step),
        Kind::PostBoxed | Kind::PostEmbedded | Kind::PostPinned => owned::perform(world, step),
        Kind::Send | Kind::Receive | Kind::TryTake | Kind::CancelMessage => messages::perform(world, step),
        Kind::WithLocal
        | Kind::ShutdownTimeout
        | Kind::Kick
        | Kind::WakeIdle
        | Kind::Watchdog
        | Kind::Shutdown
        | Kind::Ring
        | Kind::OwnMachine => {
            machines::perform(world, step);
        }
    }
}
