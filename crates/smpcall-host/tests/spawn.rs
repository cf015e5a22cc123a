//! Futures that run on another CPU's thread, as tasks of the executor there: tokio's, and smol's.

use smpcall_host::smpcall::Platform;
use smpcall_host::{Machine, SpawnError, Spawned, WakerCell};
use std::cell::Cell;
use std::future::{Future, pending};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread::{self, ThreadId};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, yield_now};

/// Runs `test` while CPU 0 is a task of a runtime's thread, whose number it is given; then shuts the machine down.
fn with_runtime(runtime: fn(&Machine, &Barrier), test: impl FnOnce(&Arc<Machine>, ThreadId)) {
    let machine = Arc::new(Machine::builder().attachable(2).build().unwrap());
    let online = Barrier::new(2);
    thread::scope(|scope| {
        let (machine, online) = (&machine, &online);
        let thread = scope.spawn(move || runtime(machine, online));
        online.wait();
        let ends = Ends(machine);
        test(machine, thread.thread().id());
        drop(ends);
    });
}

/// Ends the runtime, also when the test fails.
struct Ends<'a>(&'a Machine);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.shutdown().unwrap();
    }
}

fn tokio(machine: &Machine, online: &Barrier) {
    let mut here = machine.attach_with(0, WakerCell::new()).unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let pump = here.pump().spawning_by(|task| drop(spawn_local(task)));
        online.wait();
        pump.await;
    });
}

fn smol(machine: &Machine, online: &Barrier) {
    let mut here = machine.attach_with(0, WakerCell::new()).unwrap();
    let tasks = Rc::new(smol::LocalExecutor::new());
    let spawner = Rc::downgrade(&tasks);
    let pump = here.pump().spawning_by(move |task| {
        if let Some(tasks) = Weak::upgrade(&spawner) {
            tasks.spawn(task).detach();
        }
    });
    online.wait();
    smol::block_on(tasks.run(pump));
}

const RUNTIMES: [fn(&Machine, &Barrier); 2] = [tokio, smol];

fn join<T>(spawned: Spawned<T>) -> Result<T, SpawnError> {
    smol::block_on(spawned)
}

#[test]
fn a_future_stays_on_the_thread_and_its_result_comes_back() {
    for runtime in RUNTIMES {
        with_runtime(runtime, |machine, thread| {
            let spawned: Vec<_> = (0..50)
                .map(|number| {
                    machine.spawn_on(0, move || {
                        let (made_on, local) = (thread::current().id(), Rc::new(Cell::new(number)));
                        async move {
                            for _ in 0..number % 4 {
                                smol::future::yield_now().await;
                                local.set(local.get() + 1);
                            }
                            (made_on, thread::current().id(), local.get())
                        }
                    })
                })
                .collect();
            for (number, spawned) in (0..).zip(spawned) {
                assert_eq!(join(spawned).unwrap(), (thread, thread, number + number % 4));
            }
        });
    }
}

#[test]
fn closure_and_future_run_in_a_tasks_context_and_not_in_call_context() {
    with_runtime(tokio, |machine, _| {
        let spawned = machine.spawn_on(0, {
            let machine = Arc::clone(machine);
            move || {
                let in_closure = machine.platform().can_wait();
                async move {
                    // A task of the runtime spawns others there, and may wait.
                    let other = spawn_local(async { 5 });
                    yield_now().await;
                    let waited = machine.call(0, || 7);
                    (in_closure, machine.platform().can_wait(), waited, other.await.ok())
                }
            }
        });
        assert_eq!(join(spawned).unwrap(), (true, true, Ok(7), Some(5)));
    });
}

/// Says by whom it is dropped.
struct Says(Sender<ThreadId>);

impl Drop for Says {
    fn drop(&mut self) {
        self.0.send(thread::current().id()).unwrap();
    }
}

#[test]
fn p11_a_panic_of_the_closure_or_the_future_comes_back() {
    for runtime in RUNTIMES {
        with_runtime(runtime, |machine, thread| {
            let (said, drops) = channel();
            let says = said.clone();
            let in_closure = machine.spawn_on(0, move || -> std::future::Ready<()> {
                let _says = Says(says);
                std::panic::resume_unwind(Box::new("closure"))
            });
            let in_future = machine.spawn_on(0, move || async move {
                let _says = Says(said);
                smol::future::yield_now().await;
                std::panic::resume_unwind(Box::new("future"))
            });
            for (spawned, what) in [(in_closure, "closure"), (in_future, "future")] {
                let Err(SpawnError::Panicked(panic)) = join(spawned) else { panic!("it panics") };
                assert_eq!(panic.downcast_ref(), Some(&what));
                assert_eq!(drops.recv(), Ok(thread));
            }
            assert!(matches!(join(machine.spawn_on(0, || async { 3 })), Ok(3)), "the executor goes on");
        });
    }
}

#[test]
fn who_cannot_run_it_says_so() {
    let machine = Machine::builder().owned(1).attachable(1).build().unwrap();
    assert!(matches!(join(machine.spawn_on(0, || async {})), Err(SpawnError::NoSpawner)));
    assert!(matches!(join(machine.spawn_on(1, || async {})), Err(SpawnError::Offline)));
    assert!(matches!(join(machine.spawn_on(2, || async {})), Err(SpawnError::NoSuchCpu)));
    // A pump that was dropped takes its spawner along; a spawner that drops tasks, or panics, has them told.
    let spawners: [fn(_); 2] = [drop, |_| std::panic::resume_unwind(Box::new("meant"))];
    for spawner in spawners {
        let mut here = machine.attach_with(1, WakerCell::new()).unwrap();
        let mut pump = Box::pin(here.pump().spawning_by(spawner));
        let spawned = machine.spawn_on(1, || async {});
        assert!(!spawned.is_finished());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(pump.as_mut().poll(&mut cx).is_pending());
        assert!(spawned.is_finished());
        assert!(matches!(join(spawned), Err(SpawnError::Dropped)));
        let spawned = machine.spawn_on(1, || async {});
        drop(pump);
        drop(here);
        assert!(matches!(join(spawned), Err(SpawnError::NoSpawner)), "it is run when the CPU goes offline");
    }
}

#[test]
fn an_executor_that_ends_drops_its_tasks_where_they_are_and_they_are_told() {
    for runtime in RUNTIMES {
        let (said, drops) = channel();
        let mut spawned = None;
        let mut of = None;
        with_runtime(runtime, |machine, thread| {
            let is_begun = Arc::new(Barrier::new(2));
            let begins = Arc::clone(&is_begun);
            spawned = Some(machine.spawn_on(0, move || async move {
                let _says = Says(said);
                begins.wait();
                pending::<()>().await
            }));
            is_begun.wait();
            of = Some(thread);
        });
        assert!(matches!(join(spawned.unwrap()), Err(SpawnError::Dropped)));
        assert_eq!(drops.recv().ok(), of);
    }
}

#[test]
fn a_handle_that_is_dropped_lets_its_task_go_on() {
    for runtime in RUNTIMES {
        with_runtime(runtime, |machine, thread| {
            let (said, drops) = channel();
            let (runs, ran) = channel();
            let is_dropped = Arc::new(AtomicBool::new(false));
            let dropped = Arc::clone(&is_dropped);
            drop(machine.spawn_on(0, move || async move {
                while !dropped.load(Ordering::Acquire) {
                    smol::future::yield_now().await;
                }
                runs.send(thread::current().id()).unwrap();
                Says(said)
            }));
            is_dropped.store(true, Ordering::Release);
            assert_eq!(ran.recv(), Ok(thread));
            assert_eq!(drops.recv(), Ok(thread), "the result is dropped with the task");
            assert!(drops.recv().is_err(), "once");
        });
    }
}

#[test]
fn a_task_that_is_aborted_goes_on_its_thread_or_never_begins() {
    for runtime in RUNTIMES {
        with_runtime(runtime, |machine, thread| {
            let (said, drops) = channel();
            let is_begun = Arc::new(Barrier::new(2));
            let begins = Arc::clone(&is_begun);
            let spawned = machine.spawn_on(0, move || async move {
                let _says = Says(said);
                begins.wait();
                pending::<()>().await
            });
            is_begun.wait();
            spawned.abort();
            spawned.abort();
            assert!(matches!(join(spawned), Err(SpawnError::Aborted)));
            assert_eq!(drops.recv(), Ok(thread));
        });
    }
    // Queued: nobody pumps. What the closure holds is dropped by who aborts.
    let machine = Machine::builder().attachable(1).build().unwrap();
    let here = machine.attach(0).unwrap();
    let (said, drops) = channel();
    let says = Says(said);
    let spawned = machine.spawn_on(0, move || async move { drop(says) });
    thread::scope(|scope| {
        let aborts = scope.spawn(move || {
            spawned.abort();
            assert!(matches!(join(spawned), Err(SpawnError::Aborted)));
        });
        let aborter = aborts.thread().id();
        aborts.join().unwrap();
        assert_eq!(drops.recv(), Ok(aborter));
    });
    drop(here);
}

#[test]
fn many_are_spawned_joined_aborted_and_dropped_from_many_threads() {
    for runtime in RUNTIMES {
        with_runtime(runtime, |machine, thread| {
            let alive = Arc::new(AtomicU32::new(0));
            let elsewhere = Arc::new(AtomicBool::new(false));
            struct Counted(Arc<AtomicU32>, Arc<AtomicBool>, ThreadId);
            impl Drop for Counted {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, Ordering::AcqRel);
                    self.1.fetch_or(thread::current().id() != self.2, Ordering::Relaxed);
                }
            }
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for round in 0..100 {
                            let (alive, elsewhere) = (Arc::clone(&alive), Arc::clone(&elsewhere));
                            let spawned = machine.spawn_on(0, move || {
                                alive.fetch_add(1, Ordering::AcqRel);
                                let counted = Counted(alive, elsewhere, thread);
                                async move {
                                    smol::future::yield_now().await;
                                    drop(counted);
                                    round
                                }
                            });
                            match round % 3 {
                                0 => assert_eq!(join(spawned).ok(), Some(round)),
                                1 => {
                                    spawned.abort();
                                    let outcome = join(spawned);
                                    assert!(
                                        matches!(&outcome, Err(SpawnError::Aborted))
                                            || outcome.ok() == Some(round)
                                    );
                                }
                                _ => drop(spawned),
                            }
                        }
                    });
                }
            });
            // Those that were let go, too: an executor that takes turns has had each of them twice by then.
            while alive.load(Ordering::Acquire) > 0 {
                assert!(matches!(join(machine.spawn_on(0, || async {})), Ok(())));
            }
            assert!(!elsewhere.load(Ordering::Relaxed), "futures are dropped on their thread");
        });
    }
}
