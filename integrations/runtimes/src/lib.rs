//! What the examples share: a runtime's thread is CPU 0, and this one calls it, and posts to it.

use smpcall_host::smpcall::Csd;
use smpcall_host::{Machine, WakerCell};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

static MACHINE: OnceLock<Machine> = OnceLock::new();
static TURNS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The runtime thread's own.
    static HITS: Cell<u32> = const { Cell::new(0) };
}

static HIT: Csd<fn()> = Csd::new(|| HITS.set(HITS.get() + 1));

/// The machine, of one CPU, for a thread that attaches.
pub fn machine() -> &'static Machine {
    MACHINE.get_or_init(|| Machine::builder().attachable(1).build().expect("one CPU"))
}

/// The runtime's task: its thread is CPU 0 until the machine is shut down.
pub async fn cpu() {
    let mut here = machine().attach_with(0, WakerCell::new()).expect("nobody else is this CPU");
    here.pump().await;
}

/// Another task of the same thread's: it has its turns while the CPU is served.
pub fn turn() {
    // Relaxed: a count.
    TURNS.fetch_add(1, Ordering::Relaxed);
}

/// Calls and posts while `runtime` runs in a thread of its own, and ends the machine then, and so the pump.
pub fn drive(name: &str, runtime: fn()) {
    drive_until(name, runtime, || ());
}

/// [`drive`], and `done` returns before the machine is shut down: it waits for what else needs the CPU.
pub fn drive_until(name: &str, runtime: fn(), done: impl FnOnce()) {
    let thread = std::thread::spawn(runtime);
    let machine = machine();
    while !machine.is_online_racy(0) {
        // A runtime that this kernel cannot run says so, and is not waited for.
        if thread.is_finished() {
            thread.join().expect("the runtime starts");
            panic!("{name} ended before its pump did");
        }
        std::thread::yield_now();
    }
    for round in 1..=1_000 {
        assert_eq!(machine.call(0, || round), Ok(round));
        machine.post(0, &HIT).expect("it is online");
        machine.wait(&HIT).expect("this thread may wait");
    }
    assert_eq!(machine.call(0, || HITS.get()), Ok(1_000));
    done();
    let counts = machine.counts();
    machine.shutdown().expect("outside of any call");
    while machine.is_online_racy(0) {
        std::thread::yield_now();
    }
    // Relaxed: a count.
    assert!(TURNS.load(Ordering::Relaxed) > 0, "other tasks had their turns");
    println!("{name}: 1,000 calls and 1,000 posts, {} rings, {} wake-ups", counts.rings, counts.wakes);
}
