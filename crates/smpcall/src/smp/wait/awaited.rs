//! What is waited for.

use crate::csd::Header;
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::{Serve, Smp};

/// In place of the slots that are waited for: any.
pub(super) const ALL_SLOTS: usize = usize::MAX;

/// What is waited for, and how the waiter is woken.
pub(super) struct Wait<'a> {
    pub(super) target: &'a PerCpu,
    pub(super) target_cpu: u32,
    pub(super) header: *const Header,
    pub(super) function: &'static str,
    pub(super) waiter: Option<u16>,
    pub(super) deadline_ns: Option<u64>,
    /// Multicasts of which an acknowledgement is waited for, one bit for each slot: its own, or all if it is a slot that is waited for. 0:
    /// it is `target` that is waited for, and no other.
    pub(super) slots: usize,
    /// Whether who runs `header` is waited for no more: it is held there.
    pub(super) gathers: bool,
    pub(super) serve: Serve,
}

impl<'a> Wait<'a> {
    /// Who is waited for now, by number.
    pub(super) fn pending<P: Platform, S: Storage>(&self, smp: &'a Smp<P, S>) -> Pending<'a> {
        match self.slots {
            0 => {
                let cpus = core::slice::from_ref(self.target);
                Pending { cpus, first: self.target_cpu, at: 0, slots: 0, held: None }
            }
            slots => {
                let held = self.gathers.then_some(self.header);
                Pending { cpus: smp.cpus(), first: 0, at: 0, slots, held }
            }
        }
    }

    /// One of them, or who was.
    pub(super) fn target<P: Platform, S: Storage>(&self, smp: &'a Smp<P, S>) -> (u32, &'a PerCpu) {
        self.pending(smp).next().unwrap_or((self.target_cpu, self.target))
    }

    pub(super) fn is_for_a_slot(&self) -> bool {
        self.slots == ALL_SLOTS
    }

    /// Returns whether it is a csd's run that is waited for, and no slot, nor something of the port's.
    pub(super) fn is_for_a_run(&self) -> bool {
        self.header != core::ptr::dangling()
    }
}

/// Those CPUs that are waited for.
pub(super) struct Pending<'a> {
    cpus: &'a [PerCpu],
    /// The number of the first of them.
    first: u32,
    at: u32,
    slots: usize,
    /// Who runs this is left out.
    held: Option<*const Header>,
}

impl<'a> Iterator for Pending<'a> {
    type Item = (u32, &'a PerCpu);

    // Not inlined: it is for reports, of which there are several.
    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let cpu = self.cpus.get(self.at as usize)?;
            self.at += 1;
            let is_held = |header| cpu.running.runs(header);
            if self.slots == 0 || cpu.has_pending_racy(self.slots) && !self.held.is_some_and(is_held) {
                return Some((self.first + self.at - 1, cpu));
            }
        }
    }
}
