//! Eight CPUs that share the cores, all of which call each other at once, and serve the others' calls while they wait.

use super::{all_at_once, call_until};
use crate::block::{Block, Visit};
use crate::unpark::{Before, Caller, Job, Target};
use crate::work::KEY;
use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, unbounded};
use smpcall_host::Machine;
use smpcall_measure::pace::{Line, Place, pin};
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

const CPUS: u32 = 8;
/// How long one that has made its calls sleeps before it looks whether all have; calls to it wake it.
const LOOK: Duration = Duration::from_millis(1);

/// Whom a CPU calls by its call of that number: all others in turn.
fn target(cpu: u32, number: u32) -> u32 {
    (cpu + 1 + number % (CPUS - 1)) % CPUS
}

pub(crate) fn ours(visit: &Visit) -> Result<Block> {
    let machine = Machine::builder().attachable(CPUS as usize).build()?;
    let done = Line(AtomicU32::new(0));
    all_at_once(visit, CPUS, |cpu, core, gate| {
        let here = Place::attach(&machine, cpu, core);
        let end = gate.pass()?;
        // Relaxed: a count. The others do not wait for one that cannot come.
        let mut here = here.inspect_err(|_| _ = done.0.fetch_add(1, Ordering::Relaxed))?;
        let began = Instant::now();
        let seen = call_until(end, |number| {
            machine.call(target(cpu, number), move || black_box(number) ^ KEY) == Ok(number ^ KEY)
        });
        let took = began.elapsed();
        // Relaxed: a count.
        done.0.fetch_add(1, Ordering::Relaxed);
        // Relaxed: as above.
        while done.0.load(Ordering::Relaxed) < CPUS {
            here.park(Some(LOOK));
        }
        Ok((seen?, took))
    })
}

pub(crate) fn crossbeam(visit: &Visit) -> Result<Block> {
    let channels: Vec<(Sender<Job>, Receiver<Job>)> = (0..CPUS).map(|_| unbounded()).collect();
    let threads: Vec<OnceLock<Thread>> = (0..CPUS).map(|_| OnceLock::new()).collect();
    let done = Line(AtomicU32::new(0));
    all_at_once(visit, CPUS, |cpu, core, gate| {
        let pinned = pin(core);
        threads[cpu as usize].get_or_init(thread::current);
        let end = gate.pass()?;
        let of = |(channel, thread): (&(Sender<Job>, _), &OnceLock<Thread>)| Target {
            jobs: channel.0.clone(),
            thread: thread.get().expect("all are here").clone(),
        };
        let targets: Vec<Target> = channels.iter().zip(&threads).map(of).collect();
        let (caller, jobs, began) = (Caller::new(Before::Backoff), &channels[cpu as usize].1, Instant::now());
        let serve = || jobs.try_iter().map(|job| job()).count() > 0;
        let seen =
            call_until(end, |number| caller.call(&targets[target(cpu, number) as usize], number, serve));
        let took = began.elapsed();
        // Relaxed: a count.
        done.0.fetch_add(1, Ordering::Relaxed);
        // Relaxed: as above.
        while done.0.load(Ordering::Relaxed) < CPUS {
            if !serve() {
                thread::park_timeout(LOOK);
            }
        }
        pinned?;
        Ok((seen?, took))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_calls_itself_and_everybody_all_others() {
        for cpu in 0..CPUS {
            let mut targets: Vec<_> = (0..CPUS - 1).map(|number| target(cpu, number)).collect();
            targets.sort_unstable();
            assert!(targets.iter().copied().eq((0..CPUS).filter(|other| *other != cpu)), "{targets:?}");
        }
    }
}
