//! P4, P10, P11: waiting calls.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{CallError, Posted};

pub(super) fn p4_a_call_borrows_and_gives_back_a_result<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let mut local = [1_u32, 2, 0];
    for round in 1..=ctx.rounds() {
        let got = ctx.call(target, || {
            local[2] += round;
            (ctx.cpu(), local.iter().sum::<u32>())
        })?;
        let sum = round * (round + 1) / 2;
        ctx.same(local, [1, 2, sum], "what a call changed on its caller's stack")?;
        ctx.same(got, (target, 3 + sum), "where it ran, and its result")?;
    }
    Ok(())
}

pub(super) fn p4_results_of_every_size<R: Rig>(ctx: Ctx<R>) -> Done {
    /// Wider than a line, and more strictly aligned than the frame itself.
    #[derive(Clone, Copy, PartialEq, Debug)]
    #[repr(align(128))]
    struct Wide([u32; 64]);
    let target = ctx.next();
    ctx.same(ctx.call(target, || ())?, (), "nothing")?;
    ctx.same(ctx.call(target, || 7_u8)?, 7, "a byte")?;
    ctx.same(ctx.call(target, || [1_u64, 2, 3])?, [1, 2, 3], "three words")?;
    ctx.same(ctx.call(target, || Err::<u32, &str>("no"))?, Err("no"), "an error of the function's own")?;
    let wide = Wide(core::array::from_fn(|at| at as u32 * 3));
    let got = ctx.call(target, move || (core::ptr::from_ref(&wide).addr() % 128, wide))?;
    ctx.same(got.0, 0, "how far a wide closure is from its alignment")?;
    ctx.check(got.1 == wide, "a wide result comes back whole")
}

pub(super) fn p4_what_a_call_wrote_is_visible<R: Rig>(ctx: Ctx<R>) -> Done {
    let target = ctx.next();
    let data = ctx.place([const { Plain::new() }; 8])?;
    for round in 1..=ctx.rounds() {
        data.iter().for_each(|word| word.write(round));
        let seen = ctx.call(target, || {
            let seen = data.iter().all(|word| word.read() == round);
            data.iter().for_each(|word| word.write(round + 1_000_000));
            seen
        })?;
        ctx.check(seen, "a call sees what its caller wrote")?;
        let back = data.iter().all(|word| word.read() == round + 1_000_000);
        ctx.check(back, "a caller sees what its call wrote")?;
    }
    Ok(())
}

pub(super) fn p4_calls_of_all_to_all<R: Rig>(ctx: Ctx<R>) -> Done {
    let cpus = ctx.cpus();
    let calls = ctx.share_each(|_| Count::new())?;
    let others = (cpus - 1).min(16);
    for step in 0..others {
        let target = (ctx.cpu() + 1 + step) % cpus;
        let ran_on = ctx.call(target, || {
            calls[target as usize].add(1);
            ctx.cpu()
        })?;
        ctx.same(ran_on, target, "where a call ran")?;
    }
    ctx.barrier()?;
    ctx.same(calls[ctx.cpu() as usize].get(), others, "calls that this CPU answered")
}

pub(super) fn p10_two_cpus_call_each_other<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let other = ctx.cpu() ^ 1;
    if other >= ctx.cpus() {
        return Ok(());
    }
    for round in 0..ctx.rounds() {
        ctx.same(ctx.call(other, move || round)?, round, "the result of one of two crossed calls")?;
    }
    Ok(())
}

pub(super) fn p10_calls_in_a_ring<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (me, target) = (ctx.cpu(), ctx.next());
    for round in 0..ctx.rounds().min(20) {
        // All at once, so that each waits for the next, all round the ring.
        ctx.barrier()?;
        let got = ctx.call(target, move || (me, round, ctx.cpu()))?;
        ctx.same(got, (me, round, target), "the result of a call in the ring")?;
    }
    Ok(())
}

pub(super) fn p10_a_waiting_caller_serves_its_queue<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let (me, target) = (ctx.cpu(), ctx.next());
    // One half calls and the other answers: whoever waits in a function serves nothing.
    for half in 0..2 {
        let ran = ctx.place(Count::new())?;
        let csd = ctx.csd(move || _ = ran.add(1))?;
        ctx.barrier()?;
        if me % 2 != half || target % 2 == half {
            continue;
        }
        let served = ctx.call(target, || {
            ctx.smp().post(me, csd).is_ok_and(Posted::is_queued)
                && ctx.spin(|| ran.get() == 1, "a waiting caller did not serve its queue").is_ok()
        })?;
        ctx.check(served, "a post to a waiting caller runs while it waits")?;
    }
    Ok(())
}

/// Counts how often it is dropped.
pub(super) struct Dropped(pub(super) &'static Count);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add(1);
    }
}

pub(super) fn p11_what_a_call_holds_is_dropped_once<R: Rig>(ctx: Ctx<R>) -> Done {
    let (held, result) = (ctx.place(Count::new())?, ctx.place(Count::new())?);
    for round in 1..=5 {
        let (closure, back) = (Dropped(held), Dropped(result));
        let back = ctx.call(ctx.next(), move || {
            let _moved_in = closure;
            back
        })?;
        ctx.same((held.get(), result.get()), (round, round - 1), "drops of what it held, and of its result")?;
        drop(back);
        ctx.same(result.get(), round, "drops of its result by the caller")?;
    }
    Ok(())
}

pub(super) fn p11_a_refused_call_drops_its_function<R: Rig>(ctx: Ctx<R>) -> Done {
    let dropped = ctx.place(Count::new())?;
    let refused = |cpu: u32| {
        let held = Dropped(dropped);
        ctx.smp().call(cpu, move || {
            let _held = &held;
            ctx.note(false, "a refused call does not run");
        })
    };
    ctx.same(refused(u32::MAX), Err(CallError::NoSuchCpu), "a call to no CPU")?;
    ctx.same(dropped.get(), 1, "drops of a refused function")?;
    if ctx.cpus() > 1 {
        let other = ctx.next();
        ctx.same(ctx.irqs_off(|| refused(other)), Err(CallError::WouldDeadlock), "with interrupts off")?;
        ctx.same(dropped.get(), 2, "drops of a refused function")?;
    }
    ctx.barrier()
}
