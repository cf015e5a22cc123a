//! The handle of a task.

use crate::outcome::Outcome;
use std::any::Any;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A task as its handle has it, whatever its future is.
pub(crate) trait Join<T>: Send + Sync {
    fn outcome(&self) -> &Outcome<T>;

    /// Has its future dropped, on the executor's thread. From any thread.
    fn cancel(self: Arc<Self>);
}

/// Waits for a task, as a future, and cancels it when dropped.
pub struct JoinHandle<T> {
    task: Arc<dyn Join<T>>,
    /// `Send` as far as the value is.
    value: PhantomData<T>,
}

// SAFETY: a shared handle gives access to no value: all that takes one out wants the handle itself, or `&mut`.
unsafe impl<T> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: Arc<dyn Join<T>>) -> Self {
        Self { task, value: PhantomData }
    }

    /// Cancels the task, waits until its future is dropped, and returns its value if it had one already.
    pub async fn cancel(mut self) -> Option<T> {
        if self.task.outcome().is_over() {
            return None;
        }
        Arc::clone(&self.task).cancel();
        (&mut self).await.ok()
    }

    /// Lets the task run without a handle.
    pub fn detach(self) {
        self.task.outcome().abandon();
    }

    /// Returns whether the task has ended, by itself or cancelled.
    pub fn is_finished(&self) -> bool {
        !self.task.outcome().is_pending()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.outcome().poll(cx)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.task.outcome().abandon() {
            Arc::clone(&self.task).cancel();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}

/// Why a task has no value.
#[derive(Debug)]
pub enum JoinError {
    /// It was cancelled: by its handle, or with its executor.
    Cancelled,
    /// It panicked, with this.
    Panicked(Box<dyn Any + Send + 'static>),
}

impl JoinError {
    /// Goes on with the task's panic, if that is what it is.
    pub fn resume_unwind(self) {
        if let Self::Panicked(panic) = self {
            resume_unwind(panic);
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "the task was cancelled before it ended",
            Self::Panicked(_) => "the task panicked",
        })
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        // As text: what a panic carries may not be `Sync`.
        io::Error::other(error.to_string())
    }
}

/// Goes on with a task's panic.
pub trait ResumeUnwind {
    /// What is left if there was none.
    type Output;

    /// Panics as the task did; else returns its value, or `None` if it was cancelled.
    fn resume_unwind(self) -> Self::Output;
}

impl<T> ResumeUnwind for Result<T, JoinError> {
    type Output = Option<T>;

    fn resume_unwind(self) -> Option<T> {
        self.map_err(JoinError::resume_unwind).ok()
    }
}
