//! P7 against what the handlers count: interrupts arrive exactly as often as the core rings, and it rings exactly when a CPU
//! that does not look gets its first entry.

use super::{Duty, Text, Wrong, set_duty, until_it_beats};
use crate::cpus;
use crate::idle;
use crate::machine::SMP;
use crate::traps;
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::Csd;

const ROUNDS: u32 = 50;

static RUNS: AtomicU32 = AtomicU32::new(0);
static FIRST: Csd<fn()> = Csd::new(count);
static SECOND: Csd<fn()> = Csd::new(count);

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
        if SMP.post(cpu, &FIRST).is_err() {
            return Err(text.wrong(format_args!("CPU {cpu}, round {round}: the post was refused")));
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
    while_it_holds_still(text, cpu)
}

/// Two posts to a CPU that is inside a function: it looks again by itself, and no interrupt is due.
fn while_it_holds_still(text: &mut Text, cpu: u32) -> Result<(), Wrong> {
    let due = runs() + 2;
    let rings = SMP.platform().rings_to(cpu);
    let posts = SMP.call(cpu, || (SMP.post(cpu, &FIRST), SMP.post(cpu, &SECOND)));
    idle::until(&SMP, || runs() == due);
    // One for the call itself.
    let rings = SMP.platform().rings_to(cpu) - rings;
    if posts != Ok((Ok(()), Ok(()))) || rings > 1 {
        return Err(text.wrong(format_args!("CPU {cpu}: {rings} rings for posts from inside a call")));
    }
    Ok(())
}
