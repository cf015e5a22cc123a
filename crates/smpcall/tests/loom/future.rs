//! Awaited calls: the waker that is registered, the future that is dropped, and the slot that is used again, each against the
//! run. A wake-up that is lost is a deadlock; what caller and target hand over is plain memory, which loom watches. What it does
//! not see here is the slot's count: its memory is a matter for the sanitizers.

use crate::port::{Machine, Place, Tally, model, model_within};
use loom::sync::Notify;
use loom::thread;
use smpcall::{AsyncCall, AsyncCallError, AwaitedSlot, Platform};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

type M = Machine<false>;

/// A task's waker: plain memory that is written when it is made, and read when it wakes.
struct Task {
    bell: &'static Notify,
    made: &'static Place,
    wakes: &'static Tally,
}

// SAFETY: loom runs all threads of a model on one.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

impl Task {
    fn new(m: &'static M) -> Arc<Self> {
        let made = m.place();
        made.write(7);
        Arc::new(Self { bell: m.keep(Notify::new()), made, wakes: m.tally() })
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        assert_eq!(self.made.read(), 7);
        self.wakes.add();
        self.bell.notify();
    }
}

/// Counts how often it is dropped.
struct Counted(&'static Tally);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// Is dropped on CPU 0.
struct AtHome(&'static M, #[expect(dead_code, reason = "it counts")] Counted);

impl Drop for AtHome {
    fn drop(&mut self) {
        assert_eq!(self.0.platform().current_cpu(), Some(0), "dropped by another CPU than its owner's");
    }
}

// SAFETY: loom runs all threads of a model on one.
unsafe impl Send for AtHome {}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls until it is ready, sleeping in between, as an executor does.
fn block_on<F: Future + Unpin>(future: &mut F, task: &Arc<Task>) -> F::Output {
    let waker = Waker::from(Arc::clone(task));
    loop {
        match poll(future, &waker) {
            Poll::Ready(output) => return output,
            Poll::Pending => task.bell.wait(),
        }
        // It may have woken itself.
        thread::yield_now();
    }
}

/// P4: the first poll, which posts and then registers, against the run. If the registration comes first, the run's end finds
/// the waker; if the end does, the poll finds the result. It is whole either way. Bounds: one call, one waker.
#[test]
fn the_first_poll_against_the_run() {
    model(|m| {
        let (runs, wakes) = (m.tally(), m.tally());
        let caller = m.thread(None, move || {
            let (task, answer) = (Task::new(m), m.place());
            let mut call = m.call_async(1, move || {
                answer.write(5);
                runs.add();
            });
            assert!(block_on(&mut call, &task).is_ok());
            assert_eq!(answer.read(), 5);
            wakes.set(task.wakes.get());
        });
        m.answer_until(1, || runs.get() != 0);
        caller.join().unwrap();
        // One by itself, if it found the target in its flush, and one by the target.
        assert!(runs.get() == 1 && wakes.get() <= 2);
    });
}

/// A waker that is replaced by another thread's against the run's end: the last that was registered is woken, unless it
/// came in the moment in which the target has the first; then it wakes itself. Bounds: one call, two wakers.
#[test]
fn another_waker_against_the_runs_end() {
    model(|m| {
        let first = Task::new(m);
        let mut call = m.call_async(1, || 4);
        assert!(poll(&mut call, &Waker::from(Arc::clone(&first))).is_pending());
        let caller = m.thread(None, move || {
            let second = Task::new(m);
            assert_eq!(block_on(&mut call, &second).ok(), Some(4));
            second.wakes.get()
        });
        let _ = m.answer(1);
        let second = caller.join().unwrap();
        assert!(first.wakes.get() + second <= 2);
    });
}

/// P1: a future that is dropped, and its slot with it, against the run: the closure is dropped once, and so is what it gave
/// back, if it ran; at home, when home flushes. Bounds: one call.
#[test]
fn dropped_against_the_run() {
    model(|m| {
        let (runs, closures, results) = (m.tally(), m.tally(), m.tally());
        let held = Counted(closures);
        let mut call = m.call_async(1, move || {
            runs.add();
            drop(held);
            AtHome(m, Counted(results))
        });
        let task = Task::new(m);
        assert!(m.on(0, || poll(&mut call, &Waker::from(Arc::clone(&task)))).is_pending());
        let caller = m.thread(0, move || drop(call));
        let _ = m.answer(1);
        caller.join().unwrap();
        m.finish(0);
        assert_eq!((closures.get(), results.get()), (1, runs.get()));
        assert!(task.wakes.get() <= runs.get());
        assert_eq!(Arc::strong_count(&task), 1, "the waker is dropped");
    });
}

/// P1: a future that is dropped against the run, and its slot used again: the second call awaits the end of the first, runs once,
/// and has its own result. Bounds: two calls to one CPU, at most 2 preemptions.
#[test]
fn dropped_and_used_again_against_the_run() {
    model_within(2, |m| {
        let (runs, results, ended) = (m.tally(), m.tally(), m.tally());
        let mut by = AsyncCall::new();
        let work = move |number: u32| {
            move || {
                runs.add();
                (number, Counted(results))
            }
        };
        assert!(poll(&mut m.call_async_by(&mut by, 1, work(0)), Waker::noop()).is_pending());
        let caller = m.thread(None, move || {
            let task = Task::new(m);
            let second = block_on(&mut m.call_async_by(&mut by, 1, work(1)), &task);
            assert_eq!(second.map(|(number, _)| number).ok(), Some(1));
            ended.add();
        });
        m.answer_until(1, || ended.get() != 0);
        caller.join().unwrap();
        assert!((1..=2).contains(&runs.get()) && results.get() == runs.get());
    });
}

/// P4, P11: the slot used again as soon as its result is there, for another CPU: the first target does not touch it any more.
/// Bounds: two calls, two targets, at most 2 preemptions.
#[test]
fn used_again_while_the_first_target_leaves() {
    model_within(2, |m| {
        let mut by = AsyncCall::new();
        let give = |number: u32| move || number;
        let mut call = m.call_async_by(&mut by, 1, give(1));
        let task = Task::new(m);
        assert!(poll(&mut call, &Waker::from(Arc::clone(&task))).is_pending());
        std::mem::forget(call);
        let first = m.thread(None, move || _ = m.answer(1));
        // It takes the run away, or awaits its end.
        let mut second = m.call_async_by(&mut by, 0, give(2));
        while m.rings(0) == 0 {
            if poll(&mut second, &Waker::from(Arc::clone(&task))).is_pending() && m.rings(0) == 0 {
                task.bell.wait();
            }
        }
        let _ = m.answer(0);
        assert_eq!(block_on(&mut second, &task).ok(), Some(2));
        first.join().unwrap();
    });
}

/// P11: two users of one static slot, one after the other: the second finds what the first has left in it. Bounds: calls that are
/// refused.
#[test]
fn a_static_slot_from_hand_to_hand() {
    model(|m| {
        let slot: &'static AwaitedSlot<fn() -> u32, u32, Infallible> = m.keep(AwaitedSlot::new());
        let user = move || {
            AsyncCall::of(slot).is_some_and(|mut by| {
                let refused = poll(&mut m.call_async_by(&mut by, 9, || 1), Waker::noop());
                assert_eq!(refused, Poll::Ready(Err(AsyncCallError::NoSuchCpu)));
                true
            })
        };
        let other = m.thread(None, user);
        let both = [user(), other.join().unwrap()];
        assert!(both.contains(&true) && AsyncCall::of(slot).is_some());
    });
}
