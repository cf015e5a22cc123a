//! Programs in user space, and posts that are deferred until their CPU enters the kernel. Drawn only where a run is asked for them
//! ([`crate::Options::users`]), from a stream of their own.
//!
//! Whatever comes in is an entry: a doorbell's handler, a device's. It catches up first, and goes back when it has ended; an NMI's does
//! neither.

use crate::engine::{PORT, engine};
use crate::ground::Ground;
use crate::history::{Act, Came, EventKind, Urgency};
use crate::scenario::Op;
use smpcall_instrumented::NotInUser;

/// A shared csd.
pub(super) fn post(ground: &'static Ground, op: &Op) {
    ground.post(op.csds[0], op.cpus[0], Urgency::Deferred);
}

/// One's own, one after another; sometimes the last is then wanted at once.
pub(super) fn volley(ground: &'static Ground, op: &Op) {
    for csd in &op.csds {
        ground.post(*csd, op.cpus[0], Urgency::Deferred);
    }
    if op.flag
        && let Some(last) = op.csds.last()
    {
        ground.post(*last, op.cpus[0], Urgency::Now);
    }
}

/// A program, of some steps.
pub(super) fn program(ground: &'static Ground, op: &Op) {
    ground.op(Act::User, |_| {
        let engine = engine();
        engine.irq_save();
        let went = leave(ground);
        engine.irq_restore();
        if !went {
            return Came::Unexpected;
        }
        for _ in 0..op.amount {
            engine.point(PORT);
        }
        engine.irq_save();
        enter(ground);
        engine.irq_restore();
        Came::Ok
    });
}

/// To user space, interrupts off.
fn leave(ground: &Ground) -> bool {
    loop {
        match ground.machine.enter_user() {
            Ok(()) => break,
            Err(NotInUser::Work) => ground.flush(),
            Err(_) => return false,
        }
    }
    engine().log(EventKind::User);
    ground.users[engine().me()].set(true);
    true
}

/// Into the kernel, interrupts off. Returns whether the CPU was in user space.
fn enter(ground: &Ground) -> bool {
    let me = engine().me();
    if !ground.users.get(me).is_some_and(|user| user.replace(false)) {
        return false;
    }
    engine().log(EventKind::Enters);
    ground.machine.enter_kernel();
    engine().log(EventKind::Kernel);
    true
}

/// Runs an interrupt's handler: by way of an entry, if it interrupts a program.
pub(crate) fn as_kernel(ground: &Ground, handler: impl FnOnce()) {
    let was_user = enter(ground);
    handler();
    if was_user {
        leave(ground);
    }
}
