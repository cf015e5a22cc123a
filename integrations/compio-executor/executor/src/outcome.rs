//! What a task's handle waits for.

use crate::join::JoinError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The task's end, on its way to the handle. The executor's thread puts it in once; the handle takes it out, or says that it
/// will not.
///
/// A value of a type that is not `Send` never leaves its thread: the handle is on it, being no more `Send` than the value, and the
/// executor puts nothing in any more once the handle has let go. What is dropped with the last pointer to the task is empty.
pub(crate) struct Outcome<T>(Mutex<State<T>>);

enum State<T> {
    /// The task lives; whom to wake when it ends.
    Pending(Option<Waker>),
    Ended(Result<T, JoinError>),
    /// The handle has it, or wants it no more.
    Over,
}

// SAFETY: as said above: who is not the executor's thread sees a value through the handle only, and that is `Send` only if the
// value is. The mutex orders the two.
unsafe impl<T> Send for Outcome<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Outcome<T> {}

impl<T> Outcome<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::Pending(None)))
    }

    /// The executor: the task has ended. Nothing of a user's runs under the lock.
    pub(crate) fn set(&self, end: Result<T, JoinError>) {
        let mut state = self.lock();
        match &mut *state {
            State::Pending(waker) => {
                let waker = waker.take();
                *state = State::Ended(end);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Ended(_) | State::Over => {
                drop(state);
                // Nobody is there for a panic of the value's drop, nor for what that panic carries.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(end))) {
                    std::mem::forget(panic);
                }
            }
        }
    }

    /// The handle: the end, once.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Ended(end) => Poll::Ready(end),
            State::Pending(old) => {
                let same = old.as_ref().is_some_and(|old| old.will_wake(cx.waker()));
                // A waker's clone and drop are a user's code, but the lock is the task's own.
                let (new, old) = if same { (old, None) } else { (Some(cx.waker().clone()), old) };
                *state = State::Pending(new);
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Over => panic!("a task's handle was polled after it had given the task's end"),
        }
    }

    /// The handle: lets go. Returns whether the task lived.
    pub(crate) fn abandon(&self) -> bool {
        let old = std::mem::replace(&mut *self.lock(), State::Over);
        matches!(old, State::Pending(_))
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(*self.lock(), State::Pending(_))
    }

    /// Whether the handle has given the end already.
    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.lock(), State::Over)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
