//! P7 against what the handlers count: interrupts arrive exactly as often as the core rings, and it rings exactly when a CPU
//! that does not look gets its first entry.

use super::{Duty, Text, Wrong, set_duty, until_it_beats};
use crate::cpus;
use crate::idle;
use crate::machine::SMP;
use crate::traps;
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::{Csd, Posted};

const ROUNDS: u32 = 50;

static RUNS: AtomicU32 = AtomicU32::new(0);
static FIRST: Csd<fn()> = Csd::new(count);
static SECOND: Csd<fn()> = Csd::new(count);

static TWO_MORE: Csd<fn()> = Csd::new(|| {
    let me = crate::arch::current_cpu().expect("a CPU runs it");
    for csd in [&FIRST, &SECOND] {
        assert_eq!(SMP.post(me, csd), Ok(Posted::Queued), "it is free, and the CPU is online");
    }
});

fn count() {
    // Release: pairs with `runs`.
    RUNS.fetch_add(1, Ordering::Release);
}

fn runs() -> u32 {
    // Acquire: what the target did before is over.
    RUNS.load(Ordering::Acquire)
}

/// The other CPUs run something else. Each is posted to again and again, and the interrupts that it took are counted.
pub(super) fn run(text: &mut Text) -> Result<(), Wrong> {
    set_duty(Duty::Busy);
    let outcome = (1..cpus::count()).try_for_each(|cpu| one(text, cpu));
    set_duty(Duty::Idle);
    outcome?;
    text.well(format_args!("{} CPUs took {ROUNDS} interrupts for {ROUNDS} posts each", cpus::count() - 1))
}

fn one(text: &mut Text, cpu: u32) -> Result<(), Wrong> {
    let before = (traps::doorbells(cpu), SMP.platform().rings_to(cpu));
    for round in 1..=ROUNDS {
        let due = runs() + 1;
        if SMP.post(cpu, &FIRST) != Ok(Posted::Queued) {
            return Err(text.wrong(format_args!("CPU {cpu}, round {round}: the post was not queued")));
        }
        idle::until(&SMP, || runs() == due);
        until_it_beats(cpu);
    }
    let (interrupts, rings) = (traps::doorbells(cpu) - before.0, SMP.platform().rings_to(cpu) - before.1);
    if interrupts != u64::from(ROUNDS) || rings != interrupts {
        return Err(text.wrong(format_args!(
            "CPU {cpu}: {rings} rings and {interrupts} interrupts for {ROUNDS} posts, each to a CPU that did not look"
        )));
    }
    from_inside(text, cpu)
}

/// A function that posts two more to its own CPU, which looks again by itself: one ring, for the function.
fn from_inside(text: &mut Text, cpu: u32) -> Result<(), Wrong> {
    let due = runs() + 2;
    let before = SMP.platform().rings_to(cpu);
    if SMP.post(cpu, &TWO_MORE) != Ok(Posted::Queued) {
        return Err(text.wrong(format_args!("CPU {cpu}: the post was not queued")));
    }
    idle::until(&SMP, || runs() == due);
    let rings = SMP.platform().rings_to(cpu) - before;
    if rings != 1 {
        return Err(text.wrong(format_args!("CPU {cpu}: {rings} rings for a post, and two from inside it")));
    }
    Ok(())
}
