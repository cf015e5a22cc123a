//! compio's own runtime on our executor, doing what its examples do, on each of its drivers that this kernel has.

use compio::BufResult;
use compio::driver::{DriverType, ProactorBuilder};
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{JoinError, Runtime, RuntimeBuilder, spawn, spawn_blocking, time};
use futures::channel::{mpsc, oneshot};
use futures::{SinkExt, StreamExt, join};
use smpcall_compio::within_patience;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a body on a runtime of each driver; at least one must be there.
fn on_each_driver(body: impl Fn(Runtime) + Send + 'static) {
    within_patience(move || {
        let mut drivers = 0;
        for driver in [DriverType::IoUring, DriverType::Poll] {
            let mut proactor = ProactorBuilder::new();
            proactor.driver_type(driver);
            match RuntimeBuilder::new().with_proactor(proactor).build() {
                Ok(runtime) => {
                    assert_eq!(runtime.driver_type(), driver);
                    drivers += 1;
                    body(runtime);
                }
                Err(why) => println!("skipped: {driver:?}: {why}"),
            }
        }
        assert!(drivers > 0, "no driver of compio's runs on this kernel");
    });
}

#[test]
fn timers_of_tasks_end_in_their_order() {
    on_each_driver(|runtime| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let begin = Instant::now();
        runtime.block_on(async {
            let sleepers: Vec<_> = [30, 10, 20]
                .map(|millis| {
                    let order = order.clone();
                    spawn(async move {
                        time::sleep(Duration::from_millis(millis)).await;
                        order.lock().unwrap().push(millis);
                    })
                })
                .into();
            for sleeper in sleepers {
                sleeper.await.unwrap();
            }
        });
        assert!(begin.elapsed() >= Duration::from_millis(30));
        // Which comes first of two that are due at once is not said; that all come is.
        let mut order = order.lock().unwrap().clone();
        order.sort_unstable();
        assert_eq!(order, [10, 20, 30]);
    });
}

#[test]
fn tcp_echoes_on_loopback() {
    const CLIENTS: usize = 8;
    const ROUNDS: u8 = 50;
    on_each_driver(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = spawn(async move {
                for _ in 0..CLIENTS {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    spawn(async move {
                        loop {
                            let BufResult(read, buffer) = stream.read_exact(Vec::with_capacity(16)).await;
                            if read.is_err() {
                                break;
                            }
                            stream.write_all(buffer).await.0.unwrap();
                        }
                    })
                    .detach();
                }
            });
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    spawn(async move {
                        let mut stream = TcpStream::connect(address).await.unwrap();
                        for round in 0..ROUNDS {
                            stream.write_all(vec![round; 16]).await.0.unwrap();
                            let BufResult(read, buffer) = stream.read_exact(Vec::with_capacity(16)).await;
                            read.unwrap();
                            assert_eq!(buffer, [round; 16]);
                        }
                    })
                })
                .collect();
            for client in clients {
                client.await.unwrap();
            }
            server.await.unwrap();
        });
    });
}

#[test]
fn tasks_give_values_are_cancelled_and_panic() {
    on_each_driver(|runtime| {
        let dropped = Rc::new(Cell::new(false));
        struct Flag(Rc<Cell<bool>>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let flag = Flag(dropped.clone());
        runtime.block_on(async {
            assert_eq!(spawn(async { 6 * 7 }).await.unwrap(), 42);
            assert_eq!(spawn_blocking(|| 5).await.unwrap(), 5);
            let panics = spawn(async { panic!("a task that panics") }).await;
            assert!(matches!(panics, Err(JoinError::Panicked(_))));
            let sleeps = spawn(async move {
                time::sleep(Duration::from_secs(3600)).await;
                drop(flag);
            });
            time::sleep(Duration::from_millis(1)).await;
            assert_eq!(sleeps.cancel().await, None);
        });
        assert!(dropped.get());
    });
}

/// Wakers on other threads: channels there and back, between a runtime and two threads, and between two runtimes.
#[test]
fn channels_wake_across_threads() {
    const MESSAGES: u32 = 2_000;
    on_each_driver(|runtime| {
        let (mut there, mut ask) = mpsc::channel(4);
        let (mut answer, mut back) = mpsc::channel(4);
        let other = thread::spawn(move || {
            Runtime::new().unwrap().block_on(async move {
                let echo = spawn(async move {
                    while let Some(message) = ask.next().await {
                        answer.send(message).await.unwrap();
                    }
                });
                echo.await.unwrap();
            });
        });
        let (late, comes) = oneshot::channel();
        let plain = thread::spawn(move || late.send(7).unwrap());
        runtime.block_on(async {
            let sends = spawn(async move {
                for message in 0..MESSAGES {
                    there.send(message).await.unwrap();
                }
            });
            let receives = spawn(async move {
                for message in 0..MESSAGES {
                    assert_eq!(back.next().await, Some(message));
                }
                assert_eq!(back.next().await, None);
            });
            let waits = spawn(comes);
            let (sent, received, waited) = join!(sends, receives, waits);
            sent.unwrap();
            received.unwrap();
            assert_eq!(waited.unwrap(), Ok(7));
        });
        other.join().unwrap();
        plain.join().unwrap();
    });
}

/// The situation of compio's issue 1044 on the runtime as a whole: a thread that holds a lock wakes more tasks than a queue had
/// room for; the tasks want the lock. Nobody waits for room, and all tasks end.
#[test]
fn a_thousand_wakes_under_a_lock_end_a_thousand_tasks() {
    const TASKS: usize = 1_000;
    on_each_driver(|runtime| {
        let tree = Arc::new(Mutex::new((false, Vec::<Waker>::new())));
        let (all_wait, begin) = oneshot::channel();
        let canceller = {
            let tree = tree.clone();
            thread::spawn(move || {
                within(begin);
                let mut tree = tree.lock().unwrap();
                tree.0 = true;
                tree.1.iter().for_each(Waker::wake_by_ref);
            })
        };
        runtime.block_on(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    let tree = tree.clone();
                    spawn(std::future::poll_fn(move |cx| {
                        let mut tree = tree.lock().unwrap();
                        if tree.0 {
                            return Poll::Ready(());
                        }
                        tree.1.push(cx.waker().clone());
                        Poll::Pending
                    }))
                })
                .collect();
            while tree.lock().unwrap().1.len() < TASKS {
                time::sleep(Duration::from_millis(1)).await;
            }
            all_wait.send(()).unwrap();
            for task in tasks {
                task.await.unwrap();
            }
        });
        canceller.join().unwrap();
    });
}

/// Waits for a channel on a thread that has no runtime.
fn within(begin: oneshot::Receiver<()>) {
    Runtime::new().unwrap().block_on(begin).unwrap();
}

/// A runtime that ends drops its tasks, and wakes that come later find nobody.
#[test]
fn wakes_that_come_after_the_runtime_find_nobody() {
    on_each_driver(|runtime| {
        let slot = Arc::new(Mutex::new(None::<Waker>));
        let (mine, held) = (slot.clone(), Rc::new(()));
        let alive = Rc::downgrade(&held);
        runtime.block_on(async {
            spawn(std::future::poll_fn(move |cx| {
                let _ = &held;
                *mine.lock().unwrap() = Some(cx.waker().clone());
                Poll::<()>::Pending
            }))
            .detach();
        });
        drop(runtime);
        assert!(alive.upgrade().is_none());
        let waker = slot.lock().unwrap().take().expect("it was polled");
        waker.wake_by_ref();
        thread::spawn(move || waker.wake()).join().unwrap();
    });
}

/// A panic of the main future comes out when the tasks have been dropped; the runtime can be used again.
#[test]
fn a_panic_of_the_main_future_drops_the_tasks_first() {
    on_each_driver(|runtime| {
        let held = Rc::new(());
        let alive = Rc::downgrade(&held);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                spawn(async move {
                    let _held = held;
                    time::sleep(Duration::from_secs(3600)).await;
                })
                .detach();
                time::sleep(Duration::from_millis(1)).await;
                panic!("the main future");
            });
        }));
        assert!(caught.is_err() && alive.upgrade().is_none());
        assert_eq!(runtime.block_on(async { spawn(async { 3 }).await.unwrap() }), 3);
    });
}
