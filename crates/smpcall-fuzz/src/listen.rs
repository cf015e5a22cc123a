//! The listener to tracepoints, which mostly does nothing.

use crate::judge;
use crate::program::Tap;
use crate::steps;
use crate::world::Later;
use smpcall_host::Trace;
use smpcall_host::smpcall::{Event, EventKind};
use std::panic::panic_any;

pub(crate) struct Listener {
    tap: Option<&'static Tap>,
    later: Later,
}

impl Listener {
    pub(crate) fn new(tap: Option<&'static Tap>, later: Later) -> Self {
        Self { tap, later }
    }
}

impl Trace for Listener {
    fn trace(&self, event: &Event) {
        let Some(tap) = self.tap else { return };
        let Some(world) = self.later.get() else { return };
        if tap.at != number(&event.kind) || !steps::run_nested(world, &tap.acts.steps) {
            return;
        }
        if tap.acts.panic.is_some() && !std::thread::panicking() {
            panic_any(judge::Thrown);
        }
    }
}

fn number(what: &EventKind) -> u32 {
    match what {
        EventKind::Queue { .. } => 0,
        EventKind::Pushed { .. } => 1,
        EventKind::Busy { .. } => 2,
        EventKind::Refused { .. } => 3,
        EventKind::Ring { .. } => 4,
        EventKind::Saved { .. } => 5,
        EventKind::Batch { .. } => 6,
        EventKind::Entry { .. } => 7,
        EventKind::Exit { .. } => 8,
        _ => 9,
    }
}
