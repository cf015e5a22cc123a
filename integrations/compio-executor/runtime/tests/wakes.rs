//! What an executor owes to wakers, whatever thread they are on. By compio's interface only.

use compio_executor::{Executor, ExecutorConfig};
use smpcall_compio::{Bell, run_until, waker_in, watched, with_bell, within_patience};
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;

/// What is tested is ours: the lock file has no other.
#[test]
fn the_executor_is_patched() {
    let lock = include_str!("../../Cargo.lock");
    let (_, entry) = lock.split_once("name = \"compio-executor\"\n").expect("it is locked");
    let (entry, _) = entry.split_once("[[package]]").expect("it is not the last");
    assert!(entry.starts_with("version = \"0.2.0-beta.1\"") && !entry.contains("source ="));
    assert!(entry.contains("\"smpcall\""));
}

/// A doorbell that keeps its ringer inside until it is told to go on.
struct Slow {
    inside: Sender<()>,
    go_on: Mutex<Receiver<()>>,
    armed: AtomicBool,
}

impl Wake for Slow {
    fn wake(self: Arc<Self>) {
        if self.armed.swap(false, SeqCst) {
            self.inside.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
        }
    }
}

/// The situation of compio's issue 948, step by step: a waker is taken off its core after it has queued the task and before its
/// `wake` returns (here it is held inside the doorbell); the executor polls the task, which waits again; another thread's wake comes.
/// The task is polled for it.
#[test]
fn a_wake_while_an_earlier_waker_has_not_returned_is_not_lost() {
    within_patience(|| {
        let (inside, is_inside) = channel();
        let (go_on, told) = channel();
        let slow = Arc::new(Slow { inside, go_on: Mutex::new(told), armed: AtomicBool::new(false) });
        let executor = Executor::with_config(ExecutorConfig {
            waker: Some(Waker::from(slow.clone())),
            ..Default::default()
        });
        let polls = Arc::new(AtomicU32::new(0));
        let (handle, slot) = watched(&executor, &polls, || false);
        assert!(!executor.tick());
        slow.armed.store(true, SeqCst);
        let waker = waker_in(&slot);
        let first = thread::spawn(move || waker.wake());
        is_inside.recv().unwrap();
        assert!(!executor.tick());
        assert_eq!(polls.load(SeqCst), 2, "the first wake is served, though its waker has not returned");
        let waker = waker_in(&slot);
        thread::spawn(move || waker.wake()).join().unwrap();
        assert!(!executor.tick());
        assert_eq!(polls.load(SeqCst), 3, "the second wake came after that poll");
        go_on.send(()).unwrap();
        first.join().unwrap();
        let waker = waker_in(&slot);
        thread::spawn(move || waker.wake()).join().unwrap();
        assert!(!executor.tick());
        assert_eq!(polls.load(SeqCst), 4, "and no later one is lost");
        drop(handle);
        executor.clear();
    });
}

/// The situation of compio's issue 1044: more wake-ups than any queue has room for, by one thread that holds a lock meanwhile which
/// the tasks want when they are polled, while nobody looks at the queue. No wake waits.
#[test]
fn wakes_under_a_lock_that_the_tasks_want_do_not_wait() {
    const TASKS: u32 = 10_000;
    within_patience(|| {
        let bell = Bell::new();
        let executor = with_bell(&bell);
        let polls = Arc::new(AtomicU32::new(0));
        let lock = Arc::new(Mutex::new(()));
        let waiting: Vec<_> = (0..TASKS)
            .map(|_| {
                let lock = lock.clone();
                watched(&executor, &polls, move || {
                    drop(lock.lock().unwrap());
                    false
                })
            })
            .collect();
        while executor.tick() {}
        assert_eq!(polls.load(SeqCst), TASKS);
        let wakers: Vec<_> = waiting.iter().map(|(_, slot)| waker_in(slot)).collect();
        let (held, before) = (lock.clone(), bell.rings());
        thread::spawn(move || {
            let guard = held.lock().unwrap();
            wakers.iter().for_each(Waker::wake_by_ref);
            drop(guard);
        })
        .join()
        .unwrap();
        assert_eq!(bell.rings() - before, 1, "P7: one doorbell for one sleep");
        while executor.tick() {}
        assert_eq!(polls.load(SeqCst), 2 * TASKS);
        executor.clear();
    });
}

/// The same with the executor running: the thread that wakes holds the lock, and the executor's thread may wait for it.
#[test]
fn wakes_under_a_lock_while_the_executor_runs() {
    const TASKS: usize = 1_000;
    const ROUNDS: u32 = 20;
    within_patience(|| {
        let bell = Bell::new();
        let executor = with_bell(&bell);
        let round = Arc::new(Mutex::new(0));
        let ended = Rc::new(Cell::new(0));
        let polls = Arc::new(AtomicU32::new(0));
        let waiting: Vec<_> = (0..TASKS)
            .map(|_| {
                let (round, ended) = (round.clone(), ended.clone());
                watched(&executor, &polls, move || {
                    let last = *round.lock().unwrap() == ROUNDS;
                    ended.set(ended.get() + usize::from(last));
                    last
                })
            })
            .collect();
        while executor.tick() {}
        let wakers: Vec<_> = waiting.iter().map(|(_, slot)| waker_in(slot)).collect();
        let waker = thread::spawn(move || {
            for _ in 0..ROUNDS {
                let mut round = round.lock().unwrap();
                *round += 1;
                wakers.iter().for_each(Waker::wake_by_ref);
            }
        });
        run_until(&executor, || ended.get() == TASKS);
        waker.join().unwrap();
        assert!(waiting.iter().all(|(handle, _)| handle.is_finished()));
        executor.clear();
    });
}

/// P2: each waker writes, and wakes; whichever poll comes last has seen all that was written. Wakes that find the task scheduled
/// already add no poll of their own.
#[test]
fn the_last_poll_sees_what_every_waker_wrote() {
    const THREADS: u32 = 4;
    const WAKES: u32 = 5_000;
    within_patience(|| {
        let bell = Bell::new();
        let executor = with_bell(&bell);
        let (written, polls) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let seen = written.clone();
        let (handle, slot) = watched(&executor, &polls, move || seen.load(SeqCst) == THREADS * WAKES);
        assert!(!executor.tick());
        let wakers: Vec<_> = (0..THREADS)
            .map(|_| {
                let (waker, written) = (waker_in(&slot), written.clone());
                thread::spawn(move || {
                    for _ in 0..WAKES {
                        written.fetch_add(1, SeqCst);
                        waker.wake_by_ref();
                    }
                })
            })
            .collect();
        run_until(&executor, || handle.is_finished());
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        assert!(polls.load(SeqCst) <= 1 + THREADS * WAKES);
        executor.clear();
    });
}

/// One doorbell for each rest, whichever thread wakes, and however many do. (While tasks are ready a tick notifies the driver as
/// well; that is not counted here.)
#[test]
fn a_rest_is_ended_by_one_ring() {
    within_patience(|| {
        let bell = Bell::new();
        let executor = with_bell(&bell);
        let polls = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..200).map(|_| watched(&executor, &polls, || false)).collect();
        assert_eq!(bell.rings(), 0, "whoever spawns is on the executor's thread");
        while executor.tick() {}
        let before = bell.rings();
        for (_, slot) in &tasks {
            waker_in(slot).wake();
        }
        assert_eq!(bell.rings() - before, 1, "woken on the executor's own thread");
        while executor.tick() {}
        let before = bell.rings();
        let wakers: Vec<_> = tasks.iter().map(|(_, slot)| waker_in(slot)).collect();
        thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
        assert_eq!(bell.rings() - before, 1, "woken by another");
        while executor.tick() {}
        assert_eq!(polls.load(SeqCst), 600);
        executor.clear();
    });
}

#[test]
fn a_task_that_wakes_itself_is_polled_again_at_the_next_tick() {
    let executor = Executor::new();
    let left = Rc::new(Cell::new(3));
    let mine = left.clone();
    let handle = executor.spawn(poll_fn(move |cx| {
        if mine.get() == 0 {
            return Poll::Ready(());
        }
        mine.set(mine.get() - 1);
        cx.waker().wake_by_ref();
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    for left_then in [2, 1, 0] {
        assert!(executor.tick() && !handle.is_finished());
        assert_eq!(left.get(), left_then);
    }
    assert!(!executor.tick() && handle.is_finished());
    executor.clear();
}

#[test]
fn a_tick_polls_as_many_as_it_may() {
    let executor = Executor::with_config(ExecutorConfig { max_interval: 2, ..Default::default() });
    let ran = Rc::new(Cell::new(0));
    for _ in 0..5 {
        let ran = ran.clone();
        executor.spawn(async move { ran.set(ran.get() + 1) }).detach();
    }
    assert_eq!(
        [(); 4].map(|()| (executor.tick(), ran.get())),
        [(true, 2), (true, 4), (false, 5), (false, 5)]
    );
    executor.clear();
}

/// A doorbell that panics takes no wake-up away.
#[test]
fn a_doorbell_that_panics_loses_nothing() {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("a doorbell that panics");
        }
    }
    let config = ExecutorConfig { waker: Some(Waker::from(Arc::new(Broken))), ..Default::default() };
    let executor = Executor::with_config(config);
    let polls = Arc::new(AtomicU32::new(0));
    let (_handle, slot) = watched(&executor, &polls, || false);
    assert!(!executor.tick());
    let waker = waker_in(&slot);
    // Whether the panic comes out of this wake is not said anywhere.
    let _ = thread::spawn(move || waker.wake()).join();
    assert!(!executor.tick());
    assert_eq!(polls.load(SeqCst), 2);
    let _ = catch_unwind(AssertUnwindSafe(|| waker_in(&slot).wake()));
    assert!(!executor.tick());
    assert_eq!(polls.load(SeqCst), 3);
    executor.clear();
}
