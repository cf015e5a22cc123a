//! P4 to P11 of multicasts and kicks: where they are allowed, who is offline, who panics.

use super::hotplug::{come_online, go_offline, while_it_comes_and_goes};
use super::many::{SENDERS, SHAPES, Set, Shape, Sum, counts, post, sends};
use super::panics::unwind;
use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{CallError, ManyError, Platform, Posted, Reached, To};

/// Each multicast that waits is refused, and runs nowhere.
fn is_refused<R: Rig>(ctx: Ctx<R>) {
    let refused = |reached: Result<Reached, ManyError>, what| {
        ctx.note_same(reached, Err(ManyError::WouldDeadlock), what);
    };
    let run = || ctx.note(false, "a refused multicast does not run");
    refused(ctx.smp().call_many(To::All, run), "a multicast that waits");
    refused(ctx.smp().call_many(To::Mask(&Set::new()), run), "one that would wait for nobody");
    refused(ctx.smp().call_many_idle(To::Others, &mut Set::new(), run), "a best-effort multicast");
    refused(ctx.smp().kick_all_cpus_sync(), "a kick that waits");
}

pub(super) fn p4_a_kick_waits_for_who_has_interrupts_off<R: Rig>(ctx: Ctx<R>) -> Done {
    let (held, word) = (ctx.share(Count::new)?, ctx.share(Plain::new)?);
    for round in 1..=ctx.rounds().min(20) {
        match ctx.cpu() {
            1 => ctx.irqs_off(|| {
                held.set(round);
                ctx.pause(round);
                word.write(round);
            }),
            0 => {
                if ctx.cpus() > 1 {
                    ctx.until(|| held.get() == round, "CPU 1 did not come")?;
                }
                let kicked = counts(ctx.smp().kick_all_cpus_sync());
                ctx.same(kicked, Shape::Others.reaches(ctx, None), "whom a kick reaches")?;
                let want = if ctx.cpus() > 1 { round } else { 0 };
                ctx.same(
                    word.read(),
                    want,
                    "what was written with interrupts off, before the kick was through",
                )?;
            }
            _ => {}
        }
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p7_a_wake_up_rings_who_rests<R: Rig>(ctx: Ctx<R>) -> Done {
    let smp = ctx.smp();
    let csd = ctx.csd(|| ())?;
    ctx.held(Pairs::First, |target| {
        let mask: Set = [target, smp.cpus_len()].into_iter().collect();
        ctx.check(!smp.is_pending_racy(&mask), "nothing was posted yet")?;
        let before = ctx.rig().rings();
        let rung = smp.wake_idle_cpus();
        if let (Some(before), Some(after)) = (before, ctx.rig().rings()) {
            ctx.same(after.wrapping_sub(before), rung.into(), "doorbells sent")?;
        }
        // It holds its queue, and rests; the caller's own is left out.
        ctx.check(rung >= u32::from(target != ctx.cpu()), "who rests is rung")?;
        ctx.check(rung < ctx.cpus(), "who is offline, or the caller, is not")?;
        ctx.post(target, csd)?;
        ctx.check(smp.is_pending_racy(&mask), "a post is pending")?;
        ctx.check(!smp.is_pending_racy(&Set::new()), "nothing is pending for nobody")
    })?;
    ctx.wait(csd)?;
    ctx.barrier()?;
    let all: Set = (0..ctx.cpus()).collect();
    // A wake that a wait has asked for may be queued when that is over.
    ctx.until(|| !smp.is_pending_racy(&all), "everything has run")?;
    ctx.barrier()
}

pub(super) fn p8_many_leave_out_who_is_offline_and_count_it<R: Rig>(ctx: Ctx<R>) -> Done {
    let (gone, tried) = (ctx.share(Count::new)?, ctx.share(Count::new)?);
    // One of those who send, since one who is offline may.
    let (me, goer) = (ctx.cpu(), ctx.cpus().min(SENDERS) - 1);
    if me == goer {
        go_offline(ctx)?;
        gone.set(1);
    }
    ctx.until(|| gone.get() == 1, "a CPU did not go offline")?;
    let sum = Sum::new(ctx)?;
    for shape in SHAPES.into_iter().filter(|_| sends(ctx)) {
        let want = shape.reaches(ctx, Some(goer));
        let means = |cpu| cpu != goer && shape.means(ctx, me, cpu);
        sum.begin(1);
        let called = shape.send(ctx, |to| ctx.smp().call_many(to, || sum.add(ctx)));
        ctx.same(counts(called), want, "whom a multicast reaches")?;
        sum.check(ctx, means)?;
        sum.begin(2);
        post(ctx, shape, Some(goer), move || sum.add(ctx))?;
        let meant = want.map_or(0, |(ran, ..)| ran);
        ctx.until(|| sum.ran.get() >= meant, "a multicast was not answered")?;
        sum.check(ctx, means)?;
    }
    let only: Set = [goer].into_iter().collect();
    ctx.same(ctx.smp().call_nearest(&only, || ()), Err(CallError::Offline), "the nearest is offline")?;
    tried.add(1);
    if me == goer {
        ctx.until(|| tried.get() == ctx.cpus(), "a CPU did not try")?;
        come_online(ctx)?;
        ctx.idle_once();
    }
    Ok(())
}

pub(super) fn p8_many_to_a_cpu_that_comes_and_goes_are_counted<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (stop, accepted, ran) = (ctx.share(Count::new)?, ctx.share(Count::new)?, ctx.share(Count::new)?);
    let mut waits = false;
    while_it_comes_and_goes(ctx, stop, |goer| {
        let mask: Set = [goer].into_iter().collect();
        let run = move || _ = ran.add(1);
        waits = !waits;
        let reached = match waits {
            true => ctx.smp().call_many(To::Mask(&mask), run),
            false => ctx.smp().post_many(To::Mask(&mask), run),
        };
        match counts(reached) {
            Ok((ran, offline, 0)) => {
                accepted.add(ran);
                ctx.same(ran + offline, 1, "it ran, or was offline")
            }
            other => ctx.same((other, waits), (Err(ManyError::Full), false), "why a multicast was refused"),
        }
    })?;
    ctx.barrier()?;
    ctx.until(|| ran.get() >= accepted.get(), "a multicast that was accepted did not run")?;
    ctx.barrier()?;
    ctx.same(ran.get(), accepted.get(), "runs, for as many as were accepted")
}

pub(super) fn p9_many_are_posted_with_interrupts_off<R: Rig>(ctx: Ctx<R>) -> Done {
    let sum = Sum::new(ctx)?;
    if !sends(ctx) {
        return ctx.barrier();
    }
    for round in 1..=ctx.rounds().min(8) {
        sum.begin(round);
        // As many as there are slots may be in flight already.
        let mut posted = Err(ManyError::Full);
        let post = || {
            posted = ctx.irqs_off(|| {
                is_refused(ctx);
                counts(ctx.smp().post_many(To::All, move || sum.add(ctx)))
            });
            posted != Err(ManyError::Full)
        };
        ctx.until(post, "no multicast in flight came to its end")?;
        ctx.same(posted, Shape::All.reaches(ctx, None), "whom a multicast reaches")?;
        ctx.until(|| sum.ran.get() == ctx.cpus(), "a multicast with interrupts off was not answered")?;
        sum.check(ctx, |_| true)?;
    }
    ctx.barrier()
}

pub(super) fn p9_many_are_posted_from_an_nmi<R: Rig>(ctx: Ctx<R>) -> Done {
    let sum = Sum::new(ctx)?;
    if !sends(ctx) {
        return ctx.barrier();
    }
    let me = ctx.cpu();
    let accepted = ctx.place(Count::new())?;
    let post = move || {
        let next = [ctx.next()].into_iter().collect::<Set>();
        match counts(ctx.smp().post_many(To::Mask(&next), move || sum.add(ctx))) {
            Ok(reached) => {
                ctx.note_same(reached, (1, 0, 0), "whom a multicast from an NMI reaches");
                accepted.add(1);
            }
            busy => ctx.note_same(busy, Err(ManyError::Full), "why a multicast from an NMI was refused"),
        }
    };
    // One that comes in while a multicast's function runs, on the way in to the slots.
    let interrupted = move || ctx.note(ctx.nmi(&post), "there is an NMI in thread context, but none here");
    for round in 1..=ctx.rounds().min(20) {
        sum.begin(round);
        accepted.set(0);
        let mut came = true;
        let try_it = || {
            came = match round % 3 {
                0 => ctx.nmi(&post),
                1 => ctx.irqs_off(|| ctx.nmi(&post)),
                _ => ctx.smp().call(me, interrupted).is_ok(),
            };
            !came || accepted.get() == 1
        };
        ctx.until(try_it, "no multicast in flight came to its end")?;
        if !came {
            return Err(ctx.skip("there is no NMI to post from"));
        }
        ctx.until(|| sum.ran.get() == 1, "a multicast from an NMI was not answered")?;
        sum.check(ctx, |cpu| Shape::Next.means(ctx, me, cpu))?;
    }
    ctx.barrier()
}

pub(super) fn p10_many_from_a_function_are_posted_and_not_called<R: Rig>(ctx: Ctx<R>) -> Done {
    let done = ctx.share(Count::new)?;
    // One at a time, so that there is a slot.
    if ctx.cpu() != 0 {
        return ctx.until(|| done.get() == 1, "CPU 0 did not finish");
    }
    let sum = Sum::new(ctx)?;
    sum.begin(3);
    let csd = ctx.csd(move || {
        is_refused(ctx);
        let posted = counts(ctx.smp().post_many(To::All, move || sum.add(ctx)));
        ctx.note_same(posted, Shape::All.reaches(ctx, None), "whom a multicast from a function reaches");
    })?;
    ctx.post(ctx.next(), csd)?;
    ctx.until(|| sum.ran.get() == ctx.cpus(), "a multicast from a function was not answered")?;
    sum.check(ctx, |_| true)?;
    // A multicast's function is in call context as well.
    let called = ctx.smp().call_many(To::All, || is_refused(ctx));
    ctx.same(counts(called), Shape::All.reaches(ctx, None), "whom a multicast reaches")?;
    done.set(1);
    Ok(())
}

pub(super) fn p10_many_a_second_starts_while_the_first_is_in_flight<R: Rig>(ctx: Ctx<R>) -> Done {
    let (first, second) = (Sum::new(ctx)?, Sum::new(ctx)?);
    let (me, mut want) = (ctx.cpu(), 0);
    ctx.held(Pairs::First, |target| {
        want = 1;
        first.begin(1);
        second.begin(2);
        let to_target = Shape::Next.send(ctx, |to| ctx.smp().post_many(to, move || first.add(ctx)));
        ctx.same(counts(to_target), Ok((1, 0, 0)), "whom the first reaches")?;
        let in_flight = u32::from(target == me);
        ctx.same(first.ran.get(), in_flight, "runs of the first, whose target holds its queue")?;
        let to_all = ctx.smp().post_many(To::All, move || second.add(ctx));
        ctx.same(counts(to_all), Shape::All.reaches(ctx, None), "whom the second reaches")
    })?;
    ctx.until(|| first.ran.get() == want, "the first was not answered")?;
    ctx.until(|| second.ran.get() == want * ctx.cpus(), "the second was not answered")?;
    first.check(ctx, |cpu| Shape::Next.means(ctx, me, cpu))?;
    second.check(ctx, |_| true)
}

/// Two that call each other's CPU, as it were: the target of one makes its caller call many in its turn.
pub(super) fn p10_many_a_waiting_caller_serves_its_queue<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let done = ctx.share(Count::new)?;
    if ctx.cpu() != 0 {
        return ctx.until(|| done.get() == 1, "CPU 0 did not finish");
    }
    let (outer, inner) = (Sum::new(ctx)?, Sum::new(ctx)?);
    let served = ctx.place(Count::new())?;
    for round in 1..=ctx.rounds().min(8) {
        outer.begin(round);
        inner.begin(round);
        served.set(0);
        let csd = ctx.csd(move || {
            let posted = counts(ctx.smp().post_many(To::Others, move || inner.add(ctx)));
            ctx.note_same(posted, Shape::Others.reaches(ctx, None), "whom the second reaches");
            served.set(1);
        })?;
        let called = ctx.smp().call_many(To::Others, || {
            if ctx.cpu() == 1 {
                ctx.note_same(
                    ctx.smp().post(0, csd),
                    Ok(Posted::Queued),
                    "a post from a multicast's function",
                );
                let _ = ctx.spin(|| served.get() == 1, "a waiting caller did not serve its queue");
            }
            outer.add(ctx);
        });
        ctx.same(counts(called), Shape::Others.reaches(ctx, None), "whom the first reaches")?;
        outer.check(ctx, |cpu| cpu != 0)?;
        ctx.until(|| inner.ran.get() == ctx.cpus() - 1, "the second was not answered")?;
        inner.check(ctx, |cpu| cpu != 0)?;
    }
    done.set(1);
    Ok(())
}

pub(super) fn p11_many_a_panic_comes_back_when_all_have_run<R: Rig>(ctx: Ctx<R>) -> Done {
    let unwind = unwind(ctx)?;
    let (sum, bad) = (Sum::new(ctx)?, ctx.next());
    if !sends(ctx) {
        return ctx.barrier();
    }
    for round in 1..=ctx.rounds().min(4) {
        sum.begin(round);
        let panics = || {
            sum.add(ctx);
            if ctx.cpu() == bad || round % 2 == 0 {
                unwind()
            }
        };
        let came_back = R::Platform::catch(|| ctx.smp().call_many(To::All, panics)).is_err();
        ctx.check(came_back, "a panic comes back to the caller of many")?;
        sum.check(ctx, |_| true)?;
        let called = ctx.smp().call_many(To::All, || ());
        ctx.same(counts(called), Shape::All.reaches(ctx, None), "whom the next one reaches")?;
    }
    ctx.barrier()
}

pub(super) fn p11_many_a_panic_that_nobody_waits_for_stops_nobody<R: Rig>(ctx: Ctx<R>) -> Done {
    let unwind = unwind(ctx)?;
    let (sum, more) = (Sum::new(ctx)?, ctx.cpus() - 1);
    if !sends(ctx) {
        return ctx.barrier();
    }
    let bad = ctx.place((sum, unwind))?;
    for round in 1..=ctx.rounds().min(4) {
        sum.begin(round);
        post(ctx, Shape::Others, None, move || {
            bad.0.add(ctx);
            (bad.1)()
        })?;
        let called = ctx.smp().call_many(To::All, || ());
        ctx.same(counts(called), Shape::All.reaches(ctx, None), "whom the next one reaches")?;
        ctx.same(sum.ran.get(), more, "runs that panicked, before the next one's")?;
        sum.check(ctx, |cpu| cpu != ctx.cpu())?;
    }
    ctx.barrier()
}

/// A condition is asked a word at a time, so on a large machine some are reached before it panics.
pub(super) fn p11_many_a_condition_that_panics_loses_nothing<R: Rig>(ctx: Ctx<R>) -> Done {
    let unwind = unwind(ctx)?;
    let done = ctx.share(Count::new)?;
    if ctx.cpu() != 0 {
        return ctx.until(|| done.get() == 1, "CPU 0 did not finish");
    }
    let sum = Sum::new(ctx)?;
    let last = ctx.cpus() - 1;
    let reached = |cpu| cpu != 0 && cpu < last / usize::BITS * usize::BITS;
    let many = (0..ctx.cpus()).filter(|cpu| reached(*cpu)).count() as u32;
    // More often than there are slots, so that one that is lost is missed.
    for waits in (0..3 * usize::BITS).map(|round| round % 2 == 0) {
        sum.begin(1);
        let mut condition = |cpu| if cpu == last { unwind() } else { true };
        let panicked = R::Platform::catch(|| match waits {
            true => ctx.smp().call_many(To::If(&mut condition), || sum.add(ctx)),
            false => ctx.smp().post_many(To::If(&mut condition), move || sum.add(ctx)),
        });
        ctx.check(panicked.is_err(), "a condition's panic comes out")?;
        if waits {
            ctx.same(sum.ran.get(), many, "runs, by the time that the panic comes out of a waiting one")?;
        }
        ctx.until(|| sum.ran.get() >= many, "a CPU that was reached before the panic does not run")?;
        sum.check(ctx, reached)?;
    }
    ctx.check(ctx.smp().platform().can_wait(), "interrupts are on again")?;
    let called = ctx.smp().call_many(To::All, || ());
    ctx.same(counts(called), Shape::All.reaches(ctx, None), "whom the next one reaches")?;
    done.set(1);
    Ok(())
}
