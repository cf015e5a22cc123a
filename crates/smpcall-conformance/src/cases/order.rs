//! P6, and what a budget makes of it: what runs before what.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use core::num::NonZeroU32;
use smpcall::{Budget, Flushed, Platform};

const ONE: Budget = Budget::calls(NonZeroU32::MIN);

/// The next place in the order of runs on one CPU, and who got which.
struct Places<const N: usize> {
    next: Count,
    got: [Count; N],
}

impl<const N: usize> Places<N> {
    fn new() -> Self {
        Self { next: Count::new(), got: [const { Count::new() }; N] }
    }

    fn take(&self, at: usize) {
        self.got[at].set(1 + self.next.add(1));
    }

    fn all(&self) -> [u32; N] {
        self.got.each_ref().map(Count::get)
    }
}

pub(super) fn p6_posts_of_one_sender_run_in_order<R: Rig>(ctx: Ctx<R>) -> Done {
    const CSDS: usize = 16;
    for _ in 0..ctx.rounds().min(8) {
        let places = ctx.place(Places::<CSDS>::new())?;
        for at in 0..CSDS {
            let csd = ctx.csd(move || places.take(at))?;
            ctx.post(ctx.next(), csd)?;
        }
        ctx.until(|| places.got[CSDS - 1].get() != 0, "a post was not answered")?;
        let want = core::array::from_fn(|at| at as u32 + 1);
        ctx.same(places.all(), want, "the places at which they ran")?;
    }
    Ok(())
}

pub(super) fn p6_each_of_many_senders_is_in_order<R: Rig>(ctx: Ctx<R>) -> Done {
    const CSDS: u32 = 32;
    // All on CPU 0, which runs one at a time: words with no ordering of their own will do.
    let last = ctx.place(Plain::new())?;
    let ran = ctx.place(Count::new())?;
    for number in 1..=CSDS {
        let csd = ctx.csd(move || {
            ctx.note_same(last.read() + 1, number, "the next one of its sender");
            last.write(number);
            ran.add(1);
        })?;
        ctx.post(0, csd)?;
        ctx.pause(number % 3);
    }
    ctx.until(|| ran.get() == CSDS, "a post was not answered")
}

pub(super) fn p6_chains_and_single_posts_are_in_order<R: Rig>(ctx: Ctx<R>) -> Done {
    let places = ctx.place(Places::<6>::new())?;
    let csd = |at| ctx.csd(move || places.take(at));
    let (first, chain, last) = (csd(0)?, [csd(1)?, csd(2)?, csd(3)?, csd(4)?], csd(5)?);
    let target = ctx.next();
    ctx.post(target, first)?;
    let queued = ctx.smp().post_all(target, chain).map(|chain| chain.queued);
    ctx.same(queued, Ok(4), "what the chain queued")?;
    ctx.post(target, last)?;
    ctx.until(|| places.got[5].get() != 0, "a post was not answered")?;
    ctx.same(places.all(), [1, 2, 3, 4, 5, 6], "the places at which they ran")
}

/// That the call has been queued cannot be seen by anybody but the target's flush. So the target holds its queue for a
/// while after the posts, and longer and longer until the call is there: then it must run before the older posts.
pub(super) fn p6_waiting_calls_of_a_batch_run_first<R: Rig>(ctx: Ctx<R>) -> Done {
    const ATTEMPTS: u32 = 16;
    ctx.needs_two()?;
    let (held, queued, over) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    for attempt in 1..=ATTEMPTS {
        ctx.barrier()?;
        match ctx.cpu() {
            // Decided in an attempt before: one that is decided right now still ends with a barrier for all.
            _ if (1..attempt).contains(&over.get()) => return Ok(()),
            0 => {
                let places = ctx.place(Places::<3>::new())?;
                let csd = |at| ctx.csd(move || places.take(at));
                let posts = [csd(0)?, csd(1)?];
                ctx.until(|| held.get() == attempt, "CPU 1 did not come")?;
                ctx.post(1, posts[0])?;
                ctx.post(1, posts[1])?;
                queued.set(attempt);
                ctx.call(1, || places.take(2))?;
                ctx.until(|| places.got[1].get() != 0, "a post was not answered")?;
                match places.all() {
                    [2, 3, 1] => over.set(attempt),
                    // The call came too late for the batch.
                    [1, 2, 3] => {
                        ctx.check(attempt < ATTEMPTS, "a call that was queued long ago runs first")?
                    }
                    other => ctx.same(other, [2, 3, 1], "the places of two posts and a call")?,
                }
            }
            1 => {
                ctx.irqs_off(|| {
                    held.set(attempt);
                    ctx.spin(|| queued.get() == attempt, "CPU 0 did not post")?;
                    hold(ctx, attempt);
                    Ok(())
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Waits for a time that doubles with each attempt, to seconds in the end; without a clock, for as many pauses.
fn hold<R: Rig>(ctx: Ctx<R>, attempt: u32) {
    let until_ns = match ctx.rig().patience_ns() {
        0 => 0,
        patience_ns => ctx.smp().platform().now_ns() + (50_000 << attempt).min(patience_ns / 4),
    };
    ctx.pause(4 << attempt.min(10));
    while until_ns != 0 && ctx.smp().platform().now_ns() < until_ns {
        ctx.pause(1);
    }
}

pub(super) fn p6_what_a_budget_leaves_over_runs_first<R: Rig>(ctx: Ctx<R>) -> Done {
    let me = ctx.cpu();
    let places = ctx.place(Places::<6>::new())?;
    let csd = |at| ctx.csd(move || places.take(at));
    let all = [csd(0)?, csd(1)?, csd(2)?, csd(3)?, csd(4)?, csd(5)?];
    // Polling, so that no doorbell's handler comes in between.
    ctx.handle()?.poll_begin();
    let queued = ctx.smp().post_all(me, [all[0], all[1], all[2]]).map(|chain| chain.queued);
    ctx.same(queued, Ok(3), "what the chain queued")?;
    ctx.same(ctx.smp().flush(ONE), Flushed::More(1), "a flush that stops")?;
    ctx.check(all[2].is_pending(), "what is left over is still pending")?;
    ctx.post(me, all[3])?;
    ctx.post(me, all[4])?;
    ctx.same(ctx.smp().flush(ONE), Flushed::More(1), "a flush that stops")?;
    ctx.post(me, all[5])?;
    ctx.same(ctx.smp().flush(Budget::DEFAULT), Flushed::All(4), "the rest")?;
    ctx.same(places.all(), [1, 2, 3, 4, 5, 6], "the places at which they ran")?;
    ctx.stop_polling()
}

pub(super) fn p6_a_nested_flush_returns_at_once<R: Rig>(ctx: Ctx<R>) -> Done {
    let places = ctx.place(Places::<2>::new())?;
    let nests = ctx.csd(move || {
        ctx.note_same(ctx.smp().flush(Budget::DEFAULT), Flushed::Nested, "a flush in a function");
        ctx.note_same(places.got[1].get(), 0, "the next one waits for its turn");
        places.take(0);
    })?;
    let next = ctx.csd(move || places.take(1))?;
    ctx.held(Pairs::All, |target| {
        ctx.post(target, nests)?;
        ctx.post(target, next)?;
        Ok(())
    })?;
    ctx.wait(nests)?;
    ctx.wait(next)?;
    let want = if ctx.is_poster() { [1, 2] } else { [0, 0] };
    ctx.same(places.all(), want, "the places at which they ran")
}

pub(super) fn p9_a_flush_runs_no_more_posts_than_its_budget_says<R: Rig>(ctx: Ctx<R>) -> Done {
    let me = ctx.cpu();
    let places = ctx.place(Places::<4>::new())?;
    let csd = |at| ctx.csd(move || places.take(at));
    let all = [csd(0)?, csd(1)?, csd(2)?, csd(3)?];
    // As above.
    ctx.handle()?.poll_begin();
    let queued = ctx.smp().post_all(me, all).map(|chain| chain.queued);
    ctx.same(queued, Ok(4), "what the chain queued")?;
    ctx.same(ctx.smp().backlog_racy(me), 0, "nothing is left over yet")?;
    ctx.same(
        ctx.smp().flush(Budget::DEFAULT.posts(NonZeroU32::MIN)),
        Flushed::More(1),
        "a flush that stops",
    )?;
    ctx.same(ctx.smp().backlog_racy(me), 3, "what it has left over")?;
    ctx.same(ctx.smp().flush(Budget::DEFAULT), Flushed::All(3), "the rest")?;
    ctx.same(ctx.smp().backlog_racy(me), 0, "nothing is left over any more")?;
    ctx.same(places.all(), [1, 2, 3, 4], "the places at which they ran")?;
    ctx.stop_polling()
}

/// When the call is queued only the target can see. So it flushes later and later after the caller has set about it.
pub(super) fn p10_a_waiting_call_is_served_by_the_next_flush_whatever_was_left_over<R: Rig>(
    ctx: Ctx<R>,
) -> Done {
    const ATTEMPTS: u32 = 16;
    ctx.needs_two()?;
    let [behind, called, served, over] = ctx.share(|| [const { Count::new() }; 4])?;
    let csd = || ctx.csd(|| ());
    let posts = [csd()?, csd()?, csd()?, csd()?];
    for attempt in 1..=ATTEMPTS {
        ctx.barrier()?;
        match ctx.cpu() {
            // As above.
            _ if (1..attempt).contains(&over.get()) => return Ok(()),
            0 => {
                ctx.until(|| behind.get() == attempt, "CPU 1 did not come")?;
                called.set(attempt);
                ctx.call(1, || served.set(attempt))?;
            }
            1 => ctx.irqs_off(|| {
                let queued = ctx.smp().post_all(1, posts).map(|chain| chain.queued);
                ctx.same(queued, Ok(4), "what the chain queued")?;
                ctx.same(ctx.smp().flush(ONE), Flushed::More(1), "a flush that stops")?;
                behind.set(attempt);
                ctx.spin(|| called.get() == attempt, "CPU 0 did not call")?;
                hold(ctx, attempt);
                ctx.same(ctx.smp().flush(ONE), Flushed::More(1), "a flush that stops")?;
                if served.get() == attempt {
                    over.set(attempt);
                } else {
                    ctx.check(
                        attempt < ATTEMPTS,
                        "a call that was queued long ago is served by the next flush",
                    )?;
                }
                // The call may still come.
                ctx.check(matches!(ctx.smp().flush(Budget::DEFAULT), Flushed::All(2..=3)), "the rest")
            })?,
            _ => {}
        }
    }
    Ok(())
}
