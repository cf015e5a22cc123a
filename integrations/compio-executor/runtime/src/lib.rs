//! compio's runtime, on tasks that embed a csd: what its tests share.

use compio_executor::{Executor, ExecutorConfig, JoinError, JoinHandle};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// How long a test may take before it counts as hung. A guard only: no test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test's body on a thread of its own.
///
/// # Panics
///
/// If it panics, or has not ended in a minute.
pub fn within_patience(body: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let thread = thread::spawn(move || {
        body();
        // Nobody listens any more if it comes too late.
        let _ = done.send(());
    });
    match ended.recv_timeout(PATIENCE) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => thread.join().expect("the body has panicked"),
        Err(RecvTimeoutError::Timeout) => panic!("hung for {PATIENCE:?}"),
    }
}

/// A doorbell that counts, and unparks the thread that made it.
pub struct Bell {
    rings: AtomicU32,
    thread: thread::Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // SeqCst: so that no test depends on a weaker order; read by `rings`.
        self.rings.fetch_add(1, SeqCst);
        self.thread.unpark();
    }
}

impl Bell {
    /// Of the caller's thread.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { rings: AtomicU32::new(0), thread: thread::current() })
    }

    /// How often it was rung.
    pub fn rings(&self) -> u32 {
        // SeqCst: sees the rings before; pairs with `wake`.
        self.rings.load(SeqCst)
    }
}

/// A task's waker, once it has been polled.
pub type Slot = Arc<Mutex<Option<Waker>>>;

/// The waker in it.
///
/// # Panics
///
/// If the task was not polled.
pub fn waker_in(slot: &Slot) -> Waker {
    slot.lock().unwrap().clone().expect("the task was polled")
}

/// An executor with that bell.
pub fn with_bell(bell: &Arc<Bell>) -> Executor {
    Executor::with_config(ExecutorConfig { waker: Some(Waker::from(bell.clone())), ..Default::default() })
}

/// A task that puts its waker into a slot at each poll, counts its polls, and ends when `done` says so.
pub fn watched(
    executor: &Executor,
    polls: &Arc<AtomicU32>,
    mut done: impl FnMut() -> bool + 'static,
) -> (JoinHandle<()>, Slot) {
    let (slot, polls) = (Slot::default(), polls.clone());
    let mine = slot.clone();
    let future = poll_fn(move |cx| {
        // SeqCst: as for rings; tests read it when they have seen the task end, or be polled.
        polls.fetch_add(1, SeqCst);
        *mine.lock().unwrap() = Some(cx.waker().clone());
        if done() { Poll::Ready(()) } else { Poll::Pending }
    });
    (executor.spawn(future), slot)
}

/// Ticks, and sleeps as the bell says, until `done`.
pub fn run_until(executor: &Executor, mut done: impl FnMut() -> bool) {
    while !done() {
        if !executor.tick() && !done() {
            thread::park();
        }
    }
}

/// Polls a handle once, for nobody.
pub fn poll_once<T>(handle: &mut JoinHandle<T>) -> Poll<Result<T, JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(Waker::noop()))
}
