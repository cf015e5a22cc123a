//! P2 under fire: posts that race with the run they rely on. What is written is written with no ordering of its own, so
//! that a run sees it only because of the post.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{Coalesced, Csd, PostError, Posted};

/// The sharp one: the last post of each round races with the run of the one before, and then nobody posts any more. If
/// that post is told Busy and the run misses it, it is missed for good.
pub(super) fn p2_each_raced_post_is_seen<R: Rig>(ctx: Ctx<R>) -> Done {
    const POSTS: u32 = 3;
    let target = ctx.next();
    let (written, seen) = (ctx.place(Plain::new())?, ctx.place(Plain::new())?);
    let csd = ctx.csd(move || seen.write(written.read()))?;
    let mut value = 0;
    for round in 0..ctx.rounds() * 2 {
        for post in 0..POSTS {
            value += 1;
            written.write(value);
            match ctx.smp().post(target, csd) {
                Ok(_) => {}
                Err(other) => return Err(ctx.fail("a post to a CPU that is online", &other)),
            }
            ctx.pause((round + post) % 5);
        }
        ctx.until(|| seen.read() == value, "a run did not see what was written before a post")?;
    }
    Ok(())
}

/// What one poster of a shared csd has written, and what a run has seen of it.
#[derive(Default)]
struct Poster {
    written: Plain,
    seen: Plain,
}

fn look_at(posters: &[Poster]) {
    for poster in posters {
        poster.seen.raise(poster.written.read());
    }
}

pub(super) fn p2_the_last_write_of_many_posters_is_seen<R: Rig>(ctx: Ctx<R>) -> Done {
    let posters = ctx.share_each(|_| Poster::default())?;
    let (won, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?);
    let csd = ctx.share(move || {
        Csd::new(move || {
            look_at(posters);
            ran.add(1);
        })
    })?;
    let me = &posters[ctx.cpu() as usize];
    for value in 1..=ctx.rounds() * 4 {
        me.written.write(value);
        match ctx.smp().post(0, csd) {
            Ok(Posted::Queued) => _ = won.add(1),
            other => ctx.same(other, Ok(Posted::Busy { cpu: 0 }), "a post that did not win")?,
        }
        ctx.pause(value % 3);
    }
    let last = ctx.rounds() * 4;
    ctx.until(|| me.seen.read() == last, "a run did not see the last write before a post")?;
    ctx.barrier()?;
    ctx.until(|| ran.get() >= won.get(), "a post was not answered")?;
    ctx.barrier()?;
    ctx.same(ran.get(), won.get(), "runs, for as many posts that won")
}

/// Posters of one csd to a CPU that comes and goes. Who is told that others relied on a refused post does their work.
pub(super) fn p2_posters_of_a_cpu_that_comes_and_goes_are_seen<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let posters = ctx.share_each(|_| Poster::default())?;
    let stop = ctx.share(Count::new)?;
    let csd = ctx.share(move || Csd::new(move || look_at(posters)))?;
    let goer = ctx.cpus() - 1;
    let mut relied = 0;
    if ctx.cpu() == goer {
        for round in 0..ctx.rounds() {
            ctx.pause(round % 7);
            ctx.check(ctx.go_offline().is_ok(), "an online CPU goes offline")?;
            ctx.pause(round % 3);
            ctx.check(ctx.come_online().is_ok(), "an offline CPU comes online")?;
            ctx.idle_once();
        }
        stop.set(1);
    } else {
        let me = &posters[ctx.cpu() as usize];
        let mut value = 0;
        let mut odd = Ok(());
        let post = || {
            value += 1;
            me.written.write(value);
            match ctx.smp().post(goer, csd) {
                Ok(_) => relied = value,
                Err(PostError::Offline { coalesced: Coalesced::No }) => {}
                Err(PostError::Offline { coalesced: Coalesced::Yes }) => look_at(posters),
                Err(other) => odd = Err(ctx.fail("a post to a CPU that comes and goes", &other)),
            }
            stop.get() == 1
        };
        ctx.spin(post, "the CPU that comes and goes did not end")?;
        odd?;
    }
    let me = &posters[ctx.cpu() as usize];
    ctx.until(|| me.seen.read() >= relied, "nobody saw what was written before a post that counted on a run")
}
