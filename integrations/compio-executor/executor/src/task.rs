//! A task: a future, its csd and its outcome, in one allocation.

use crate::join::{Join, JoinError};
use crate::outcome::Outcome;
use crate::port::Home;
use crate::ready::{Ready, Run};
use compio_send_wrapper::SendWrapper;
use smpcall::CsdField;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::abort;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A task. Always in an `Arc`: who has one is the executor while the task lives, the queue of those that are ready, the handle,
/// each waker, and the csd while it is queued.
///
/// Its future is dropped on the executor's thread, by the executor, which holds on to the task until then. So whoever drops the
/// last pointer, on whatever thread, finds no future.
pub(crate) struct Task<F: Future + 'static> {
    pub(crate) csd: CsdField,
    home: Home,
    /// The handle wants no more of it, or the executor is cleared.
    cancelled: AtomicBool,
    outcome: Outcome<F::Output>,
    /// Left alone, not dropped, since that may come to any thread; then there is no future in it.
    local: ManuallyDrop<SendWrapper<Local<F>>>,
}

/// What is the executor's thread's own.
struct Local<F> {
    stage: Cell<Stage>,
    /// It came to its turn while it was being polled, further up the stack.
    missed: Cell<bool>,
    /// Its place among those that live.
    key: Cell<Option<usize>>,
    /// Pinned; borrowed while it is polled or dropped.
    future: RefCell<Option<F>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Ready,
    Ended,
}

impl<F: Future + 'static> Task<F> {
    /// A task that is ready. Nobody is rung for it: who spawns is on the executor's thread.
    pub(crate) fn spawn(future: F, home: &Home, ready: &Ready) -> Arc<Self> {
        let local = Local {
            stage: Cell::new(Stage::Waiting),
            missed: Cell::new(false),
            key: Cell::new(None),
            future: RefCell::new(Some(future)),
        };
        let task = Arc::new(Self {
            csd: CsdField::new(),
            home: home.clone(),
            cancelled: AtomicBool::new(false),
            outcome: Outcome::new(),
            local: ManuallyDrop::new(SendWrapper::new(local)),
        });
        let key = ready.add(Arc::clone(&task) as Arc<dyn Run>);
        task.local().key.set(Some(key));
        Arc::clone(&task).schedule();
        task
    }

    fn local(&self) -> &Local<F> {
        self.local.get().expect("on the executor's thread")
    }

    /// Makes it ready, on the executor's thread.
    pub(crate) fn schedule(self: Arc<Self>) {
        if self.is_to_be_queued() {
            let ready: *const Ready = self.home.ready().expect("on the executor's thread");
            // SAFETY: what is pushed keeps the home alive, and `ready` with it.
            unsafe { &*ready }.push(self);
        }
    }

    /// On the executor's thread: whether it becomes ready by this.
    fn is_to_be_queued(&self) -> bool {
        let stage = &self.local().stage;
        let waits = stage.get() == Stage::Waiting;
        if waits {
            stage.set(Stage::Ready);
        }
        waits
    }

    /// A waker, on the executor's thread: whoever waits for that thread is rung, once.
    fn wake_here(self: &Arc<Self>, ready: &Ready) {
        if self.is_to_be_queued() {
            ready.push(Arc::clone(self) as Arc<dyn Run>);
        }
        if ready.take_resting() {
            self.home.ring();
        }
    }

    /// Ends it: its future is dropped first, where it is.
    fn end(&self, future: &mut Option<F>, end: Result<F::Output, JoinError>) {
        let local = self.local();
        local.stage.set(Stage::Ended);
        if let (Some(key), Some(ready)) = (local.key.take(), self.home.ready()) {
            ready.remove(key);
        }
        // SAFETY: it is pinned, and this drops it where it is.
        let mut future = unsafe { Pin::new_unchecked(future) };
        let dropped = catch_unwind(AssertUnwindSafe(|| future.set(None)));
        self.outcome.set(match dropped {
            Ok(()) => end,
            Err(panic) => {
                drop(end);
                Err(JoinError::Panicked(panic))
            }
        });
    }

    fn is_cancelled(&self) -> bool {
        // Acquire: sees what whoever cancelled it did before; pairs with `cancel`.
        self.cancelled.load(Ordering::Acquire)
    }
}

impl<F: Future + 'static> Run for Task<F> {
    fn run(self: Arc<Self>) {
        let task = Arc::as_ptr(&self);
        // The queue's count becomes the waker's: a poll counts nothing.
        let waker = Waker::from(self);
        // SAFETY: the waker is alive until the end of this function, and the task with it.
        let task = unsafe { &*task };
        let local = task.local();
        if local.stage.get() == Stage::Ready {
            local.stage.set(Stage::Waiting);
        }
        let Ok(mut slot) = local.future.try_borrow_mut() else {
            local.missed.set(true);
            return;
        };
        let Some(future) = slot.as_mut() else { return };
        let mut end = Err(JoinError::Cancelled);
        if !task.is_cancelled() {
            // SAFETY: the task is in an `Arc`, nobody moves its future, and it is dropped in its place.
            let future = unsafe { Pin::new_unchecked(future) };
            let poll = || future.poll(&mut Context::from_waker(&waker));
            match catch_unwind(AssertUnwindSafe(poll)) {
                Ok(Poll::Pending) if !task.is_cancelled() => {
                    drop(slot);
                    if local.missed.take() {
                        waker.wake();
                    }
                    return;
                }
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(value)) => end = Ok(value),
                Err(panic) => end = Err(JoinError::Panicked(panic)),
            }
        }
        task.end(&mut slot, end);
    }

    fn clear(&self) {
        let local = self.local();
        local.key.set(None);
        // Release: as in `cancel`; here the reader is this thread.
        self.cancelled.store(true, Ordering::Release);
        let Ok(mut slot) = local.future.try_borrow_mut() else { return };
        if slot.is_none() {
            return;
        }
        local.stage.set(Stage::Ended);
        let cleared = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as in `end`.
            unsafe { Pin::new_unchecked(&mut *slot) }.set(None);
            self.outcome.set(Err(JoinError::Cancelled));
        }));
        if cleared.is_err() {
            abort();
        }
    }
}

impl<F: Future + 'static> Join<F::Output> for Task<F> {
    fn outcome(&self) -> &Outcome<F::Output> {
        &self.outcome
    }

    fn cancel(self: Arc<Self>) {
        // Release: publishes what the caller did before; pairs with `is_cancelled`.
        self.cancelled.store(true, Ordering::Release);
        self.wake();
    }
}

impl<F: Future + 'static> Wake for Task<F> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.home.ready() {
            Some(ready) => self.wake_here(ready),
            None => self.home.post(self),
        }
    }
}
