//! Calls that are awaited, from tokio's runtimes: threads that are CPUs, and threads that are none.
//!
//! A runtime's thread that is a CPU has a task that flushes its queue (a *pump*); here one that never sleeps.

use smpcall::{AsyncCall, AsyncCallError, Budget, To};
use smpcall_host::{Attached, Machine, smpcall};
use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

const CALLS: u32 = 500;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime can be had")
}

/// Awaits `work`, and flushes meanwhile, and until `done`.
async fn pumped<R>(here: &mut Attached<'_>, work: impl Future<Output = R>, done: impl Fn() -> bool) -> R {
    let ended = Cell::new(false);
    let pump = async {
        while !(ended.get() && done()) {
            let _ = here.poll(Budget::DEFAULT);
            yield_now().await;
        }
    };
    let work = async {
        let result = work.await;
        ended.set(true);
        result
    };
    tokio::join!(work, pump).0
}

#[test]
fn two_runtimes_call_each_other() {
    let machine = Machine::builder().attachable(2).build().unwrap();
    let (both_online, ended) = (Barrier::new(2), AtomicU32::new(0));
    thread::scope(|scope| {
        for cpu in 0..2 {
            let (machine, both_online, ended) = (&machine, &both_online, &ended);
            scope.spawn(move || {
                let mut here = machine.attach(cpu).unwrap();
                both_online.wait();
                let calls = async {
                    let mut by = AsyncCall::new();
                    for round in 0..CALLS {
                        let asked = move || (machine_cpu(), round);
                        // To the other, and now and then to itself.
                        let target = if round % 16 == 0 { cpu } else { 1 - cpu };
                        let answer = machine.call_async_by(&mut by, target, asked).await.unwrap();
                        assert_eq!(answer, (thread_of(target), round));
                    }
                    ended.fetch_add(1, Ordering::AcqRel);
                };
                THREAD.set(thread_of(cpu));
                runtime().block_on(pumped(&mut here, calls, || ended.load(Ordering::Acquire) == 2));
            });
        }
    });
}

thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

/// What a CPU's thread calls itself.
fn thread_of(cpu: u32) -> u32 {
    cpu + 10
}

fn machine_cpu() -> u32 {
    THREAD.get()
}

#[test]
fn a_runtime_that_is_no_cpu_awaits_owned_cpus_asleep_and_awake() {
    for idle in [smpcall_host::Idle::Sleep, smpcall_host::Idle::PollThenSleep(Duration::from_micros(20))] {
        let machine = Arc::new(Machine::builder().owned(2).idle(idle).build().unwrap());
        let tasks = (0..8_u32).map(|task| {
            let machine = Arc::clone(&machine);
            async move {
                for round in 0..100 {
                    let sum = machine.call_async(task % 2, move || Box::new(task + round)).await.unwrap();
                    assert_eq!(*sum, task + round);
                }
            }
        });
        let runtime = runtime();
        let tasks: Vec<_> = tasks.map(|task| runtime.spawn(task)).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("no task panics");
            }
            let answers = machine.call_async_many(To::All, |cpu| cpu * 2).await;
            assert!(matches!(answers[..], [(0, Ok(0)), (1, Ok(2))]));
        });
    }
}

/// Holds CPU 0 until it is told to go on.
fn hold(machine: &Machine) -> Arc<AtomicBool> {
    let (inside, held) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let (is_inside, holds) = (Arc::clone(&inside), Arc::clone(&held));
    let hold = move || {
        is_inside.store(true, Ordering::Release);
        while holds.load(Ordering::Acquire) {
            thread::yield_now();
        }
    };
    assert!(machine.post_boxed(0, hold).is_ok());
    while !inside.load(Ordering::Acquire) {
        thread::yield_now();
    }
    held
}

#[test]
fn a_time_out_drops_the_future_and_takes_the_call_away() {
    let machine = Machine::builder().owned(1).build().unwrap();
    let held = hold(&machine);
    let witness = Arc::new(());
    let inside = Arc::clone(&witness);
    runtime().block_on(async {
        let call = machine.call_async(0, move || panic!("{inside:?} is taken away"));
        let late = tokio::time::timeout(Duration::from_millis(1), call);
        assert!(late.await.is_err(), "the CPU is held");
        assert_eq!(Arc::strong_count(&witness), 1, "the function was dropped here");
        let deadline_ns = smpcall::Platform::now_ns(machine.platform());
        let past = machine.call_async(0, || ()).before(deadline_ns).await;
        assert!(matches!(past, Err(AsyncCallError::TimedOut)));
    });
    held.store(false, Ordering::Release);
    assert_eq!(machine.call(0, || 1), Ok(1));
}

#[test]
fn a_runtime_shuts_down_while_its_calls_are_awaited() {
    let machine = Arc::new(Machine::builder().owned(1).build().unwrap());
    let held = hold(&machine);
    let runs = Arc::new(AtomicU32::new(0));
    let runtime = runtime();
    for _ in 0..16 {
        let (machine, runs) = (Arc::clone(&machine), Arc::clone(&runs));
        runtime
            .spawn(async move { machine.call_async(0, move || runs.fetch_add(1, Ordering::Relaxed)).await });
    }
    runtime.block_on(yield_now());
    runtime.block_on(yield_now());
    drop(runtime);
    assert_eq!(Arc::strong_count(&runs), 1, "the functions went with their futures");
    held.store(false, Ordering::Release);
    assert_eq!(machine.call(0, || 1), Ok(1));
    assert_eq!((runs.load(Ordering::Relaxed), Arc::strong_count(&machine)), (0, 1));
}

#[test]
fn p11_a_panic_is_the_awaiting_tasks() {
    let machine = Machine::builder().owned(1).build().unwrap();
    runtime().block_on(async {
        let Err(AsyncCallError::Panicked(panic)) = machine.call_async(0, || panic!("meant")).await else {
            panic!("it panics");
        };
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"meant"));
        assert_eq!(machine.call_async(0, || 2).await.unwrap(), 2);
        assert!(matches!(machine.call_async(9, || 2).await, Err(AsyncCallError::NoSuchCpu)));
    });
}

#[test]
fn a_machine_that_shuts_down_runs_what_it_has_accepted_and_refuses_the_rest() {
    let machine = Arc::new(Machine::builder().owned(1).build().unwrap());
    let held = hold(&machine);
    runtime().block_on(async {
        let accepted = machine.call_async(0, || 5);
        let (shuts, key) = (Arc::clone(&machine), Arc::clone(&held));
        let ends = async {
            let ender = thread::spawn(move || {
                key.store(false, Ordering::Release);
                shuts.shutdown()
            });
            ender.join().unwrap().unwrap();
        };
        let (accepted, ()) = tokio::join!(accepted, ends);
        assert_eq!(accepted.unwrap(), 5);
        assert!(matches!(machine.call_async(0, || 5).await, Err(AsyncCallError::Offline)));
    });
}
