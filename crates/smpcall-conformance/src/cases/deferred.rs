//! P1, P2, P7, P8: posts that leave a CPU alone in user space, and have run when it is in the kernel again.

use super::hotplug::while_it_comes_and_goes;
use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{Coalesced, Deferred, NotInUser, PostError};

/// How this CPU passes through user space: by the rig's own way, once there is nothing left to flush.
pub(super) fn in_user<R: Rig>(ctx: Ctx<R>, mut program: impl FnMut()) -> Done {
    let mut told = Ok(());
    let went = || {
        let went = ctx.rig().in_user(&mut program);
        if went == Err(NotInUser::Work) {
            ctx.idle_once();
            return false;
        }
        told = ctx.same(went, Ok(()), "a way to user space");
        true
    };
    ctx.until(went, "a CPU did not come to user space")?;
    told
}

pub(super) fn p7_a_deferred_post_leaves_user_space_alone<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let stages = ctx.share_each(|_| [const { Count::new() }; 3])?;
    if ctx.cpu() > 1 {
        return Ok(());
    }
    let [user, done, ran] = &stages[0];
    let count = move || _ = ran.add(1);
    let csds = [ctx.csd(count)?, ctx.csd(count)?];
    for round in 1..=ctx.rounds().min(20) {
        if ctx.cpu() == 1 {
            let mut outcome = Ok(());
            in_user(ctx, || {
                user.set(round);
                outcome = ctx.spin(|| done.get() == round, "the poster did not finish");
            })?;
            // Kernel code, behind the entry.
            let ran = ran.get();
            outcome?;
            ctx.same(ran, 2 * round, "runs of deferred posts by the end of the entry")?;
            continue;
        }
        ctx.until(|| user.get() == round, "the other CPU did not come to user space")?;
        let before = (ctx.rig().rings(), ran.get());
        for csd in csds {
            ctx.same(
                ctx.smp().post_deferred(1, csd),
                Ok(Deferred::AtEntry),
                "a deferred post to user space",
            )?;
            ctx.same(ctx.smp().post_deferred(1, csd), Ok(Deferred::Busy { cpu: 1 }), "once more")?;
            ctx.check(csd.is_pending(), "it is pending")?;
        }
        ctx.same(
            (ctx.rig().rings(), ran.get()),
            before,
            "doorbells, and runs, while the CPU is in user space",
        )?;
        done.set(round);
    }
    Ok(())
}

pub(super) fn p7_a_deferred_post_rings_in_the_kernel<R: Rig>(ctx: Ctx<R>) -> Done {
    let rans = ctx.share_each(|_| Count::new())?;
    let (me, other) = (ctx.cpu(), ctx.cpu() ^ 1);
    let ran = &rans[(me & !1) as usize];
    let (csd, lazy) = (ctx.csd(move || _ = ran.add(1))?, ctx.csd(|| ())?);
    for round in 1..=ctx.rounds().min(20) {
        if ctx.is_poster() {
            let target = if other < ctx.cpus() { other } else { me };
            // A lazy one does not keep the next from ringing.
            if round % 2 == 0 {
                ctx.check(ctx.smp().post_lazy(target, lazy).is_ok(), "a lazy post")?;
            }
            ctx.same(
                ctx.smp().post_deferred(target, csd),
                Ok(Deferred::Soon),
                "a deferred post to the kernel",
            )?;
        }
        let has_run = || ran.get() >= round;
        if ctx.is_poster() && other < ctx.cpus() {
            ctx.until(has_run, "a deferred post in the kernel was not answered")?;
        } else {
            // Sleeps until it is rung.
            ctx.until_rung(has_run, "nobody rang for a deferred post in the kernel")?;
        }
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p1_a_deferred_post_runs_before_the_kernel_code_behind_the_entry<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let counts = ctx.share_each(|_| [const { Count::new() }; 3])?;
    let [told, ran, stop] = &counts[(ctx.cpu() & !1) as usize];
    if ctx.is_poster() {
        let target = ctx.cpu() ^ 1;
        if target >= ctx.cpus() {
            return Ok(());
        }
        let csd = ctx.csd(move || _ = ran.add(1))?;
        let mut turn = 0;
        let post = || {
            turn += 1;
            ctx.pause(turn % 7);
            match ctx.smp().post_deferred(target, csd) {
                Ok(Deferred::AtEntry) => _ = told.add(1),
                Ok(Deferred::Soon) => {}
                other => ctx.note_same(other, Ok(Deferred::Busy { cpu: target }), "a deferred post"),
            }
            stop.get() == 1
        };
        ctx.until(post, "the CPU that goes to user space did not end")?;
        return ctx.wait(csd);
    }
    for round in 0..ctx.rounds() * 4 {
        let mut outcome = Ok(());
        in_user(ctx, || match round {
            // Once at least somebody is told so, however seldom the poster runs.
            0 => outcome = ctx.spin(|| told.get() > 0, "nobody posted to a CPU in user space"),
            _ => ctx.pause(round % 9),
        })?;
        outcome?;
        // Kernel code. Whoever was told "at its entry" found this CPU in user space, so before this entry.
        let (told, ran) = (told.get(), ran.get());
        ctx.check(ran >= told, "kernel code runs before what was deferred until the entry")?;
        ctx.pause(round % 3);
    }
    stop.set(1);
    Ok(())
}

pub(super) fn p2_each_deferred_post_is_seen<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let words = ctx.place([const { Plain::new() }; 2])?;
    let csd = ctx.csd(move || words[1].write(words[0].read()))?;
    for round in 1..=ctx.rounds() {
        words[0].write(round);
        let lazily = ctx.smp().post_lazy(target, csd);
        ctx.pause(round % 5);
        words[0].write(round + 1_000_000);
        let deferred = ctx.smp().post_deferred(target, csd);
        ctx.check(lazily.is_ok() && deferred.is_ok(), "what a post to an online CPU was told")?;
        in_user(ctx, || ctx.pause(round % 4))?;
        ctx.until(|| words[1].read() == round + 1_000_000, "a run did not see the last write before a post")?;
    }
    ctx.wait(csd)
}

pub(super) fn p4_a_wait_brings_a_deferred_post_out_of_user_space<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let stages = ctx.share_each(|_| [const { Count::new() }; 2])?;
    if ctx.cpu() > 1 {
        return Ok(());
    }
    let [user, ran] = &stages[0];
    if ctx.cpu() == 1 {
        // A program without end, but for the doorbell: where that does not interrupt, the program looks for it.
        let mut outcome = Ok(());
        in_user(ctx, || {
            user.set(1);
            let rung = || ran.get() == 1 || ctx.smp().has_work_here();
            outcome = ctx.spin(rung, "nobody rang for a deferred post that is waited for");
        })?;
        outcome?;
        return ctx.same(ran.get(), 1, "runs by the end of the entry");
    }
    let csd = ctx.csd(move || _ = ran.add(1))?;
    ctx.until(|| user.get() == 1, "the other CPU did not come to user space")?;
    ctx.same(ctx.smp().post_deferred(1, csd), Ok(Deferred::AtEntry), "a deferred post to user space")?;
    ctx.wait(csd)?;
    ctx.same(ran.get(), 1, "runs by the end of a wait")
}

pub(super) fn p8_deferred_posts_to_a_cpu_that_comes_and_goes_are_counted<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (stop, accepted, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    let csd = ctx.csd(move || _ = ran.add(1))?;
    while_it_comes_and_goes(ctx, stop, |goer| match ctx.smp().post_deferred(goer, csd) {
        Ok(Deferred::AtEntry | Deferred::Soon) => {
            accepted.add(1);
            Ok(())
        }
        Ok(Deferred::Busy { cpu }) => ctx.same(cpu, goer, "the CPU that it is busy for"),
        other => {
            ctx.same(other, Err(PostError::Offline { coalesced: Coalesced::No }), "a refused deferred post")
        }
    })?;
    ctx.barrier()?;
    ctx.until(|| ran.get() >= accepted.get(), "a deferred post that was accepted did not run")?;
    ctx.barrier()?;
    ctx.same(ran.get(), accepted.get(), "runs, for as many deferred posts that were accepted")
}
