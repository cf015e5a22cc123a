//! The reschedule IPI on the smallest port (`toy/mod.rs`): a task is made ready on another CPU, which is rung once, however many tasks come
//! before it looks. The csd is a field of the run queue.
//!
//! `cargo run -p smpcall --example reschedule`

mod toy;

use smpcall::{CsdField, CsdOwner, Here, Posted, csd_field};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use toy::{CPUS, SMP};

type Task = fn();

/// What a CPU has to run. Others put tasks there, and then ask it to look.
struct RunQueue {
    reschedule: CsdField,
    ready: Mutex<VecDeque<Task>>,
}

csd_field! { impl RunQueue { reschedule } }

impl CsdOwner for RunQueue {
    type Pointer = &'static Self;

    /// On the CPU whose queue this is. A kernel sets the flag by which the interrupt's end switches tasks; here they run at once.
    fn run(this: &'static Self, here: Here<'_>) {
        let mine = &raw const RUN_QUEUES[here.cpu() as usize];
        assert!(std::ptr::eq(this, mine), "it runs where it was posted to");
        let ready = std::mem::take(&mut *this.ready.lock().expect("nobody panics with it"));
        ready.iter().for_each(|task| task());
    }
}

static RUN_QUEUES: [RunQueue; CPUS] =
    [const { RunQueue { reschedule: CsdField::new(), ready: Mutex::new(VecDeque::new()) } }; CPUS];
static TASKS_RUN: AtomicU32 = AtomicU32::new(0);
static RESCHEDULES: AtomicU32 = AtomicU32::new(0);

/// Makes a task ready on that CPU, from anywhere.
fn wake(cpu: u32, task: Task) {
    let queue = &RUN_QUEUES[cpu as usize];
    queue.ready.lock().expect("nobody panics with it").push_back(task);
    // Busy is as good: the run that is still to come finds the task (P2).
    if SMP.post(cpu, queue) == Ok(Posted::Queued) {
        RESCHEDULES.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() {
    toy::boot(|| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for task in 0..3_000 {
                        wake(task % CPUS as u32, || _ = TASKS_RUN.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        });
        RUN_QUEUES.iter().for_each(|queue| SMP.wait(queue).expect("a thread may wait"));
        assert_eq!(TASKS_RUN.load(Ordering::Relaxed), 12_000, "a task was lost");
        let reschedules = RESCHEDULES.load(Ordering::Relaxed);
        println!("12,000 tasks, {reschedules} posts that were queued; the others were Busy");
        assert!((1..=12_000).contains(&reschedules));
    });
}
