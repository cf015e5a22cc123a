//! CPUs that are really switched off and on again, while others post to them and call them (P8).

use super::{LEAVES, Text, Wrong};
use crate::cpus;
use crate::idle;
use crate::machine::SMP;
use core::sync::atomic::{AtomicU64, Ordering};
use smpcall::{CallError, Csd, PostError, Posted};

const ROUNDS: u32 = 12;

static RUNS: AtomicU64 = AtomicU64::new(0);
static CSD: Csd<fn()> = Csd::new(|| {
    // Release: pairs with the wait at the end.
    RUNS.fetch_add(1, Ordering::Release);
});

#[derive(Default)]
struct Tally {
    accepted: u64,
    called: u64,
    refused: u64,
}

pub(super) fn run(text: &mut Text) -> Result<(), Wrong> {
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let cpu = 1 + round % (cpus::count() - 1);
        // The CPU of the round before has answered the call, which runs first; the csd may be queued there still, and a post
        // of it to this one would be told Busy, not Offline.
        idle::until(&SMP, || !CSD.is_pending());
        // Release: pairs with `stand_by`.
        LEAVES[cpu as usize].store(true, Ordering::Release);
        let mut gone = false;
        while !gone {
            gone = cpus::is_stopped(cpu);
            load(text, &mut tally, cpu)?;
        }
        // Nothing comes to a CPU that is off.
        let refused = tally.refused;
        load(text, &mut tally, cpu)?;
        if tally.refused != refused + 2 {
            return Err(text.wrong(format_args!(
                "round {round}: CPU {cpu} is off, and of a post and a call {} were refused",
                tally.refused - refused
            )));
        }
        cpus::start(cpu).map_err(|why| text.wrong(format_args!("round {round}: CPU {cpu}: {why}")))?;
        idle::until(&SMP, || SMP.is_online_racy(cpu));
        let called = tally.called;
        load(text, &mut tally, cpu)?;
        if tally.called != called + 1 {
            return Err(text.wrong(format_args!("round {round}: CPU {cpu} is back, and refuses a call")));
        }
    }
    // Acquire: pairs with the csd's function.
    idle::until(&SMP, || !CSD.is_pending() && RUNS.load(Ordering::Acquire) >= tally.accepted);
    let runs = RUNS.load(Ordering::Acquire);
    if runs != tally.accepted {
        return Err(text.wrong(format_args!("{} posts were accepted, and {runs} ran", tally.accepted)));
    }
    text.well(format_args!(
        "{ROUNDS} times off and on; {runs} posts and {} calls ran, {} were refused",
        tally.called, tally.refused
    ))
}

/// One post and one call.
fn load(text: &mut Text, tally: &mut Tally, cpu: u32) -> Result<(), Wrong> {
    match SMP.post(cpu, &CSD) {
        Ok(Posted::Queued) => tally.accepted += 1,
        Ok(Posted::Busy { .. }) => {}
        Err(PostError::Offline { .. }) => tally.refused += 1,
        Err(other) => return Err(text.wrong(format_args!("a post to CPU {cpu}: {other}"))),
    }
    match SMP.call(cpu, || 7) {
        Ok(7) => tally.called += 1,
        Err(CallError::Offline) => tally.refused += 1,
        other => return Err(text.wrong(format_args!("a call to CPU {cpu}: {other:?}"))),
    }
    Ok(())
}
