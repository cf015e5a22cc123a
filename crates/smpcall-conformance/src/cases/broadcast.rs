//! P4, P7, P8, P10 of requests that hardware brings to whom it reaches: a page is unmapped, and no CPU may go on finding it.

use super::hotplug::{come_online, go_offline};
use super::many::Set;
use crate::ctx::{Ctx, Done, Over};
use crate::rig::Rig;
use crate::tlb::{Reach, Tlb};
use crate::words::Count;
use smpcall::{Broadcast, ManyError, To};

/// What the platform has.
#[track_caller]
fn tlb<R: Rig>(ctx: Ctx<R>) -> Result<&'static dyn Tlb, Over> {
    ctx.rig().tlb().ok_or_else(|| ctx.skip("no TLB to shoot down"))
}

/// Asks for it on all CPUs that take part: how many the hardware reached, were called, were offline.
fn shoot_down<R: Rig>(ctx: Ctx<R>) -> Result<(u32, u32, u32), ManyError> {
    let all: Set = (0..ctx.cpus()).collect();
    let answer = ctx.rig().shoot_down(To::Mask(&all)).unwrap_or(Err(ManyError::NoSuchCpu));
    answer.map(|Broadcast { by_hardware, by_call, offline, .. }| (by_hardware, by_call, offline))
}

/// Has the page mapped, and every CPU keep it; then CPU 0 unmaps it.
fn unmapped<R: Rig>(ctx: Ctx<R>, tlb: &dyn Tlb, value: u32) -> Done {
    if ctx.cpu() == 0 {
        tlb.map(value);
    }
    ctx.barrier()?;
    ctx.same(tlb.read(ctx.cpu()), Some(value), "what a CPU finds in a page that is mapped")?;
    ctx.barrier()?;
    if ctx.cpu() == 0 {
        tlb.unmap();
    }
    Ok(())
}

#[track_caller]
fn is_gone<R: Rig>(ctx: Ctx<R>, tlb: &dyn Tlb) -> Done {
    ctx.same(tlb.read(ctx.cpu()), None, "what a CPU finds when a broadcast has returned")
}

pub(super) fn p4_after_a_broadcast_nobody_finds_what_is_gone<R: Rig>(ctx: Ctx<R>) -> Done {
    let tlb = tlb(ctx)?;
    for round in 1..=ctx.rounds().min(8) {
        unmapped(ctx, tlb, round)?;
        if ctx.cpu() == 0 {
            let (by_hardware, by_call, offline) =
                shoot_down(ctx).map_err(|error| ctx.fail("a broadcast from thread context", &error))?;
            ctx.same(
                (by_hardware + by_call, offline),
                (ctx.cpus(), 0),
                "whom it reached, and who was offline",
            )?;
        }
        ctx.barrier()?;
        is_gone(ctx, tlb)?;
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p4_whom_a_broadcast_leaves_out_is_called<R: Rig>(ctx: Ctx<R>) -> Done {
    let tlb = tlb(ctx)?;
    if !tlb.set_reach(Reach::All) {
        return Err(ctx.skip("the hardware's reach is what it is"));
    }
    ctx.barrier()?;
    for round in 1..=ctx.rounds().min(6) {
        let reach = [Reach::Even, Reach::Nobody, Reach::All][round as usize % 3];
        unmapped(ctx, tlb, round)?;
        if ctx.cpu() == 0 {
            tlb.set_reach(reach);
            let by_hardware = (0..ctx.cpus()).filter(|cpu| reach.includes(*cpu)).count() as u32;
            ctx.same(
                shoot_down(ctx),
                Ok((by_hardware, ctx.cpus() - by_hardware, 0)),
                "whom it reached, and how",
            )?;
            tlb.set_reach(Reach::All);
        }
        ctx.barrier()?;
        is_gone(ctx, tlb)?;
        ctx.barrier()?;
    }
    Ok(())
}

/// With interrupts off, and in user space: the hardware comes to a CPU there too, and nobody else does.
pub(super) fn p7_whom_a_broadcast_reaches_is_left_alone<R: Rig>(ctx: Ctx<R>) -> Done {
    let tlb = tlb(ctx)?;
    let stages = ctx.share(|| [const { Count::new() }; 3])?;
    let [away, done, by_call] = stages;
    unmapped(ctx, tlb, 1)?;
    if ctx.cpu() == 0 {
        by_call.set(shoot_down(ctx).map_or(ctx.cpus(), |(_, by_call, _)| by_call));
    }
    ctx.barrier()?;
    if by_call.get() != 0 {
        return Err(ctx.skip("the hardware broadcasts nothing"));
    }
    for round in 1..=ctx.rounds().min(6) {
        unmapped(ctx, tlb, round + 1)?;
        ctx.barrier()?;
        let waits = || {
            away.add(1);
            ctx.spin(|| done.get() == round, "a broadcast waited for a CPU that does not look")?;
            is_gone(ctx, tlb)
        };
        if ctx.cpu() == 0 {
            let all = || away.get() == round * (ctx.cpus() - 1);
            ctx.until(all, "a CPU did not go away")?;
            let before = ctx.rig().rings();
            ctx.same(shoot_down(ctx), Ok((ctx.cpus(), 0, 0)), "whom it reached, and how")?;
            ctx.same(ctx.rig().rings(), before, "doorbells sent")?;
            done.set(round);
            is_gone(ctx, tlb)?;
        } else if round % 2 == 0 {
            ctx.irqs_off(waits)?;
        } else {
            let mut outcome = Ok(());
            super::deferred::in_user(ctx, || outcome = waits())?;
            outcome?;
        }
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p10_a_broadcast_is_refused_where_it_would_have_to_wait_and_may_not<R: Rig>(
    ctx: Ctx<R>,
) -> Done {
    let tlb = tlb(ctx)?;
    if !tlb.set_reach(Reach::All) {
        return Err(ctx.skip("the hardware's reach is what it is"));
    }
    ctx.barrier()?;
    if ctx.cpu() == 0 {
        let all = Ok((ctx.cpus(), 0, 0));
        let refused = Err(ManyError::WouldDeadlock);
        ctx.same(ctx.irqs_off(|| shoot_down(ctx)), all, "a broadcast with interrupts off")?;
        ctx.same(ctx.smp().call(0, || shoot_down(ctx)), Ok(all), "a broadcast from call context")?;
        for reach in [Reach::Nobody, Reach::Even].into_iter().take(ctx.cpus().min(2) as usize) {
            tlb.set_reach(reach);
            ctx.same(
                ctx.irqs_off(|| shoot_down(ctx)),
                refused,
                "one with interrupts off that leaves somebody out",
            )?;
            ctx.same(ctx.smp().call(0, || shoot_down(ctx)), Ok(refused), "one from call context that does")?;
        }
        tlb.set_reach(Reach::All);
    }
    ctx.barrier()
}

/// Whom the hardware does not reach, and nobody calls since it is offline, throws out what it has when it is online again.
pub(super) fn p8_who_is_left_out_and_offline_finds_nothing_when_it_is_back<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let tlb = tlb(ctx)?;
    if !tlb.set_reach(Reach::All) {
        return Err(ctx.skip("the hardware's reach is what it is"));
    }
    let [gone, over] = ctx.share(|| [const { Count::new() }; 2])?;
    for round in 1..=ctx.rounds().min(6) {
        unmapped(ctx, tlb, round)?;
        if ctx.cpu() == 1 {
            go_offline(ctx)?;
            gone.set(round);
            ctx.spin(|| over.get() == round, "a broadcast waits for a CPU that is offline")?;
            come_online(ctx)?;
            tlb.drop_here(1);
            ctx.idle_once();
        } else if ctx.cpu() == 0 {
            ctx.until(|| gone.get() == round, "a CPU did not go offline")?;
            let (reach, offline) = if round % 2 == 0 { (Reach::Nobody, 1) } else { (Reach::All, 0) };
            tlb.set_reach(reach);
            let answer = shoot_down(ctx);
            tlb.set_reach(Reach::All);
            over.set(round);
            let answer = answer.map(|(by_hardware, by_call, offline)| (by_hardware + by_call, offline));
            ctx.same(answer, Ok((ctx.cpus() - offline, offline)), "whom it reached, and who was offline")?;
        }
        ctx.barrier()?;
        is_gone(ctx, tlb)?;
        ctx.barrier()?;
    }
    Ok(())
}
