//! Ours, and the floors, on the machine that both share: a target of its own that polls or sleeps, and this thread as the other CPU.

use crate::block::{Block, Shape, Visit};
use crate::work::{CALLS, FLOOD, KEY, RUNS, count};
use anyhow::Result;
use smpcall_host::smpcall::{Csd, Posted, To};
use smpcall_host::{Idle, Machine};
use smpcall_measure::floor::{Against, Between, Floor};
use smpcall_measure::pace::{Line, Place};
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

const TARGET: u32 = 0;
const CALLER: u32 = 1;

fn machine(visit: &Visit, idle: Idle) -> Result<Machine> {
    Ok(Machine::builder().owned(1).attachable(1).cores(visit.place.owned()).idle(idle).build()?)
}

/// Runs `measure` as the caller's CPU.
fn on(visit: &Visit, idle: Idle, measure: impl FnOnce(&Machine) -> Result<Block>) -> Result<Block> {
    let machine = machine(visit, idle)?;
    let _here = Place::attach(&machine, CALLER, visit.place.caller())?;
    measure(&machine)
}

pub(crate) fn line(visit: &Visit) -> Result<Block> {
    floor(visit, Idle::Poll, Against::CacheLine, Floor::sample_polling)
}

pub(crate) fn futex(visit: &Visit) -> Result<Block> {
    floor(visit, Idle::Sleep, Against::Futex, Floor::sample_parked)
}

fn floor(
    visit: &Visit,
    idle: Idle,
    against: Against,
    sample: fn(&mut Floor, &Between<'_>) -> Result<()>,
) -> Result<Block> {
    on(visit, idle, |machine| {
        let between = Between { machine, target: TARGET, pace: visit.place.pace() };
        // The first is cold.
        sample(&mut Floor::new(), &between)?;
        let (mut floor, since) = (Floor::new(), Instant::now());
        loop {
            sample(&mut floor, &between)?;
            if since.elapsed() >= visit.time {
                return Ok(Block::of_floor(floor.ns(against)));
            }
        }
    })
}

fn calls(machine: &Machine, calls: u32) -> u32 {
    let right = |number| machine.call(TARGET, move || black_box(number) ^ KEY) == Ok(number ^ KEY);
    (0..calls).map(|number| u32::from(right(number))).sum()
}

pub(crate) fn waiting(visit: &Visit) -> Result<Block> {
    on(visit, Idle::Poll, |machine| visit.measure(Shape::Batch(CALLS), |n| calls(machine, n)))
}

pub(crate) fn parked(visit: &Visit, rest: Shape) -> Result<Block> {
    on(visit, Idle::Sleep, |machine| visit.measure(rest, |n| calls(machine, n)))
}

/// The closure reads and writes the caller's stack.
pub(crate) fn borrowing(visit: &Visit) -> Result<Block> {
    let mut sum = Line(0_u64);
    let mut call = |machine: &Machine| {
        let before = sum.0;
        let answer = machine.call(TARGET, || {
            sum.0 += 1;
            sum.0
        });
        u32::from(answer == Ok(before + 1) && sum.0 == before + 1)
    };
    on(visit, Idle::Poll, |machine| {
        visit.measure(Shape::Batch(CALLS), |n| (0..n).map(|_| call(machine)).sum())
    })
}

static COUNT: Csd<fn()> = Csd::new(count);

pub(crate) fn post(visit: &Visit) -> Result<Block> {
    on(visit, Idle::Poll, |machine| {
        let post = || machine.post(TARGET, &COUNT).is_ok_and(Posted::is_queued);
        visit.measure(Shape::Batch(CALLS), |n| RUNS.each_seen(n, visit.place.pace(), post))
    })
}

pub(crate) fn detached(visit: &Visit) -> Result<Block> {
    on(visit, Idle::Poll, |machine| {
        let mut number = 0;
        let mut post = || {
            let by = number;
            number += 1;
            machine.post_detached(TARGET, move || RUNS.add_if(black_box(by) == by)).is_ok()
        };
        visit.measure(Shape::Batch(CALLS), |n| RUNS.each_seen(n, visit.place.pace(), &mut post))
    })
}

/// A csd in a cache line of its own, as one that is part of something has.
#[repr(align(64))]
struct Slot<F>(Csd<F>);

trait Flood: Send + Sync {
    fn post_each(&self, machine: &Machine) -> bool;
}

impl<F: Fn() + Send + Sync + 'static> Flood for &'static [Slot<F>] {
    fn post_each(&self, machine: &Machine) -> bool {
        self.iter().all(|slot| machine.post(TARGET, &slot.0).is_ok_and(Posted::is_queued))
    }
}

/// Never freed: a csd that is posted by reference lives for ever.
static CSDS: LazyLock<Box<dyn Flood>> = LazyLock::new(|| {
    let slots: Vec<_> = (0..FLOOD).map(|number| Slot(Csd::new(move || RUNS.flooded_by(number)))).collect();
    let slots: &'static [_] = slots.leak();
    Box::new(slots)
});

pub(crate) fn flood(visit: &Visit) -> Result<Block> {
    let csds = &**CSDS;
    on(visit, Idle::Poll, |machine| {
        visit.measure(Shape::Flood(FLOOD), |_| RUNS.flood(visit.place.pace(), || csds.post_each(machine)))
    })
}

pub(crate) fn both(visit: &Visit) -> Result<Block> {
    on(visit, Idle::Poll, |machine| {
        visit.measure(Shape::Batch(CALLS), |n| {
            let before = RUNS.seen();
            let ran: u32 = (0..n)
                .map(|_| machine.call_many(To::All, || RUNS.add_shared()).map_or(0, |reached| reached.ran))
                .sum();
            let all = ran == 2 * n && RUNS.seen() == before + u64::from(ran);
            if all { n } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_wrong_is_an_error() {
        let visit = Visit { place: Place::find(), time: std::time::Duration::from_micros(1) };
        assert!(visit.measure(Shape::Flood(4), |n| n - 1).is_err());
        assert!(visit.measure(Shape::Flood(4), |n| n).is_ok());
    }
}
