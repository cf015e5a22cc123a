//! P9, P10: what is allowed where.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use crate::words::Count;
use core::num::NonZeroU32;
use smpcall::{Budget, CallError, Cancel, Coalesced, Flushed, Posted, WaitError};

const WOULD_DEADLOCK: CallError = CallError::WouldDeadlock;

pub(super) fn p10_a_waiting_call_from_a_function_is_refused<R: Rig>(ctx: Ctx<R>) -> Done {
    let cpus = ctx.cpus();
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || {
        let me = ctx.cpu();
        if cpus > 1 {
            let other = ctx.smp().call((me + 1) % cpus, || ());
            ctx.note_same(other, Err(WOULD_DEADLOCK), "a call from a function to another CPU");
        }
        ctx.note_same(ctx.smp().call(me, || 3), Ok(3), "a call from a function to its own CPU");
        ctx.note_same(ctx.smp().call(u32::MAX, || ()), Err(CallError::NoSuchCpu), "a call to no CPU");
        ran.add(1);
    })?;
    ctx.post(ctx.next(), csd)?;
    ctx.until(|| ran.get() == 1, "a post was not answered")?;
    // A waiting call's function is in call context as well.
    let refused = ctx.call(ctx.next(), || {
        if cpus > 1 { ctx.smp().call((ctx.cpu() + 1) % cpus, || ()) } else { Err(WOULD_DEADLOCK) }
    })?;
    ctx.same(refused, Err(WOULD_DEADLOCK), "a call from a waiting call's function")
}

pub(super) fn p10_a_wait_in_a_function_is_refused<R: Rig>(ctx: Ctx<R>) -> Done {
    let (ran, later_ran) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    let quiet = ctx.csd(|| ())?;
    let later = ctx.csd(move || _ = later_ran.add(1))?;
    let csd = ctx.csd(move || {
        ctx.note_same(ctx.smp().wait(quiet), Ok(()), "a wait for nothing, from a function");
        ctx.note_same(ctx.smp().post(ctx.cpu(), later), Ok(Posted::Queued), "a post from a function");
        let refused = ctx.smp().wait(later);
        ctx.note_same(refused, Err(WaitError::WouldDeadlock), "a wait for a run that comes after its waiter");
        ran.add(1);
    })?;
    ctx.post(ctx.next(), csd)?;
    ctx.until(|| ran.get() == 1 && later_ran.get() == 1, "a post was not answered")
}

pub(super) fn p10_a_function_waits_for_itself_in_vain_and_may_cancel_its_next_run<R: Rig>(
    ctx: Ctx<R>,
) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.own(ran, |this, cpu| {
        let (ctx, smp) = (this.ctx, this.ctx.smp());
        let refused = Err(WaitError::WouldDeadlock);
        ctx.note_same(smp.wait(this), refused, "a wait of a function for its own run");
        ctx.note_same(this.csd.cancel(), Cancel::NotPending, "cancel of a run that has begun");
        ctx.note_same(smp.post(cpu, this), Ok(Posted::Queued), "a post from inside");
        ctx.note_same(smp.wait(this), refused, "a wait of a function for its next run");
        let removed = Cancel::Removed { coalesced: Coalesced::No };
        ctx.note_same(this.csd.cancel(), removed, "cancel of the next run");
        ctx.note_same(smp.wait(this), refused, "a wait of a function that has no next run, for its own");
        this.data.add(1);
    })?;
    ctx.post(ctx.next(), csd)?;
    ctx.until(|| ran.get() == 1, "a post was not answered")?;
    ctx.wait(csd)?;
    ctx.barrier()?;
    ctx.same(ran.get(), 1, "runs")
}

pub(super) fn p10_with_interrupts_off_waiting_is_refused<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let target = ctx.next();
    ctx.irqs_off(|| {
        if target != ctx.cpu() {
            let refused = ctx.smp().call(target, || ());
            ctx.same(refused, Err(WOULD_DEADLOCK), "a call with interrupts off")?;
        }
        ctx.same(ctx.smp().call(ctx.cpu(), || 3), Ok(3), "a self call waits for nobody")?;
        // To its own queue, which it does not look at, so that the run cannot have been.
        ctx.post(ctx.cpu(), csd)?;
        ctx.same(ctx.smp().wait(csd), Err(WaitError::WouldDeadlock), "a wait with interrupts off")
    })?;
    ctx.until(|| ran.get() == 1, "a post with interrupts off was not answered")?;
    ctx.same(ctx.call(target, || 5)?, 5, "a call once interrupts are on again")
}

pub(super) fn p10_a_self_call_runs_in_call_context<R: Rig>(ctx: Ctx<R>) -> Done {
    let (me, cpus) = (ctx.cpu(), ctx.cpus());
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let mut local = 1;
    let result = ctx.call(me, || {
        local += 1;
        ctx.note_same(ctx.smp().post(me, csd), Ok(Posted::Queued), "a post from a self call");
        ctx.note_same(ctx.smp().flush(Budget::DEFAULT), Flushed::Nested, "a flush in a self call");
        if cpus > 1 {
            let refused = ctx.smp().call((me + 1) % cpus, || ());
            ctx.note_same(refused, Err(WOULD_DEADLOCK), "a call from a self call");
        }
        ctx.note_same(ctx.smp().call(me, || 2), Ok(2), "a self call in a self call");
        ctx.note_same(ran.get(), 0, "it does not run what is queued");
        4
    })?;
    ctx.same((result, local), (4, 2), "its result, and what it changed on the stack")?;
    ctx.until(|| ran.get() == 1, "a post from a self call was not answered")?;
    ctx.same(ctx.call(ctx.next(), || 5)?, 5, "call context is left")
}

pub(super) fn p10_the_iterator_of_a_chain_may_not_wait<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let target = ctx.next();
    let csd = ctx.csd(|| ())?;
    let chain = core::iter::once_with(|| {
        ctx.note_same(ctx.smp().call(target, || ()), Err(WOULD_DEADLOCK), "a call from a chain's iterator");
        csd
    });
    let queued = ctx.smp().post_all(target, chain).map(|chain| chain.queued);
    ctx.same(queued, Ok(1), "what the chain queued")?;
    ctx.wait(csd)
}

pub(super) fn p9_a_function_that_posts_itself_for_ever_is_held_by_the_budget<R: Rig>(ctx: Ctx<R>) -> Done {
    const CALLS: NonZeroU32 = NonZeroU32::new(10).unwrap();
    let me = ctx.cpu();
    let (stop, ran, other_ran) =
        (ctx.place(Count::new())?, ctx.place(Count::new())?, ctx.place(Count::new())?);
    let csd = ctx.own((stop, ran), |this, me| {
        let (stop, ran) = this.data;
        ran.add(1);
        if stop.get() == 0 {
            let posted = this.ctx.smp().post(me, this);
            let fine = posted.is_ok();
            this.ctx.note(fine, "a post from inside");
        }
    })?;
    let other = ctx.csd(move || _ = other_ran.add(1))?;
    // Polling, so that no doorbell's handler comes in between.
    ctx.handle()?.poll_begin();
    ctx.post(me, csd)?;
    let rounds = (1..=5).try_for_each(|round| {
        let flushed = ctx.smp().flush(Budget::calls(CALLS));
        ctx.same(flushed, Flushed::More(CALLS.get()), "a flush that would not end by itself")?;
        ctx.same(ran.get() + other_ran.get(), round * CALLS.get(), "runs")?;
        if round == 1 { ctx.post(me, other) } else { Ok(()) }
    });
    // Also if that failed: a csd that posts itself for ever would disturb the other cases.
    stop.set(1);
    ctx.stop_polling()?;
    rounds?;
    ctx.same(other_ran.get(), 1, "the other post had its turn")?;
    ctx.check(ctx.sleeps()? == Ok(()), "there is nothing left")
}
