//! P1, P5, P9: what becomes of one post.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{CallError, Csd, PostError, Posted};

pub(super) fn p1_a_post_runs_once_on_the_cpu_it_names<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || {
        ctx.note_same(ctx.cpu(), target, "the CPU that runs it");
        ran.add(1);
    })?;
    for round in 1..=ctx.rounds() {
        ctx.check(!csd.is_pending(), "free before it is posted")?;
        ctx.post(target, csd)?;
        ctx.until(|| ran.get() == round, "a post was not answered")?;
    }
    // By then every queue was looked at once more.
    ctx.barrier()?;
    ctx.same(ran.get(), ctx.rounds(), "runs")
}

pub(super) fn p1_many_csds_each_run_once<R: Rig>(ctx: Ctx<R>) -> Done {
    const CSDS: u32 = 20;
    let target = ctx.next();
    let ran = ctx.place([const { Count::new() }; CSDS as usize])?;
    for at in 0..CSDS {
        let csd = ctx.csd(move || _ = ran[at as usize].add(1))?;
        ctx.post(target, csd)?;
    }
    ctx.until(|| ran.iter().all(|ran| ran.get() > 0), "a post was not answered")?;
    ctx.barrier()?;
    ctx.check(ran.iter().all(|ran| ran.get() == 1), "each ran once")
}

pub(super) fn p1_every_cpu_posts_to_its_neighbours<R: Rig>(ctx: Ctx<R>) -> Done {
    let (me, cpus) = (ctx.cpu(), ctx.cpus());
    // To each of the others on a small machine, to the next ones on a large one, and to itself.
    let targets = cpus.min(16);
    let ran_on = ctx.share_each(|_| Count::new())?;
    for step in 0..targets {
        let target = (me + step) % cpus;
        let csd = ctx.csd(move || {
            ctx.note_same(ctx.cpu(), target, "the CPU that runs it");
            ran_on[target as usize].add(1);
        })?;
        ctx.post(target, csd)?;
    }
    ctx.until(|| ran_on[me as usize].get() >= targets, "a post was not answered")?;
    ctx.barrier()?;
    ctx.same(ran_on[me as usize].get(), targets, "runs on this CPU")
}

pub(super) fn p1_a_csd_runs_more_often_than_its_word_can_count<R: Rig>(ctx: Ctx<R>) -> Done {
    // Its word counts runs modulo 32.
    const RUNS: u32 = 70;
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 0..RUNS {
        let target = if round % 2 == 0 { ctx.next() } else { ctx.cpu() };
        ctx.post(target, csd)?;
        ctx.wait(csd)?;
        ctx.same(ran.get(), round + 1, "runs by the end of a wait")?;
    }
    Ok(())
}

pub(super) fn p1_a_cpu_that_there_is_not<R: Rig>(ctx: Ctx<R>) -> Done {
    let csd = ctx.csd(|| ())?;
    let len = ctx.smp().cpus_len();
    for cpu in [len, len + 1, 8192, 0xffff, 0x1_0000, u32::MAX] {
        if cpu < len {
            continue;
        }
        ctx.same(ctx.smp().post(cpu, csd), Err(PostError::NoSuchCpu), "a post to no CPU")?;
        let chain = ctx.smp().post_all(cpu, [csd]);
        ctx.same(chain.map(|chain| chain.queued), Err(PostError::NoSuchCpu), "a chain to no CPU")?;
        ctx.same(ctx.smp().call(cpu, || ()), Err(CallError::NoSuchCpu), "a call to no CPU")?;
        ctx.check(!ctx.smp().is_online_racy(cpu), "no CPU is not online")?;
    }
    ctx.check(!csd.is_pending(), "nothing was queued")
}

pub(super) fn p5_posted_from_inside_it_runs_again<R: Rig>(ctx: Ctx<R>) -> Done {
    let (runs, target) = (ctx.rounds(), ctx.next());
    let ran = ctx.place(Count::new())?;
    let csd = ctx.own((ran, runs, target), |this, _| {
        let (ctx, (ran, runs, target)) = (this.ctx, this.data);
        ctx.note(!this.csd.is_pending(), "free before its function starts");
        if ran.add(1) + 1 < runs {
            ctx.note_same(ctx.smp().post(target, this), Ok(Posted::Queued), "a post from inside");
            let busy = Ok(Posted::Busy { cpu: target });
            ctx.note_same(ctx.smp().post(target, this), busy, "a second post from inside");
        }
    })?;
    ctx.post(target, csd)?;
    ctx.until(|| ran.get() >= runs, "a post from inside was not answered")?;
    ctx.barrier()?;
    ctx.same(ran.get(), runs, "runs")
}

pub(super) fn p5_posted_from_inside_round_the_ring<R: Rig>(ctx: Ctx<R>) -> Done {
    let laps = ctx.rounds().div_ceil(ctx.cpus()).max(2);
    let ran_on = ctx.share_each(|_| Count::new())?;
    if ctx.cpu() == 0 {
        let csd = ctx.own((ran_on, laps), |this, me| {
            let (ctx, cpus, (ran_on, laps)) = (this.ctx, this.ctx.cpus(), this.data);
            ctx.note_same(me, ctx.cpu(), "the CPU that the function is told");
            ctx.note(me < cpus, "it runs on a CPU of the ring");
            let lap = ran_on[(me % cpus) as usize].add(1) + 1;
            if lap < laps || me + 1 < cpus {
                let posted = ctx.smp().post((me + 1) % cpus, this);
                ctx.note_same(posted, Ok(Posted::Queued), "a post to the next CPU from inside");
            }
        })?;
        ctx.post(0, csd)?;
    }
    let mine = &ran_on[ctx.cpu() as usize];
    ctx.until(|| mine.get() >= laps, "a post from inside was not answered")?;
    ctx.barrier()?;
    ctx.same(mine.get(), laps, "runs on this CPU")
}

pub(super) fn p5_runs_on_two_cpus_at_once<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let running = ctx.share(Count::new)?;
    let csd = ctx.share(move || {
        Csd::new(move || {
            running.add(1);
            // The first run ends only when the second has begun.
            let _ =
                ctx.spin(|| running.get() >= 2, "a second run did not begin while the first was under way");
        })
    })?;
    match ctx.cpu() {
        0 => ctx.post(1, csd)?,
        // Posted on CPU 1 while CPU 0 is in its function, so that it runs here.
        1 => {}
        _ => return Ok(()),
    }
    if ctx.cpu() == 0 {
        ctx.until(|| running.get() == 1, "a post was not answered")?;
        ctx.post(0, csd)?;
    }
    ctx.until(|| running.get() == 2, "a post was not answered")
}

pub(super) fn p9_posted_with_interrupts_off<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds() {
        ctx.irqs_off(|| ctx.post(target, csd))?;
        ctx.until(|| ran.get() == round, "a post with interrupts off was not answered")?;
    }
    Ok(())
}

pub(super) fn p9_posted_from_call_context<R: Rig>(ctx: Ctx<R>) -> Done {
    // CPU to next CPU: a function there posts one that runs here.
    let (me, target) = (ctx.cpu(), ctx.next());
    let ran = ctx.place(Count::new())?;
    let answer = ctx.csd(move || {
        ctx.note_same(ctx.cpu(), me, "the CPU that runs the answer");
        ran.add(1);
    })?;
    let question = ctx.csd(move || {
        ctx.note_same(ctx.smp().post(me, answer), Ok(Posted::Queued), "a post from a function");
    })?;
    for round in 1..=ctx.rounds() {
        ctx.post(target, question)?;
        ctx.until(|| ran.get() == round, "a post from a function was not answered")?;
    }
    Ok(())
}
