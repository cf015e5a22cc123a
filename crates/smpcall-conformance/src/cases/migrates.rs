//! P15: a waiter that is moved from one CPU to another.

use super::hotplug::{come_online, go_offline};
use crate::ctx::{Ctx, Done, Over};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use smpcall::{Csd, Posted, To};

/// What the CPUs of a case and the thread that is moved tell one another.
#[derive(Default)]
struct Turn {
    number: Count,
    /// How far the CPU is that does not answer.
    held: Count,
    done: Count,
    /// What a function has written, for the caller.
    written: Plain,
    /// How many CPUs have run a function of the turn's.
    ran: Count,
}

/// Has `f` called by a thread on `from` that is moved to `to` while it waits.
fn moved<R: Rig>(ctx: Ctx<R>, from: u32, to: u32, f: &'static (dyn Fn() + Sync)) -> Done {
    if ctx.rig().migrates(from, to, f) { Ok(()) } else { Err(ctx.skip("no thread migrates here")) }
}

/// Each way to wait, each time from another CPU: to where it is moved, or, where there are three, to a third. The target does not
/// answer before the caller has been moved.
pub(super) fn p15_a_waiter_that_is_moved_comes_back_with_its_result<R: Rig>(ctx: Ctx<R>) -> Done {
    const WAYS: u32 = 4;
    ctx.needs_two()?;
    let turn = ctx.share(Turn::default)?;
    let csd = ctx.share(|| Csd::new(move || _ = runs(ctx, turn)))?;
    for number in 1..=ctx.rounds().clamp(2 * WAYS, 24) {
        let (from, to) = (number % ctx.cpus(), (number + 1) % ctx.cpus());
        let target =
            if (number / WAYS) % 2 == 0 { to } else { (number + ctx.cpus().min(3) - 1) % ctx.cpus() };
        let before = ctx.rig().moves();
        ctx.barrier()?;
        if ctx.cpu() == target {
            ctx.irqs_off(|| {
                turn.held.set(number);
                ctx.spin(|| ctx.rig().moves() != before, "a thread that waits was not moved")
            })?;
        }
        if ctx.cpu() == from {
            ctx.until(|| turn.held.get() == number, "the target did not come")?;
            turn.number.set(number);
            let waits = ctx.place(move || {
                calls(ctx, turn, csd, number % WAYS, target);
                ctx.note_same(
                    turn.written.read(),
                    number,
                    "what the function wrote, when its caller is back",
                );
                ctx.note_same(ctx.cpu(), to, "the CPU on which the caller goes on");
                turn.done.set(number);
            })?;
            moved(ctx, from, to, waits)?;
        }
        ctx.until(|| turn.done.get() == number, "a waiter that was moved did not come back")?;
    }
    Ok(())
}

fn runs<R: Rig>(ctx: Ctx<R>, turn: &Turn) -> u32 {
    turn.written.write(turn.number.get());
    turn.ran.add(1);
    ctx.cpu()
}

fn calls<R: Rig>(
    ctx: Ctx<R>,
    turn: &'static Turn,
    csd: &'static Csd<impl Fn() + Sync>,
    way: u32,
    target: u32,
) {
    let before = turn.ran.get();
    let mut want = 1;
    match way {
        0 => ctx.note_same(ctx.smp().call(target, || runs(ctx, turn)), Ok(target), "where a call ran"),
        1 => {
            want = ctx.cpus();
            let reached = ctx.smp().call_many(To::If(&mut |cpu| cpu < want), || _ = runs(ctx, turn));
            ctx.note_same(reached.map(|reached| reached.ran), Ok(want), "how many were reached");
        }
        2 => {
            ctx.note_same(
                ctx.smp().post(target, csd),
                Ok(Posted::Queued),
                "a post of a thread that migrates",
            );
            ctx.note_same(ctx.smp().wait(csd), Ok(()), "the wait for it");
        }
        _ => {
            let ran = ctx.smp().call_blocking(target, || runs(ctx, turn));
            ctx.note_same(ran, Ok(target), "where a blocking call ran");
        }
    }
    ctx.note_same(turn.ran.get(), before + want, "runs");
}

/// A thread of CPU 0 waits for what only that CPU's own thread runs, and is moved to CPU 1. Both CPUs are rung as if nobody waited,
/// run what is posted to them, and come and go.
pub(super) fn p15_a_waiter_keeps_no_cpu<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let turn = ctx.share(Turn::default)?;
    let before = ctx.rig().moves();
    ctx.barrier()?;
    let outcome = match ctx.cpu() {
        0 => the_cpu_that_it_leaves(ctx, turn, before),
        1 => the_cpu_that_it_comes_to(ctx, turn),
        _ => Ok(()),
    };
    outcome?;
    ctx.until(|| turn.done.get() == 1, "a waiter that was moved did not come back")
}

fn the_cpu_that_it_leaves<R: Rig>(ctx: Ctx<R>, turn: &'static Turn, before: u32) -> Done {
    let waits = ctx.place(move || {
        let ran = ctx.smp().call_blocking(0, || runs(ctx, turn));
        ctx.note_same((ran, ctx.cpu()), (Ok(0), 1), "where it ran, and where the caller is back");
        turn.done.set(1);
    })?;
    moved(ctx, 0, 1, waits)?;
    // From here on to its going offline this thread runs nothing that may block.
    ctx.spin(|| ctx.rig().moves() != before, "a thread that waits was not moved")?;
    posts(ctx, turn, 1)?;
    turn.held.set(1);
    ctx.spin(|| turn.held.get() == 2, "the CPU to which a waiter was moved did not go and come")?;
    ctx.same((turn.ran.get(), turn.done.get()), (2, 0), "runs so far, and whether the waiter is back")?;
    go_offline(ctx)?;
    ctx.same(turn.ran.get(), 3, "runs, when the waiter's target has gone offline")?;
    come_online(ctx)
}

fn the_cpu_that_it_comes_to<R: Rig>(ctx: Ctx<R>, turn: &'static Turn) -> Done {
    ctx.until_rung_at_rest(|| turn.held.get() == 1, "the CPU that a waiter has left did not come forward")?;
    posts(ctx, turn, 0)?;
    go_offline(ctx)?;
    come_online(ctx)?;
    turn.held.set(2);
    Ok(())
}

/// Posts to a CPU whose thread is at rest, whoever waits there: it is rung, and runs it.
fn posts<R: Rig>(ctx: Ctx<R>, turn: &'static Turn, target: u32) -> Result<(), Over> {
    let ran = ctx.place(Count::new())?;
    let csd = ctx.csd(move || {
        ctx.note_same(runs(ctx, turn), target, "where a post ran");
        ran.add(1);
    })?;
    let rings = ctx.rig().rings();
    ctx.post(target, csd)?;
    if let Some(rings) = rings {
        ctx.check(ctx.rings()? > rings, "a CPU on which a thread waits is rung")?;
    }
    ctx.spin(|| ran.get() == 1, "a post to a CPU on which a thread waits was not answered")
}
