//! P8: coming and going.

use super::call::Dropped;
use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{CallError, Coalesced, HotplugError, PostError, Posted};

const OFFLINE: PostError = PostError::Offline { coalesced: Coalesced::No };

pub(super) fn go_offline<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.check(ctx.go_offline().is_ok(), "an online CPU goes offline")
}

pub(super) fn come_online<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.same(ctx.come_online(), Ok(()), "an offline CPU comes online")
}

pub(super) fn p8_offline_refuses_and_queues_nothing<R: Rig>(ctx: Ctx<R>) -> Done {
    let (gone, tried) = (ctx.share(Count::new)?, ctx.share(Count::new)?);
    let goer = ctx.cpus() - 1;
    let csd = ctx.csd(move || ctx.note(false, "a refused post does not run"))?;
    if ctx.cpu() == goer {
        go_offline(ctx)?;
        gone.set(1);
    }
    ctx.until(|| gone.get() == 1, "the last CPU did not go offline")?;
    ctx.check(!ctx.smp().is_online_racy(goer), "it is not online")?;
    let dropped = ctx.place(Count::new())?;
    for round in 1..=ctx.rounds().min(10) {
        ctx.same(ctx.smp().post(goer, csd), Err(OFFLINE), "a post to an offline CPU")?;
        ctx.check(!csd.is_pending(), "nothing was queued")?;
        let held = Dropped(dropped);
        let refused = ctx.smp().call(goer, move || drop(held));
        ctx.same(refused, Err(CallError::Offline), "a call to an offline CPU")?;
        ctx.same(dropped.get(), round, "drops of what a refused call held (P11)")?;
    }
    tried.add(1);
    if ctx.cpu() == goer {
        ctx.until(|| tried.get() == ctx.cpus(), "a CPU did not try")?;
        come_online(ctx)?;
        ctx.idle_once();
    }
    Ok(())
}

pub(super) fn p8_going_offline_runs_what_it_accepted<R: Rig>(ctx: Ctx<R>) -> Done {
    const CSDS: u32 = 40;
    let rans = ctx.share_each(|_| Count::new())?;
    // Of the pair's poster.
    let ran = &rans[(ctx.cpu() & !1) as usize];
    let posts = |target| {
        (0..CSDS).try_for_each(|number| {
            let csd = ctx.csd(move || ctx.note_same(ran.add(1), number, "runs before it"))?;
            ctx.post(target, csd)
        })
    };
    ctx.held_then(Pairs::All, posts, || {
        ctx.same(ctx.go_offline(), Ok(CSDS), "what ran as it went offline")?;
        ctx.same(ran.get(), CSDS, "runs by the time it was offline")
    })?;
    ctx.until(|| ran.get() == CSDS, "a CPU that went offline did not run what it had accepted")
}

pub(super) fn p8_posts_of_the_last_functions_are_refused<R: Rig>(ctx: Ctx<R>) -> Done {
    let (last_ran, late_ran) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    let late = ctx.csd(move || _ = late_ran.add(1))?;
    let poster = ctx.cpu();
    let last = ctx.csd(move || {
        let me = ctx.cpu();
        ctx.note_same(ctx.smp().post(me, late), Err(OFFLINE), "a post of a last function to its own CPU");
        if me != poster {
            ctx.note_same(
                ctx.smp().post(poster, late),
                Ok(Posted::Queued),
                "a post of a last function to another CPU",
            );
        }
        last_ran.add(1);
    })?;
    let mut want = (0, 0);
    let posts = |target| {
        want = (1, u32::from(target != poster));
        ctx.post(target, last)
    };
    let leaves = || ctx.same(ctx.go_offline(), Ok(1), "what ran as it went offline");
    ctx.held_then(Pairs::All, posts, leaves)?;
    ctx.until(|| (last_ran.get(), late_ran.get()) == want, "a post was not answered")
}

pub(super) fn p8_twice_is_an_error<R: Rig>(ctx: Ctx<R>) -> Done {
    let me = ctx.cpu();
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    ctx.irqs_off(|| {
        ctx.post(me, csd)?;
        ctx.same(ctx.come_online(), Err(HotplugError::Already), "online, once more")?;
        ctx.same(ctx.go_offline(), Ok(1), "the queue was kept, and ran")?;
        ctx.same(ctx.go_offline(), Err(HotplugError::Offline), "offline, once more")
    })?;
    ctx.same(ran.get(), 1, "runs")?;
    come_online(ctx)
}

pub(super) fn p8_not_from_inside_a_call<R: Rig>(ctx: Ctx<R>) -> Done {
    let refused = ctx.call(ctx.next(), || (ctx.go_offline(), ctx.come_online()))?;
    let in_call = Err(HotplugError::InCall);
    ctx.same(refused.0, Err(HotplugError::InCall), "offline, from a function")?;
    ctx.same(refused.1, in_call, "online, from a function")?;
    ctx.check(ctx.smp().is_online_racy(ctx.next()), "it is online still")?;
    ctx.barrier()
}

pub(super) fn p8_back_online_it_takes_posts_again<R: Rig>(ctx: Ctx<R>) -> Done {
    let me = ctx.cpu();
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds().min(40) {
        go_offline(ctx)?;
        ctx.same(ctx.smp().post(me, csd), Err(OFFLINE), "a post to an offline CPU")?;
        come_online(ctx)?;
        ctx.post(me, csd)?;
        ctx.until(|| ran.get() == round, "a post to a CPU that is back was not answered")?;
    }
    Ok(())
}

pub(super) fn p8_a_self_call_of_an_offline_cpu_is_refused<R: Rig>(ctx: Ctx<R>) -> Done {
    let me = ctx.cpu();
    go_offline(ctx)?;
    ctx.same(ctx.smp().call(me, || 1), Err(CallError::Offline), "a self call of an offline CPU")?;
    come_online(ctx)?;
    ctx.same(ctx.call(me, || 2)?, 2, "a self call of a CPU that is back")
}

/// CPU `cpus - 1` comes and goes `rounds` times, then says stop; the others do `meanwhile` until then.
pub(super) fn while_it_comes_and_goes<R: Rig>(
    ctx: Ctx<R>,
    stop: &Count,
    mut meanwhile: impl FnMut(u32) -> Done,
) -> Done {
    let goer = ctx.cpus() - 1;
    if ctx.cpu() != goer {
        let mut outcome = Ok(());
        let step = || {
            outcome = meanwhile(goer);
            outcome.is_err() || stop.get() == 1
        };
        ctx.spin(step, "the CPU that comes and goes did not end")?;
        return outcome;
    }
    for round in 0..ctx.rounds() {
        ctx.pause(round % 9);
        ctx.idle_once();
        go_offline(ctx)?;
        ctx.pause(round % 4);
        come_online(ctx)?;
        ctx.idle_once();
    }
    stop.set(1);
    Ok(())
}

pub(super) fn p8_posts_to_a_cpu_that_comes_and_goes_are_counted<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (stop, accepted, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    let csd = ctx.csd(move || _ = ran.add(1))?;
    while_it_comes_and_goes(ctx, stop, |goer| match ctx.smp().post(goer, csd) {
        Ok(Posted::Queued) => {
            accepted.add(1);
            Ok(())
        }
        Ok(Posted::Busy { cpu }) => ctx.same(cpu, goer, "the CPU that it is busy for"),
        other => ctx.same(other, Err(OFFLINE), "a refused post that nobody else relied on"),
    })?;
    ctx.barrier()?;
    ctx.until(|| ran.get() >= accepted.get(), "a post that was accepted did not run")?;
    ctx.barrier()?;
    ctx.same(ran.get(), accepted.get(), "runs, for as many posts that were accepted")
}

pub(super) fn p8_calls_to_a_cpu_that_comes_and_goes_are_answered<R: Rig>(ctx: Ctx<R>) -> Done {
    answered_while_it_comes_and_goes(ctx, |goer, ran| ctx.smp().call(goer, || _ = ran.add(1)))
}

/// Calls a CPU that comes and goes, in the way that `call` does: as many are answered as have run, the others refused.
pub(super) fn answered_while_it_comes_and_goes<R: Rig>(
    ctx: Ctx<R>,
    call: impl Fn(u32, &Count) -> Result<(), CallError>,
) -> Done {
    ctx.needs_two()?;
    let (stop, answered, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    while_it_comes_and_goes(ctx, stop, |goer| match call(goer, ran) {
        Ok(()) => {
            answered.add(1);
            Ok(())
        }
        Err(error) => ctx.same(error, CallError::Offline, "why a call was refused"),
    })?;
    ctx.barrier()?;
    ctx.same(ran.get(), answered.get(), "runs, for as many calls that were answered")
}
