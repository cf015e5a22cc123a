//! What a CPU runs, for others to see.

use crate::csd::Header;
use crate::multicast::Collected;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, const_unless_loom};
use core::ptr::null_mut;

/// What the CPU is running, for those who wait for it or report on it.
///
/// Every store is Release and every load Acquire: a reader that sees a later value than the one of a run also sees all
/// that the run wrote.
#[repr(align(64))]
pub(crate) struct Running {
    /// The header under way; null between two. Compared, never followed.
    csd: AtomicPtr<Header>,
    /// Its function's address.
    func: AtomicPtr<()>,
    /// How many runs have ended.
    ended: AtomicUsize,
    /// The blocking call that the CPU's thread runs, the innermost. Compared, never followed.
    blocking: AtomicPtr<Header>,
    /// That one's function's address.
    blocking_func: AtomicPtr<()>,
    /// The multicasts that it has to acknowledge, one of which it may be running.
    pub(crate) collected: Collected,
}

impl Running {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self {
                csd: AtomicPtr::new(null_mut()),
                func: AtomicPtr::new(null_mut()),
                ended: AtomicUsize::new(0),
                blocking: AtomicPtr::new(null_mut()),
                blocking_func: AtomicPtr::new(null_mut()),
                collected: Collected::new(),
            }
        }
    }

    /// Owner: a run begins, of a header or of a multicast's slot. Before the header is unlocked, so that whoever sees it free finds it here.
    #[inline]
    pub(crate) fn begin(&self, csd: *const Header, func: *const ()) {
        // Relaxed: for reports only.
        self.func.store(func.cast_mut(), Ordering::Relaxed);
        // Release: whoever sees this and not an earlier run has that one's writes too; pairs with `runs`.
        self.csd.store(csd.cast_mut(), Ordering::Release);
    }

    /// Owner: the run has ended.
    #[inline]
    pub(crate) fn end(&self) {
        // Relaxed: only the owner writes it.
        let ended = self.ended.load(Ordering::Relaxed);
        // Release: publishes what the function wrote; pairs with `ended`.
        self.ended.store(ended.wrapping_add(1), Ordering::Release);
        // Release: as above; pairs with `runs`.
        self.csd.store(null_mut(), Ordering::Release);
    }

    /// Owner: its thread begins a blocking call, or goes on with an outer one. Returns what it was before.
    pub(crate) fn begin_blocking(
        &self,
        (header, func): (*const Header, *const ()),
    ) -> (*const Header, *const ()) {
        // Relaxed: only the owner writes them.
        let before = (self.blocking.load(Ordering::Relaxed), self.blocking_func.load(Ordering::Relaxed));
        // Relaxed: for reports only.
        self.blocking.store(header.cast_mut(), Ordering::Relaxed);
        // Relaxed: as above.
        self.blocking_func.store(func.cast_mut(), Ordering::Relaxed);
        (before.0.cast_const(), before.1.cast_const())
    }

    /// Returns whether this blocking call is the one that the CPU's thread runs. Racy.
    pub(crate) fn runs_blocking_racy(&self, header: *const Header) -> bool {
        // Relaxed: for reports only.
        self.blocking.load(Ordering::Relaxed).cast_const() == header
    }

    /// Owner: returns whether its thread is inside of a blocking call's function.
    pub(crate) fn is_in_blocking(&self) -> bool {
        // Relaxed: only the owner writes it.
        !self.blocking.load(Ordering::Relaxed).is_null()
    }

    /// Returns whether this header's function is under way.
    pub(crate) fn runs(&self, csd: *const Header) -> bool {
        // Acquire: a `false` after the header was seen unlocked means that its run has ended, and shows what it wrote;
        // pairs with `end` and `begin`.
        self.csd.load(Ordering::Acquire).cast_const() == csd
    }

    /// Returns the address of the function under way, if any. Racy: it may have ended by the time it is read.
    pub(crate) fn func_racy(&self) -> Option<*const ()> {
        // Relaxed: for reports only.
        let idle = self.csd.load(Ordering::Relaxed).is_null();
        // Relaxed: as above.
        (!idle).then(|| self.func.load(Ordering::Relaxed).cast_const())
    }

    /// Returns the address of the function of the blocking call that the CPU's thread runs, the innermost, if any. Racy.
    pub(crate) fn blocking_func_racy(&self) -> Option<*const ()> {
        // Relaxed: for reports only.
        let func = self.blocking_func.load(Ordering::Relaxed).cast_const();
        (!func.is_null()).then_some(func)
    }

    /// Returns how many runs have ended, modulo the word.
    pub(crate) fn ended(&self) -> usize {
        // Acquire: shows what the ended runs wrote; pairs with `end`.
        self.ended.load(Ordering::Acquire)
    }
}
