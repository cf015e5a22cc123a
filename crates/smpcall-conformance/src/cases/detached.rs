//! P1, P3, P5, P6, P8, P9: detached calls, for which nobody keeps a csd.

use super::hotplug::while_it_comes_and_goes;
use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{DETACHED_MAX, DetachedError};

/// Makes a detached call, and serves the queue as long as there is no room: the target may be in the same state.
fn insist<R: Rig>(ctx: Ctx<R>, cpu: u32, function: impl FnOnce() + Copy + Send + 'static) -> Done {
    let mut outcome = Ok(());
    ctx.until(
        || {
            outcome = ctx.smp().post_detached(cpu, function);
            outcome != Err(DetachedError::Busy)
        },
        "a CPU had no room for a detached call",
    )?;
    ctx.same(outcome, Ok(()), "a detached call to an online CPU")
}

pub(super) fn p1_a_detached_call_runs_once_on_its_cpu<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let ran = ctx.place((target, Count::new(), Plain::new()))?;
    for round in 1..=ctx.rounds() {
        ran.2.write(round);
        // Three words are what it may take along: a context is two.
        insist(ctx, target, move || {
            ctx.note_same(ctx.cpu(), ran.0, "the CPU that runs a detached call");
            ctx.note_same(ran.2.read(), ran.1.get() + 1, "what its caller wrote");
            ran.1.add(1);
        })?;
        ctx.until(|| ran.1.get() == round, "a detached call was not answered")?;
    }
    ctx.barrier()?;
    ctx.same(ran.1.get(), ctx.rounds(), "runs")
}

pub(super) fn p3_a_detached_call_finds_room_or_is_told_that_there_is_none<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.share_each(|_| Count::new())?;
    // Of the pair's poster.
    let ran = &ran[(ctx.cpu() & !1) as usize];
    let mut posted = 0;
    ctx.held(Pairs::All, |target| {
        for _ in 0..DETACHED_MAX {
            let accepted = ctx.smp().post_detached(target, move || _ = ran.add(1));
            ctx.same(accepted, Ok(()), "a detached call to a CPU with room")?;
            posted += 1;
        }
        let full = ctx.smp().post_detached(target, move || _ = ran.add(100));
        ctx.same(full, Err(DetachedError::Busy), "one more than there are places")
    })?;
    ctx.until(|| ran.get() >= posted, "a detached call was not answered")?;
    ctx.barrier()?;
    ctx.check(!ctx.is_poster() || ran.get() == posted, "what found no room did not run")
}

pub(super) fn p5_a_detached_call_makes_the_next_from_inside<R: Rig>(ctx: Ctx<R>) -> Done {
    struct Chain<R: Rig> {
        ctx: Ctx<R>,
        ran: Count,
        runs: u32,
    }
    fn again<R: Rig>(chain: &'static Chain<R>) {
        let Chain { ctx, ran, runs } = chain;
        if ran.add(1) + 1 < *runs {
            // Its own place is free; others may be in use by those who chain here as well.
            let next = ctx.smp().post_detached(ctx.cpu(), move || again(chain));
            ctx.note_same(next, Ok(()), "a detached call from inside one");
        }
    }
    let chain = ctx.place(Chain { ctx, ran: Count::new(), runs: ctx.rounds() })?;
    insist(ctx, ctx.next(), move || again(chain))?;
    ctx.until(|| chain.ran.get() >= chain.runs, "a detached call from inside was not answered")?;
    ctx.barrier()?;
    ctx.same(chain.ran.get(), chain.runs, "runs")
}

pub(super) fn p6_detached_calls_of_one_sender_run_in_order<R: Rig>(ctx: Ctx<R>) -> Done {
    let last = ctx.place((ctx, Count::new()))?;
    let posts = ctx.rounds() * 4;
    for number in 0..posts {
        insist(ctx, ctx.next(), move || last.0.note_same(last.1.add(1), number, "runs before it"))?;
    }
    ctx.until(|| last.1.get() == posts, "a detached call was not answered")
}

pub(super) fn p8_detached_calls_to_a_cpu_that_comes_and_goes_are_counted<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (stop, accepted, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    while_it_comes_and_goes(ctx, stop, |goer| {
        // A place is free again when its function starts: without a pause, several senders would hold the CPU in its handler.
        ctx.pause(16 * ctx.cpus());
        match ctx.smp().post_detached(goer, move || _ = ran.add(1)) {
            Ok(()) => {
                accepted.add(1);
                Ok(())
            }
            Err(error) => ctx.check(error != DetachedError::NoSuchCpu, "why a detached call was refused"),
        }
    })?;
    ctx.barrier()?;
    ctx.until(|| ran.get() >= accepted.get(), "a detached call that was accepted did not run")?;
    ctx.barrier()?;
    ctx.same(ran.get(), accepted.get(), "runs, for as many calls that were accepted")?;
    let nowhere = ctx.smp().post_detached(ctx.smp().cpus_len(), || ());
    ctx.same(nowhere, Err(DetachedError::NoSuchCpu), "a detached call to no CPU")
}

pub(super) fn p9_a_detached_call_from_anywhere<R: Rig>(ctx: Ctx<R>) -> Done {
    let (ran, target) = (ctx.place(Count::new())?, ctx.next());
    let post = move || {
        let posted = ctx.smp().post_detached(target, move || _ = ran.add(1));
        ctx.note_same(posted, Ok(()), "a detached call to a CPU with room");
    };
    let inside = ctx.csd(post)?;
    let mut runs = 0;
    let mut answered = || {
        runs += 1;
        ctx.until(|| ran.get() == runs, "a detached call was not answered")
    };
    ctx.irqs_off(post);
    answered()?;
    ctx.post(target, inside)?;
    answered()?;
    if ctx.interrupt(&post) {
        answered()?;
    }
    if ctx.nmi(&post) {
        answered()?;
        ctx.irqs_off(|| ctx.nmi(&post));
        answered()?;
    }
    Ok(())
}
