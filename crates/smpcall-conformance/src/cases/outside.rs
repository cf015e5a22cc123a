//! P3, P4, P9, P10: posters that are no CPU's thread.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{CallError, Csd, Platform, PostError};

pub(super) fn p3_posted_by_a_thread_that_is_no_cpu<R: Rig>(ctx: Ctx<R>) -> Done {
    let (won, ran, done) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    let words = ctx.share(|| [const { Plain::new() }; 2])?;
    let csd = ctx.share(move || {
        Csd::new(move || {
            words[1].write(words[0].read());
            ran.add(1);
        })
    })?;
    let (target, posts) = (ctx.cpus() - 1, ctx.rounds() * 4);
    if ctx.cpu() == 0 {
        let outside = ctx.place(move || {
            ctx.note_same(ctx.smp().platform().current_cpu(), None, "the CPU of a thread that is none");
            for value in 1..=posts {
                words[0].write(value);
                match ctx.smp().post(target, csd) {
                    Ok(()) => _ = won.add(1),
                    other => {
                        ctx.note_same(other, Err(PostError::Busy { cpu: target }), "a post that did not win")
                    }
                }
                ctx.pause(value % 4);
            }
            done.set(1);
        })?;
        if !ctx.rig().outside(outside) {
            return Err(ctx.skip("there are no threads that are no CPU"));
        }
    }
    ctx.until(|| done.get() == 1, "a thread that is no CPU did not finish")?;
    ctx.until(|| ran.get() >= won.get(), "a post was not answered")?;
    ctx.until(|| words[1].read() == posts, "a run did not see the last write before a post")?;
    ctx.barrier()?;
    ctx.same(ran.get(), won.get(), "runs, for as many posts that won")
}

pub(super) fn p4_called_by_a_thread_that_is_no_cpu<R: Rig>(ctx: Ctx<R>) -> Done {
    let done = ctx.share(Count::new)?;
    let cpus = ctx.cpus();
    if ctx.cpu() == 0 {
        let data = ctx.place(Plain::new())?;
        let csd = ctx.csd(move || data.write(data.read() + 1))?;
        let rounds = ctx.rounds();
        let outside = ctx.place(move || {
            for round in 0..rounds {
                let target = round % cpus;
                let mut local = round;
                let got = ctx.smp().call(target, || {
                    local += 1;
                    ctx.cpu()
                });
                ctx.note_same((got, local), (Ok(target), round + 1), "where a call from no CPU ran");
                ctx.note_same(ctx.smp().post(target, csd), Ok(()), "a post from no CPU");
                ctx.note(ctx.wait(csd).is_ok(), "a wait from no CPU");
                ctx.note_same(data.read(), round + 1, "what the run wrote");
            }
            done.set(1);
        })?;
        if !ctx.rig().outside(outside) {
            return Err(ctx.skip("there are no threads that are no CPU"));
        }
    }
    ctx.until(|| done.get() == 1, "a thread that is no CPU did not finish")
}

pub(super) fn p9_posted_from_an_interrupt<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds().min(20) {
        let post = || ctx.note_same(ctx.smp().post(target, csd), Ok(()), "a post from an interrupt");
        if !ctx.interrupt(&post) {
            return Err(ctx.skip("there is no interrupt to post from"));
        }
        ctx.until(|| ran.get() == round, "a post from an interrupt was not answered")?;
    }
    Ok(())
}

pub(super) fn p9_posted_from_an_nmi<R: Rig>(ctx: Ctx<R>) -> Done {
    const SKIP: &str = "there is no NMI to post from";
    let target = ctx.next();
    let ran = ctx.place([const { Count::new() }; 2])?;
    let csd = ctx.csd(move || _ = ran[0].add(1))?;
    let post = move || ctx.note_same(ctx.smp().post(target, csd), Ok(()), "a post from an NMI");
    // One that comes in while a function runs, interrupts off.
    let interrupted = ctx.csd(move || {
        ctx.note(ctx.nmi(&post), "there is an NMI in thread context, but none in a function");
        ran[1].add(1);
    })?;
    for round in 1..=ctx.rounds().min(20) {
        let came = match round % 3 {
            0 => ctx.nmi(&post),
            1 => ctx.irqs_off(|| ctx.nmi(&post)),
            _ => {
                ctx.post(target, interrupted)?;
                true
            }
        };
        if !came {
            return Err(ctx.skip(SKIP));
        }
        ctx.until(|| ran[0].get() == round, "a post from an NMI was not answered")?;
    }
    ctx.wait(interrupted)
}

pub(super) fn p10_waiting_in_an_interrupt_is_refused<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let target = ctx.next();
    let handler = || {
        let refused = ctx.smp().call(target, || ());
        ctx.note_same(refused, Err(CallError::WouldDeadlock), "a call from an interrupt");
    };
    if ctx.interrupt(&handler) { Ok(()) } else { Err(ctx.skip("there is no interrupt to wait in")) }
}
