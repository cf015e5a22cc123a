//! Runs another language's csds, and hands over what is none.

use crate::csd::Header;
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::Smp;
use crate::stamp::Stamp;
use crate::state::Snapshot;
use crate::trace::{EventKind, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs a foreign csd: free again before its function starts (P5).
    ///
    /// # Safety
    ///
    /// `header` is that of a foreign csd whose claim was won for this CPU, is in no queue any more, and is run once.
    #[inline(always)]
    pub(in crate::smp) unsafe fn run_foreign(
        &self,
        cpu: u32,
        here: &PerCpu,
        header: &Header,
        seen: Snapshot,
    ) {
        // SAFETY: the fields are ours until the unlock (I2).
        let work = unsafe { header.foreign_work() };
        let unlock = || _ = header.state.unlock_seen(cpu, seen);
        // SAFETY: the caller's promise.
        unsafe { self.run_foreign_function(here, header, work, &header.stamp, unlock) };
    }

    /// Runs the function of a foreign csd, after `unlock`.
    ///
    /// # Safety
    ///
    /// It was read from `header` for a run that was claimed, and is called once for that; the csd is free after `unlock`.
    #[inline(always)]
    pub(in crate::smp) unsafe fn run_foreign_function(
        &self,
        here: &PerCpu,
        header: &Header,
        (func, arg): (*const (), *const ()),
        stamp: &Stamp,
        unlock: impl FnOnce(),
    ) {
        let csd = header.name();
        let entered = self.enter(csd, func.addr(), stamp);
        here.running.begin(header, func);
        unlock();
        // SAFETY: the poster's promise; this claim's one call.
        unsafe { self.platform.run_foreign(func, arg, core::ptr::without_provenance(csd)) };
        self.exit(csd, func.addr(), entered);
        here.running.end();
    }

    /// Hands an entry over. Its link was read, so that it may be queued anew at once.
    ///
    /// # Safety
    ///
    /// It was pushed by `push_entry`, taken off this CPU's queue, and is handed over once.
    pub(super) unsafe fn take_entry(&self, here: &PerCpu, header: &Header) {
        let csd = header.name();
        trace!(self, EventKind::Entry { csd, func: 0, queued_ns: None });
        here.running.begin(header, core::ptr::null());
        // SAFETY: the pusher's promise.
        unsafe { self.platform.take_entry(core::ptr::from_ref(header).cast()) };
        trace!(self, EventKind::Exit { csd, func: 0, ran_ns: None });
        here.running.end();
    }
}
