#!/usr/bin/env bash
# Believed: loom runs a model in every way that C11 and the documentation of its types allow: a `compare_exchange_weak` that fails for no reason, a
#           `Condvar::wait_timeout` whose time is over before anybody notifies.
# Version:  loom 0.7.2, by cargo from the registry.
# Behaviour: neither comes about, in any execution. A weak compare-and-swap is a strong one, so an algorithm that is only right if it never
#            fails for no reason passes. `wait_timeout` waits for ever and always says that it did not time out: code for a time that is
#            over is never run, and a thread whose only way on that is counts as a deadlock.
# Seen:     weak: 0 failed; notified or late: timed out: never; nobody notifies: deadlock
. "$(dirname "$0")/common.sh"
probe 2021 'loom = "=0.7.2"'
cat > src/main.rs <<'RUST'
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::sync::atomic::AtomicUsize as Count;
use std::time::Duration;

static FAILED: Count = Count::new(0);
static LATE: Count = Count::new(0);

fn wait(of: &(Mutex<bool>, Condvar)) {
    let mut is_set = of.0.lock().unwrap();
    while !*is_set {
        let (guard, timeout) = of.1.wait_timeout(is_set, Duration::from_millis(1)).unwrap();
        is_set = guard;
        if timeout.timed_out() {
            LATE.fetch_add(1, Relaxed);
            return;
        }
    }
}

fn main() {
    // Two threads, each with a word of its own beside a shared one.
    loom::model(|| {
        let word = Arc::new(AtomicUsize::new(0));
        let mine = AtomicUsize::new(0);
        let other = thread::spawn({ let word = word.clone(); move || word.store(1, Relaxed) });
        if mine.compare_exchange_weak(0, 1, Relaxed, Relaxed).is_err() {
            FAILED.fetch_add(1, Relaxed);
        }
        word.load(Relaxed);
        other.join().unwrap();
    });
    println!("weak: {} failed", FAILED.load(Relaxed));
    loom::model(|| {
        let of = Arc::new((Mutex::new(false), Condvar::new()));
        let other = thread::spawn({ let of = of.clone(); move || { *of.0.lock().unwrap() = true; of.1.notify_one(); } });
        wait(&of);
        other.join().unwrap();
    });
    println!("notified or late: timed out {} times", LATE.load(Relaxed));
    std::panic::set_hook(Box::new(|_| {}));
    let alone = std::panic::catch_unwind(|| loom::model(|| wait(&(Mutex::new(false), Condvar::new()))));
    let said = alone.map_err(|said| said.downcast_ref::<String>().unwrap().split(';').next().unwrap().to_owned());
    println!("nobody notifies: {}", said.err().unwrap_or_default());
}
RUST
cargo build --quiet --release
demand "never" "$("$folder/target/release/probe" | paste -sd '|')" \
    'weak: 0 failed|notified or late: timed out 0 times|nobody notifies: deadlock'
