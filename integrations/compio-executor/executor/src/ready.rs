//! What is the executor's thread's own.

use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// A task, whatever its future is.
pub(crate) trait Run: Send + Sync {
    /// Polls it, or drops its future if it was cancelled. On the executor's thread.
    fn run(self: Arc<Self>);

    /// Drops its future, or sees to it that whoever polls it does. On the executor's thread.
    fn clear(&self);
}

/// The tasks of one executor. No borrow of it lasts while code of a user's runs.
pub(crate) struct Ready {
    queue: RefCell<VecDeque<Arc<dyn Run>>>,
    live: RefCell<Slab<Arc<dyn Run>>>,
    /// The last tick left nothing to do, and nobody has rung on this thread since.
    resting: Cell<bool>,
}

impl Ready {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            queue: RefCell::new(VecDeque::with_capacity(room)),
            live: RefCell::new(Slab::with_capacity(room)),
            resting: Cell::new(true),
        }
    }

    /// Adds a task; its place among those that live.
    pub(crate) fn add(&self, task: Arc<dyn Run>) -> usize {
        let mut live = self.live.borrow_mut();
        let key = live.insert(task);
        // Room for all that live, so that a flush need not allocate.
        let mut queue = self.queue.borrow_mut();
        let missing = live.len().saturating_sub(queue.len());
        queue.reserve(missing);
        key
    }

    /// Forgets a task that has ended.
    pub(crate) fn remove(&self, key: usize) {
        let gone = self.live.borrow_mut().try_remove(key);
        drop(gone);
    }

    pub(crate) fn push(&self, task: Arc<dyn Run>) {
        self.queue.borrow_mut().push_back(task);
    }

    pub(crate) fn pop(&self) -> Option<Arc<dyn Run>> {
        self.queue.borrow_mut().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    pub(crate) fn set_resting(&self, resting: bool) {
        self.resting.set(resting);
    }

    /// Whether it rested until now.
    pub(crate) fn take_resting(&self) -> bool {
        self.resting.replace(false)
    }

    /// Drops the futures of all tasks, those too that their drops spawn.
    pub(crate) fn clear(&self) {
        loop {
            let live = self.live.take();
            if live.is_empty() {
                break;
            }
            for (_, task) in live {
                task.clear();
            }
        }
        drop(self.queue.take());
    }

    /// Gives back its memory, if no task lives: nobody drops the rest.
    pub(crate) fn close(&self) {
        if self.live.borrow().is_empty() {
            drop((self.queue.take(), self.live.take()));
        }
    }
}
