#!/usr/bin/env bash
# Believed: where all tasks wait, nothing runs: two tasks that receive from one empty channel of embassy's ("MPMC"), or wait for one mutex, are
#           polled once each, and then when something comes.
# Version:  embassy-sync 0.8.0, beside async-channel 2.5.0 and async-lock 3.5.0, by cargo from the registry.
# Behaviour: channel, mutex, signal and greedy semaphore have room for one waker. A second one that is put there wakes the first, whose task puts
#            its own there again and wakes the second: each poll brings the next, and a CPU that sleeps when its executor has nothing to do never
#            does. The module `waitqueue` says so of its `WakerRegistration`; the types in which that lies do not. (`FairSemaphore` has a queue.)
# Seen:     for each of the four the 10,000 polls after which the probe gives up; two polls for `FairSemaphore` and for the peers
. "$(dirname "$0")/task.sh"
probe_task 2021 'async-channel = "=2.5.0"
async-lock = "=3.5.0"
critical-section = { version = "1", features = ["std"] }
embassy-sync = "=0.8.0"'
cat > src/main.rs <<'RUST'
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex as Raw;
use embassy_sync::{channel::Channel, mutex::Mutex, semaphore::*, signal::Signal};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Waker};
use task::Task;

mod task;

/// Two tasks of an executor: each is polled when it was woken, until none is, or it goes on for too long.
fn tell<A: Future, B: Future>(name: &str, one: A, other: B) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let tasks = [(); 2].map(|()| Arc::new(Task(AtomicBool::new(true))));
    let wakers = tasks.clone().map(Waker::from);
    let mut polls = 0;
    while polls < 10_000 && tasks.iter().any(|task| task.0.load(Relaxed)) {
        if tasks[0].0.swap(false, Relaxed) {
            assert!(one.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
            polls += 1;
        }
        if tasks[1].0.swap(false, Relaxed) {
            assert!(other.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
            polls += 1;
        }
    }
    println!("{name} {polls}");
}

fn main() {
    let channel = Channel::<Raw, u32, 4>::new();
    tell("channel", channel.receive(), channel.receive());
    let mutex = Mutex::<Raw, u32>::new(0);
    let _guard = mutex.try_lock().ok().unwrap();
    tell("mutex", mutex.lock(), mutex.lock());
    let signal = Signal::<Raw, u32>::new();
    tell("signal", signal.wait(), signal.wait());
    let greedy = GreedySemaphore::<Raw>::new(0);
    tell("greedy", greedy.acquire(1), greedy.acquire(1));
    let fair = FairSemaphore::<Raw, 2>::new(0);
    tell("fair", fair.acquire(1), fair.acquire(1));
    let (_sender, receiver) = async_channel::bounded::<u32>(4);
    tell("async-channel", receiver.recv(), receiver.recv());
    let mutex = async_lock::Mutex::new(0);
    let _guard = mutex.try_lock().unwrap();
    tell("async-lock", mutex.lock(), mutex.lock());
}
RUST
cargo build --quiet
demand "polls of two waiting tasks" "$("$folder/target/debug/probe" | paste -sd '|')" \
    'channel 10000|mutex 10000|signal 10000|greedy 10000|fair 2|async-channel 2|async-lock 2'
