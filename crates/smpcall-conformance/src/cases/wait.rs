//! P4, P10: waiting for a csd.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use core::time::Duration;
use smpcall::{Cancel, Csd, Phase, Platform, Posted, WaitError};

pub(super) fn p4_wait_ends_with_the_pending_run<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let (begun, ended) = (ctx.place(Plain::new())?, ctx.place(Plain::new())?);
    let csd = ctx.csd(move || {
        let round = begun.read() + 1;
        begun.write(round);
        // Long enough for the waiter to come while it runs: by then the csd itself is free.
        ctx.pause(round % 8);
        ended.write(round);
    })?;
    for round in 1..=ctx.rounds() {
        ctx.post(target, csd)?;
        ctx.wait(csd)?;
        ctx.same(ended.read(), round, "what the run wrote last")?;
        ctx.check(!csd.is_pending(), "nothing is pending after a wait")?;
    }
    Ok(())
}

pub(super) fn p4_wait_for_nothing_returns_at_once<R: Rig>(ctx: Ctx<R>) -> Done {
    let csd = ctx.csd(|| ())?;
    ctx.same(ctx.smp().wait(csd), Ok(()), "for a csd that was never posted")?;
    ctx.post(ctx.next(), csd)?;
    ctx.wait(csd)?;
    ctx.same(ctx.smp().wait(csd), Ok(()), "for a csd that has run")?;
    ctx.same(ctx.smp().wait_until(csd, 0), Ok(()), "with a deadline that has passed")?;
    ctx.same(ctx.irqs_off(|| ctx.smp().wait(csd)), Ok(()), "with interrupts off")
}

pub(super) fn p4_wait_of_the_target_itself<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds() {
        ctx.post(ctx.cpu(), csd)?;
        ctx.wait(csd)?;
        ctx.same(ran.get(), round, "runs by the end of a wait")?;
    }
    Ok(())
}

pub(super) fn p4_wait_of_every_cpu_for_one_run<R: Rig>(ctx: Ctx<R>) -> Done {
    let data = ctx.share(|| [const { Plain::new() }; 2])?;
    let csd = ctx.share(move || {
        Csd::new(move || {
            let round = data[0].read() + 1;
            data[0].write(round);
            ctx.pause(5);
            data[1].write(round);
        })
    })?;
    for round in 1..=ctx.rounds().min(20) {
        if ctx.cpu() == 0 {
            ctx.post(ctx.next(), csd)?;
        }
        ctx.barrier()?;
        ctx.wait(csd)?;
        ctx.same(data[1].read(), round, "what the run wrote last")?;
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p4_wait_while_it_is_posted_again_and_again<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (stop, begun, ended) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    let csd = ctx.share(|| {
        ctx.own((stop, begun, ended), |this, _| {
            let (ctx, (stop, begun, ended)) = (this.ctx, this.data);
            begun.add(1);
            if stop.get() == 0 {
                ctx.note_same(ctx.smp().post(1, this), Ok(Posted::Queued), "a post from inside");
            }
            ended.add(1);
        })
    })?;
    let csd = (*csd)?;
    if ctx.cpu() == 0 {
        ctx.post(1, csd)?;
        let waits = (0..ctx.rounds().min(20)).try_for_each(|_| {
            let before = begun.get();
            ctx.wait(csd)?;
            ctx.check(ended.get() >= before, "a wait outlasts the run that began last before it")
        });
        // Also if that failed: a csd that posts itself for ever would disturb the other cases.
        stop.set(1);
        waits?;
    }
    ctx.until(|| stop.get() == 1, "a wait did not end while others posted again and again")?;
    ctx.wait(csd)
}

pub(super) fn p4_wait_for_a_cancelled_run<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    ctx.held(Pairs::All, |target| {
        ctx.post(target, csd)?;
        let removed = csd.cancel();
        ctx.check(matches!(removed, Cancel::Removed { .. }), "cancel of a queued csd")
    })?;
    ctx.wait(csd)?;
    ctx.same(ran.get(), 0, "runs")
}

pub(super) fn p10_a_wait_that_gives_up_names_the_target<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    if ctx.rig().patience_ns() == 0 {
        return Err(ctx.skip("there is no clock"));
    }
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let mut posted = 0;
    ctx.held(Pairs::First, |target| {
        posted = 1;
        ctx.post(target, csd)?;
        let deadline_ns = ctx.smp().platform().now_ns() + 1_000_000;
        let stall = match ctx.smp().wait_until(csd, deadline_ns) {
            Err(WaitError::TimedOut(stall)) => stall,
            _ => return ctx.check(false, "a wait for a CPU that does not look gives up"),
        };
        ctx.check(ctx.smp().platform().now_ns() >= deadline_ns, "not before its time")?;
        ctx.same((stall.waiter, stall.target), (Some(ctx.cpu()), target), "who waits for whom")?;
        ctx.same(stall.phase, Phase::Queued, "how far it has come")?;
        ctx.check(csd.is_pending(), "the run is still to come")?;
        // A duration, from now on.
        let before_ns = ctx.smp().platform().now_ns();
        let gave_up = matches!(
            ctx.smp().wait_timeout(csd, Duration::from_millis(1)),
            Err(WaitError::TimedOut(stall)) if stall.target == target
        );
        ctx.check(gave_up, "a wait with a time-out for a CPU that does not look gives up")?;
        let waited_ns = ctx.smp().platform().now_ns().saturating_sub(before_ns);
        ctx.check(waited_ns >= 1_000_000, "not before its time-out")?;
        let removed = csd.cancel();
        ctx.check(matches!(removed, Cancel::Removed { .. }), "cancel of a queued csd")?;
        // A post to the same CPU gives the run back, and the wait is for that.
        ctx.same(ctx.smp().post(target, csd), Ok(Posted::Busy { cpu: target }), "a run that is given back")?;
        let gave_up = ctx.smp().wait_timeout(csd, Duration::from_millis(1));
        ctx.check(matches!(gave_up, Err(WaitError::TimedOut(_))), "a run that is given back is waited for")
    })?;
    ctx.until(|| ran.get() == posted, "a run that was waited for in vain did not come after all")
}
