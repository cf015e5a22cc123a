//! Rendezvous. Drawn only where a run is asked for them ([`crate::Options::meets`]), from a stream of their own; and not where a CPU may be stuck
//! for ever: whom it keeps others from letting go, waits for no one that could be named.

use crate::engine::{PORT, engine};
use crate::ground::Ground;
use crate::history::{Act, Came, EventKind};
use crate::kinds::many::{draw_mask, mask_of};
use crate::scenario::{Draw, Op};
use smpcall_instrumented::RendezvousError;
use std::time::Duration;

/// `amount`: for how long at most they may take to come together, in a fraction of a ms; 0: for ever.
pub(super) fn draw(draw: &mut Draw, thread: usize) -> Op {
    let amount = if draw.rng.chance(0.3) { draw.rng.between(1, 60) as u32 } else { 0 };
    Op { amount, ..draw_mask(draw, thread) }
}

pub(super) fn rendezvous(ground: &'static Ground, op: &Op) {
    ground.op(Act::Meet { targets: op.cpus.clone() }, |number| {
        let engine = engine();
        let limit = (op.amount > 0).then(|| Duration::from_nanos(500 * u64::from(op.amount)));
        let mask = mask_of(&op.cpus, ground.scenario.cpus);
        let met = ground.machine.rendezvous(&mask, limit, || {
            engine.log(EventKind::Holds { op: number });
            (0..20).for_each(|_| engine.point(PORT));
            engine.log(EventKind::LetsGo { op: number });
        });
        match met {
            Ok(()) => Came::Ok,
            Err(RendezvousError::TimedOut(_)) if op.amount > 0 => Came::TimedOut,
            Err(_) => Came::Unexpected,
        }
    });
}
