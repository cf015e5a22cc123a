//! Posts: of csds that everybody posts, of one's own, in chains, counted; and cancels.

use crate::ground::Ground;
use crate::history::{Act, Came, Urgency};
use crate::scenario::{Draw, Op, Plan};
use smpcall_instrumented::{Cancel, Chain, Coalesced, PostError, Posted};

pub(super) fn draw_shared(draw: &mut Draw, _thread: usize) -> Op {
    let csd = *draw.rng.pick(&draw.shared);
    Op { csds: vec![csd], cpus: vec![draw.cpu()], amount: draw.rng.between(2, 6) as u32, ..Op::default() }
}

pub(super) fn draw_own(draw: &mut Draw, thread: usize) -> Op {
    Op { csds: vec![draw.own_csd(thread)], cpus: vec![draw.cpu()], ..Op::default() }
}

pub(super) fn draw_volley(draw: &mut Draw, thread: usize) -> Op {
    let csds = (0..draw.rng.between(2, 6)).map(|_| draw.own_csd(thread)).collect();
    Op { csds, cpus: vec![draw.cpu()], flag: draw.rng.chance(0.3), ..Op::default() }
}

pub(super) fn draw_chain(draw: &mut Draw, thread: usize) -> Op {
    let mut csds: Vec<usize> = (0..draw.rng.between(1, 5)).map(|_| draw.own_csd(thread)).collect();
    if draw.rng.chance(0.3) {
        csds.push(*draw.rng.pick(&draw.shared));
    }
    Op { csds, cpus: vec![draw.cpu()], ..Op::default() }
}

pub(super) fn draw_counted(draw: &mut Draw, _thread: usize) -> Op {
    Op { cpus: vec![draw.cpu()], flag: draw.rng.chance(draw.faults.panics), ..Op::default() }
}

pub(super) fn draw_relay(draw: &mut Draw, _thread: usize) -> Op {
    let hops = (0..draw.rng.between(1, 6)).map(|_| draw.cpu()).collect();
    let lazy = draw.rng.chance(0.2);
    let csd = draw.csd(Plan { hops, lazy, ..Plan::default() });
    Op { csds: vec![csd], cpus: vec![draw.cpu()], ..Op::default() }
}

pub(super) fn draw_cancel(draw: &mut Draw, _thread: usize) -> Op {
    let csd = *draw.rng.pick(&draw.shared);
    Op { csds: vec![csd], ..Op::default() }
}

pub(super) fn post(ground: &'static Ground, op: &Op) {
    ground.post(op.csds[0], op.cpus[0], Urgency::Now);
}

/// Several in a row: the second finds the csd queued, or being unlocked.
pub(super) fn burst(ground: &'static Ground, op: &Op) {
    for _ in 0..op.amount {
        ground.post(op.csds[0], op.cpus[0], Urgency::Now);
    }
}

/// One's own csds to one CPU, one after another: so many that a budget leaves some over, and more come.
pub(super) fn volley(ground: &'static Ground, op: &Op) {
    for csd in &op.csds {
        ground.post(*csd, op.cpus[0], Urgency::Now);
    }
}

/// Without a doorbell.
pub(super) fn post_lazily(ground: &'static Ground, op: &Op) {
    ground.post(op.csds[0], op.cpus[0], Urgency::Lazy);
}

/// Several without a doorbell; sometimes the last is then expedited.
pub(super) fn lull(ground: &'static Ground, op: &Op) {
    for csd in &op.csds {
        ground.post(*csd, op.cpus[0], Urgency::Lazy);
    }
    if op.flag
        && let Some(last) = op.csds.last()
    {
        ground.post(*last, op.cpus[0], Urgency::Now);
    }
}

/// What a poster was answered whose run is to come.
pub(crate) fn came_of_posted(posted: Posted) -> Came {
    match posted {
        Posted::Queued => Came::Ok,
        Posted::Busy { cpu } => Came::Busy(cpu),
    }
}

/// What a refused poster was told.
pub(crate) fn came_of(error: PostError) -> Came {
    match error {
        PostError::Offline { coalesced } => Came::Offline { coalesced: coalesced == Coalesced::Yes },
        PostError::Cancelled { cpu } => Came::Cancelled(cpu),
        _ => Came::Unexpected,
    }
}

pub(super) fn chain(ground: &'static Ground, op: &Op) {
    let value = ground.write(&op.csds);
    let target = op.cpus[0];
    let act = Act::Chain { csds: op.csds.clone(), target, value };
    let came = ground.op(act, |_| {
        match ground.machine.post_all(target, op.csds.iter().map(|csd| &ground.csds[*csd])) {
            Ok(Chain { queued, busy, cancelled, .. }) => Came::Chained { queued, busy, cancelled },
            Err(error) => came_of(error),
        }
    });
    if came == (Came::Offline { coalesced: true }) {
        // Which of them others relied on is not said: the caller does the work of all.
        op.csds.iter().for_each(|csd| ground.pay(*csd));
    }
}

pub(super) fn counted(ground: &'static Ground, op: &Op) {
    let target = op.cpus[0];
    ground.op(Act::Counted { target }, |number| {
        let csd = ground.counted_csd(number, op.flag);
        ground.machine.post_counted(target, &csd).map_or_else(came_of, came_of_posted)
    });
}

pub(super) fn cancel(ground: &'static Ground, op: &Op) {
    let csd = op.csds[0];
    if !ground.scenario.csds[csd].cancels {
        return;
    }
    let came = ground.op(Act::Cancel { csd }, |_| match ground.csds[csd].cancel() {
        Cancel::Removed { coalesced } => Came::Removed { coalesced: coalesced == Coalesced::Yes },
        Cancel::NotPending => Came::NotPending,
    });
    if came == (Came::Removed { coalesced: true }) {
        ground.pay(csd);
    }
}
