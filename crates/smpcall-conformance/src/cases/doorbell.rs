//! P7: one doorbell when a target that is not looking gets its first entry, and none otherwise.
//!
//! Doorbells are counted over the whole machine, so in the cases that count them only the first two CPUs have a part.

use crate::ctx::{Ctx, Done, Over, Pairs};
use crate::rig::Rig;
use crate::words::Count;
use core::num::NonZeroU32;
use smpcall::{Budget, Flushed, NoSleep, Platform, PostError, Posted};

const ONE: Budget = Budget::calls(NonZeroU32::MIN);

/// Ends the case unless exactly so many doorbells were sent while `body` ran.
#[track_caller]
fn rings<R: Rig>(ctx: Ctx<R>, want: u64, body: impl FnOnce() -> Done) -> Done {
    let before = ctx.rings()?;
    body()?;
    ctx.same(ctx.rings()?.wrapping_sub(before), want, "doorbells sent")
}

/// Skips the case where doorbells cannot be counted, before anybody waits for anybody.
fn counted<R: Rig>(ctx: Ctx<R>) -> Result<(), Over> {
    ctx.rings().map(|_| ())
}

/// No count is needed here: a sleeper that is not rung sleeps on.
pub(super) fn p7_a_sleeper_is_woken_by_a_post<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let rans = ctx.share_each(|_| Count::new())?;
    let me = ctx.cpu();
    let ran = &rans[(me & !1) as usize];
    if me & 1 == 1 {
        return (1..=ctx.rounds())
            .try_for_each(|round| ctx.until_rung(|| ran.get() >= round, "nobody woke this CPU"));
    }
    if me + 1 == ctx.cpus() {
        return Ok(());
    }
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds() {
        // Sometimes it sleeps by now, sometimes it is about to.
        ctx.pause(round % 40);
        ctx.post(me + 1, csd)?;
        ctx.until(|| ran.get() == round, "a sleeper did not answer")?;
    }
    Ok(())
}

pub(super) fn p7_the_first_entry_rings_and_the_others_do_not<R: Rig>(ctx: Ctx<R>) -> Done {
    counted(ctx)?;
    let ran = ctx.place(Count::new())?;
    let csd = || ctx.csd(move || _ = ran.add(1));
    let all = [csd()?, csd()?, csd()?];
    let mut want = 0;
    ctx.held(Pairs::First, |target| {
        want = 3;
        rings(ctx, 1, || ctx.post(target, all[0]))?;
        rings(ctx, 0, || ctx.post(target, all[1]).and_then(|()| ctx.post(target, all[2])))
    })?;
    ctx.until(|| ran.get() == want, "a post was not answered")
}

pub(super) fn p7_each_sleep_is_ended_by_one_doorbell<R: Rig>(ctx: Ctx<R>) -> Done {
    counted(ctx)?;
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds().min(10) {
        let mut want = 0;
        ctx.held(Pairs::First, |target| {
            want = round;
            rings(ctx, 1, || ctx.post(target, csd))
        })?;
        ctx.until(|| ran.get() == want, "a post was not answered")?;
    }
    Ok(())
}

pub(super) fn p7_busy_and_cancel_do_not_ring<R: Rig>(ctx: Ctx<R>) -> Done {
    counted(ctx)?;
    let csd = ctx.csd(|| ())?;
    ctx.held(Pairs::First, |target| {
        rings(ctx, 1, || ctx.post(target, csd))?;
        let busy = Ok(Posted::Busy { cpu: target });
        rings(ctx, 0, || {
            ctx.same(ctx.smp().post(target, csd), busy, "a post of a queued csd")?;
            let _ = csd.cancel();
            ctx.same(ctx.smp().post(target, csd), busy, "a post that gives the run back")
        })
    })?;
    ctx.wait(csd)
}

pub(super) fn p7_a_chain_rings_once<R: Rig>(ctx: Ctx<R>) -> Done {
    counted(ctx)?;
    let ran = ctx.place(Count::new())?;
    let csd = || ctx.csd(move || _ = ran.add(1));
    let (first, second) = ([csd()?, csd()?, csd()?], [csd()?, csd()?]);
    let none: [&smpcall::Csd<fn()>; 0] = [];
    let mut want = 0;
    ctx.held(Pairs::First, |target| {
        want = 5;
        let posted = |posted: Result<smpcall::Chain, PostError>, want: u32| {
            ctx.same(posted.map(|chain| chain.queued), Ok(want), "what a chain queued")
        };
        rings(ctx, 0, || posted(ctx.smp().post_all(target, none), 0))?;
        rings(ctx, 1, || posted(ctx.smp().post_all(target, first), 3))?;
        rings(ctx, 0, || posted(ctx.smp().post_all(target, second), 2))
    })?;
    ctx.until(|| ran.get() == want, "a chain was not answered")
}

pub(super) fn p7_a_polling_cpu_is_not_rung<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    counted(ctx)?;
    let (stage, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?);
    match ctx.cpu() {
        0 => {
            let csd = ctx.csd(move || _ = ran.add(1))?;
            ctx.until(|| stage.get() == 1, "CPU 1 did not begin to poll")?;
            let outcome = rings(ctx, 0, || {
                for round in 1..=ctx.rounds() {
                    ctx.post(1, csd)?;
                    ctx.until(|| ran.get() == round, "a CPU that polls did not answer")?;
                }
                Ok(())
            });
            stage.set(2);
            outcome
        }
        1 => {
            let mut cpu = ctx.handle()?;
            cpu.poll_begin();
            stage.set(1);
            let looked = ctx.spin(
                || {
                    if cpu.has_work() {
                        let _ = cpu.flush(Budget::DEFAULT);
                    }
                    stage.get() == 2
                },
                "CPU 0 did not finish",
            );
            ctx.stop_polling()?;
            looked
        }
        _ => Ok(()),
    }
}

pub(super) fn p7_a_cpu_in_its_flush_is_not_rung<R: Rig>(ctx: Ctx<R>) -> Done {
    counted(ctx)?;
    let (begun, posted, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    if ctx.cpu() != 0 {
        return ctx.until(|| posted.get() == 2, "CPU 0 did not finish");
    }
    let target = ctx.next();
    let late = || ctx.csd(move || _ = ran.add(1));
    let (from_inside, from_outside) = (late()?, late()?);
    let first = ctx.csd(move || {
        ctx.note_same(
            ctx.smp().post(target, from_inside),
            Ok(Posted::Queued),
            "a post from a function to its own CPU",
        );
        begun.set(1);
        if target != 0 {
            let _ = ctx.spin(|| posted.get() >= 1, "CPU 0 did not post");
        }
    })?;
    let outcome = rings(ctx, 1, || {
        ctx.post(target, first)?;
        ctx.until(|| begun.get() == 1, "a post was not answered")?;
        if target != 0 {
            ctx.post(target, from_outside)?;
        }
        posted.set(1);
        ctx.until(
            || ran.get() == if target == 0 { 1 } else { 2 },
            "a post to a CPU in its flush was not answered",
        )
    });
    posted.set(2);
    outcome
}

pub(super) fn p7_a_flush_that_stops_at_its_budget_rings_once<R: Rig>(ctx: Ctx<R>) -> Done {
    counted(ctx)?;
    if R::HANDLER_FLUSHES {
        return Err(ctx.skip("the doorbell's handler flushes, with a budget of its own"));
    }
    if ctx.cpu() != 0 {
        return Ok(());
    }
    let ran = ctx.place(Count::new())?;
    let csd = || ctx.csd(move || _ = ran.add(1));
    let (all, late) = ([csd()?, csd()?, csd()?], csd()?);
    let queued = |want: u32| {
        let chain = ctx.smp().post_all(0, all).map(|chain| chain.queued);
        ctx.same(chain, Ok(want), "what a chain queued")
    };
    let flush = |budget, want| ctx.same(ctx.smp().flush(budget), want, "what a flush came to");
    rings(ctx, 1, || queued(3))?;
    rings(ctx, 1, || flush(ONE, Flushed::More(1)))?;
    rings(ctx, 0, || ctx.post(0, late))?;
    rings(ctx, 1, || flush(ONE, Flushed::More(1)))?;
    rings(ctx, 0, || flush(Budget::DEFAULT, Flushed::All(2)))?;
    ctx.same(ran.get(), 4, "runs")?;
    // A budget that is just enough rings nobody, and the CPU is at rest: the next post rings.
    rings(ctx, 1, || queued(3))?;
    rings(ctx, 0, || flush(Budget::calls(NonZeroU32::MIN.saturating_add(2)), Flushed::All(3)))?;
    rings(ctx, 1, || ctx.post(0, late))?;
    flush(Budget::DEFAULT, Flushed::All(1))
}

pub(super) fn p7_a_polling_flush_that_stops_rings_nobody<R: Rig>(ctx: Ctx<R>) -> Done {
    counted(ctx)?;
    if ctx.cpu() != 0 {
        return Ok(());
    }
    let ran = ctx.place(Count::new())?;
    let csd = || ctx.csd(move || _ = ran.add(1));
    let all = [csd()?, csd()?, csd()?];
    rings(ctx, 0, || {
        ctx.handle()?.poll_begin();
        let chain = ctx.smp().post_all(0, all).map(|chain| chain.queued);
        ctx.same(chain, Ok(3), "what a chain queued")?;
        ctx.same(ctx.smp().flush(ONE), Flushed::More(1), "a flush that stops")?;
        ctx.check(ctx.handle()?.has_work(), "there is more")?;
        ctx.check(ctx.sleeps()? == Err(NoSleep::Work), "who has work must not sleep")?;
        ctx.same(ctx.smp().flush(Budget::DEFAULT), Flushed::All(2), "the rest")?;
        ctx.check(ctx.sleeps()? == Ok(()), "there is nothing left")
    })?;
    ctx.same(ran.get(), 3, "runs")
}

pub(super) fn p7_going_offline_ends_the_polling<R: Rig>(ctx: Ctx<R>) -> Done {
    counted(ctx)?;
    if ctx.cpu() != 0 {
        return Ok(());
    }
    rings(ctx, 0, || {
        ctx.handle()?.poll_begin();
        ctx.same(ctx.go_offline(), Ok(0), "what ran as it went offline")?;
        ctx.same(ctx.come_online(), Ok(()), "an offline CPU comes online")
    })?;
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    // The second time, since only the flush in between would leave the mark of a CPU that still polls.
    for round in 1..=2 {
        ctx.irqs_off(|| rings(ctx, 1, || ctx.post(0, csd)))?;
        ctx.until(|| ran.get() == round, "a post was not answered")?;
    }
    Ok(())
}

pub(super) fn p7_who_means_to_sleep_is_told_of_work<R: Rig>(ctx: Ctx<R>) -> Done {
    let me = ctx.cpu();
    let ran = ctx.place(Count::new())?;
    let csd = || ctx.csd(move || _ = ran.add(1));
    let all = [csd()?, csd()?];
    ctx.handle()?.poll_begin();
    ctx.check(!ctx.handle()?.has_work(), "nothing was posted yet")?;
    ctx.post(me, all[0])?;
    ctx.check(ctx.handle()?.has_work(), "there is work")?;
    ctx.check(ctx.sleeps()? == Err(NoSleep::Work), "who has work must not sleep")?;
    // It still counts as polling, so no doorbell's handler comes in between.
    ctx.post(me, all[1])?;
    ctx.same(ctx.smp().flush(Budget::DEFAULT), Flushed::All(2), "what a flush came to")?;
    ctx.check(!ctx.handle()?.has_work(), "there is no work any more")?;
    let mut cpu = ctx.handle()?;
    let guard = cpu.begin_sleep().map_err(|_| ctx.fail("it may sleep", &"there is work"))?;
    ctx.check(!guard.look_again(), "nothing has come since")?;
    guard.abort();
    // As before: it polls, so no doorbell's handler takes this.
    ctx.post(me, all[0])?;
    ctx.check(ctx.sleeps()? == Err(NoSleep::Work), "who did not sleep is told of work")?;
    ctx.same(cpu.flush(Budget::DEFAULT), Flushed::All(1), "what came after a sleep that was not")?;
    ctx.check(ctx.sleeps()? == Ok(()), "it may sleep")?;
    ctx.check(ctx.sleeps()? == Ok(()), "asked twice, it still may")?;
    ctx.same(ran.get(), 3, "runs")
}

pub(super) fn p7_spurious_doorbells_are_harmless<R: Rig>(ctx: Ctx<R>) -> Done {
    let (me, target) = (ctx.cpu(), ctx.next());
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let ring = |cpu| _ = ctx.irqs_off(|| ctx.smp().platform().ring(cpu));
    for round in 1..=ctx.rounds().min(20) {
        ring(target);
        ctx.post(target, csd)?;
        ring(target);
        ring(me);
        ctx.until(|| ran.get() == round, "a post was not answered")?;
    }
    // Also for a CPU that is offline, whose queue it does not open. Not before all have been answered.
    ctx.barrier()?;
    ctx.check(ctx.go_offline().is_ok(), "an online CPU goes offline")?;
    ring(me);
    ctx.pause(20);
    if !R::HANDLER_FLUSHES {
        ctx.same(ctx.smp().flush(Budget::DEFAULT), Flushed::All(0), "a flush of an offline CPU")?;
    }
    ctx.check(!ctx.smp().is_online_racy(me), "a late doorbell does not bring a CPU online")
}
