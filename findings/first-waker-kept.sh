#!/usr/bin/env bash
# Believed: `Future::poll` has it that the waker of the last poll is the one to be woken: a future that was polled once in a `select`, and is then
#           handed to another task, wakes that one.
# Version:  async-unsync 0.3.0 (for executors of one thread), kanal 0.1.1 and rtic-sync 1.6.0 (for microcontrollers), beside async-lock 3.5.0 and
#           tokio 1.54.1, by cargo from the registry.
# Behaviour: async-unsync's `Semaphore::acquire` and its bounded channel's `send`, kanal's asynchronous `send`, and rtic-sync's `Arbiter::access` and its
#            channel's `send` keep the waker of the first poll and never another one: the task that polled last is not woken when its turn has
#            come. (kanal's `recv` takes the new one.)
# Seen:     for these five the first poll's waker is woken; async-lock's, tokio's and kanal's `recv` wake the second poll's
. "$(dirname "$0")/task.sh"
probe_task 2021 'async-lock = "=3.5.0"
async-unsync = "=0.3.0"
critical-section = { version = "1", features = ["std"] }
kanal = "=0.1.1"
rtic-sync = "=1.6.0"
tokio = { version = "=1.54.1", default-features = false, features = ["sync"] }'
cat > src/main.rs <<'RUST'
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Waker};
use task::Task;

mod task;

/// Polled by one task, then by another; then its turn comes.
fn tell<F: Future>(name: &str, wait: F, turn: impl FnOnce()) {
    let tasks = [(); 2].map(|()| Arc::new(Task(AtomicBool::new(false))));
    let mut wait = Box::pin(wait);
    for task in &tasks {
        assert!(wait.as_mut().poll(&mut Context::from_waker(&Waker::from(task.clone()))).is_pending());
    }
    turn();
    let woken: Vec<&str> = ["first", "second"].into_iter().zip(&tasks).filter(|(_, task)| task.0.load(Relaxed)).map(|(name, _)| name).collect();
    // It is its turn, for whoever polls.
    assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    println!("{name} {}", woken.join(" and "));
}

fn main() {
    let semaphore = async_lock::Semaphore::new(0);
    tell("async-lock semaphore", semaphore.acquire(), || semaphore.add_permits(1));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    sender.try_send(1).unwrap();
    tell("tokio send", sender.send(2), || assert!(receiver.try_recv().is_ok()));
    let semaphore = async_unsync::semaphore::Semaphore::new(0);
    tell("async-unsync semaphore", semaphore.acquire(), || semaphore.add_permits(1));
    let channel = async_unsync::bounded::channel(1);
    channel.try_send(1).unwrap();
    tell("async-unsync send", channel.send(2), || assert!(channel.try_recv().is_ok()));
    let (sender, receiver) = kanal::bounded_async(1);
    tell("kanal recv", receiver.recv(), || assert!(sender.try_send(1).unwrap()));
    assert!(sender.try_send(1).unwrap());
    tell("kanal send", sender.send(2), || assert!(receiver.try_recv().unwrap().is_some()));
    let arbiter = rtic_sync::arbiter::Arbiter::new(());
    let access = arbiter.try_access().unwrap();
    tell("rtic-sync arbiter", arbiter.access(), || drop(access));
    let channel = Box::leak(Box::new(rtic_sync::channel::Channel::<u32, 1>::new()));
    let (mut sender, mut receiver) = channel.split();
    sender.try_send(1).unwrap();
    tell("rtic-sync send", sender.send(2), || assert!(receiver.try_recv().is_ok()));
}
RUST
cargo build --quiet
demand "woken" "$("$folder/target/debug/probe" | paste -sd '|')" \
    'async-lock semaphore second|tokio send second|async-unsync semaphore first|async-unsync send first|kanal recv second|kanal send first|rtic-sync arbiter first|rtic-sync send first'
