//! P2, P8: `post_all`, and what a poster owes whose push is refused.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{Cancel, Coalesced, Csd, PostError, Posted};

pub(super) fn p2_a_chain_counts_busy_and_cancelled_ones<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place([const { Count::new() }; 3])?;
    let csd = |at: usize| ctx.csd(move || _ = ran[at].add(1));
    let (busy, gone, back) = (csd(0)?, csd(1)?, csd(2)?);
    let me = ctx.cpu();
    let removed = Cancel::Removed { coalesced: Coalesced::No };
    let mut want = [0; 3];
    ctx.held(Pairs::All, |target| {
        // Interrupts off, so that this CPU does not let go of the one that it holds itself.
        let chain = ctx.irqs_off(|| {
            ctx.post(me, gone)?;
            ctx.same(gone.cancel(), removed, "cancel of a queued csd")?;
            ctx.post(target, busy)?;
            ctx.post(target, back)?;
            ctx.same(back.cancel(), removed, "cancel of a queued csd")?;
            Ok(ctx.smp().post_all(target, [busy, gone, back]))
        })?;
        let counts = chain.map(|chain| (chain.queued, chain.busy, chain.cancelled));
        // Cancelled, and linked in the queue that the chain goes to, it is given its run back.
        let (counted, runs) = if target == me { ((0, 3, 0), [1, 1, 1]) } else { ((0, 2, 1), [1, 0, 1]) };
        want = runs;
        ctx.same(counts, Ok(counted), "queued, busy, cancelled")
    })?;
    let all = || ran.each_ref().map(Count::get);
    ctx.until(|| all() == want, "a post was not answered")?;
    ctx.barrier()?;
    ctx.same(all(), want, "runs of the busy, the cancelled, the revived")
}

/// What CPU 1 does between the claim and the push of a chain to it, before it goes offline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    Posts,
    PostsAndCancels,
}

/// CPU 0 posts a chain of one to CPU 1, which goes offline between the claim and the push. What CPU 0 is told is `told`;
/// it sees what CPU 1 wrote if it owes, and the csd is free then.
fn refused<R: Rig>(ctx: Ctx<R>, meanwhile: Meanwhile, coalesced: Coalesced) -> Done {
    ctx.needs_two()?;
    let (stage, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?);
    // What CPU 1 relies on to be seen; the stage is behind it in both directions, so the run is what must show it.
    let (written, seen) = (ctx.share(Plain::new)?, ctx.share(Plain::new)?);
    let csd = ctx.share(move || {
        Csd::new(move || {
            seen.write(written.read());
            ran.add(1);
        })
    })?;
    match ctx.cpu() {
        0 => {
            let mut walk = Some(csd);
            let chain = core::iter::from_fn(|| {
                let next = walk.take();
                if next.is_none() {
                    stage.set(1);
                    let _ = ctx.spin(|| stage.get() == 2, "CPU 1 did not go offline");
                }
                next
            });
            let refused = ctx.smp().post_all(1, chain);
            ctx.same(refused, Err(PostError::Offline { coalesced }), "a chain whose push is refused")?;
            // Free again, and what is owed is a run that sees what others wrote.
            ctx.post(0, csd)?;
            ctx.until(|| ran.get() == 1, "a post was not answered")?;
            let wrote = if meanwhile == Meanwhile::Nothing { 0 } else { 7 };
            ctx.same(seen.read(), wrote, "what the run saw")
        }
        1 => {
            ctx.until(|| stage.get() == 1, "CPU 0 did not come to its push")?;
            if meanwhile != Meanwhile::Nothing {
                written.write(7);
                let busy = Ok(Posted::Busy { cpu: 1 });
                ctx.same(ctx.smp().post(1, csd), busy, "a post of a claimed csd")?;
            }
            if meanwhile == Meanwhile::PostsAndCancels {
                let removed = Cancel::Removed { coalesced: Coalesced::Yes };
                ctx.same(csd.cancel(), removed, "cancel of a run that was relied on")?;
            }
            ctx.same(ctx.go_offline(), Ok(0), "what ran as it went offline")?;
            stage.set(2);
            // It comes online again when the case is over.
            ctx.until(|| ran.get() == 1, "CPU 0 did not make good")
        }
        _ => Ok(()),
    }
}

pub(super) fn p2_a_refused_chain_owes_those_told_busy<R: Rig>(ctx: Ctx<R>) -> Done {
    refused(ctx, Meanwhile::Posts, Coalesced::Yes)
}

pub(super) fn p2_a_refused_chain_that_nobody_relied_on<R: Rig>(ctx: Ctx<R>) -> Done {
    refused(ctx, Meanwhile::Nothing, Coalesced::No)
}

pub(super) fn p2_a_canceller_takes_the_debt_over<R: Rig>(ctx: Ctx<R>) -> Done {
    refused(ctx, Meanwhile::PostsAndCancels, Coalesced::No)
}

pub(super) fn p8_an_offline_cpu_refuses_a_whole_chain<R: Rig>(ctx: Ctx<R>) -> Done {
    let me = ctx.cpu();
    let csd = || ctx.csd(|| ());
    let all = [csd()?, csd()?];
    ctx.check(ctx.go_offline().is_ok(), "an online CPU goes offline")?;
    let walked = all.iter().map(|csd| {
        ctx.note(false, "the iterator of a chain to an offline CPU is not walked");
        *csd
    });
    let refused = Err(PostError::Offline { coalesced: Coalesced::No });
    ctx.same(ctx.smp().post_all(me, walked), refused, "a chain to an offline CPU")?;
    ctx.check(!all.iter().any(|csd| csd.is_pending()), "nothing was queued")
}
