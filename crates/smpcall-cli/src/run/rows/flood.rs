//! Many posts at once: 1,024 csds, one by one or in chains, until the last has run.
//!
//! The csds have their own cache lines, and the functions look at nothing but the target's own line, so that what is
//! measured is the way through the queue.

use super::super::checks::Checks;
use super::super::stage::{Stage, TARGET};
use crate::pace::Line;
use anyhow::Result;
use smpcall_host::Machine;
use smpcall_host::smpcall::{Csd, PostError};
use smpcall_measure::samples::Sample;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

const CSDS: u32 = 1024;
const CHAIN: usize = 32;

/// What the functions count. Written by the target only, so plain counts will do.
struct Ran {
    next: AtomicU64,
    out_of_order: AtomicU64,
}

static RAN: Line<Ran> = Line(Ran { next: AtomicU64::new(0), out_of_order: AtomicU64::new(0) });
/// How many had run when a flood's last one ran: apart, so that the caller's looking disturbs only the end.
static FLOODED: Line<AtomicU64> = Line(AtomicU64::new(0));

/// The function of the csd of that number.
#[inline]
fn ran(number: u32) {
    // Relaxed: only the target reads and writes it; the store to `FLOODED` publishes it.
    let next = RAN.0.next.load(Ordering::Relaxed);
    if next % u64::from(CSDS) != u64::from(number) {
        // Relaxed: as above.
        RAN.0.out_of_order.fetch_add(1, Ordering::Relaxed);
    }
    // Relaxed: as above.
    RAN.0.next.store(next + 1, Ordering::Relaxed);
    if number == CSDS - 1 {
        // Release: publishes the counts; pairs with `flooded`.
        FLOODED.0.store(next + 1, Ordering::Release);
    }
}

fn flooded() -> u64 {
    // Acquire: shows the counts; pairs with the last function's store.
    FLOODED.0.load(Ordering::Acquire)
}

/// A csd in a cache line of its own.
#[repr(align(64))]
struct Slot<F>(Csd<F>);

/// The csds, whatever the type of their closures is.
trait Flood: Send + Sync {
    /// Posts each; how many were accepted.
    fn post_each(&self, machine: &Machine) -> Result<u32, PostError>;
    /// Posts them in chains; how many were accepted.
    fn post_chains(&self, machine: &Machine) -> Result<u32, PostError>;
}

impl<F: Fn() + Send + Sync + 'static> Flood for &'static [Slot<F>] {
    fn post_each(&self, machine: &Machine) -> Result<u32, PostError> {
        for slot in *self {
            machine.post(TARGET, &slot.0)?;
        }
        Ok(CSDS)
    }

    fn post_chains(&self, machine: &Machine) -> Result<u32, PostError> {
        let mut queued = 0;
        for chain in self.chunks(CHAIN) {
            queued += machine.post_all(TARGET, chain.iter().map(|slot| &slot.0))?.queued;
        }
        Ok(queued)
    }
}

/// Never freed: a csd that is posted by reference lives for ever.
static FLOOD: LazyLock<Box<dyn Flood>> = LazyLock::new(|| {
    let slots: Vec<_> = (0..CSDS).map(|number| Slot(Csd::new(move || ran(number)))).collect();
    let slots: &'static [_] = slots.leak();
    Box::new(slots)
});

pub(super) fn posts(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    flood(stage, checks, |flood, machine| flood.post_each(machine))
}

pub(super) fn chains(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    flood(stage, checks, |flood, machine| flood.post_chains(machine))
}

pub(super) fn posts_to_parked(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    stage.pace.settle();
    posts(stage, checks)
}

pub(super) fn chains_to_parked(stage: &Stage<'_>, checks: &mut Checks) -> Result<Sample> {
    stage.pace.settle();
    chains(stage, checks)
}

fn flood(
    stage: &Stage<'_>,
    checks: &mut Checks,
    post: fn(&dyn Flood, &Machine) -> Result<u32, PostError>,
) -> Result<Sample> {
    let csds = &**FLOOD;
    let before = flooded();
    let mut posted = Ok(0);
    let mut came = false;
    let sample = Sample::time(CSDS, || {
        posted = post(csds, stage.machine);
        came = stage.pace.wait_until(|| flooded() != before);
    });
    checks.that("P1", "every csd of a flood that is free is accepted", posted? == CSDS);
    checks.that("P1", "a flood comes to its end", came);
    checks.same("P1", "each csd of a flood runs once", flooded() - before, CSDS.into());
    // Relaxed: published by the last function.
    let out_of_order = RAN.0.out_of_order.swap(0, Ordering::Relaxed);
    checks.all("P6", "a flood runs in the order of its posts", u64::from(CSDS) - out_of_order, CSDS.into());
    Ok(sample)
}
