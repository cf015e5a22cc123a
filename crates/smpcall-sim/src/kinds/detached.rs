//! Detached calls: functions that nobody keeps a csd for.

use crate::engine::{PORT, engine};
use crate::ground::{Ground, ground};
use crate::history::{Act, Came, Of};
use crate::scenario::{Draw, Op};
use smpcall_instrumented::DetachedError;

/// The first CPU is the target; the second, if there is one, is where its function posts the next.
pub(super) fn draw(draw: &mut Draw, _thread: usize) -> Op {
    let mut cpus = vec![draw.cpu()];
    if draw.rng.chance(draw.faults.reposts) {
        cpus.push(if draw.rng.chance(0.6) { cpus[0] } else { draw.cpu() });
    }
    // Sometimes more than a target has places for.
    let amount = if draw.rng.chance(0.4) { draw.rng.between(2, 7) } else { 1 };
    Op { cpus, amount: amount as u32, flag: draw.rng.chance(draw.faults.panics), ..Op::default() }
}

pub(super) fn post(ground: &'static Ground, op: &Op) {
    for _ in 0..op.amount.max(1) {
        post_one(ground, op.cpus[0], op.flag, op.cpus.get(1).copied());
    }
}

/// What its function is to do, in as little room as there is.
#[derive(Clone, Copy)]
struct Orders {
    next: Option<u16>,
    panics: bool,
}

fn post_one(ground: &'static Ground, target: u32, panics: bool, next: Option<u32>) {
    let value = ground.write(&[]);
    let sender = ground.slot();
    ground.op(Act::Detached { target, value }, |number| {
        let orders = Orders { next: next.map(|cpu| cpu as u16), panics };
        match ground.machine.post_detached(target, move || run(number, sender, orders)) {
            Ok(()) => Came::Ok,
            Err(DetachedError::Full) => Came::NoRoom,
            Err(DetachedError::Offline) => Came::Offline { coalesced: false },
            Err(_) => Came::Unexpected,
        }
    });
}

fn run(number: usize, sender: usize, orders: Orders) {
    let ground = ground();
    engine().in_run(|| {
        let seen = ground.look_at(&[sender]);
        ground.recorded(Of::Detached(number), true, orders.panics, seen, || {
            engine().point(PORT);
            if let Some(next) = orders.next {
                post_one(ground, next.into(), false, None);
            }
            if orders.panics {
                Ground::panic_as_meant();
            }
        });
    });
}
