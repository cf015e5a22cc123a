//! How a sender of multicasts waits: for acknowledgements, or for a slot.

use super::awaited::{ALL_SLOTS, Wait};
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::smp::context::NoUnwind;
use crate::smp::{Serve, Smp};
use crate::stall::CallStall;
use core::cell::Cell;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Waits until all have acknowledged the multicast in slot `at`, of which `target_cpu` is one. Who has to acknowledge is only looked
    /// for when that is asked: a look at every mailbox would cost as many transfers as the call itself.
    #[inline(always)]
    pub(in crate::smp) fn await_acks(
        &self,
        at: u32,
        target_cpu: u32,
        waiter: Option<u16>,
        function: &'static str,
    ) {
        let slot = self.slots.get(at);
        // A function's name is a constant of its own, and so is its address.
        if self.platform.look_first(target_cpu, function.as_ptr().addr(), || slot.is_acknowledged()) {
            return;
        }
        let wait = Wait {
            target: &self.cpus()[target_cpu as usize],
            target_cpu,
            header: slot.as_header(),
            function,
            waiter,
            deadline_ns: None,
            slots: 1 << at,
            gathers: false,
            serve: Serve::Queue,
        };
        let ask = || if waiter.is_some() { Some(slot.park()) } else { None };
        // What the function borrows is in the caller's frame, and the targets may still reach it.
        let done = NoUnwind::around(|| self.wait_loop(&wait, &|| slot.is_acknowledged(), &ask));
        debug_assert!(done.is_ok(), "there is no deadline");
    }

    /// Waits until all whom slot `at` is for are held there (`here`), or the deadline. Who is not yet is named. Nobody wakes this caller.
    pub(in crate::smp) fn await_arrivals(
        &self,
        at: u32,
        target_cpu: u32,
        function: &'static str,
        deadline_ns: Option<u64>,
        here: &dyn Fn() -> bool,
    ) -> Result<(), CallStall> {
        if here() || self.platform.look_first(target_cpu, function.as_ptr().addr(), here) {
            return Ok(());
        }
        let wait = Wait {
            target: &self.cpus()[target_cpu as usize],
            target_cpu,
            header: self.slots.get(at).as_header(),
            function,
            waiter: None,
            deadline_ns,
            slots: 1 << at,
            gathers: true,
            serve: Serve::Queue,
        };
        self.wait_loop(&wait, here, &|| None)
    }

    /// Waits until the machine's gate is the caller's, whose CPU is `own`, or the deadline: another rendezvous is under way, of which that
    /// CPU is a part. Names whose it is. Nobody wakes this caller.
    pub(in crate::smp) fn await_gate(
        &self,
        own: u32,
        function: &'static str,
        deadline_ns: Option<u64>,
    ) -> Result<(), CallStall> {
        let claim = || self.gate.claim(own);
        if claim() {
            return Ok(());
        }
        let target_cpu = self.gate.holder_racy();
        let wait = Wait {
            target: &self.cpus()[target_cpu as usize],
            target_cpu,
            // No run is waited for: no CPU runs a header at this address.
            header: core::ptr::dangling(),
            function,
            waiter: None,
            deadline_ns,
            slots: 0,
            gathers: false,
            serve: Serve::Queue,
        };
        // It ends as soon as `claim` says yes.
        self.wait_loop(&wait, &claim, &|| None)
    }

    /// Waits until `claim` has a slot: as many multicasts are in flight as there are. Names a CPU that owes any of them an
    /// acknowledge. Nobody wakes this caller.
    #[cold]
    pub(in crate::smp) fn await_slot(&self, function: &'static str, claim: impl Fn() -> Option<u32>) -> u32 {
        let owes = |cpu: &u32| self.cpus()[*cpu as usize].has_pending_racy(ALL_SLOTS);
        let target_cpu = (0..self.cpus_len()).find(owes).unwrap_or(0);
        let wait = Wait {
            target: &self.cpus()[target_cpu as usize],
            target_cpu,
            // No run is waited for: no CPU runs a header at this address.
            header: core::ptr::dangling(),
            function,
            waiter: None,
            deadline_ns: None,
            slots: ALL_SLOTS,
            gathers: false,
            serve: Serve::Queue,
        };
        let slot = Cell::new(None);
        let claimed = || {
            slot.set(claim());
            slot.get().is_some()
        };
        // There is no deadline, and it ends as soon as `claimed` says yes.
        let _ = self.wait_loop(&wait, &claimed, &|| None);
        slot.get().expect("the wait ends with a slot")
    }
}
