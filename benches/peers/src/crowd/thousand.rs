//! A thread that calls while more than a thousand others have called and live: each of them keeps a doorbell of the host's.

use crate::block::{Block, Shape, Visit};
use crate::work::KEY;
use anyhow::{Context, Result, ensure};
use smpcall_host::{Idle, Machine};
use smpcall_measure::pace::pin;
use std::hint::{black_box, spin_loop};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// So many others come before the 1,025th.
pub(crate) const MANY: usize = 1024;
/// So many before one of the first: the same number of threads, but for a few.
pub(crate) const FEW: usize = 1000;
/// Holders do next to nothing.
const STACK_LEN: usize = 64 << 10;

/// What is called.
pub(crate) struct Target {
    pub(crate) idle: Idle,
    pub(crate) shape: Shape,
    /// How long its function takes.
    pub(crate) function: Duration,
}

fn call(machine: &Machine, number: u32, function: Duration) -> bool {
    let answer = machine.call(0, move || {
        if !function.is_zero() {
            let began = Instant::now();
            while began.elapsed() < function {
                spin_loop();
            }
        }
        black_box(number) ^ KEY
    });
    answer == Ok(number ^ KEY)
}

/// The calls of a new thread, while so many others live that have called before.
pub(crate) fn beside(visit: &Visit, others: usize, target: &Target) -> Result<Block> {
    let machine = &Machine::builder().owned(1).cores(visit.place.owned()).idle(target.idle).build()?;
    thread::scope(|scope| {
        let (here, all_here) = mpsc::channel();
        // They live until these are dropped, at an error too.
        let mut alive = Vec::new();
        for _ in 0..others {
            let (hold, held) = mpsc::channel::<()>();
            let here = here.clone();
            let holder = move || {
                // The other side is gone at an error.
                let _ = here.send(call(machine, 1, Duration::ZERO));
                let _ = held.recv();
            };
            let holder = thread::Builder::new().stack_size(STACK_LEN).spawn_scoped(scope, holder);
            holder.with_context(|| format!("cannot start {others} threads"))?;
            alive.push(hold);
        }
        ensure!(all_here.iter().take(others).all(|right| right), "a call was answered wrongly");
        let newcomer = || {
            pin(visit.place.caller())?;
            let each = |number| u32::from(call(machine, number, target.function));
            visit.measure(target.shape, |n| (0..n).map(each).sum())
        };
        let newcomer =
            thread::Builder::new().spawn_scoped(scope, newcomer).context("cannot start a thread")?;
        newcomer.join().expect("a caller does not panic")
    })
}
