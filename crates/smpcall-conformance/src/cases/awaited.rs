//! P1, P4, P10, P11: calls that are awaited, and futures that are dropped.

use crate::ctx::{Ctx, Done, Over, Pairs};
use crate::rig::Rig;
use crate::waker::waker;
use crate::words::{Count, Plain};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use smpcall::{AsyncCall, AsyncCallError, AwaitedSlot};

fn poll<F: Future + Unpin>(future: &mut F, wakes: &'static Count) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&waker(wakes)))
}

/// Polls, and serves the queue, until it is ready; says whether it had to be woken.
fn await_it<R: Rig, F: Future + Unpin>(
    ctx: Ctx<R>,
    future: &mut F,
    wakes: &'static Count,
) -> Result<(F::Output, bool), Over> {
    let (mut output, mut pended) = (None, false);
    let done = || match poll(future, wakes) {
        Poll::Ready(ready) => {
            output = Some(ready);
            true
        }
        Poll::Pending => {
            pended = true;
            false
        }
    };
    ctx.until(done, "an awaited call was not answered")?;
    output.map(|output| (output, pended)).ok_or_else(|| ctx.fail("an awaited call", &"has no outcome"))
}

/// The one user of a slot that nobody else knows.
fn user<R: Rig, F, T, X>(
    ctx: Ctx<R>,
    slot: &'static AwaitedSlot<F, T, X>,
) -> Result<AsyncCall<F, T, X>, Over> {
    AsyncCall::of(slot).ok_or_else(|| ctx.fail("a slot of one's own", &"is in use"))
}

pub(super) fn p4_an_awaited_call_gives_back_its_result_and_wakes<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let (slot, wakes, written) =
        (ctx.place(AwaitedSlot::new())?, ctx.place(Count::new())?, ctx.place(Plain::new())?);
    let mut by = user(ctx, slot)?;
    let mut wanted = 0;
    for round in 1..=ctx.rounds() {
        let function = move || {
            ctx.note_same(ctx.cpu(), target, "the CPU that runs it");
            written.write(round);
            round * 2
        };
        let mut call = ctx.smp().call_async_by(&mut by, target, function);
        let (result, pended) = await_it(ctx, &mut call, wakes)?;
        ctx.same(result.ok(), Some(round * 2), "the result of an awaited call")?;
        ctx.same(written.read(), round, "what an awaited call wrote")?;
        wanted += u32::from(pended);
    }
    ctx.until(|| wakes.get() >= wanted, "a task was not woken")?;
    // One of its own, if it found its target looking, and one of the target's.
    ctx.check(wakes.get() <= 2 * wanted, "no task is woken more often than that")
}

pub(super) fn p1_a_future_that_is_dropped_takes_its_call_away<R: Rig>(ctx: Ctx<R>) -> Done {
    let (slot, wakes, runs) =
        (ctx.place(AwaitedSlot::new())?, ctx.place(Count::new())?, ctx.place(Count::new())?);
    let mut by = user(ctx, slot)?;
    let function = || move || runs.add(1);
    let mut target = None;
    ctx.held(Pairs::All, |held| {
        target = Some(held);
        let mut call = ctx.smp().call_async_by(&mut by, held, function());
        let pending = poll(&mut call, wakes).is_pending();
        drop(call);
        ctx.check(pending, "a call to a CPU that does not look is pending")
    })?;
    let Some(target) = target else { return Ok(()) };
    // Its slot is free when the target has let go of it: the next call awaits that.
    let (result, _) = await_it(ctx, &mut ctx.smp().call_async_by(&mut by, target, function()), wakes)?;
    ctx.same(result.ok(), Some(0), "runs before the second call")?;
    ctx.same(runs.get(), 1, "runs of a call that was dropped and one that was not")
}

/// Counts how often it is dropped.
struct Dropped(&'static Count);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add(1);
    }
}

pub(super) fn p11_futures_that_are_dropped_at_any_step_lose_and_leak_nothing<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let (slot, wakes) = (ctx.place(AwaitedSlot::new())?, ctx.place(Count::new())?);
    let [runs, functions, results] = ctx.place([const { Count::new() }; 3])?;
    let mut by = user(ctx, slot)?;
    let function = || {
        let held = Dropped(functions);
        move || {
            drop(held);
            runs.add(1);
            Dropped(results)
        }
    };
    for round in 0..ctx.rounds() {
        let mut call = ctx.smp().call_async_by(&mut by, target, function());
        for step in 0..round % 4 {
            if poll(&mut call, wakes).is_ready() {
                break;
            }
            ctx.pause(round / 4 + step);
        }
    }
    let (last, _) = await_it(ctx, &mut ctx.smp().call_async_by(&mut by, target, function()), wakes)?;
    ctx.check(last.is_ok(), "the last call ran")?;
    drop((last, by));
    ctx.same(functions.get(), ctx.rounds() + 1, "functions that were dropped")?;
    ctx.same(results.get(), runs.get(), "results that were dropped, of as many runs")
}

pub(super) fn p8_an_awaited_call_is_refused_by_a_cpu_that_there_is_not<R: Rig>(ctx: Ctx<R>) -> Done {
    let (slot, wakes) = (ctx.place(AwaitedSlot::new())?, ctx.place(Count::new())?);
    let mut by = user(ctx, slot)?;
    let function = || move || wakes.add(100);
    let refused = poll(&mut ctx.smp().call_async_by(&mut by, u32::MAX, function()), wakes);
    let refused = matches!(refused, Poll::Ready(Err(AsyncCallError::NoSuchCpu)));
    ctx.check(refused, "a call to a CPU that there is not")?;
    let past = ctx.smp().call_async_by(&mut by, ctx.cpu(), function()).before(0);
    let (late, _) = await_it(ctx, &mut { past }, wakes)?;
    ctx.check(matches!(late, Err(AsyncCallError::TimedOut)), "a deadline that has passed")?;
    ctx.same(wakes.get(), 0, "runs and wake-ups of calls that were not sent")
}
