//! The threads on which ours and Linux's algorithm run: the same loops, the same doorbells, one caller on the first core.

use super::{Csd, Linux, Room, State, Work};
use crate::block::{Block, Shape, Visit};
use crate::work::{CALLS, KEY, RUNS, count};
use anyhow::{Result, ensure};
use smpcall_host::smpcall::{self, Budget, CpuSet, Platform, Posted, To};
use smpcall_host::{Attached, Machine, short_pause};
use smpcall_measure::pace::{Line, Place};
use std::cell::Cell;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The CPU that calls. The others are numbered from 1.
const CALLER: u32 = 0;
/// The CPUs where cores are shared: the caller and eight targets.
const CROWD: u32 = 9;

/// Who makes the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    Linux,
}

/// The caller's side of a row.
struct Rig<'m> {
    machine: &'m Machine,
    linux: &'m Linux<'m>,
    who: Who,
}

/// Runs a row on `cpus` CPUs, the caller's on the first core, the others' round the cores from the second on.
fn on(
    visit: &Visit,
    who: Who,
    (cpus, state): (u32, State),
    measure: impl FnOnce(&Rig<'_>) -> Result<Block>,
) -> Result<Block> {
    let machine = &Machine::builder().attachable(cpus as usize).build()?;
    let room = if cpus as usize > visit.place.cores.len() { Room::Shared } else { Room::Own };
    let linux = &Linux::new(machine, cpus, state, room);
    let stop = &Line(AtomicBool::new(false));
    thread::scope(|scope| {
        let target = |cpu: u32| {
            let core = visit.place.cores.get(cpu as usize % visit.place.cores.len().max(1)).copied();
            thread::Builder::new().spawn_scoped(scope, move || -> Result<()> {
                let mut here = Place::attach(machine, cpu, core)?;
                match who {
                    Who::Ours => serve_ours(&mut here, state, &stop.0),
                    Who::Linux => serve_linux(&mut here, linux, &stop.0),
                }
                Ok(())
            })
        };
        let targets: Vec<_> = (1..cpus).map(target).collect();
        let block = Place::attach(machine, CALLER, visit.place.caller()).and_then(|_here| {
            let online = || (1..cpus).all(|cpu| machine.is_online_racy(cpu));
            ensure!(visit.place.pace().wait_until(online), "a target did not come online");
            measure(&Rig { machine, linux, who })
        });
        // Release: nothing is published with it.
        stop.0.store(true, Ordering::Release);
        let mut all = Ok(());
        for target in targets {
            let ended = target.map_err(anyhow::Error::from).and_then(|target| {
                // Again and again: it may attach only now.
                while !target.is_finished() {
                    (1..cpus).for_each(|cpu| _ = machine.platform().ring(cpu));
                    thread::yield_now();
                }
                target.join().expect("a target does not panic")
            });
            all = all.and(ended);
        }
        all?;
        block
    })
}

fn serve_ours(here: &mut Attached<'_>, state: State, stop: &AtomicBool) {
    if state == State::Polling {
        here.poll_begin();
    }
    // Acquire: nothing hangs on it.
    while !stop.load(Ordering::Acquire) {
        match state {
            State::Parked => _ = here.park(None),
            State::Polling if here.handle().has_work() => _ = here.handle().flush(Budget::DEFAULT),
            State::Polling => short_pause(),
        }
    }
}

fn serve_linux(here: &mut Attached<'_>, linux: &Linux<'_>, stop: &AtomicBool) {
    let cpu = here.cpu();
    // Acquire: nothing hangs on it.
    while !stop.load(Ordering::Acquire) {
        match linux.state {
            _ if linux.has_work(cpu) => linux.flush(cpu),
            // A ring since the look ends the sleep at once.
            State::Parked => _ = here.park(None),
            State::Polling => short_pause(),
        }
    }
}

/// A waiting call's object on the caller's stack, with what it is given and gives back.
struct OnStack {
    csd: Csd,
    number: Cell<u32>,
}

fn keyed(argument: *const ()) {
    // SAFETY: the caller waits, and lends its number's cell.
    let number = unsafe { &*argument.cast::<Cell<u32>>() };
    number.set(black_box(number.get()) ^ KEY);
}

impl Rig<'_> {
    fn call(&self, number: u32) -> bool {
        const TARGET: u32 = 1;
        match self.who {
            Who::Ours => self.machine.call(TARGET, move || black_box(number) ^ KEY) == Ok(number ^ KEY),
            Who::Linux => {
                let frame = OnStack { csd: Csd::new(), number: Cell::new(number) };
                let argument = ptr::from_ref(&frame.number).cast();
                self.linux.call(TARGET, &frame.csd, Work { function: keyed, argument });
                frame.number.get() == number ^ KEY
            }
        }
    }

    fn calls(&self, visit: &Visit, shape: Shape) -> Result<Block> {
        visit.measure(shape, |n| (0..n).map(|number| u32::from(self.call(number))).sum())
    }

    fn posts(&self, visit: &Visit, shape: Shape) -> Result<Block> {
        static CSD: smpcall::Csd<fn()> = smpcall::Csd::new(count);
        let work = Work { function: |_| count(), argument: ptr::null() };
        let post = || match self.who {
            Who::Ours => self.machine.post(1, &CSD).is_ok_and(Posted::is_queued),
            Who::Linux => {
                self.linux.post(CALLER, 1, work);
                true
            }
        };
        visit.measure(shape, |n| RUNS.each_seen(n, visit.place.pace(), post))
    }

    /// To `targets`, a bit each; the caller's own part comes last.
    fn multicasts(&self, visit: &Visit, shape: Shape, targets: u64) -> Result<Block> {
        let set: CpuSet<1> = super::bits(targets).collect();
        let work = Work { function: |_| RUNS.add_shared(), argument: ptr::null() };
        let others = targets & !(1 << CALLER);
        let call = || match self.who {
            Who::Ours => _ = self.machine.call_many(To::Mask(&set), || RUNS.add_shared()),
            Who::Linux => {
                self.linux.call_many(CALLER, others, work);
                if others != targets {
                    RUNS.add_shared();
                }
            }
        };
        visit.measure(shape, |n| {
            let before = RUNS.seen();
            (0..n).for_each(|_| call());
            if RUNS.seen() == before + u64::from(n * targets.count_ones()) { n } else { 0 }
        })
    }
}

const BATCH: Shape = Shape::Batch(CALLS);
const POLLING: (u32, State) = (2, State::Polling);
const PARKED: (u32, State) = (2, State::Parked);

pub(crate) fn waiting(who: Who, visit: &Visit) -> Result<Block> {
    on(visit, who, POLLING, |rig| rig.calls(visit, BATCH))
}

pub(crate) fn waiting_parked(who: Who, visit: &Visit) -> Result<Block> {
    on(visit, who, PARKED, |rig| rig.calls(visit, Shape::AfterRest))
}

pub(crate) fn csd(who: Who, visit: &Visit) -> Result<Block> {
    on(visit, who, POLLING, |rig| rig.posts(visit, BATCH))
}

pub(crate) fn csd_parked(who: Who, visit: &Visit) -> Result<Block> {
    on(visit, who, PARKED, |rig| rig.posts(visit, Shape::AfterRest))
}

pub(crate) fn all_polling(who: Who, visit: &Visit) -> Result<Block> {
    on(visit, who, POLLING, |rig| rig.multicasts(visit, BATCH, 0b11))
}

/// To `targets` of eight that sleep on shared cores.
pub(crate) fn mask(who: Who, visit: &Visit, targets: u32) -> Result<Block> {
    let bits = ((1 << targets) - 1) << 1;
    on(visit, who, (CROWD, State::Parked), |rig| rig.multicasts(visit, Shape::AfterRest, bits))
}

/// To those eight and oneself.
pub(crate) fn all_parked(who: Who, visit: &Visit) -> Result<Block> {
    let bits = (1 << CROWD) - 1;
    on(visit, who, (CROWD, State::Parked), |rig| rig.multicasts(visit, Shape::AfterRest, bits))
}
