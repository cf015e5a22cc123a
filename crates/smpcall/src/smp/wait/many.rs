//! How a sender of multicasts waits: for answers, or for a slot.

use super::{Serve, Wait};
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::Smp;
use crate::smp::call::NoUnwind;
use core::cell::Cell;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Waits until all have answered the multicast in slot `at`, of which `target_cpu` is one. Who owes an answer is only looked
    /// for when that is asked: a look at every door would cost as many transfers as the call itself.
    pub(in crate::smp) fn await_answers(
        &self,
        here: Option<(u32, &PerCpu)>,
        at: u32,
        target_cpu: u32,
        waiter: Option<u16>,
        function: &'static str,
    ) {
        let slot = self.slots.get(at);
        let owes = |cpu: &u32| {
            let target = &self.cpus()[*cpu as usize];
            target.door.0.callers.owes_racy(at) || target.running.0.runs(slot.as_header())
        };
        let blame = || (0..self.cpus_len()).find(owes);
        for _ in 0..self.platform.looks_first(target_cpu) {
            self.platform.relax();
            if slot.answered() {
                return;
            }
        }
        let wait = Wait {
            here,
            target: &self.cpus()[target_cpu as usize],
            target_cpu,
            header: slot.as_header(),
            function,
            waiter,
            deadline_ns: None,
            blame: Some(&blame),
            serve: Serve::Queue,
        };
        let ask = || if waiter.is_some() { Some(slot.park()) } else { None };
        // What the function borrows is in the caller's frame, and the targets may still reach it.
        let guard = NoUnwind;
        let done = self.pass_time(&wait, || slot.answered(), ask);
        core::mem::forget(guard);
        debug_assert!(done.is_ok(), "there is no deadline");
    }

    /// Waits until `claim` has a slot: as many multicasts are in flight as there are. Names a CPU that owes any of them an
    /// answer. Nobody wakes this caller.
    #[cold]
    pub(in crate::smp) fn await_slot(
        &self,
        here: Option<(u32, &PerCpu)>,
        function: &'static str,
        claim: impl Fn() -> Option<u32>,
    ) -> u32 {
        let owes = |cpu: &u32| self.cpus()[*cpu as usize].door.0.callers.owes_any_racy();
        let runs = |cpu: &u32| self.cpus()[*cpu as usize].running.0.func_racy().is_some();
        let all = 0..self.cpus_len();
        let blame = || all.clone().find(owes).or_else(|| all.clone().find(runs));
        let target_cpu = blame().unwrap_or(0);
        let wait = Wait {
            here,
            target: &self.cpus()[target_cpu as usize],
            target_cpu,
            // No run is waited for: no CPU runs a header at this address.
            header: core::ptr::dangling(),
            function,
            waiter: None,
            deadline_ns: None,
            blame: Some(&blame),
            serve: Serve::Queue,
        };
        let slot = Cell::new(None);
        let claimed = || {
            slot.set(claim());
            slot.get().is_some()
        };
        // There is no deadline, and it ends as soon as `claimed` says yes.
        let _ = self.pass_time(&wait, claimed, || None);
        slot.get().expect("the wait ends with a slot")
    }
}
