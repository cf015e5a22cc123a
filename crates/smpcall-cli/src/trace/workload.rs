//! The mix that is traced: every kind of call, by threads and by a CPU that comes and goes, for a short time.

use super::recorder::Recorder;
use crate::threads::spawn;
use anyhow::Result;
use smpcall_host::smpcall::{Budget, Csd, To};
use smpcall_host::{Idle, Machine};
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// The threads that are no CPU.
pub(super) const LANES: &[&str] = &["calls", "posts"];
const CALLS: usize = 0;
const POSTS: usize = 1;
/// How many csds are posted.
const CSDS: usize = 8;
/// How often a function spins: some microseconds of work that a picture shows.
const TOIL: u32 = 200;

/// A csd whose function toils.
type Toil = Csd<fn()>;

fn toil() {
    for _ in 0..black_box(TOIL) {
        spin_loop();
    }
}

/// Runs the mix on a machine that is listened to. When this returns, all of its threads have ended.
pub(super) fn run(recorder: &Arc<Recorder>, cpus: u32, time: Duration) -> Result<()> {
    let builder = Machine::builder().owned(cpus as usize).attachable(1).trace(Arc::clone(recorder));
    let machine = builder.idle(Idle::PollThenSleep(Duration::from_micros(50))).build()?;
    let until = &Until { time: Instant::now() + time, is_cut_short: AtomicBool::new(false) };
    thread::scope(|scope| {
        let threads = [
            spawn(scope, || calls(&machine, cpus, until)),
            spawn(scope, || posts(&machine, cpus, until)),
            spawn(scope, || comes_and_goes(&machine, cpus, until)),
        ];
        if threads.iter().any(Result::is_err) {
            until.cut_short();
        }
        let join = |thread: ScopedJoinHandle<'_, _>| thread.join().expect("the workload does not panic");
        threads.into_iter().try_for_each(|thread| join(thread?))
    })?;
    Ok(machine.shutdown()?)
}

/// When the threads end.
struct Until {
    time: Instant,
    /// One of them could not be started.
    is_cut_short: AtomicBool,
}

impl Until {
    fn cut_short(&self) {
        // Relaxed: says when to end, and nothing else.
        self.is_cut_short.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        // Relaxed: as above.
        Instant::now() >= self.time || self.is_cut_short.load(Ordering::Relaxed)
    }
}

/// Goes round until the time is over, and once at least.
fn rounds(until: &Until, mut round: impl FnMut(u32) -> Result<()>) -> Result<()> {
    for number in 0.. {
        round(number)?;
        if until.is_over() {
            break;
        }
    }
    Ok(())
}

/// A thread that waits for each of its calls.
fn calls(machine: &Machine<Arc<Recorder>>, cpus: u32, until: &Until) -> Result<()> {
    let recorder = machine.tracer();
    recorder.enter(CALLS);
    rounds(until, |round| {
        recorder.step(None, "call", || machine.call(round % cpus, toil))?;
        if round % 4 == 0 {
            recorder.step(None, "call_many", || machine.call_many(To::All, toil))?;
        }
        thread::sleep(Duration::from_micros(20));
        Ok(())
    })
}

/// A thread that posts: csds of its own, some of them told Busy, some posted on by their own function; and to a CPU that
/// may be offline.
fn posts(machine: &Machine<Arc<Recorder>>, cpus: u32, until: &Until) -> Result<()> {
    let recorder = machine.tracer();
    recorder.enter(POSTS);
    let csds: Vec<Arc<Toil>> = std::iter::repeat_with(|| Arc::new(Toil::new(toil))).take(CSDS).collect();
    rounds(until, |round| {
        let csd = &csds[round as usize % CSDS];
        // Busy and Offline are answers like any other here: they are in the trace.
        for target in [round % cpus, cpus] {
            let _ = recorder.step(None, "post", || machine.post(target, csd));
        }
        if round % 3 == 0 {
            let _ = recorder.step(None, "post_all", || machine.post_all((round + 1) % cpus, &csds));
        }
        if round % 8 == 0 {
            recorder.step(None, "wait", || machine.wait(csd))?;
        }
        thread::sleep(Duration::from_micros(30));
        Ok(())
    })?;
    csds.iter().try_for_each(|csd| Ok(machine.wait(csd)?))
}

/// A thread that is a CPU for a while, calls others and serves their calls, and goes offline again.
fn comes_and_goes(machine: &Machine<Arc<Recorder>>, cpus: u32, until: &Until) -> Result<()> {
    let recorder = machine.tracer();
    rounds(until, |round| {
        let mut here = machine.attach(cpus)?;
        let me = Some(cpus);
        for step in 0..8 {
            recorder.step(me, "call", || machine.call((round + step) % cpus, toil))?;
            let _ = recorder.step(me, "flush", || here.poll(Budget::DEFAULT));
        }
        drop(here);
        thread::sleep(Duration::from_micros(100));
        Ok(())
    })
}
