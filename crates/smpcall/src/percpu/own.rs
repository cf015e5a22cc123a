//! What a CPU keeps for itself.

use super::backlog::{Backlog, LeftOver};
use super::batch::Batch;
use crate::csd::Header;
use crate::queue::LazyHead;
use crate::sync::{OwnBool, OwnPtr, OwnUsize, OwnersOnly, const_unless_loom};
use core::ptr::null_mut;

/// What only the owning CPU reads and writes (but for `lazy`), from its thread and from its interrupts. Atomic because an interrupt
/// may come between any two instructions; one CPU sees its own writes in order ([`OwnersOnly`]).
pub(crate) struct Own {
    /// In call context: a flush, going offline, or a self call.
    in_call: OwnBool,
    /// The idle or event loop looks at the queue by itself; the head's mark is this flag's published copy.
    polling: OwnBool,
    /// What a flush left over at its budget.
    left_over: LeftOver,
    /// How many calls that is.
    left: OwnUsize,
    /// How many frames of this crate are below code of the user's that runs outside call context (I20).
    frames: OwnUsize,
    /// Blocking calls that were taken off the queue, for the CPU's thread to run: the oldest, and the newest.
    blocking: OwnPtr<Header>,
    blocking_newest: OwnPtr<Header>,
    /// Who sleeps, or is about to, in a wait that serves blocking calls, plus 1; 0: nobody.
    sleeper: OwnUsize,
    /// A report handler of the port's runs.
    reporting: OwnBool,
    /// Lazy and deferred posts. The one thing here that others write, and rarely: the owner looks at it at every flush.
    pub(crate) lazy: LazyHead,
}

impl Own {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self {
                in_call: OwnBool::new(false),
                polling: OwnBool::new(false),
                left_over: LeftOver::new(),
                left: OwnUsize::new(0),
                frames: OwnUsize::new(0),
                blocking: OwnPtr::new(null_mut()),
                blocking_newest: OwnPtr::new(null_mut()),
                sleeper: OwnUsize::new(0),
                reporting: OwnBool::new(false),
                lazy: LazyHead::new(),
            }
        }
    }

    /// How many frames of this crate are below the code that runs outside call context (I20).
    pub(crate) fn frames(&self) -> usize {
        self.frames.get()
    }

    pub(crate) fn set_frames(&self, frames: usize) {
        self.frames.set(frames);
    }

    pub(crate) fn in_call(&self) -> bool {
        self.in_call.get()
    }

    pub(crate) fn set_in_call(&self, in_call: bool) {
        self.in_call.set(in_call);
    }

    pub(crate) fn reporting(&self) -> bool {
        self.reporting.get()
    }

    pub(crate) fn set_reporting(&self, reporting: bool) {
        self.reporting.set(reporting);
    }

    pub(crate) fn polling(&self) -> bool {
        self.polling.get()
    }

    pub(crate) fn set_polling(&self, polling: bool) {
        self.polling.set(polling);
    }

    /// Returns whether blocking calls are there for the CPU's thread to run. Reads only.
    #[inline]
    pub(crate) fn has_blocking(&self) -> bool {
        !self.blocking.get().is_null()
    }

    /// Puts a blocking call behind those that are there.
    ///
    /// # Safety
    ///
    /// `header` was taken off this CPU's queue, stays alive and in place until it is completed (I5), and is in no list. The irq
    /// guard is held.
    pub(crate) unsafe fn add_blocking(&self, header: &Header) {
        // SAFETY: by I2 the field is ours.
        unsafe { header.set_next(core::ptr::null()) };
        let at = core::ptr::from_ref(header).cast_mut();
        // The headers were published to us when we took them off the head.
        let newest = self.blocking_newest.get();
        if newest.is_null() {
            self.blocking.set(at);
        } else {
            // SAFETY: what is in the list is alive (I5), and its fields are ours (I2).
            unsafe { (*newest).set_next(at) };
        }
        self.blocking_newest.set(at);
    }

    /// The CPU's thread goes to sleep in a wait that serves blocking calls, and found none; or has woken up.
    pub(crate) fn set_sleeper(&self, waiter: Option<u16>) {
        self.sleeper.set(waiter.map_or(0, |waiter| usize::from(waiter) + 1));
    }

    /// Whom a blocking call that is put into the list must wake: an interrupt's flush may come between the look at the list and the
    /// sleep.
    pub(crate) fn sleeper(&self) -> Option<u16> {
        self.sleeper.get().checked_sub(1).map(|waiter| waiter as u16)
    }

    /// Takes the oldest blocking call out of the list; null if there is none. The irq guard is held.
    pub(crate) fn take_blocking(&self) -> *const Header {
        let at = self.blocking.get();
        if !at.is_null() {
            // SAFETY: as for `add_blocking`.
            let next = unsafe { (*at).next() }.cast_mut();
            self.blocking.set(next);
            if next.is_null() {
                self.blocking_newest.set(null_mut());
            }
        }
        at
    }

    /// Returns whether a flush left something over. Reads only; racy for anybody but the owner.
    #[inline(always)]
    pub(crate) fn has_left_over(&self) -> bool {
        self.left.get() != 0
    }

    /// Takes what was left over.
    #[cold]
    pub(crate) fn take_left_over(&self) -> Backlog {
        let backlog = self.left_over.get(self.left.get());
        self.leave_over(&Backlog::of(Batch::EMPTY));
        backlog
    }

    pub(crate) fn leave_over(&self, backlog: &Backlog) {
        self.left_over.put(backlog);
        self.left.set(backlog.len());
    }
}
