//! The listener to tracepoints, which mostly does nothing.

use crate::judge;
use crate::program::Tap;
use crate::steps;
use crate::world::Later;
use smpcall_host::Trace;
use smpcall_host::smpcall::{Event, What};
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
        if tap.at != number(&event.what) || !steps::run_nested(world, &tap.acts.steps) {
            return;
        }
        if tap.acts.panic.is_some() && !std::thread::panicking() {
            panic_any(judge::Thrown);
        }
    }
}

fn number(what: &What) -> u32 {
    match what {
        What::Queue { .. } => 0,
        What::Pushed { .. } => 1,
        What::Busy { .. } => 2,
        What::Refused { .. } => 3,
        What::Ring { .. } => 4,
        What::Saved { .. } => 5,
        What::Batch { .. } => 6,
        What::Entry { .. } => 7,
        What::Exit { .. } => 8,
        _ => 9,
    }
}
