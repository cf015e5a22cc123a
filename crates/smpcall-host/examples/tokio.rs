//! Two tokio runtimes, a thread each, that are CPUs: their tasks call each other's thread, are woken by posts, and spawn tasks on
//! each other.
//!
//! `cargo run -p smpcall-host --example tokio`

use smpcall_host::smpcall::Csd;
use smpcall_host::{Machine, WakerCell};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, yield_now};

static MACHINE: OnceLock<Machine> = OnceLock::new();
static READY: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// This thread's own: other threads reach it by calls only.
    static HITS: Cell<u32> = const { Cell::new(0) };
}

/// A csd that its poster owns: posted again while it is queued, it is Busy, and runs once for both.
static HIT: Csd<fn()> = Csd::new(|| HITS.set(HITS.get() + 1));

async fn runtime(machine: &'static Machine, cpu: u32) {
    let mut here = machine.attach_with(cpu, WakerCell::new()).expect("nobody else is this CPU");
    // The CPU is a task beside the others. It owns the CPU: when it ends, the CPU goes offline.
    let pump = spawn_local(async move { here.pump().spawning_by(|task| drop(spawn_local(task))).await });
    let turns = Rc::new(Cell::new(0));
    let other_task = spawn_local({
        let turns = Rc::clone(&turns);
        async move {
            for _ in 0..100 {
                turns.set(turns.get() + 1);
                yield_now().await;
            }
        }
    });
    // Release: this CPU is online; pairs with the look below.
    READY.fetch_add(1, Ordering::Release);
    // Acquire: so is the other.
    while READY.load(Ordering::Acquire) < 2 {
        yield_now().await;
    }
    for _ in 0..1_000 {
        // A call waits for its answer, and serves this CPU meanwhile; so both may call at once.
        let theirs = machine.call(1 - cpu, || HITS.get());
        assert!(theirs.is_ok());
        machine.post(1 - cpu, &HIT).expect("it is online");
        yield_now().await;
    }
    // A future there, on its thread-locals, that may await: and its result back.
    let theirs = machine.spawn_on(1 - cpu, || async {
        while HITS.get() == 0 {
            yield_now().await;
        }
        HITS.get()
    });
    assert!(theirs.await.expect("the other runtime is there") > 0);
    other_task.await.expect("it does not panic");
    assert_eq!(turns.get(), 100);
    machine.wait(&HIT).expect("a thread may wait for a csd");
    // Relaxed: only counts who is done; the machine's end is what wakes the pumps.
    if READY.fetch_add(1, Ordering::Relaxed) == 3 {
        machine.shutdown().expect("outside of any call");
    }
    pump.await.expect("it does not panic");
    assert!(HITS.get() > 0, "the other one's posts ran here");
}

fn main() {
    let machine = MACHINE.get_or_init(|| Machine::builder().attachable(2).build().expect("two CPUs"));
    thread::scope(|scope| {
        for cpu in 0..2 {
            scope.spawn(move || {
                let tokio = Builder::new_current_thread().build().expect("a runtime");
                LocalSet::new().block_on(&tokio, runtime(machine, cpu));
            });
        }
    });
    let counts = machine.counts();
    println!(
        "2,000 calls and 2,000 posts, {} rings, {} of which woke a task or a thread",
        counts.rings, counts.wakes
    );
}
