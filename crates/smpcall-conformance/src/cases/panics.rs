//! P11: panics, where there is unwinding.

use crate::ctx::{Ctx, Done, Over};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{Budget, CallError, Flushed, Platform};

pub(super) fn unwind<R: Rig>(ctx: Ctx<R>) -> Result<fn() -> !, Over> {
    ctx.rig().unwind().ok_or_else(|| ctx.skip("there is no unwinding"))
}

/// Calls `cpu` with a function that panics. `Err`: the panic came back.
fn call_panics<R: Rig>(ctx: Ctx<R>, cpu: u32, unwind: fn() -> !) -> Result<Result<u32, CallError>, ()> {
    R::Platform::catch(|| ctx.smp().call(cpu, || -> u32 { unwind() })).map_err(drop)
}

pub(super) fn p11_a_panic_comes_back_to_the_waiting_caller<R: Rig>(ctx: Ctx<R>) -> Done {
    let unwind = unwind(ctx)?;
    for round in 0..ctx.rounds().min(20) {
        ctx.same(call_panics(ctx, ctx.next(), unwind), Err(()), "a call whose function panics")?;
        ctx.same(ctx.call(ctx.next(), move || round)?, round, "the next call, to the same CPU")?;
    }
    Ok(())
}

pub(super) fn p11_a_panic_that_nobody_waits_for_stops_nobody<R: Rig>(ctx: Ctx<R>) -> Done {
    let unwind = unwind(ctx)?;
    // Of all CPUs: the others are in this case as well.
    let before = ctx.rig().caught();
    ctx.barrier()?;
    let (tried, ran) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    let bad = ctx.csd(move || {
        tried.add(1);
        unwind()
    })?;
    let good = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds().min(20) {
        ctx.post(ctx.next(), bad)?;
        ctx.post(ctx.next(), good)?;
        ctx.until(|| ran.get() == round, "the queue did not go on after a panic")?;
        ctx.same(tried.get(), round, "runs that panicked")?;
        ctx.wait(bad)?;
        ctx.check(!bad.is_pending(), "free after a panic in its function")?;
    }
    ctx.barrier()?;
    let caught = ctx.rig().caught().zip(before).map(|(caught, before)| caught.wrapping_sub(before));
    let want = u64::from(ctx.rounds().min(20) * ctx.cpus());
    ctx.check(caught.is_none_or(|caught| caught == want), "a panic that the port took no note of")?;
    ctx.barrier()
}

pub(super) fn p11_a_self_call_that_panics_leaves_call_context<R: Rig>(ctx: Ctx<R>) -> Done {
    let unwind = unwind(ctx)?;
    ctx.same(call_panics(ctx, ctx.cpu(), unwind), Err(()), "a self call whose function panics")?;
    ctx.check(ctx.smp().platform().can_wait(), "interrupts are on again")?;
    ctx.check(ctx.smp().flush(Budget::DEFAULT) != Flushed::Nested, "call context is left")?;
    ctx.same(ctx.call(ctx.next(), || 5)?, 5, "a call after it")
}
