//! P4, P8, P10, P11: CPUs that are called together, and held until a function has run.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use crate::words::{Count, Plain};
use core::time::Duration;
use smpcall::{CpuSet, Hold, HotplugError, Platform, RendezvousError};

/// A mask with room for whatever numbers a case names.
type Mask = CpuSet<{ 8192_usize.div_ceil(usize::BITS as usize) + 1 }>;

impl<R: Rig> Ctx<R> {
    /// A rendezvous of all, as a user would call for, but not for ever.
    #[track_caller]
    fn meet<T>(self, function: impl FnOnce() -> T) -> Result<T, crate::ctx::Over> {
        self.unless_over()?;
        let met = match self.rig().patience_ns() {
            0 => self.smp().rendezvous(Hold::All, function),
            limit_ns => self.smp().rendezvous_timeout(Hold::All, Duration::from_nanos(limit_ns), function),
        };
        self.note(met.is_ok(), "a rendezvous");
        met.map_err(|error| self.fail("a rendezvous", &error))
    }
}

pub(super) fn p10_a_rendezvous_holds_all_others<R: Rig>(ctx: Ctx<R>) -> Done {
    let ticks = ctx.share_each(|_| Count::new())?;
    let (words, over) = (ctx.share(|| [const { Plain::new() }; 2])?, ctx.share(Count::new)?);
    for round in 1..=ctx.rounds().min(20) {
        let caller = round % ctx.cpus();
        if ctx.cpu() == caller {
            let looks = ctx.meet(|| {
                words[0].write(round);
                let look = || ticks.iter().map(Count::get).fold(0, u32::wrapping_add);
                let before = look();
                ctx.pause(20);
                (before, look())
            })?;
            ctx.same(looks.1, looks.0, "steps of others while they are held")?;
            over.set(round);
        } else {
            let me = ctx.cpu() as usize;
            let tick = || {
                ticks[me].add(1);
                over.get() == round
            };
            ctx.until(tick, "a rendezvous did not end")?;
            ctx.same(words[0].read(), round, "what its function wrote")?;
        }
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p10_rendezvous_of_all_at_once_take_turns<R: Rig>(ctx: Ctx<R>) -> Done {
    let (sum, ended) = (ctx.share(Plain::new)?, ctx.share(Count::new)?);
    let rounds = ctx.rounds().min(10);
    for _ in 0..rounds {
        ctx.meet(|| {
            let before = sum.read();
            ctx.pause(2);
            sum.write(before + 1);
        })?;
    }
    ended.add(1);
    ctx.until(|| ended.get() == ctx.cpus(), "a rendezvous among others did not end")?;
    ctx.same(sum.read(), rounds * ctx.cpus(), "functions, of which no two ran at once")
}

pub(super) fn p10_a_rendezvous_is_refused_where_it_could_deadlock<R: Rig>(ctx: Ctx<R>) -> Done {
    let ran = ctx.place(Count::new())?;
    let asks = move || {
        let limit = Duration::from_nanos(ctx.rig().patience_ns().max(1));
        ctx.smp().rendezvous_timeout(Hold::All, limit, || _ = ran.add(1))
    };
    let refused = Err(RendezvousError::WouldDeadlock);
    ctx.same(ctx.irqs_off(asks), refused, "a rendezvous with interrupts off")?;
    let in_call = ctx.smp().call(ctx.cpu(), asks);
    ctx.same(in_call, Ok(refused), "a rendezvous from call context")?;
    ctx.same(ran.get(), 0, "functions of refused ones")?;
    let mut mask = Mask::new();
    mask.insert(ctx.smp().cpus_len());
    let unknown = ctx.smp().rendezvous(Hold::Mask(&mask), || ());
    ctx.same(unknown, Err(RendezvousError::NoSuchCpu), "a rendezvous with a CPU that there is not")?;
    // One inside of another; the other CPUs serve their queues at the barrier.
    if ctx.cpu() == 0 {
        let inner = ctx.meet(asks)?;
        ctx.same(inner, refused, "a rendezvous inside of another")?;
        let other = ctx.meet(|| ctx.smp().call(1 % ctx.cpus(), || ()).is_ok())?;
        ctx.same(other, ctx.cpus() == 1, "a waiting call to one who is held")?;
    }
    ctx.barrier()
}

pub(super) fn p10_a_rendezvous_by_a_thread_that_is_no_cpu_is_refused<R: Rig>(ctx: Ctx<R>) -> Done {
    let told = ctx.share(Count::new)?;
    if ctx.cpu() == 0 {
        let ask = ctx.place(move || {
            let refused = ctx.smp().rendezvous(Hold::All, || ()) == Err(RendezvousError::NotACpu);
            told.set(if refused { 1 } else { 2 });
        })?;
        if !ctx.rig().outside(ask) {
            return Err(ctx.skip("no thread that is no CPU"));
        }
        ctx.until(|| told.get() != 0, "a rendezvous by a thread that is no CPU did not return")?;
        ctx.same(told.get(), 1, "whether it was refused")?;
    }
    ctx.barrier()
}

pub(super) fn p10_a_rendezvous_that_one_does_not_come_to_lets_all_go<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    if ctx.rig().patience_ns() == 0 {
        return Err(ctx.skip("no clock"));
    }
    let [away, begun, ran] = ctx.share(|| [const { Count::new() }; 3])?;
    let limit_ns = (ctx.rig().patience_ns() / 100).clamp(1_000, 20_000_000);
    let now_ns = || ctx.smp().platform().now_ns();
    match ctx.cpu() {
        1 => {
            ctx.irqs_off(|| {
                away.set(1);
                ctx.spin(|| begun.get() == 1, "a rendezvous did not begin")?;
                // Longer than the others are held for it.
                let until_ns = now_ns().saturating_add(4 * limit_ns);
                ctx.spin(|| now_ns() >= until_ns, "the clock stands still")
            })?;
            ctx.until(|| ran.get() % 100 == 1, "a rendezvous did not end")?;
        }
        0 => {
            ctx.until(|| away.get() == 1, "the CPU that stays away did not come")?;
            begun.set(1);
            let limit = Duration::from_nanos(limit_ns);
            match ctx.smp().rendezvous_timeout(Hold::All, limit, || _ = ran.add(100)) {
                // Others may have been slow as well.
                Err(RendezvousError::TimedOut(stall)) => {
                    ctx.check((1..ctx.cpus()).contains(&stall.target), "the CPU that it names")?;
                    ctx.same(ran.get(), 0, "functions of a rendezvous that timed out")?;
                }
                // This CPU was off its core for longer than the other stayed away.
                Ok(()) => ctx.same(ran.get(), 100, "functions of a rendezvous that came about")?,
                Err(other) => return Err(ctx.fail("a rendezvous without one of them", &other)),
            }
            ctx.meet(|| _ = ran.add(1))?;
        }
        _ => ctx.until(|| ran.get() % 100 == 1, "a rendezvous did not end")?,
    }
    ctx.barrier()?;
    ctx.same(ran.get() % 100, 1, "functions, but for the first")
}

pub(super) fn p8_nobody_comes_online_in_a_rendezvous<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.needs_two()?;
    let goer = ctx.cpus() - 1;
    let [gone, inside, tried, over] = ctx.share(|| [const { Count::new() }; 4])?;
    for round in 1..=ctx.rounds().min(10) {
        if ctx.cpu() == goer {
            super::hotplug::go_offline(ctx)?;
            gone.set(round);
            ctx.spin(|| inside.get() == round, "a rendezvous without an offline CPU did not come about")?;
            let came = ctx.come_online();
            tried.set(round);
            ctx.same(came, Err(HotplugError::Held), "coming online in a rendezvous")?;
            ctx.spin(|| ctx.come_online() != Err(HotplugError::Held), "nobody may come online")?;
            ctx.until(|| over.get() == round, "a rendezvous did not end")?;
        } else if ctx.cpu() == 0 {
            ctx.until(|| gone.get() == round, "a CPU did not go offline")?;
            ctx.meet(|| {
                inside.set(round);
                ctx.spin(|| tried.get() == round, "an offline CPU was held")
            })??;
            over.set(round);
        } else {
            ctx.until(|| over.get() == round, "a rendezvous did not end")?;
        }
        ctx.barrier()?;
    }
    Ok(())
}

pub(super) fn p11_a_rendezvous_whose_function_panics_lets_all_go<R: Rig>(ctx: Ctx<R>) -> Done {
    let Some(unwind) = ctx.rig().unwind() else { return Err(ctx.skip("no unwinding")) };
    if ctx.cpu() == 0 {
        let panicked = R::Platform::catch(|| ctx.meet(|| unwind()).is_ok()).is_err();
        ctx.check(panicked, "the panic comes back")?;
        ctx.same(ctx.meet(|| 7)?, 7, "a rendezvous after it")?;
    }
    ctx.barrier()
}
