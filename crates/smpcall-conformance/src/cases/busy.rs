//! P2, P3: many posters of one csd, and what they are told.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{Cancel, Coalesced, Csd, Posted};

pub(super) fn p3_busy_names_the_cpu_it_is_queued_for<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let mut rounds = 0;
    ctx.held(Pairs::All, |target| {
        rounds = 1;
        ctx.post(target, csd)?;
        let busy = Ok(Posted::Busy { cpu: target });
        for cpu in [target, ctx.cpu(), 0, ctx.cpus() - 1] {
            ctx.same(ctx.smp().post(cpu, csd), busy, "a post of a queued csd")?;
        }
        Ok(())
    })?;
    ctx.until(|| ran.get() == rounds, "a post was not answered")?;
    ctx.barrier()?;
    ctx.same(ran.get(), rounds, "a Busy adds no run")
}

pub(super) fn p3_one_of_many_posters_wins<R: Rig>(ctx: Ctx<R>) -> Done {
    struct Round {
        held: Count,
        posted: Count,
        won: Count,
        ran: Count,
    }
    let round = ctx.share(|| Round {
        held: Count::new(),
        posted: Count::new(),
        won: Count::new(),
        ran: Count::new(),
    })?;
    let csd = ctx.share(move || Csd::new(move || _ = round.ran.add(1)))?;
    let post = || match ctx.smp().post(0, csd) {
        Ok(Posted::Queued) => {
            round.won.add(1);
            Ok(())
        }
        other => ctx.same(other, Ok(Posted::Busy { cpu: 0 }), "a post that did not win"),
    };
    for number in 1..=ctx.rounds().min(10) {
        if ctx.cpu() == 0 {
            // CPU 0 holds its queue until all have posted, itself too.
            ctx.irqs_off(|| {
                round.held.set(number);
                post()?;
                round.posted.add(1);
                let all = number * ctx.cpus();
                ctx.spin(|| round.posted.get() == all, "a CPU did not post")
            })?;
        } else {
            ctx.until(|| round.held.get() == number, "CPU 0 did not come")?;
            post()?;
            round.posted.add(1);
        }
        ctx.until(|| round.ran.get() >= number, "the one post was not answered")?;
        ctx.barrier()?;
        ctx.same((round.won.get(), round.ran.get()), (number, number), "winners and runs")?;
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p3_a_csd_twice_in_one_chain_is_busy<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let chain = ctx.smp().post_all(ctx.next(), [csd, csd, csd]);
    let counts = chain.map(|chain| (chain.queued, chain.busy, chain.cancelled));
    ctx.same(counts, Ok((1, 2, 0)), "queued, busy, cancelled")?;
    ctx.wait(csd)?;
    ctx.barrier()?;
    ctx.same(ran.get(), 1, "runs")
}

pub(super) fn p2_what_was_written_before_a_busy_post_is_seen<R: Rig>(ctx: Ctx<R>) -> Done {
    let (written, seen, ran) = (ctx.place(Plain::new())?, ctx.place(Plain::new())?, ctx.place(Count::new())?);
    let csd = ctx.csd(move || {
        seen.write(written.read());
        ran.add(1);
    })?;
    let mut want = 0;
    ctx.held(Pairs::All, |target| {
        written.write(1);
        ctx.post(target, csd)?;
        for value in 2..=9 {
            written.write(value);
            let busy = Ok(Posted::Busy { cpu: target });
            ctx.same(ctx.smp().post(target, csd), busy, "a post of a queued csd")?;
        }
        want = 9;
        Ok(())
    })?;
    if want != 0 {
        ctx.until(|| ran.get() == 1, "a post was not answered")?;
    }
    ctx.same(seen.read(), want, "the last value that was written before a Busy")
}

pub(super) fn p2_told_does_not_outlive_the_run<R: Rig>(ctx: Ctx<R>) -> Done {
    let csd = ctx.csd(|| ())?;
    ctx.held(Pairs::All, |target| {
        ctx.post(target, csd)?;
        let busy = Ok(Posted::Busy { cpu: target });
        ctx.same(ctx.smp().post(target, csd), busy, "a post of a queued csd")
    })?;
    ctx.wait(csd)?;
    ctx.held(Pairs::All, |target| {
        ctx.post(target, csd)?;
        ctx.same(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No }, "nobody was told in this round")
    })?;
    ctx.wait(csd)
}
