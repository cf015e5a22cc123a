//! P14: runtimes that are not what a call or a pump would like best: two on one thread, and one that moves its futures about.

use smpcall_host::{AttachError, Machine, WakerCell};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, yield_now};

thread_local! {
    static HITS: Cell<u32> = const { Cell::new(0) };
}

fn hit() -> u32 {
    HITS.set(HITS.get() + 1);
    HITS.get()
}

#[test]
fn two_runtimes_of_one_thread_take_turns_with_its_cpu() {
    let machine = Machine::builder().attachable(2).build().unwrap();
    let (between, turns) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut here = machine.attach_with(0, WakerCell::new()).unwrap();
            let runtime = Builder::new_current_thread().build().unwrap();
            let second = machine.attach_with(1, WakerCell::new());
            assert!(matches!(second, Err(AttachError::ThreadIsACpu)), "two runtimes, but one thread");
            turns.wait();
            // tokio's, until one call was served; its pump is dropped then.
            let one_hit = std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if HITS.get() == 1 { Poll::Ready(()) } else { Poll::Pending }
            });
            runtime.block_on(smol::future::or(here.pump(), one_hit));
            between.wait();
            turns.wait();
            // What was posted meanwhile runs in smol's.
            smol::block_on(here.pump());
        });
        turns.wait();
        assert_eq!(machine.call(0, hit), Ok(1));
        between.wait();
        let posted = machine.post_boxed(0, || _ = hit());
        assert!(posted.is_ok(), "it is online, and nobody is there to be woken");
        turns.wait();
        assert_eq!(smol::block_on(machine.call_async(0, HITS_NOW)).ok(), Some(2));
        machine.shutdown().unwrap();
    });
}

const HITS_NOW: fn() -> u32 = || HITS.get();

/// An executor of smol's as a task of tokio's; a task of each calls the thread's own CPU, which a task of the inner one serves.
#[test]
fn a_runtime_inside_of_another_serves_and_calls() {
    let machine = Machine::builder().attachable(1).owned(1).build().unwrap();
    let attached = (0..2).find(|cpu| !machine.is_online_racy(*cpu)).expect("one is to be attached");
    let machine = Arc::new(machine);
    let (there, online) = (Arc::clone(&machine), Arc::new(Barrier::new(2)));
    let is_online = Arc::clone(&online);
    let thread = thread::spawn(move || {
        let runtime = Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let inner = spawn_local({
                let machine = Arc::clone(&there);
                async move {
                    let mut here = machine.attach_with(attached, WakerCell::new()).unwrap();
                    let tasks = smol::LocalExecutor::new();
                    is_online.wait();
                    let calls = tasks.spawn(async {
                        for _ in 0..100 {
                            machine.call_async(attached, hit).await.unwrap();
                            machine.call_async(1 - attached, || ()).await.unwrap();
                        }
                    });
                    tasks.run(smol::future::zip(here.pump(), calls)).await;
                }
            });
            while !there.is_online_racy(attached) {
                yield_now().await;
            }
            for _ in 0..100 {
                there.call_async(attached, hit).await.unwrap();
            }
            inner.await.unwrap();
            assert_eq!(HITS.get(), 300);
        });
    });
    online.wait();
    for _ in 0..100 {
        assert!(smol::block_on(machine.call_async(attached, hit)).is_ok());
    }
    while machine.call(attached, HITS_NOW) != Ok(300) {
        thread::yield_now();
    }
    machine.shutdown().unwrap();
    thread.join().unwrap();
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Count {
    fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

#[test]
fn a_future_that_is_polled_on_another_thread_is_woken_there() {
    let machine = Machine::builder().owned(1).build().unwrap();
    let (inside, held) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(true)));
    let (is_inside, holds) = (Arc::clone(&inside), Arc::clone(&held));
    let hold = move || {
        is_inside.wait();
        while holds.load(Ordering::Acquire) {
            thread::yield_now();
        }
    };
    assert!(machine.post_boxed(0, hold).is_ok());
    inside.wait();
    let counts = [(); 2].map(|()| Arc::new(Count::default()));
    let [first, second] = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
    let mut call = machine.call_async(0, || thread::current().id());
    // The CPU is held: whether it looks by itself or not, the second poll has registered, and nobody is woken any more.
    let mut poll = |waker: &Waker, times: usize| {
        let mut call = pin!(&mut call);
        (0..times).map(|_| call.as_mut().poll(&mut Context::from_waker(waker))).last().unwrap()
    };
    assert!(poll(&first, 2).is_pending());
    let before = counts[0].get();
    let poll = &mut poll;
    thread::scope(|scope| scope.spawn(move || assert!(poll(&second, 1).is_pending())).join().unwrap());
    held.store(false, Ordering::Release);
    while counts[1].get() == 0 {
        thread::yield_now();
    }
    assert_eq!((counts[0].get(), counts[1].get()), (before, 1));
    let ran_on = smol::block_on(call).unwrap();
    assert_eq!(machine.call(0, || thread::current().id()), Ok(ran_on));
}

#[test]
fn tasks_that_several_threads_take_from_each_other_lose_no_answer() {
    let machine = Arc::new(Machine::builder().owned(1).build().unwrap());
    let executor = smol::Executor::new();
    let (stop, stopped) = smol::channel::unbounded::<()>();
    let (polled_by, threads) = channel::<ThreadId>();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| smol::block_on(executor.run(stopped.recv())).unwrap_err());
        }
        let tasks: Vec<_> = (0..6_u32)
            .map(|task| {
                let (machine, polled_by) = (Arc::clone(&machine), polled_by.clone());
                executor.spawn(async move {
                    for round in 0..200 {
                        let answer = machine.call_async(0, move || task + round).await;
                        assert_eq!(answer.ok(), Some(task + round));
                        polled_by.send(thread::current().id()).unwrap();
                    }
                })
            })
            .collect();
        smol::block_on(async {
            for task in tasks {
                task.await;
            }
        });
        drop(stop);
    });
    drop(polled_by);
    assert_eq!(threads.iter().count(), 1_200);
}
