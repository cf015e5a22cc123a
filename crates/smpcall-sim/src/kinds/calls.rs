//! Waiting calls, and waits.

use crate::engine::engine;
use crate::ground::{Ground, ground};
use crate::history::{Act, Came, Of};
use crate::kinds::many::mask_of;
use crate::scenario::{Draw, Op};
use smpcall_instrumented::{CallError, WaitError};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) fn draw_call(draw: &mut Draw, _thread: usize) -> Op {
    let rng = &draw.rng;
    let long = if rng.chance(draw.faults.long) { rng.between(10, 300) as u32 } else { 0 };
    // An even amount travels in the mailbox, an odd one in a frame.
    let amount = long * 2 + rng.below(2) as u32;
    Op { cpus: vec![draw.cpu()], amount, flag: rng.chance(draw.faults.panics), ..Op::default() }
}

pub(super) fn draw_wait(draw: &mut Draw, thread: usize) -> Op {
    let csd = if draw.rng.chance(0.5) { *draw.rng.pick(&draw.shared) } else { draw.own_csd(thread) };
    Op {
        csds: vec![csd],
        amount: draw.rng.between(1, 200) as u32,
        flag: draw.rng.chance(0.4),
        ..Op::default()
    }
}

pub(super) fn draw_misuse(draw: &mut Draw, _thread: usize) -> Op {
    Op { cpus: vec![draw.cpu()], flag: draw.rng.chance(0.4), ..Op::default() }
}

/// What a waiting call's function does.
fn answer(number: usize, caller: usize, place: usize, long: u32, panics: bool) -> u32 {
    let ground = ground();
    ground.as_run(Of::Call(number), engine().me() != caller, panics, || {
        ground.leave_answer(place, number as u32);
        (0..long).for_each(|_| engine().point(crate::engine::PORT));
        if panics {
            Ground::panic_as_meant();
        }
        number as u32 * 3 + 1
    })
}

/// What the caller found when its call returned.
pub(super) fn answered(ground: &'static Ground, number: usize, place: usize, result: u32) -> Came {
    let right = result == number as u32 * 3 + 1;
    Came::Answered { right, visible: ground.answer_of(place) == number as u32 }
}

pub(super) fn came_of(error: CallError) -> Came {
    match error {
        CallError::Offline => Came::Offline { coalesced: false },
        CallError::WouldDeadlock => Came::WouldDeadlock,
        _ => Came::Unexpected,
    }
}

pub(super) fn call(ground: &'static Ground, op: &Op) {
    let place = Ground::answers_of(engine().me());
    if op.amount.is_multiple_of(2) {
        call_at_door(ground, op.cpus[0], op.flag, op.amount / 2, place);
    } else {
        call_from(ground, op.cpus[0], op.flag, op.amount / 2, place);
    }
}

/// From a frame: the closure is too large for the mailbox.
pub(super) fn call_from(ground: &'static Ground, target: u32, panics: bool, long: u32, place: usize) {
    let caller = engine().me();
    ground.op(Act::Call { target, panics }, |number| {
        let call = || ground.machine.call(target, || answer(number, caller, place, long, panics));
        what_came(ground, number, place, catch_unwind(AssertUnwindSafe(call)))
    });
}

/// Two words: in the mailbox.
fn call_at_door(ground: &'static Ground, target: u32, panics: bool, long: u32, place: usize) {
    let caller = engine().me();
    ground.op(Act::Call { target, panics }, |number| {
        let packed = (number << 2 | usize::from(panics) << 1, (caller as u64) << 32 | u64::from(long));
        let call = move || {
            ground.machine.call(target, move || {
                let (number, panics) = (packed.0 >> 2, packed.0 & 2 != 0);
                let caller = (packed.1 >> 32) as usize;
                answer(number, caller, Ground::answers_of(caller), packed.1 as u32, panics)
            })
        };
        what_came(ground, number, place, catch_unwind(AssertUnwindSafe(call)))
    });
}

fn what_came(
    ground: &'static Ground,
    number: usize,
    place: usize,
    made: std::thread::Result<Result<u32, CallError>>,
) -> Came {
    match made {
        Ok(Ok(result)) => answered(ground, number, place, result),
        Ok(Err(error)) => came_of(error),
        Err(_) => Came::Panicked,
    }
}

pub(super) fn nearest(ground: &'static Ground, op: &Op) {
    let caller = engine().me();
    let place = Ground::answers_of(caller);
    ground.op(Act::Nearest { mask: op.cpus.clone() }, |number| {
        let mask = mask_of(&op.cpus, ground.scenario.cpus);
        match ground.machine.call_nearest(&mask, || answer(number, caller, place, 0, false)) {
            Ok(result) => answered(ground, number, place, result),
            Err(error) => came_of(error),
        }
    });
}

pub(super) fn wait(ground: &'static Ground, op: &Op) {
    let csd = op.csds[0];
    ground.op(Act::Wait { csd, until: op.flag }, |_| {
        let deadline_ns = op.flag.then(|| ground.machine.now_ns() + u64::from(op.amount) * 1_000);
        match ground.machine.wait(&ground.csds[csd], deadline_ns) {
            Ok(()) => Came::Ok,
            Err(WaitError::TimedOut(_)) => Came::TimedOut,
            Err(WaitError::WouldDeadlock) => Came::WouldDeadlock,
            Err(WaitError::Cancelled) => Came::WasCancelled,
            Err(_) => Came::Unexpected,
        }
    });
}

/// With interrupts off, in a handler or in a function: a waiting call to another CPU is refused.
pub(super) fn misuse(ground: &'static Ground, op: &Op) {
    let target = op.cpus[0];
    let engine = engine();
    if ground.scenario.cpus < 2 || engine.cpu() == Some(target) {
        return;
    }
    engine.irq_save();
    ground.op(Act::Misuse, |_| refused_wait(ground, target, op.flag));
    engine.irq_restore();
}

/// Tries to wait for that CPU, or for its thread.
pub(crate) fn refused_wait(ground: &'static Ground, target: u32, blocking: bool) -> Came {
    let refused = if blocking {
        ground.machine.call_blocking(target, || ())
    } else {
        ground.machine.call(target, || ())
    };
    refused.map_or_else(came_of, |()| Came::Ok)
}
