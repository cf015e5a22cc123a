//! Duty 5 and what else is asked of `park`: each of these calls the port itself, as a waiting caller of the core would.

use crate::ctx::{Ctx, Done, Over};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{Platform, Waiting};

/// The number by which the calling thread is woken; skips the case where there is none.
fn waiter<R: Rig>(ctx: Ctx<R>) -> Result<u16, Over> {
    if !R::Platform::PARKS {
        return Err(ctx.skip("callers do not sleep here"));
    }
    if ctx.rig().patience_ns() == 0 {
        return Err(ctx.skip("there is no clock"));
    }
    ctx.smp().platform().waiter().ok_or_else(|| ctx.skip("there is no number to wake a caller by"))
}

fn wake<R: Rig>(ctx: Ctx<R>, waiter: u16) {
    ctx.irqs_off(|| ctx.smp().platform().wake(waiter));
}

/// Parks for the platform's patience at most; ends the case if nothing else has ended it.
#[track_caller]
fn park<R: Rig>(ctx: Ctx<R>, waiter: u16, what: &'static str) -> Done {
    let platform = ctx.smp().platform();
    let (limit_ns, began_ns) = (ctx.rig().patience_ns(), platform.now_ns());
    platform.park(Some(waiter), limit_ns);
    ctx.check(platform.now_ns().saturating_sub(began_ns) < limit_ns, what)
}

/// What the two CPUs of a pair agree by. The second parks, the first ends it.
#[derive(Default)]
struct Pair {
    /// One more than the number to wake it by.
    number: Count,
    /// How often it has been about to park.
    parked: Count,
    back: Count,
    ran: Count,
}

impl Pair {
    fn waiter(&self) -> u16 {
        // It was made of one.
        (self.number.get() - 1) as u16
    }
}

/// Calls `first` or `second` on the CPUs of each pair.
#[track_caller]
fn in_pairs<R: Rig>(
    ctx: Ctx<R>,
    first: impl FnOnce(u32, &'static Pair) -> Done,
    second: impl FnOnce(u16, &'static Pair) -> Done,
) -> Done {
    ctx.needs_two()?;
    let number = waiter(ctx)?;
    let pairs = ctx.share_each(|_| Pair::default())?;
    let me = ctx.cpu();
    let pair = &pairs[(me & !1) as usize];
    match me & 1 {
        0 if me + 1 < ctx.cpus() => first(me + 1, pair)?,
        0 => {}
        _ => {
            pair.number.set(u32::from(number) + 1);
            second(number, pair)?;
        }
    }
    ctx.barrier()
}

pub(super) fn p10_duty5_each_waiter_has_a_number_of_its_own<R: Rig>(ctx: Ctx<R>) -> Done {
    let number = waiter(ctx)?;
    let numbers = ctx.share_each(|_| Count::new())?;
    numbers[ctx.cpu() as usize].set(u32::from(number) + 1);
    ctx.barrier()?;
    let same = numbers.iter().filter(|other| other.get() == u32::from(number) + 1).count();
    ctx.same(same, 1, "CPUs that are woken by this one's number")?;
    let done = ctx.share(Count::new)?;
    if ctx.cpu() == 0 {
        let outside = ctx.place(move || {
            if let Some(waiter) = ctx.smp().platform().waiter() {
                let taken = numbers.iter().any(|other| other.get() == u32::from(waiter) + 1);
                ctx.note(!taken, "a thread that is no CPU has the number of one");
                wake(ctx, waiter);
                let _ = park(ctx, waiter, "a thread that is no CPU was woken before it parked, and slept on");
            }
            done.set(1);
        })?;
        if !ctx.rig().outside(outside) {
            done.set(1);
        }
    }
    ctx.until(|| done.get() == 1, "a thread that is no CPU did not finish")
}

pub(super) fn p10_duty5_a_wake_before_the_park_is_kept<R: Rig>(ctx: Ctx<R>) -> Done {
    let number = waiter(ctx)?;
    let me = ctx.cpu();
    for round in 0..ctx.rounds().min(10) {
        match round % 3 {
            0 => wake(ctx, number),
            // Two are as good as one.
            1 => (0..2).for_each(|_| wake(ctx, number)),
            _ => ctx.call(me, || ctx.smp().platform().wake(number))?,
        }
        park(ctx, number, "a wake came before the park, and was forgotten")?;
    }
    ctx.barrier()
}

pub(super) fn p10_duty5_a_wake_ends_a_park_under_way<R: Rig>(ctx: Ctx<R>) -> Done {
    let rounds = ctx.rounds().min(10);
    in_pairs(
        ctx,
        |_, pair| {
            for round in 1..=rounds {
                ctx.until(|| pair.parked.get() >= round, "a CPU did not park")?;
                // Sometimes it sleeps by now, sometimes it is about to.
                ctx.pause(round * 5 % 40);
                wake(ctx, pair.waiter());
            }
            Ok(())
        },
        |number, pair| {
            for round in 1..=rounds {
                pair.parked.set(round);
                park(ctx, number, "nobody woke a caller that parks")?;
            }
            Ok(())
        },
    )
}

pub(super) fn p10_a_park_ends_with_its_time<R: Rig>(ctx: Ctx<R>) -> Done {
    const TIMES_NS: [u64; 3] = [0, 1, 200_000];
    let platform = ctx.smp().platform();
    in_pairs(
        ctx,
        |other, pair| {
            let ended = ctx.until(|| pair.back.get() == 1, "a park did not end with its time");
            if ended.is_err() && pair.number.get() != 0 {
                // So that the run goes on.
                wake(ctx, pair.waiter());
                let _ = ctx.irqs_off(|| platform.ring(other));
            }
            ended
        },
        |number, pair| {
            for time_ns in TIMES_NS {
                for waiter in [Some(number), None] {
                    platform.park(waiter, time_ns);
                    ctx.unless_over()?;
                }
            }
            pair.back.set(1);
            ctx.check(platform.can_wait(), "interrupts are on after a park")
        },
    )
}

/// By its ring, or, where that is answered by a handler, by what the handler runs: interrupts are on while a caller parks.
pub(super) fn p10_a_park_of_a_cpu_does_not_outlast_its_doorbell<R: Rig>(ctx: Ctx<R>) -> Done {
    let rounds = ctx.rounds().min(10);
    in_pairs(
        ctx,
        |other, pair| {
            let csd = ctx.csd(move || _ = pair.ran.add(1))?;
            for round in 1..=rounds {
                ctx.until(|| pair.parked.get() >= round, "a CPU did not park")?;
                ctx.pause(round * 5 % 40);
                ctx.post(other, csd)?;
                ctx.until(|| pair.ran.get() == round, "a CPU that parks did not answer its doorbell")?;
                wake(ctx, pair.waiter());
            }
            Ok(())
        },
        |number, pair| {
            for round in 1..=rounds {
                pair.parked.set(round);
                park(ctx, number, "a CPU that parks was rung, and slept on")?;
                ctx.until(|| pair.ran.get() == round, "a CPU was neither woken nor rung")?;
            }
            Ok(())
        },
    )
}
