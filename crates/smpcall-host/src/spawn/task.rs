//! What a task is made of: one allocation for its csd, closure, future and result. The invariants are in the module above.

use super::{LocalTask, SPAWNER, SpawnError};
use atomic_waker::AtomicWaker;
use smpcall::{Cancel, CsdField, CsdOwner, Here, csd_field};
use std::cell::UnsafeCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// What a task and its handle share.
pub(super) struct Joint<T> {
    outcome: UnsafeCell<Option<Result<T, SpawnError>>>,
    is_done: AtomicBool,
    is_aborted: AtomicBool,
    pub(super) joiner: AtomicWaker,
    /// The executor's, for an abort.
    runner: AtomicWaker,
}

impl<T> Joint<T> {
    const fn new() -> Self {
        Self {
            outcome: UnsafeCell::new(None),
            is_done: AtomicBool::new(false),
            is_aborted: AtomicBool::new(false),
            joiner: AtomicWaker::new(),
            runner: AtomicWaker::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        // Acquire: sees the outcome; pairs with `complete`.
        self.is_done.load(Ordering::Acquire)
    }

    /// Takes the outcome, once, if there is one.
    ///
    /// # Safety
    ///
    /// The caller is the handle (I38).
    pub(super) unsafe fn take(&self) -> Option<Result<T, SpawnError>> {
        // SAFETY: by I38 it is the handle's.
        if self.is_done() { unsafe { (*self.outcome.get()).take() } } else { None }
    }

    /// # Safety
    ///
    /// The caller is the one that writes the outcome (I38).
    unsafe fn complete(&self, outcome: Result<T, SpawnError>) {
        // SAFETY: the caller's promise.
        unsafe { *self.outcome.get() = Some(outcome) };
        // Release: publishes the outcome; pairs with `is_done`.
        self.is_done.store(true, Ordering::Release);
        self.joiner.wake();
    }
}

/// A task.
pub(super) struct Task<M, F: Future> {
    csd: CsdField,
    make: UnsafeCell<Option<M>>,
    future: UnsafeCell<Option<F>>,
    joint: Joint<F::Output>,
}

// SAFETY: what goes from thread to thread is the closure (I37) and the outcome (I38); the future stays on its thread (I37).
unsafe impl<M: Send, F: Future<Output: Send>> Sync for Task<M, F> {}
// SAFETY: as above. Who frees it finds no future in it.
unsafe impl<M: Send, F: Future<Output: Send>> Send for Task<M, F> {}

csd_field! { impl{M: FnOnce() -> F + Send + 'static, F: Future<Output: Send + 'static> + 'static} Task<M, F> { csd } }

impl<M, F> CsdOwner for Task<M, F>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output: Send + 'static> + 'static,
{
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, _: Here<'_>) {
        let Some(spawner) = SPAWNER.try_with(|spawner| spawner.borrow().clone()).ok().flatten() else {
            // SAFETY: by I37 and I38 it is the run's.
            return unsafe { this.refuse(SpawnError::NoSpawner) };
        };
        spawner.spawn_local(LocalTask::new(this));
    }
}

impl<M, F: Future> Task<M, F> {
    pub(super) fn new(make: M) -> Self {
        Self {
            csd: CsdField::new(),
            make: UnsafeCell::new(Some(make)),
            future: UnsafeCell::new(None),
            joint: Joint::new(),
        }
    }

    /// Ends a task that was not begun.
    ///
    /// # Safety
    ///
    /// The closure and the outcome are the caller's, and there is no future (I37, I38).
    pub(super) unsafe fn refuse(&self, error: SpawnError) {
        // SAFETY: the caller's promise.
        let make = unsafe { (*self.make.get()).take() };
        // SAFETY: as above.
        unsafe { self.joint.complete(Err(error)) };
        // At the end, when all is in order: that is code of the user's.
        drop(make);
    }
}

/// A task as its handle sees it.
pub(super) trait Joins<T>: Send + Sync {
    fn joint(&self) -> &Joint<T>;
    fn abort(&self);
}

impl<M: FnOnce() -> F + Send, F: Future<Output: Send>> Joins<F::Output> for Task<M, F>
where
    Self: smpcall::HasCsd,
{
    fn joint(&self) -> &Joint<F::Output> {
        &self.joint
    }

    fn abort(&self) {
        if matches!(self.csd.cancel(), Cancel::Removed { .. }) {
            // SAFETY: the run was taken away, so all of it is ours (I37, I38).
            return unsafe { self.refuse(SpawnError::Aborted) };
        }
        // Relaxed: the waker's own orders show it to the poll that follows, or to the one that registers now.
        self.joint.is_aborted.store(true, Ordering::Relaxed);
        self.joint.runner.wake();
    }
}

/// A task as its executor sees it.
pub(super) trait Runs {
    /// # Safety
    ///
    /// By the thread of the [`LocalTask`], which is the one way here (I37).
    unsafe fn poll(&self, context: &mut Context<'_>) -> Poll<()>;

    /// Drops what is there, and says so, unless it has ended.
    ///
    /// # Safety
    ///
    /// As for `poll`.
    unsafe fn end(&self, error: SpawnError);
}

impl<M: FnOnce() -> F, F: Future> Runs for Task<M, F> {
    unsafe fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.joint.is_done() {
            return Poll::Ready(());
        }
        self.joint.runner.register(context.waker());
        // Relaxed: as for the store.
        if self.joint.is_aborted.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            unsafe { self.end(SpawnError::Aborted) };
            return Poll::Ready(());
        }
        let poll = || {
            // SAFETY: the caller's promise; nothing of these runs below on this stack, as a `LocalTask` is polled by `&mut`.
            let (make, future) = unsafe { (&mut *self.make.get(), &mut *self.future.get()) };
            if let Some(make) = make.take() {
                *future = Some(make());
            }
            let future = future.as_mut().expect("it was made, and has not ended");
            // SAFETY: by I37 it is not moved: it is dropped where it is.
            unsafe { Pin::new_unchecked(future) }.poll(context)
        };
        let outcome = match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(SpawnError::Panicked(panic)),
        };
        // SAFETY: the caller's promise.
        unsafe { self.end_with(outcome) };
        Poll::Ready(())
    }

    unsafe fn end(&self, error: SpawnError) {
        if !self.joint.is_done() {
            // SAFETY: the caller's promise.
            unsafe { self.end_with(Err(error)) };
        }
    }
}

impl<M, F: Future> Task<M, F> {
    /// # Safety
    ///
    /// As for [`Runs::poll`], and there is no outcome.
    unsafe fn end_with(&self, outcome: Result<F::Output, SpawnError>) {
        // SAFETY: the caller's promise. Each is dropped where it is, and is `None` also if that panics.
        let drops = || unsafe {
            *self.future.get() = None;
            *self.make.get() = None;
        };
        let dropped = catch_unwind(AssertUnwindSafe(drops));
        // SAFETY: as above.
        unsafe { self.joint.complete(dropped.map_err(SpawnError::Panicked).and(outcome)) };
    }
}
