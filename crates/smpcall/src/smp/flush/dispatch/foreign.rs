//! Runs another language's csds, and hands over what is none.

use crate::csd::Header;
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::Smp;
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
        let (func, arg) = unsafe { header.foreign_work() };
        let csd = header.name();
        let entered = self.enter(csd, func.addr(), &header.stamp);
        here.running.begin(header, func);
        let _ = header.state.unlock_seen(cpu, seen);
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
