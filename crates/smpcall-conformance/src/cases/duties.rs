//! The duties of a port, each by itself and before anything rests on them: a port that breaks one is told which. They are
//! numbered in [`Platform`]'s safety list; what cannot be seen from here is said there.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::Count;
use core::cell::Cell;
use core::mem;
use smpcall::Platform;

pub(super) fn p1_duty1_a_cpu_knows_its_number_in_every_context<R: Rig>(ctx: Ctx<R>) -> Done {
    let me = ctx.cpu();
    let came = ctx.share_each(|_| Count::new())?;
    if let Some(came) = came.get(me as usize) {
        came.add(1);
    }
    ctx.barrier()?;
    ctx.check(came.iter().all(|came| came.get() == 1), "each CPU's thread has a number of its own")?;
    ctx.same(ctx.irqs_off(|| ctx.cpu()), me, "the number of a CPU with interrupts off")?;
    let look = || ctx.note_same(ctx.cpu(), me, "the number of a CPU in a handler");
    // Without an interrupt or an NMI there is no such context.
    let _ = ctx.interrupt(&look);
    let _ = ctx.nmi(&look);
    ctx.barrier()?;
    ctx.same(ctx.call(ctx.next(), || ctx.cpu())?, ctx.next(), "the number of a CPU in a function")
}

pub(super) fn p1_duty1_a_thread_that_is_no_cpu_has_no_number<R: Rig>(ctx: Ctx<R>) -> Done {
    let done = ctx.share(Count::new)?;
    if ctx.cpu() == 0 {
        let outside = ctx.place(move || {
            let platform = ctx.smp().platform();
            ctx.note_same(platform.current_cpu(), None, "the number of a thread that is no CPU");
            let off = ctx.irqs_off(|| platform.current_cpu());
            ctx.note_same(off, None, "the number of a thread that is no CPU, interrupts off");
            done.set(1);
        })?;
        if !ctx.rig().outside(outside) {
            return Err(ctx.skip("there are no threads that are no CPU"));
        }
    }
    ctx.until(|| done.get() == 1, "a thread that is no CPU did not finish")
}

pub(super) fn p10_can_wait_knows_of_interrupts<R: Rig>(ctx: Ctx<R>) -> Done {
    let platform = ctx.smp().platform();
    ctx.check(platform.can_wait(), "a CPU's thread may wait while interrupts are on")?;
    ctx.check(!ctx.irqs_off(|| platform.can_wait()), "it may not while they are off")?;
    let nested = ctx.irqs_off(|| {
        ctx.irqs_off(|| ());
        platform.can_wait()
    });
    ctx.check(!nested, "it may not until the first irq_save is undone")?;
    let _ = ctx.interrupt(&|| ctx.note(!platform.can_wait(), "an interrupt's handler may not wait"));
    ctx.check(platform.can_wait(), "a CPU's thread may wait when interrupts are on again")
}

pub(super) fn p9_duty2_interrupts_stay_off_until_the_last_restore<R: Rig>(ctx: Ctx<R>) -> Done {
    let (me, platform) = (ctx.cpu(), ctx.smp().platform());
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    for round in 1..=ctx.rounds().min(10) {
        let outer = platform.irq_save();
        let inner = platform.irq_save();
        // To its own queue: the doorbell waits until it may interrupt.
        let posted = ctx.post(me, csd);
        ctx.pause(10);
        let by_then = ran.get();
        platform.irq_restore(inner);
        ctx.pause(10);
        let after = ran.get();
        platform.irq_restore(outer);
        posted?;
        ctx.same(by_then, round - 1, "runs before, and while interrupts are off")?;
        ctx.same(after, round - 1, "runs before, and while the first irq_save is not undone")?;
        ctx.until(|| ran.get() == round, "a doorbell that came with interrupts off was lost")?;
    }
    Ok(())
}

/// The target takes none of them until all have come; then it sleeps without a look.
pub(super) fn p7_duty3_rings_that_merge_are_not_lost<R: Rig>(ctx: Ctx<R>) -> Done {
    let rans = ctx.share_each(|_| Count::new())?;
    let me = ctx.cpu();
    let ran = &rans[(me & !1) as usize];
    let csd = ctx.csd(move || _ = ran.add(1))?;
    let ring = |cpu| _ = ctx.irqs_off(|| ctx.smp().platform().ring(cpu));
    for round in 0..ctx.rounds().min(9) {
        let (before, after) = (round % 3, round / 3);
        ctx.held(Pairs::All, |target| {
            (0..before).for_each(|_| ring(target));
            ctx.post(target, csd)?;
            (0..after).for_each(|_| ring(target));
            Ok(())
        })?;
        let answered = || ran.get() == round + 1;
        if ctx.is_poster() && me ^ 1 < ctx.cpus() {
            ctx.until(answered, "rings that merged were lost")?;
        } else {
            ctx.until_rung_at_rest(answered, "rings that merged were lost")?;
        }
    }
    ctx.barrier()
}

/// Says so if it is dropped.
struct Unwound<R: Rig>(Ctx<R>);

impl<R: Rig> Drop for Unwound<R> {
    fn drop(&mut self) {
        self.0.note(false, "catch unwinds");
    }
}

/// CPU 0 comes last: if `catch` unwinds, that ends the suite where it does, and CPU 0 is the one that reports it.
pub(super) fn p11_duty4_catch_calls_once_and_does_not_unwind<R: Rig>(ctx: Ctx<R>) -> Done {
    let caught = ctx.irqs_off(|| {
        let calls = Cell::new(0);
        let result = R::Platform::catch(|| {
            calls.set(calls.get() + 1);
            7
        });
        (result.ok(), calls.get())
    });
    ctx.same(caught, (Some(7), 1), "what catch came to, and how often it called its function")?;
    ctx.barrier()?;
    let Some(unwind) = ctx.rig().unwind() else { return Ok(()) };
    if ctx.cpu() == 0 {
        // Its turn is when the others are through.
        ctx.barrier()?;
    }
    let unwound = Unwound(ctx);
    let caught = ctx.irqs_off(|| R::Platform::catch(|| unwind()));
    let resumed = caught.map_err(|panic| R::Platform::catch(|| R::Platform::resume(panic)).is_err());
    mem::forget(unwound);
    let Err(resumed) = resumed;
    ctx.check(resumed, "a panic that is resumed is a panic")?;
    if ctx.cpu() == 0 { Ok(()) } else { ctx.barrier() }
}

/// Every CPU for itself: a thread's waits are all that the core measures.
pub(super) fn p10_the_clock_does_not_step_back<R: Rig>(ctx: Ctx<R>) -> Done {
    const READINGS: u32 = 200;
    // A clock may be as coarse as a tick.
    const LOOKS_MAX: u32 = 200_000;
    if ctx.rig().patience_ns() == 0 {
        return Err(ctx.skip("there is no clock"));
    }
    let now_ns = || ctx.smp().platform().now_ns();
    let goes_on = || {
        let mut last_ns = now_ns();
        (0..READINGS).all(|_| mem::replace(&mut last_ns, now_ns()) <= last_ns)
    };
    let began_ns = now_ns();
    ctx.check(goes_on(), "a clock does not step back")?;
    ctx.check(ctx.irqs_off(goes_on), "a clock does not step back with interrupts off")?;
    ctx.check(now_ns() >= began_ns, "nor over them")?;
    let moved = (0..LOOKS_MAX).any(|_| {
        ctx.pause(1);
        now_ns() > began_ns
    });
    ctx.check(moved, "a clock moves")?;
    ctx.barrier()?;
    ctx.check(ctx.call(ctx.next(), goes_on)?, "a clock does not step back in a function")
}
