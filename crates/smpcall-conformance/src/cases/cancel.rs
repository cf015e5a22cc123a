//! P1, P2, P6: taking a run away, giving it back, and who owes what then.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{Cancel, Coalesced, PostError, Posted};

const REMOVED: Cancel = Cancel::Removed { coalesced: Coalesced::No };

pub(super) fn p1_a_cancelled_run_does_not_happen<R: Rig>(ctx: Ctx<R>) -> Done {
    let (ran, passed) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let after = ctx.csd(move || _ = passed.add(1))?;
    let mut posted = 0;
    ctx.held(Pairs::All, |target| {
        posted = 1;
        ctx.post(target, csd)?;
        ctx.same(csd.cancel(), REMOVED, "cancel of a queued csd")?;
        ctx.check(!csd.is_pending(), "no run is to come")?;
        ctx.post(target, after)
    })?;
    ctx.until(|| passed.get() == posted, "the queue did not go on past a cancelled csd")?;
    ctx.same(ran.get(), 0, "runs")
}

pub(super) fn p1_cancel_finds_nothing_to_take_away<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let it = ctx.own(ran, |this, _| {
        let cancelled = this.csd.cancel();
        this.ctx.note_same(cancelled, Cancel::NotPending, "cancel of a run that has begun");
        this.data.add(1);
    })?;
    ctx.same(it.csd.cancel(), Cancel::NotPending, "cancel of a csd that was never posted")?;
    ctx.post(ctx.next(), it)?;
    ctx.wait(it)?;
    ctx.same(it.csd.cancel(), Cancel::NotPending, "cancel of a csd that has run")?;
    ctx.held(Pairs::All, |target| {
        ctx.post(target, it)?;
        ctx.same(it.csd.cancel(), REMOVED, "cancel of a queued csd")?;
        ctx.same(it.csd.cancel(), Cancel::NotPending, "a second cancel")
    })?;
    ctx.wait(it)?;
    ctx.barrier()?;
    ctx.same(ran.get(), 1, "runs")
}

pub(super) fn p1_cancelled_and_let_go_of_it_is_posted_anew<R: Rig>(ctx: Ctx<R>) -> Done {
    let (ran, passed) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let after = ctx.csd(move || _ = passed.add(1))?;
    ctx.held(Pairs::All, |target| {
        ctx.post(target, csd)?;
        ctx.same(csd.cancel(), REMOVED, "cancel of a queued csd")?;
        ctx.post(target, after)
    })?;
    ctx.wait(after)?;
    ctx.post(ctx.next(), csd)?;
    ctx.until(|| ran.get() == 1, "a csd that was cancelled and posted anew did not run")
}

pub(super) fn p1_a_cancelled_csd_is_not_posted_elsewhere<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (ran, passed) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let after = ctx.csd(move || _ = passed.add(1))?;
    let elsewhere = ctx.next();
    let mut posted = 0;
    ctx.held(Pairs::All, |target| {
        posted = 1;
        let elsewhere = if target == elsewhere { ctx.cpu() } else { elsewhere };
        ctx.post(target, csd)?;
        ctx.same(csd.cancel(), REMOVED, "cancel of a queued csd")?;
        let refused = Err(PostError::Cancelled { cpu: target });
        ctx.same(ctx.smp().post(elsewhere, csd), refused, "a post to another CPU meanwhile")?;
        ctx.check(!csd.is_pending(), "no run was promised")?;
        ctx.post(target, after)
    })?;
    ctx.until(|| passed.get() == posted, "the queue did not go on past a cancelled csd")?;
    ctx.same(ran.get(), 0, "runs")
}

pub(super) fn p1_cancel_raced_with_the_run<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let (ran, passed) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let after = ctx.csd(move || _ = passed.add(1))?;
    let mut want = 0;
    for round in 1..=ctx.rounds() {
        ctx.post(target, csd)?;
        ctx.pause(round % 6);
        match csd.cancel() {
            Cancel::NotPending => want += 1,
            removed => ctx.same(removed, REMOVED, "cancel of a run that nobody else relied on")?,
        }
        // Behind it in the queue, so that it was run or skipped by then.
        ctx.post(target, after)?;
        ctx.until(|| passed.get() == round, "a post was not answered")?;
        ctx.same(ran.get(), want, "runs that were not taken away")?;
    }
    Ok(())
}

pub(super) fn p2_a_post_to_the_same_cpu_gives_the_run_back<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let mut posted = 0;
    ctx.held(Pairs::All, |target| {
        posted = 1;
        ctx.post(target, csd)?;
        ctx.same(csd.cancel(), REMOVED, "cancel of a queued csd")?;
        let busy = Ok(Posted::Busy { cpu: target });
        ctx.same(ctx.smp().post(target, csd), busy, "a post that gives the run back")?;
        ctx.check(csd.is_pending(), "the run is to come again")
    })?;
    ctx.until(|| ran.get() == posted, "a run that was given back did not come")?;
    ctx.barrier()?;
    ctx.same(ran.get(), posted, "once, not twice")
}

pub(super) fn p2_cancel_says_whether_others_relied<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    ctx.held(Pairs::All, |target| {
        let busy = Ok(Posted::Busy { cpu: target });
        let told = Cancel::Removed { coalesced: Coalesced::Yes };
        ctx.post(target, csd)?;
        ctx.same(ctx.smp().post(target, csd), busy, "a post of a queued csd")?;
        ctx.same(csd.cancel(), told, "cancel of a run that others relied on")?;
        ctx.same(ctx.smp().post(target, csd), busy, "a post that gives the run back")?;
        ctx.same(csd.cancel(), told, "cancel of a run that was given back")
    })?;
    ctx.wait(csd)?;
    ctx.barrier()?;
    ctx.same(ran.get(), 0, "runs")
}

pub(super) fn p6_the_others_keep_their_order_around_a_cancelled_one<R: Rig>(ctx: Ctx<R>) -> Done {
    let order = ctx.place([const { Count::new() }; 5])?;
    let [next, places @ ..] = order;
    let csd = |at: usize| ctx.csd(move || places[at].set(1 + next.add(1)));
    let all = [csd(0)?, csd(1)?, csd(2)?, csd(3)?];
    let mut want = [0; 4];
    ctx.held(Pairs::All, |target| {
        want = [1, 0, 2, 3];
        for csd in all {
            ctx.post(target, csd)?;
        }
        ctx.same(all[1].cancel(), REMOVED, "cancel of a queued csd")
    })?;
    ctx.until(|| places[3].get() == want[3], "a post was not answered")?;
    ctx.same(places.each_ref().map(Count::get), want, "the places at which they ran")
}
