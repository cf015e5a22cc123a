//! CPUs that stop looking: for a while (P7), or for good (P8).

use super::super::checks::Checks;
use super::{counted, queued};
use crate::pace::{Line, Pace, Place, linger_until};
use crate::threads::spawn;
use anyhow::Result;
use smpcall_host::smpcall::{Coalesced, PostError, Posted};
use smpcall_host::{Attached, Machine};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

const OFFLINE: Result<Posted, PostError> = Err(PostError::Offline { coalesced: Coalesced::No });

/// This CPU, then the machine's own, go offline with calls in their queues.
pub(super) fn goes_offline(machine: &Arc<Machine>, here: Attached<'_>, checks: &mut Checks) {
    const CSDS: u64 = 64;
    let ran = Arc::new(AtomicU64::new(0));
    let csds: Vec<_> = (0..CSDS)
        .map(|_| {
            let ran = Arc::clone(&ran);
            // Relaxed: a count; read by the thread that ran it, or after it has ended.
            counted(move || _ = ran.fetch_add(1, Ordering::Relaxed))
        })
        .collect();
    let own = here.cpu();
    let mut leave = |cpu, end: &mut dyn FnMut()| {
        let accepted = queued(machine, csds.iter().map(|csd| (cpu, csd)));
        end();
        checks.all("P1", "a CPU that is online accepts posts", accepted, CSDS);
        // Relaxed: as above.
        let ran = ran.swap(0, Ordering::Relaxed);
        checks.same("P8", "a CPU that goes offline runs all it accepted", ran, CSDS);
        let refused =
            csds.iter().filter(|csd| machine.post(cpu, *csd) == OFFLINE && !csd.is_pending()).count();
        checks.all("P8", "an offline CPU refuses, and queues nothing", refused as u64, CSDS);
    };
    let mut here = Some(here);
    leave(own, &mut || drop(here.take()));
    if own != 0 {
        // An error would be that we are one of its own threads.
        leave(0, &mut || _ = machine.shutdown());
    }
}

/// What the CPU that parks has counted.
#[derive(Default)]
struct Parks {
    /// Times it was woken, or did not sleep, and ran something.
    ran_something: AtomicU64,
    /// Flushes that may have stopped at their budget, each of which rings once.
    budgets: AtomicU64,
    stop: AtomicBool,
}

/// Counts doorbells against sleeps: a CPU that parks whenever it has nothing to run, and posts in bursts.
pub(super) fn doorbells(place: &Place, checks: &mut Checks) -> Result<()> {
    const BURSTS: u64 = 100;
    /// More would be left over by a flush, which then rings itself.
    const BUDGET: u32 = 256;
    let machine = Machine::builder().attachable(1).build()?;
    let (parks, ran, online) = (Parks::default(), Arc::new(Line(AtomicU64::new(0))), Barrier::new(2));
    let csds: Vec<_> = (0..8)
        .map(|_| {
            let ran = Arc::clone(&ran);
            // Release: pairs with the poster's look.
            counted(move || _ = ran.0.fetch_add(1, Ordering::Release))
        })
        .collect();
    let (accepted, came) = thread::scope(|scope| {
        let target = spawn(scope, || park_until_stopped(&machine, place, &parks, &online, BUDGET))?;
        online.wait();
        let mut accepted = 0;
        let mut came = true;
        for burst in 0..BURSTS {
            accepted += queued(&machine, csds.iter().map(|csd| (0, csd)));
            if burst % 4 == 0 {
                // Acquire: pairs with the functions.
                came &= linger_until(|| ran.0.load(Ordering::Acquire) == accepted);
                Pace::Apart.settle();
            }
        }
        // Acquire: as above.
        came &= linger_until(|| ran.0.load(Ordering::Acquire) == accepted);
        let bells = machine.counts().rings;
        // Release: nothing is published with it.
        parks.stop.store(true, Ordering::Release);
        // One more post wakes it, so that it sees the stop; refused if it was awake and did.
        accepted += queued(&machine, [(0, &csds[0])]);
        target.join().expect("the target does not panic")?;
        // Relaxed: the target has ended.
        let sleeps = parks.ran_something.load(Ordering::Relaxed) + parks.budgets.load(Ordering::Relaxed);
        checks.that("P7", "no more doorbells than times a CPU stopped looking", bells <= sleeps);
        anyhow::Ok((accepted, came))
    })?;
    checks.that("P1", "posts to a CPU that parks run, and run once", came);
    // Acquire: as above.
    checks.same("P1", "they run as often as they were accepted", ran.0.load(Ordering::Acquire), accepted);
    Ok(())
}

fn park_until_stopped(
    machine: &Machine,
    place: &Place,
    parks: &Parks,
    online: &Barrier,
    budget: u32,
) -> Result<()> {
    let here = Place::attach(machine, 0, place.target());
    online.wait();
    let mut here = here?;
    // Acquire: nothing hangs on it.
    while !parks.stop.load(Ordering::Acquire) {
        let ran = here.park(None);
        // Relaxed: read when we have ended.
        parks.ran_something.fetch_add((ran > 0).into(), Ordering::Relaxed);
        // Relaxed: as above.
        parks.budgets.fetch_add((ran >= budget).into(), Ordering::Relaxed);
    }
    Ok(())
}
