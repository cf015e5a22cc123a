//! A task's waker.

use super::Doorbell;
use atomic_waker::AtomicWaker;
use smpcall::RingError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

/// A cell that holds the waker that was last put there, and wakes it when its CPU is rung: for a CPU that lives in an executor.
/// [`Attached::pump`](crate::Attached::pump) is the task that it wakes.
///
/// A ring is lock-free up to the executor's own wake-up, and may come from any thread. From a signal's handler it may only if the
/// executor's wake-up may be called there; few may. While no task is there to be woken, because none pumps, or its waker panicked,
/// rings fail ([`RingError`]): posts are kept, and reports name the CPU as one that could not be rung.
#[derive(Debug, Default)]
pub struct WakerCell {
    waker: AtomicWaker,
    /// Whether there is a task: its waker is here, or was taken to wake it. The waker's own synchronisation orders this.
    attended: AtomicBool,
}

impl WakerCell {
    /// Makes an empty one.
    ///
    /// Example: [`WakerCell::register`].
    pub const fn new() -> Self {
        Self { waker: AtomicWaker::new(), attended: AtomicBool::new(false) }
    }

    /// Puts a waker there instead of the one before: for a future of one's own, *before* it [begins to
    /// sleep](crate::Attached::begin_sleep). A ring takes it out.
    ///
    /// Context: the CPU's thread; of two threads at a time one's waker is woken at once. Progress: as the wakers' clone and drop.
    ///
    /// ```
    /// use smpcall_host::{Doorbell, WakerCell};
    /// use std::task::Waker;
    ///
    /// let cell = WakerCell::new();
    /// assert!(cell.ring().is_err()); // there is no task
    /// cell.register(Waker::noop());
    /// assert!(cell.ring().is_ok()); // the task is woken
    /// cell.clear();
    /// assert!(cell.ring().is_err());
    /// ```
    pub fn register(&self, waker: &Waker) {
        // Relaxed: who finds the cell as the registration leaves it, or emptied after that, sees this by the cell's own state.
        self.attended.store(true, Ordering::Relaxed);
        self.waker.register(waker);
    }

    /// Takes the waker out, if there is one: rings fail from now on.
    ///
    /// Example: [`WakerCell::register`](crate::WakerCell::register).
    pub fn clear(&self) -> Option<Waker> {
        // Relaxed: as above; a ring that sees it late has woken nobody, which the next one says.
        self.attended.store(false, Ordering::Relaxed);
        self.waker.take()
    }
}

impl Doorbell for WakerCell {
    fn ring(&self) -> Result<(), RingError> {
        /// If the waker panics, there is no task any more, for all that one knows.
        struct Gone<'a>(&'a AtomicBool);
        impl Drop for Gone<'_> {
            fn drop(&mut self) {
                // Relaxed: as above.
                self.0.store(false, Ordering::Relaxed);
            }
        }
        match self.waker.take() {
            Some(waker) => {
                let gone = Gone(&self.attended);
                waker.wake();
                std::mem::forget(gone);
                Ok(())
            }
            // Another ring has woken the task, and it has not been polled since; or it is just putting its waker there, and is
            // woken by that.
            // Relaxed: as above.
            None if self.attended.load(Ordering::Relaxed) => Ok(()),
            None => Err(RingError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    #[derive(Default)]
    struct Counts(AtomicU32);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            // Relaxed: this thread's own.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_last_waker_is_woken_once_and_without_a_task_a_ring_fails() {
        let (cell, wakers) = (WakerCell::new(), [(); 2].map(|()| Arc::<Counts>::default()));
        assert_eq!(cell.ring(), Err(RingError));
        wakers.iter().for_each(|waker| cell.register(&Arc::clone(waker).into()));
        assert_eq!((cell.ring(), cell.ring()), (Ok(()), Ok(())), "it is awake");
        // Relaxed: as above.
        assert_eq!(wakers.each_ref().map(|waker| waker.0.load(Ordering::Relaxed)), [0, 1]);
        cell.register(&Arc::clone(&wakers[0]).into());
        assert!(cell.clear().is_some());
        assert_eq!(cell.ring(), Err(RingError));
    }
}
