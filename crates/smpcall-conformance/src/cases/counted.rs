//! P12: what a port counts agrees with what was done, whenever everything is at rest.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{Counts, PostError, Posted, Tracing};

/// What the port has counted; the case is skipped if it does not count.
fn counted<R: Rig>(ctx: Ctx<R>) -> Result<Counts, crate::ctx::Over> {
    ctx.rig().counts().ok_or_else(|| ctx.skip("the port does not count"))
}

pub(super) fn p12_what_was_queued_was_counted_and_has_run<R: Rig>(ctx: Ctx<R>) -> Done {
    let queued = ctx.share(Count::new)?;
    let busy = ctx.share(Count::new)?;
    let before = counted(ctx)?;
    ctx.barrier()?;
    let csd = ctx.csd(|| ())?;
    for round in 0..ctx.rounds() {
        match ctx.smp().post(ctx.next(), csd) {
            Ok(Posted::Queued) => _ = queued.add(1),
            Ok(Posted::Busy { .. }) => _ = busy.add(1),
            Err(other) => return Err(ctx.fail("a post to an online CPU", &other)),
        }
        if ctx.next() != ctx.cpu() && round % 2 == 0 {
            ctx.call(ctx.next(), || ())?;
            queued.add(1);
        }
    }
    ctx.wait(csd)?;
    ctx.barrier()?;
    if ctx.cpu() == 0 {
        let after = counted(ctx)?;
        let calls = u64::from(queued.get());
        ctx.same(after.queued - before.queued, calls, "calls that were queued")?;
        ctx.same(after.ran - before.ran, calls, "calls that were run")?;
        ctx.same(after.busy - before.busy, busy.get().into(), "posts that were told Busy")?;
        let batches = after.batches - before.batches;
        ctx.check(batches >= 1 && batches <= calls, "a batch is of one call at least")?;
        ctx.same(after.batch_lens.len() - before.batch_lens.len(), batches, "lengths of batches")?;
        let doorbells = (after.rings + after.saved) - (before.rings + before.saved);
        ctx.check(doorbells >= calls, "each push rang, or saved a doorbell")?;
        let latencies = if R::Platform::STAMPS { calls } else { 0 };
        ctx.same(after.queued_ns.len() - before.queued_ns.len(), latencies, "latencies from post to start")?;
        ctx.same(after.ran_ns.len() - before.ran_ns.len(), latencies, "latencies from start to end")?;
    }
    // Nobody goes on to the next case's calls before they were compared.
    ctx.barrier()
}

pub(super) fn p12_busy_and_refused_posts_are_counted<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let times = ctx.rounds().min(20);
    ctx.held(Pairs::First, |target| {
        let before = counted(ctx)?;
        ctx.post(target, csd)?;
        for _ in 0..times {
            let again = ctx.smp().post(target, csd);
            ctx.same(again, Ok(Posted::Busy { cpu: target }), "a post of a queued csd")?;
        }
        let after = counted(ctx)?;
        ctx.same(after.busy - before.busy, times.into(), "posts that were told Busy")?;
        ctx.same(after.queued - before.queued, 1, "posts that were queued")
    })?;
    ctx.barrier()?;
    if ctx.cpu() != 0 {
        return Ok(());
    }
    ctx.until(|| ran.get() == 1, "a post was not answered")?;
    let before = counted(ctx)?;
    ctx.check(ctx.go_offline().is_ok(), "an online CPU goes offline")?;
    for _ in 0..times {
        let refused = matches!(ctx.smp().post(0, csd), Err(PostError::Offline { .. }));
        ctx.check(refused, "an offline CPU refuses")?;
    }
    ctx.same(ctx.come_online(), Ok(()), "an offline CPU comes online")?;
    let after = counted(ctx)?;
    ctx.same(after.refused - before.refused, times.into(), "posts that were refused")?;
    ctx.same(after.queued - before.queued, 0, "posts that were queued")
}
