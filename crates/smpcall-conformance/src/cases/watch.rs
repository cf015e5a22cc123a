//! P10: what a CPU does can be seen from outside, and one that does not come forward is found, whether or not anybody waits.

use crate::ctx::{Ctx, Done, Pairs};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::Watch;

/// Short, since the CPU that is looked for holds still for as long as it takes.
const TIMEOUT_NS: u64 = 100_000;

pub(super) fn p10_what_runs_is_seen_from_outside<R: Rig>(ctx: Ctx<R>) -> Done {
    let [seen, ran] = ctx.place([const { Count::new() }; 2])?;
    let csd = ctx.csd(move || {
        ctx.note(ctx.smp().running_racy(ctx.cpu()).is_some(), "a function that runs is seen on its own CPU");
        let alone = ctx.next() == ctx.cpu();
        // What it comes to is on record.
        let _ = ctx.spin(|| alone || seen.get() == 1, "a function that runs was not seen from outside");
        ran.add(1);
    })?;
    let target = ctx.next();
    if ctx.is_poster() {
        ctx.post(target, csd)?;
        if target != ctx.cpu() {
            ctx.until(|| ctx.smp().running_racy(target).is_some(), "a CPU runs nothing that could be seen")?;
            seen.set(1);
        }
        ctx.until(|| ran.get() == 1, "a post was not answered")?;
    }
    ctx.barrier()?;
    let quiet = || ctx.smp().running_racy(target).is_none();
    ctx.until(quiet, "a function that has returned is still seen")?;
    ctx.check(ctx.smp().running_racy(u32::MAX).is_none(), "a CPU that there is not runs nothing")
}

pub(super) fn p10_the_watchdog_finds_a_cpu_that_does_not_look<R: Rig>(ctx: Ctx<R>) -> Done {
    if ctx.rig().patience_ns() == 0 {
        return Err(ctx.skip("there is no clock"));
    }
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || _ = ran.add(1))?;
    // The first pair is CPUs 0 and 1.
    let mut notes = [Watch::new(); 2];
    let mut posted = 0;
    ctx.held(Pairs::First, |target| {
        ctx.same(ctx.smp().watchdog(0, &mut notes), 0, "a time-out of 0 is off")?;
        posted = 1;
        ctx.post(target, csd)?;
        let found = || ctx.smp().watchdog(TIMEOUT_NS, &mut notes) == 1;
        ctx.spin(found, "the watchdog did not find a CPU that does not look")?;
        ctx.check(csd.is_pending(), "the run is still to come")
    })?;
    ctx.until(|| ran.get() == posted, "a run that came late did not come after all")?;
    if posted == 1 {
        let over = || ctx.smp().watchdog(u64::MAX, &mut notes) == 0;
        ctx.until(over, "the watchdog did not see that the CPU came forward")?;
    }
    ctx.barrier()
}
