//! What a CPU does for itself: polls, rests, is busy, comes and goes.

use crate::engine::{PORT, engine};
use crate::ground::Ground;
use crate::history::{Act, Came, EventKind};
use crate::scenario::{Draw, Op};
use smpcall_instrumented::HotplugError;

pub(super) fn draw_steps(draw: &mut Draw, _thread: usize) -> Op {
    Op { amount: draw.rng.between(1, 40) as u32, flag: draw.rng.chance(0.5), ..Op::default() }
}

pub(super) fn draw_nothing(_draw: &mut Draw, _thread: usize) -> Op {
    Op::default()
}

/// An event loop that looks by itself.
pub(super) fn poll(ground: &'static Ground, op: &Op) {
    ground.op(Act::Poll, |_| {
        let machine = &ground.machine;
        machine.poll_begin();
        engine().log(EventKind::Polls);
        for look in 0..op.amount {
            ground.flush();
            // While a blocking call runs, its CPU does not count as polling.
            if op.flag && look % 4 == 0 {
                engine().log(EventKind::StopsPolling);
                ground.run_blocking();
                engine().log(EventKind::Polls);
            }
            engine().step_aside();
        }
        engine().log(EventKind::StopsPolling);
        while machine.poll_end().is_err() {
            ground.flush();
            ground.run_blocking();
        }
        Came::Ok
    });
}

/// Sleeps, until rung or for a while.
pub(super) fn rest(ground: &'static Ground, op: &Op) {
    ground.idle(Some(engine().now_ns() + u64::from(op.amount) * 500));
}

/// Does something else, with interrupts on or off.
pub(super) fn busy(_ground: &'static Ground, op: &Op) {
    let engine = engine();
    if op.flag {
        engine.irq_save();
    }
    (0..op.amount * 4).for_each(|_| engine.point(PORT));
    if op.flag {
        engine.irq_restore();
    }
}

pub(super) fn wake_idle(ground: &'static Ground, _op: &Op) {
    ground.machine.wake_idle_cpus();
}

pub(super) fn hotplug(ground: &'static Ground, op: &Op) {
    if op.flag && !engine().has_interrupts() {
        leave_in_traffic(ground, op.amount);
    }
    offline(ground);
    (0..op.amount * 4).for_each(|_| engine().step_aside());
    online(ground);
}

/// Goes when there is much to do, just after a look that may have left some over.
fn leave_in_traffic(ground: &'static Ground, patience: u32) {
    let engine = engine();
    let idle = |_: &u32| !ground.machine.has_work();
    (0..patience * 8).take_while(idle).for_each(|_| engine.step_aside());
    (0..patience).for_each(|_| engine.step_aside());
    ground.flush();
}

pub(crate) fn online(ground: &'static Ground) {
    ground.op(Act::Online, |_| {
        loop {
            match ground.machine.online() {
                Ok(()) => return Came::Ok,
                // A rendezvous is under way.
                Err(HotplugError::Held) => engine().step_aside(),
                Err(_) => return Came::Unexpected,
            }
        }
    });
}

pub(crate) fn offline(ground: &'static Ground) {
    ground.op(Act::Offline, |_| ground.machine.offline().map_or(Came::Unexpected, Came::WentOffline));
}

/// An endless loop with interrupts off: as for everybody else, its CPU is gone.
pub(super) fn stuck(ground: &'static Ground, _op: &Op) {
    let engine = engine();
    if ground.judged.get() {
        return;
    }
    engine.irq_save();
    ground.op(Act::Stuck, |_| {
        ground.stuck.borrow_mut().push(engine.me());
        crate::sim::judge_later(ground, engine);
        engine.stick();
        Came::Ok
    });
    engine.irq_restore();
}
