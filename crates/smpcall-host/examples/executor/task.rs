//! A task that embeds a csd. The csd is all there is to its waker: to wake is to post, to run is to poll.
//!
//! | what happens | what the csd makes of it |
//! |---|---|
//! | a wake, from any thread or CPU | a post: no lock, no allocation, no bound. *Queued*: a poll is to come. *Busy*: one is, and sees what the waker wrote (P2) |
//! | a poll | a run. The csd is free before it begins (P5), so that a wake from inside means another poll |
//! | the end | the future is dropped; a run for a wake that came later finds none |
//! | the last drop | by whoever comes last: a waker, or the run whose count the queue held (P11) |
//!
//! The models of these races are in `crates/smpcall/tests/loom/waker.rs`, and compile this file.

use smpcall::{CsdField, CsdOwner, Here, csd_field};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

/// The CPU that a task runs on.
pub(crate) trait Home: Send + Sync + Sized + 'static {
    /// Posts the task to it.
    fn post(&self, task: &Arc<Task<Self>>);
}

/// A task. Nobody keeps a list of them: it lives as long as somebody can wake it, or its csd is queued.
pub(crate) struct Task<H: Home> {
    csd: CsdField,
    home: H,
    /// Nobody waits for this lock: all polls are on one CPU, one after the other.
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl<H: Home> Task<H> {
    /// A task, which its first wake starts.
    pub(crate) fn new(home: H, future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        Arc::new(Self { csd: CsdField::new(), home, future: Mutex::new(Some(Box::pin(future))) })
    }
}

csd_field! { impl{H: Home} Task<H> { csd } }

impl<H: Home> CsdOwner for Task<H> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, _: Here<'_>) {
        // Poisoned: a poll has panicked, and there will be no other.
        let Ok(mut slot) = this.future.lock() else { return };
        let Some(future) = slot.as_mut() else { return };
        let waker = Waker::from(Arc::clone(&this));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            *slot = None;
        }
    }
}

impl<H: Home> Wake for Task<H> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.home.post(self);
    }
}
