//! P4, P10, P11 of multicasts whose caller has work of its own before it waits.

use super::many::{Shape, Sum, counts, sends};
use super::panics::unwind;
use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{ManyError, Platform, Reached, To};

/// Whom it reached, and the work's result.
fn ended<T>(answer: Result<(Reached, T), ManyError>) -> Result<((u32, u32, u32), T), ManyError> {
    answer.and_then(|(reached, result)| Ok((counts(Ok(reached))?, result)))
}

/// What `ended` is, if all are online.
fn all_of<R: Rig, T>(ctx: Ctx<R>, shape: Shape, result: T) -> Result<((u32, u32, u32), T), ManyError> {
    Ok((shape.reaches(ctx, None)?, result))
}

/// The functions wait until the work is done, and the work until all functions have begun: so the doorbells are sent before it, and
/// the wait comes behind it.
pub(super) fn p10_the_callers_work_is_done_between_the_doorbells_and_the_wait<R: Rig>(ctx: Ctx<R>) -> Done {
    let rans = ctx.share_each(|_| Count::new())?;
    // One reference, since a function that is copied has little room.
    let all = ctx.share(|| ([const { Count::new() }; 3], rans))?;
    let ([now, begun, done], _) = all;
    let others = ctx.cpus() - 1;
    for round in 1..=ctx.rounds().min(20) {
        if ctx.cpu() != 0 {
            let ran = &rans[ctx.cpu() as usize];
            ctx.until_rung(|| ran.get() == round, "nobody rang for a multicast with work")?;
            ctx.barrier()?;
            continue;
        }
        now.set(round);
        let function = move || {
            let ([now, begun, done], rans) = all;
            begun.add(1);
            // What goes wrong is on record.
            let _ = ctx.spin(|| done.get() == now.get(), "the caller waits, and has its work still to do");
            rans[ctx.cpu() as usize].add(1);
        };
        let mut outcome = Ok(());
        let work = || {
            outcome = ctx.spin(|| begun.get() == round * others, "the work is done, and nobody was rung");
            done.set(round);
            ctx.smp().platform().can_wait()
        };
        let answer = match round % 2 {
            0 => ctx.smp().call_many_meanwhile(To::Others, function, work),
            _ => ctx.smp().call_many_copied_meanwhile(To::Others, function, work),
        };
        ctx.same(
            ended(answer),
            all_of(ctx, Shape::Others, true),
            "whom it reached, and whether the work may wait",
        )?;
        outcome?;
        ctx.check(rans[1..].iter().all(|ran| ran.get() == round), "all have run when it has returned")?;
        ctx.barrier()?;
    }
    Ok(())
}

/// All at once, and each works in between, by calls of every kind: none has to wait for a slot that another one keeps.
pub(super) fn p10_the_callers_work_may_itself_wait<R: Rig>(ctx: Ctx<R>) -> Done {
    let (sum, inner) = (Sum::new(ctx)?, Sum::new(ctx)?);
    if !sends(ctx) {
        return ctx.barrier();
    }
    for round in 1..=ctx.rounds().min(6) {
        sum.begin(round);
        inner.begin(round);
        let work = || {
            let called = ctx.smp().call(ctx.next(), || 7);
            let nested = ctx.smp().call_many_meanwhile(To::All, || inner.add(ctx), || round);
            (called, ended(nested))
        };
        let answer = ended(ctx.smp().call_many_meanwhile(To::All, || sum.add(ctx), work));
        let want = (Ok(7), all_of(ctx, Shape::All, round));
        ctx.same(answer, all_of(ctx, Shape::All, want), "whom it reached, and what the work came to")?;
        sum.check(ctx, |_| true)?;
        inner.check(ctx, |_| true)?;
    }
    ctx.barrier()
}

pub(super) fn p10_no_work_is_done_for_a_multicast_that_is_refused<R: Rig>(ctx: Ctx<R>) -> Done {
    let refused = || {
        let run = move || ctx.note(false, "a refused multicast does not run, nor its caller's work");
        let answers = [
            ctx.smp().call_many_meanwhile(To::All, run, run),
            ctx.smp().call_many_copied_meanwhile(To::Others, run, run),
        ];
        for answer in answers {
            ctx.note_same(answer, Err(ManyError::WouldDeadlock), "a multicast that waits");
        }
    };
    ctx.irqs_off(refused);
    ctx.call(ctx.cpu(), refused)
}

pub(super) fn p11_the_callers_work_that_panics_waits_for_who_borrows<R: Rig>(ctx: Ctx<R>) -> Done {
    let unwind = unwind(ctx)?;
    let sum = Sum::new(ctx)?;
    if !sends(ctx) {
        return ctx.barrier();
    }
    for round in 1..=ctx.rounds().min(4) {
        sum.begin(round);
        let function = || {
            sum.add(ctx);
            if round % 2 == 0 && ctx.cpu() == ctx.cpus() - 1 {
                unwind()
            }
        };
        let call = || ctx.smp().call_many_meanwhile(To::All, function, || unwind());
        ctx.check(R::Platform::catch(call).is_err(), "a panic of the caller's work comes back")?;
        sum.check(ctx, |_| true)?;
        let called = ctx.smp().call_many(To::All, || ());
        ctx.same(counts(called), Shape::All.reaches(ctx, None), "whom the next one reaches")?;
    }
    ctx.barrier()
}
