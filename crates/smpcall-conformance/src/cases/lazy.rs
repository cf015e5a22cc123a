//! P1, P2, P4, P8: posts that ring nobody.

use super::hotplug::while_it_comes_and_goes;
use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{Cancel, Coalesced, Csd, PostError, Posted};

pub(super) fn p1_a_lazy_post_rides_along_with_another<R: Rig>(ctx: Ctx<R>) -> Done {
    let (ran, seen) = (ctx.place([const { Count::new() }; 2])?, ctx.place(Count::new())?);
    let lazy = ctx.csd(move || _ = ran[0].add(1))?;
    // Lazy ones that were there before run before.
    let other = ctx.csd(move || {
        seen.set(ran[0].get());
        ran[1].add(1);
    })?;
    for round in 1..=ctx.rounds().min(20) {
        let mut posted = false;
        ctx.held(Pairs::All, |target| {
            posted = true;
            ctx.same(ctx.smp().post_lazy(target, lazy), Ok(Posted::Queued), "a lazy post of a free csd")?;
            ctx.check(lazy.is_pending(), "it is pending")?;
            ctx.same(ctx.smp().post_lazy(target, lazy), Ok(Posted::Busy { cpu: target }), "once more")?;
            ctx.post(target, other)
        })?;
        if posted {
            ctx.until(|| ran[1].get() == round, "a post was not answered")?;
            ctx.same((ran[0].get(), seen.get()), (round, round), "runs of the lazy one by then")?;
        }
    }
    Ok(())
}

pub(super) fn p2_a_plain_post_expedites_a_lazy_one<R: Rig>(ctx: Ctx<R>) -> Done {
    let rans = ctx.share_each(|_| Count::new())?;
    let (me, other) = (ctx.cpu(), ctx.cpu() ^ 1);
    let ran = &rans[(me & !1) as usize];
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds().min(20) {
        if ctx.is_poster() {
            let target = if other < ctx.cpus() { other } else { me };
            ctx.same(ctx.smp().post_lazy(target, csd), Ok(Posted::Queued), "a lazy post of a free csd")?;
            match ctx.smp().post(target, csd) {
                // The lazy run has been: two in all. The next round begins when it is over.
                Ok(Posted::Queued) => {
                    ctx.until(|| !csd.is_pending() && ran.get() > round, "a post was not answered")?
                }
                busy => ctx.same(busy, Ok(Posted::Busy { cpu: target }), "a post of a lazy one")?,
            }
            ctx.wait(csd)?;
            ran.set(round);
        }
        // The other one sleeps until it is rung.
        ctx.until_rung(|| ran.get() >= round, "nobody rang for a lazy post that was expedited")?;
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p2_each_post_of_a_lazy_one_is_seen<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let words = ctx.place([const { Plain::new() }; 2])?;
    let csd = ctx.csd(move || words[1].write(words[0].read()))?;
    for round in 1..=ctx.rounds() * 4 {
        words[0].write(round);
        let lazily = ctx.smp().post_lazy(target, csd);
        ctx.pause(round % 5);
        words[0].write(round + 1_000_000);
        let plainly = ctx.smp().post(target, csd);
        for told in [lazily, plainly] {
            ctx.check(told.is_ok(), "what a post to an online CPU was told")?;
        }
        ctx.until(|| words[1].read() == round + 1_000_000, "a run did not see the last write before a post")?;
    }
    ctx.wait(csd)
}

pub(super) fn p4_a_wait_expedites_a_lazy_post<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds() {
        let target = if round % 4 == 0 { ctx.cpu() } else { ctx.next() };
        ctx.same(ctx.smp().post_lazy(target, csd), Ok(Posted::Queued), "a lazy post of a free csd")?;
        ctx.pause(round % 3);
        ctx.wait(csd)?;
        ctx.same(ran.get(), round, "runs by the end of a wait")?;
    }
    Ok(())
}

pub(super) fn p1_a_lazy_post_is_cancelled<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.share_each(|_| Count::new())?;
    let ran = &ran[(ctx.cpu() & !1) as usize];
    let (csd, after) = (ctx.csd(move || _ = ran.add(100))?, ctx.csd(move || _ = ran.add(1))?);
    let mut posted = false;
    ctx.held(Pairs::All, |target| {
        posted = true;
        ctx.same(ctx.smp().post_lazy(target, csd), Ok(Posted::Queued), "a lazy post of a free csd")?;
        ctx.same(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No }, "a cancel of it")?;
        ctx.post(target, after)
    })?;
    if posted {
        ctx.until(|| ran.get() > 0, "a post was not answered")?;
        ctx.same(ran.get(), 1, "runs, of the one that was not cancelled")?;
        ctx.same(csd.cancel(), Cancel::NotPending, "a cancel of what the flush has let go of")?;
    }
    Ok(())
}

pub(super) fn p8_lazy_posts_to_a_cpu_that_comes_and_goes_are_counted<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (stop, accepted, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    let csd: &Csd<_> = ctx.csd(move || _ = ran.add(1))?;
    while_it_comes_and_goes(ctx, stop, |goer| match ctx.smp().post_lazy(goer, csd) {
        Ok(Posted::Queued) => {
            accepted.add(1);
            Ok(())
        }
        Ok(Posted::Busy { cpu }) => ctx.same(cpu, goer, "the CPU that it is busy for"),
        other => ctx.same(other, Err(PostError::Offline { coalesced: Coalesced::No }), "a refused lazy post"),
    })?;
    // What was accepted last rides along with what comes next.
    ctx.wait(csd)?;
    ctx.barrier()?;
    ctx.same(ran.get(), accepted.get(), "runs, for as many lazy posts that were accepted")
}
