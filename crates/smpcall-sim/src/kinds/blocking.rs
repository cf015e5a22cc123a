//! Blocking calls: they run in their target's thread, and may wait there in turn.

use super::calls::{answered, came_of};
use crate::engine::{PORT, engine};
use crate::ground::{Ground, ground};
use crate::history::{Act, Came, Of};
use crate::scenario::{Draw, Op};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The first CPU is the target; the second, if there is one, is whom its function calls.
pub(super) fn draw(draw: &mut Draw, thread: usize) -> Op {
    let mut cpus = vec![draw.cpu()];
    if draw.rng.chance(0.4) {
        // Often it calls back.
        let back = thread < draw.cpus && draw.rng.chance(0.5);
        cpus.push(if back { thread as u32 } else { draw.cpu() });
    }
    let rng = &draw.rng;
    let long = if rng.chance(draw.faults.long) { rng.between(10, 300) as u32 } else { 0 };
    // What its function calls is a thread again if the amount is odd.
    let amount = long * 2 + rng.below(2) as u32;
    Op { cpus, amount, flag: rng.chance(draw.faults.panics), ..Op::default() }
}

/// What a blocking call's function does.
#[derive(Clone, Copy)]
struct Orders {
    panics: bool,
    long: u32,
    /// Whom it calls, and whether that one's thread.
    next: Option<(u32, bool)>,
    /// Where it leaves its answer.
    place: usize,
}

pub(super) fn call(ground: &'static Ground, op: &Op) {
    let next = op.cpus.get(1).map(|cpu| (*cpu, op.amount % 2 == 1));
    let place = Ground::answers_of(engine().me());
    call_one(ground, op.cpus[0], Orders { panics: op.flag, long: op.amount / 2, next, place });
}

fn call_one(ground: &'static Ground, target: u32, orders: Orders) {
    let caller = engine().me();
    ground.op(Act::Blocking { target, panics: orders.panics }, |number| {
        let call = || ground.machine.call_blocking(target, || run(number, caller, orders));
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(result)) => answered(ground, number, orders.place, result),
            Ok(Err(error)) => came_of(error),
            Err(_) => Came::Panicked,
        }
    });
}

fn run(number: usize, caller: usize, orders: Orders) -> u32 {
    let ground = ground();
    let queued = engine().me() != caller;
    // Not in call context: that is what it is for.
    ground.recorded(Of::Blocking(number), queued, orders.panics, Vec::new(), || {
        ground.leave_answer(orders.place, number as u32);
        (0..orders.long).for_each(|_| engine().point(PORT));
        if orders.panics {
            Ground::panic_as_meant();
        }
        // Its caller waits meanwhile, so the second of the caller's places is free.
        match orders.next {
            Some((cpu, true)) => {
                let place = orders.place + 1;
                call_one(ground, cpu, Orders { panics: false, long: 0, next: None, place });
            }
            Some((cpu, false)) => super::calls::call_from(ground, cpu, false, 0, orders.place + 1),
            None => {}
        }
        number as u32 * 3 + 1
    })
}

#[cfg(test)]
mod tests {
    use crate::port::Manners;
    use crate::scenario::{Op, Options, Scenario};
    use crate::strategy::Strategy;
    use crate::{Faults, play};

    /// P10: CPU 0 calls CPU 1's thread, which calls back, and both sleep at the first occasion; doorbells are late, so that they come
    /// between the last look and the sleep, where their handler moves the call to the list of a CPU that has looked at it.
    #[test]
    fn two_that_call_each_other_are_woken_for_what_an_interrupt_has_moved() {
        let mut scenario = Scenario::draw(1, &Options { cpus_min: 2, cpus_max: 2, ..Options::default() });
        let calls =
            Op { kind: crate::kinds::number_of("blocking"), cpus: vec![1, 0], amount: 1, ..Op::default() };
        scenario.callers = 0;
        scenario.csds.clear();
        scenario.arrivals.clear();
        scenario.programs = vec![vec![calls], Vec::new()];
        scenario.faults = Faults { late: 0.8, ..Faults::default() };
        scenario.manners = Manners { looks_first: 1, parks_after: 0, stall_timeout_ns: 0 };
        (scenario.interrupts, scenario.parks, scenario.counts, scenario.alone) = (true, true, false, 0);
        for seed in 0..6_000 {
            scenario.seed = seed;
            scenario.strategy = Strategy::Random { stay: 1 << (seed % 6) };
            assert_eq!(play(&scenario).violation, None, "seed {seed}:\n{scenario}");
        }
    }
}
