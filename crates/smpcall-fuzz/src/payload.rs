//! Things whose destructors do something: what functions hold, what they give back, and what panics carry.

use crate::judge;
use crate::program::{Body, Drops, Panic};
use crate::steps;
use crate::world::World;
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

/// Does what a function does.
pub(crate) fn act(world: &'static World, id: u32, body: &'static Body) -> Returned {
    steps::run(world, &body.steps);
    if let Some(Panic { payload, .. }) = &body.panic {
        match Payload::of(world, payload) {
            Some(payload) => panic_any(Thrown(payload)),
            None => panic_any(judge::Thrown),
        }
    }
    Returned { id, payload: Payload::of(world, &body.result) }
}
