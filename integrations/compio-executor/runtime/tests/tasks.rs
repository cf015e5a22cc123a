//! What an executor owes to tasks and their handles: ends, cancels, panics, and on whose thread each is dropped. By compio's
//! interface only.

use compio_executor::{Executor, JoinError};
use smpcall_compio::{Bell, Slot, poll_once, waker_in, watched, with_bell, within_patience};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::thread;

/// Its drop says on which thread it came.
struct OnItsThread {
    thread: thread::ThreadId,
    drops: Arc<AtomicU32>,
    /// Not to be sent.
    _local: Rc<()>,
}

impl Drop for OnItsThread {
    fn drop(&mut self) {
        assert!(self.is_here());
        self.drops.fetch_add(1, SeqCst);
    }
}

impl OnItsThread {
    fn new(drops: &Arc<AtomicU32>) -> Self {
        Self { thread: thread::current().id(), drops: drops.clone(), _local: Rc::new(()) }
    }

    fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }
}

#[test]
fn wakes_after_the_end_and_after_the_executor_do_nothing() {
    let executor = Executor::new();
    let polls = Arc::new(AtomicU32::new(0));
    let (ended, slot) = watched(&executor, &polls, || true);
    let (lives, other) = watched(&executor, &polls, || false);
    assert!(!executor.tick() && ended.is_finished() && !lives.is_finished());
    let wakers = [waker_in(&slot), waker_in(&other)];
    let again = wakers.clone();
    thread::spawn(move || again[0].wake_by_ref()).join().unwrap();
    wakers[0].wake_by_ref();
    assert!(!executor.tick());
    assert_eq!(polls.load(SeqCst), 2);
    executor.clear();
    assert!(lives.is_finished());
    drop(executor);
    wakers.iter().for_each(Waker::wake_by_ref);
    thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
    assert_eq!(polls.load(SeqCst), 2);
}

/// The last pointers to tasks are wakers, on another thread: what is in the tasks was dropped on the executor's.
#[test]
fn the_last_drop_by_a_waker_elsewhere_finds_no_future_and_no_value() {
    let executor = Executor::new();
    let drops = Arc::new(AtomicU32::new(0));
    let polls = Arc::new(AtomicU32::new(0));
    let [held, value] = [OnItsThread::new(&drops), OnItsThread::new(&drops)];
    let (ended, slot) = watched(&executor, &polls, move || held.is_here());
    let last = Slot::default();
    let (mine, mut value) = (last.clone(), Some(value));
    // Its value is not to be sent either.
    let kept = executor.spawn(poll_fn(move |cx| {
        *mine.lock().unwrap() = Some(cx.waker().clone());
        Poll::Ready(value.take().expect("polled once"))
    }));
    let (cleared, other) = watched(&executor, &polls, || false);
    assert!(!executor.tick());
    let wakers = [&slot, &last, &other].map(|slot| slot.lock().unwrap().take().unwrap());
    assert!(ended.is_finished());
    drop((ended, kept));
    assert_eq!(drops.load(SeqCst), 2);
    executor.clear();
    drop((cleared, executor));
    thread::spawn(move || drop(wakers)).join().unwrap();
}

/// A queued csd is the last pointer to a task whose handle is gone; the flush that takes it drops it.
#[test]
fn a_cancelled_task_is_dropped_on_its_own_thread_though_the_handle_was_elsewhere() {
    within_patience(|| {
        let bell = Bell::new();
        let executor = with_bell(&bell);
        let drops = Arc::new(AtomicU32::new(0));
        let inside = OnItsThread::new(&drops);
        let handle = executor.spawn(async move {
            pending::<()>().await;
            drop(inside);
        });
        assert!(!executor.tick());
        thread::spawn(move || drop(handle)).join().unwrap();
        assert_eq!((drops.load(SeqCst), bell.rings()), (0, 1));
        assert!(!executor.tick());
        assert_eq!(drops.load(SeqCst), 1);
        executor.clear();
    });
}

#[test]
fn a_handle_gives_the_value_elsewhere_and_wakes_who_waits() {
    within_patience(|| {
        let executor = Executor::new();
        let mut handle = executor.spawn(async { String::from("value") });
        assert!(poll_once(&mut handle).is_pending());
        let (sent, waits) = channel();
        let waiter = thread::spawn(move || {
            let bell = Bell::new();
            let waker = Waker::from(bell.clone());
            let mut cx = Context::from_waker(&waker);
            loop {
                match Pin::new(&mut handle).poll(&mut cx) {
                    Poll::Ready(value) => return value.unwrap(),
                    Poll::Pending => sent.send(()).unwrap(),
                }
                thread::park();
            }
        });
        waits.recv().unwrap();
        assert!(!executor.tick());
        assert_eq!(waiter.join().unwrap(), "value");
        executor.clear();
    });
}

#[test]
fn cancel_gives_the_value_if_there_was_one() {
    let executor = Executor::new();
    let lives = executor.spawn(pending::<u8>());
    let ended = executor.spawn(async { 7 });
    assert!(!executor.tick());
    let answers = Rc::new(RefCell::new(Vec::new()));
    let mine = answers.clone();
    let asks = executor.spawn(async move {
        let ended = ended.cancel().await;
        let lives = lives.cancel().await;
        mine.borrow_mut().extend([ended, lives]);
    });
    while executor.tick() {}
    assert!(asks.is_finished());
    assert_eq!(*answers.borrow(), [Some(7), None]);
    executor.clear();
}

/// Panics where it is dropped, if armed.
struct Armed(Rc<Cell<bool>>);

impl Drop for Armed {
    fn drop(&mut self) {
        assert!(!self.0.get(), "a drop that panics");
    }
}

#[test]
fn panics_go_to_the_handle_and_the_executor_goes_on() {
    let executor = Executor::new();
    let mut in_poll = executor.spawn(async { panic!("a poll that panics") });
    let armed = Rc::new(Cell::new(true));
    let held = Armed(armed.clone());
    let mut in_drop = executor.spawn(poll_fn(move |_| {
        assert!(held.0.get());
        Poll::Ready(1)
    }));
    executor.spawn(async { Armed(Rc::new(Cell::new(true))) }).detach();
    let mut after = executor.spawn(async { 2 });
    assert!(!executor.tick());
    let said = |end: Poll<Result<i32, JoinError>>| match end {
        Poll::Ready(Err(JoinError::Panicked(panic))) => *panic.downcast::<&str>().unwrap(),
        end => panic!("{end:?}"),
    };
    assert_eq!(said(poll_once(&mut in_poll)), "a poll that panics");
    assert_eq!(said(poll_once(&mut in_drop)), "a drop that panics");
    assert!(matches!(poll_once(&mut after), Poll::Ready(Ok(2))));
    armed.set(false);
    executor.clear();
}

/// A task that ticks its own executor, wakes itself meanwhile, and clears it: it is dropped when its poll has returned.
#[test]
fn a_tick_and_a_clear_inside_a_poll() {
    let executor = Rc::new(Executor::new());
    let drops = Arc::new(AtomicU32::new(0));
    let (inside, ran) = (OnItsThread::new(&drops), Rc::new(Cell::new(0)));
    let (its, seen, counted) = (Rc::downgrade(&executor), ran.clone(), drops.clone());
    let mut polls = 0;
    let mut outer = executor.spawn(poll_fn(move |cx| {
        assert_eq!(inside.drops.load(SeqCst), 0);
        let executor = its.upgrade().unwrap();
        polls += 1;
        if polls == 1 {
            cx.waker().wake_by_ref();
            let seen = seen.clone();
            executor.spawn(async move { seen.set(seen.get() + 1) }).detach();
            while executor.tick() {}
            assert_eq!(ran.get(), 1, "the other task has run, and this one was not polled in itself");
        } else {
            executor.clear();
        }
        Poll::<()>::Pending
    }));
    assert!(executor.tick(), "it was woken while it was polled");
    assert_eq!(counted.load(SeqCst), 0);
    assert!(!executor.tick());
    assert_eq!(counted.load(SeqCst), 1);
    assert!(matches!(poll_once(&mut outer), Poll::Ready(Err(JoinError::Cancelled))));
}
