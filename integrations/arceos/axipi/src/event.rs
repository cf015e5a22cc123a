//! What is sent. The bounds are the original's and one more: it crosses to another CPU, so it is `Send`.

use alloc::boxed::Box;
use alloc::sync::Arc;

/// A function that one CPU runs once.
pub struct Callback(Box<dyn FnOnce() + Send>);

impl Callback {
    /// Boxes `callback`.
    pub fn new<F: FnOnce() + Send + 'static>(callback: F) -> Self {
        Self(Box::new(callback))
    }

    /// Runs it here.
    pub fn call(self) {
        (self.0)();
    }
}

impl<T: FnOnce() + Send + 'static> From<T> for Callback {
    fn from(callback: T) -> Self {
        Self::new(callback)
    }
}

/// A function that several CPUs run, perhaps at the same time.
#[derive(Clone)]
pub struct MulticastCallback(Arc<dyn Fn() + Send + Sync>);

impl MulticastCallback {
    /// Counts `callback`.
    pub fn new<F: Fn() + Send + Sync + 'static>(callback: F) -> Self {
        Self(Arc::new(callback))
    }

    /// Makes of it a function for one CPU.
    pub fn into_unicast(self) -> Callback {
        Callback::new(move || (self.0)())
    }

    /// Runs it here.
    pub fn call(self) {
        (self.0)();
    }
}

impl<T: Fn() + Send + Sync + 'static> From<T> for MulticastCallback {
    fn from(callback: T) -> Self {
        Self::new(callback)
    }
}
