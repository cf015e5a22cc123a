//! Things whose destructors do something: what functions hold, what they give back, and what panics carry.

use crate::judge;
use crate::program::{Body, Drops, Panic};
use crate::steps;
use crate::world::World;
use std::cell::RefCell;
use std::panic::panic_any;

/// Does what was drawn when it is dropped. The box is there to be freed: a second time is a fault that a sanitizer sees.
pub(crate) struct Payload {
    world: &'static World,
    drops: &'static Drops,
    boxed: Box<u32>,
}

impl Payload {
    pub(crate) fn new(world: &'static World, drops: &'static Drops) -> Self {
        world.made.add(1);
        Self { world, drops, boxed: Box::new(drops.id) }
    }

    pub(crate) fn of(world: &'static World, drops: &'static Option<Drops>) -> Option<Self> {
        drops.as_ref().map(|drops| Self::new(world, drops))
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if *self.boxed != self.drops.id {
            judge::complain("memory: a payload that is another", &format!("[{}]", self.drops.id));
        }
        self.world.dropped.add(1);
        steps::run(self.world, &self.drops.steps);
        // A second panic would end the process, and that would be our fault.
        if self.drops.panic.is_some() && !std::thread::panicking() {
            panic_any(judge::Thrown);
        }
    }
}

/// What a drawn panic carries, if it carries anything.
pub(crate) struct Thrown(#[expect(dead_code, reason = "there to be dropped")] Payload);

/// What a function gives back: its step's number, to be compared, and perhaps something to be dropped.
pub(crate) struct Returned {
    pub(crate) id: u32,
    #[expect(dead_code, reason = "there to be dropped")]
    payload: Option<Payload>,
}

thread_local! {
    static FRAMES: RefCell<Vec<(usize, u32)>> = const { RefCell::new(Vec::new()) };
}

/// A frame of the library's is under what the thread does now, in which it is a certain CPU; until this is dropped.
pub(crate) struct Frame(Option<(&'static World, (usize, u32))>);

impl Frame {
    pub(crate) fn new(world: &'static World) -> Self {
        let Some(cpu) = world.here() else { return Self(None) };
        if FRAMES.try_with(|frames| frames.borrow_mut().push(cpu)).is_err() {
            return Self(None);
        }
        world.frames_of(cpu).add(1);
        Self(Some((world, cpu)))
    }

    /// The same for what is called by frames of that machine: only a thread that is a CPU of it is that CPU there.
    pub(crate) fn of(world: &'static World, machine: usize) -> Self {
        if world.here().is_some_and(|(at, _)| at == machine) { Self::new(world) } else { Self(None) }
    }

    /// Whether there is one of that CPU.
    pub(crate) fn is_under(cpu: (usize, u32)) -> bool {
        FRAMES.try_with(|frames| frames.borrow().contains(&cpu)).unwrap_or(false)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some((world, cpu)) = self.0 {
            world.frames_of(cpu).take_one();
            let _ = FRAMES.try_with(|frames| frames.borrow_mut().pop());
        }
    }
}

/// Does what a function does.
pub(crate) fn act(world: &'static World, id: u32, body: &'static Body) -> Returned {
    let _frame = Frame::new(world);
    act_outside(world, id, body)
}

/// Does what a condition of that machine does.
pub(crate) fn act_aside(world: &'static World, machine: usize, id: u32, body: &'static Body) {
    let _frame = Frame::of(world, machine);
    let _ = act_outside(world, id, body);
}

/// As [`act`], where no frame of the library's need be under it.
pub(crate) fn act_outside(world: &'static World, id: u32, body: &'static Body) -> Returned {
    steps::run(world, &body.steps);
    if let Some(Panic { payload, .. }) = &body.panic {
        match Payload::of(world, payload) {
            Some(payload) => panic_any(Thrown(payload)),
            None => panic_any(judge::Thrown),
        }
    }
    Returned { id, payload: Payload::of(world, &body.result) }
}
