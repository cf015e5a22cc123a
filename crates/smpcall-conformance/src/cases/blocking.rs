//! P4, P8, P10, P11: calls that may block.

use super::call::Dropped;
use super::hotplug::answered_while_it_comes_and_goes;
use super::panics::unwind;
use crate::ctx::{Ctx, Done, Over};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{CallError, HotplugError, Platform};

const WOULD_DEADLOCK: CallError = CallError::WouldDeadlock;

/// Calls a CPU that is online.
#[track_caller]
fn call<R: Rig, T: Send>(ctx: Ctx<R>, cpu: u32, function: impl FnOnce() -> T + Send) -> Result<T, Over> {
    ctx.smp().call_blocking(cpu, function).map_err(|error| ctx.fail("a call that may block", &error))
}

pub(super) fn p4_a_blocking_call_borrows_and_gives_back_a_result<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let mut local = [1_u32, 2, 0];
    for round in 1..=ctx.rounds() {
        let got = call(ctx, target, || {
            local[2] += round;
            (ctx.cpu(), ctx.smp().platform().can_wait(), local.iter().sum::<u32>())
        })?;
        let sum = round * (round + 1) / 2;
        ctx.same(local, [1, 2, sum], "what a call changed on its caller's stack")?;
        ctx.same(got, (target, true, 3 + sum), "where it ran, whether it may wait, and its result")?;
    }
    Ok(())
}

pub(super) fn p10_a_blocking_function_may_itself_wait<R: Rig>(ctx: Ctx<R>) -> Done {
    let (me, target) = (ctx.cpu(), ctx.next());
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds().min(20) {
        let (called, blocked, waited) = call(ctx, target, || {
            let called = ctx.smp().call(me, || ctx.cpu());
            let blocked = ctx.smp().call_blocking(me, || ctx.cpu());
            (called, blocked, ctx.post(me, csd).and_then(|()| ctx.wait(csd)).is_ok())
        })?;
        ctx.same((called, blocked, waited), (Ok(me), Ok(me), true), "what it did back on its caller's CPU")?;
        ctx.same(ran.get(), round, "runs of what it posted there")?;
    }
    Ok(())
}

pub(super) fn p10_blocking_calls_of_two_cpus_to_each_other<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let other = ctx.cpu() ^ 1;
    if other >= ctx.cpus() {
        return Ok(());
    }
    for round in 0..ctx.rounds() {
        ctx.same(call(ctx, other, move || round)?, round, "the result of one of two crossed calls")?;
    }
    Ok(())
}

pub(super) fn p10_blocking_calls_in_a_ring<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (me, target) = (ctx.cpu(), ctx.next());
    for round in 0..ctx.rounds().min(20) {
        // All at once, so that each waits for the next, all round the ring; every other one is a plain call.
        ctx.barrier()?;
        let got = match me % 2 {
            0 => call(ctx, target, move || (me, round, ctx.cpu()))?,
            _ => ctx.call(target, move || (me, round, ctx.cpu()))?,
        };
        ctx.same(got, (me, round, target), "the result of a call in the ring")?;
    }
    Ok(())
}

pub(super) fn p10_a_blocking_call_is_refused_where_it_could_deadlock<R: Rig>(ctx: Ctx<R>) -> Done {
    let (dropped, cpus) = (ctx.place(Count::new())?, ctx.cpus());
    let refused = move |cpu: u32| {
        let held = Dropped(dropped);
        ctx.smp().call_blocking(cpu, move || drop(held))
    };
    let inside = ctx.call(ctx.next(), || {
        let me = ctx.cpu();
        let handle = ctx.smp().as_pin().this_cpu().map(|_| ());
        (refused(me), refused((me + 1) % cpus), handle)
    })?;
    ctx.same(
        inside,
        (Err(WOULD_DEADLOCK), Err(WOULD_DEADLOCK), Err(HotplugError::InCall)),
        "from a function",
    )?;
    let off = ctx.irqs_off(|| (refused(ctx.cpu()), refused(ctx.next())));
    ctx.same(off, (Err(WOULD_DEADLOCK), Err(WOULD_DEADLOCK)), "with interrupts off")?;
    let nowhere = refused(ctx.smp().cpus_len());
    ctx.same(nowhere, Err(CallError::NoSuchCpu), "to no CPU")?;
    ctx.same(dropped.get(), 5, "drops of what the refused functions held (P11)")
}

pub(super) fn p8_blocking_calls_to_a_cpu_that_comes_and_goes_are_answered<R: Rig>(ctx: Ctx<R>) -> Done {
    answered_while_it_comes_and_goes(ctx, |goer, ran| ctx.smp().call_blocking(goer, || _ = ran.add(1)))
}

pub(super) fn p11_a_panic_comes_back_from_a_blocking_call<R: Rig>(ctx: Ctx<R>) -> Done {
    let unwind = unwind(ctx)?;
    for round in 0..ctx.rounds().min(20) {
        let panics = || ctx.smp().call_blocking(ctx.next(), || -> u32 { unwind() });
        ctx.same(R::Platform::catch(panics).map_err(drop), Err(()), "a call whose function panics")?;
        ctx.same(call(ctx, ctx.next(), move || round)?, round, "the next call, to the same CPU")?;
    }
    Ok(())
}
