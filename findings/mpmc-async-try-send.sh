#!/usr/bin/env bash
# Believed: an asynchronous channel's `try_send` and `try_recv` are its `send` and `recv` without the wait: who waits at the other end is woken by either.
# Version:  mpmc-async 0.1.7, beside async-channel 2.5.0, by cargo from the registry.
# Behaviour: `send` wakes a receiver, and `recv` a sender. `try_send` queues the value and wakes nobody, `try_recv` makes room and wakes nobody: who
#            waits sleeps beside it until something else wakes him.
# Seen:     mpmc-async: woken by `send` and `recv`, not by `try_send` and `try_recv`, though the value or the room is there; async-channel: by all four
. "$(dirname "$0")/task.sh"
probe_task 2021 'async-channel = "=2.5.0"
mpmc-async = "=0.1.7"'
cat > src/main.rs <<'RUST'
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Waker};
use task::Task;

mod task;

/// A task waits; then the other end does something.
fn tell<T>(name: &str, wait: impl Future<Output = T>, act: impl FnOnce()) {
    let task = Arc::new(Task(AtomicBool::new(false)));
    let waker = Waker::from(task.clone());
    let mut wait = pin!(wait);
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    act();
    let is_woken = task.0.load(Relaxed);
    // There is what it waits for, for whoever looks.
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    println!("{name} {}", if is_woken { "woken" } else { "asleep" });
}

/// It needs not wait: one poll.
fn once<T>(future: impl Future<Output = T>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

macro_rules! tell_all {
    ($name:literal, $channel:expr) => {
        let (sender, receiver) = $channel;
        tell(concat!($name, " send"), receiver.recv(), || once(sender.send(7)));
        tell(concat!($name, " try_send"), receiver.recv(), || sender.try_send(7).unwrap());
        sender.try_send(7).unwrap();
        tell(concat!($name, " recv"), sender.send(7), || once(receiver.recv()));
        tell(concat!($name, " try_recv"), sender.send(7), || assert!(receiver.try_recv().is_ok()));
    };
}

fn main() {
    tell_all!("async-channel", async_channel::bounded::<u32>(1));
    tell_all!("mpmc-async", mpmc_async::channel::<u32>(1));
}
RUST
cargo build --quiet
demand "who waits at the other end" "$("$folder/target/debug/probe" | paste -sd '|')" \
    'async-channel send woken|async-channel try_send woken|async-channel recv woken|async-channel try_recv woken|mpmc-async send woken|mpmc-async try_send asleep|mpmc-async recv woken|mpmc-async try_recv asleep'
