//! A multicast under way: the bits are set, the targets notified and rung, the acknowledgements awaited.

use super::notify::Notified;
use super::relaying::Relaying;
use super::to::{Reached, To};
use crate::csd::Header;
use crate::mask::CpuMask;
use crate::multicast::{Keep, Slot, Slots};
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::smp::Smp;
use crate::smp::context::{InFrame, NoUnwind};

/// A multicast under way. Whatever ends it, it does not leave a target with a bit and without a slot.
pub(super) struct Multicast<'a, P: Platform, S: Storage> {
    smp: &'a Smp<P, S>,
    /// The caller's CPU, on which it began; or the number of none.
    own: u32,
    at: u32,
    waiter: Option<u16>,
    keep: Keep,
    function: &'static str,
    /// How many will acknowledge at the slot, and one of them.
    acks: u32,
    last: u32,
    reached: Reached,
}

impl<'a, P: Platform, S: Storage> Multicast<'a, P, S> {
    pub(super) fn new(
        smp: &'a Smp<P, S>,
        here: Option<(u32, &PerCpu)>,
        at: u32,
        waiter: Option<u16>,
        keep: Keep,
        function: &'static str,
    ) -> Self {
        let own = here.map_or(u32::MAX, |(cpu, _)| cpu);
        Self { smp, own, at, waiter, keep, function, acks: 0, last: 0, reached: Reached::default() }
    }

    /// Brings the call to all that are meant. Returns whether the caller is to run it too, on its own CPU; one that may migrate
    /// is not: its CPU gets the call like any other.
    #[inline(always)]
    pub(super) fn send(&mut self, mut to: To<'_>, mut busy: Option<&mut CpuMask>) -> bool {
        let others = matches!(to, To::Others);
        let mut own_is_meant = false;
        self.smp.stamp(self.smp.slots.get(self.at).stamp());
        for first in (0..self.smp.cpus_len()).step_by(Relaying::<P>::GROUP as usize) {
            // Before the irq guard: the condition is the user's.
            let mut meant = self.meant(&mut to, first);
            let bit = self.own.wrapping_sub(first);
            if bit < Relaying::<P>::GROUP && (others || !P::MIGRATES) {
                own_is_meant |= meant & 1 << bit != 0 && !others;
                meant &= !(1 << bit);
            }
            let _irq = IrqGuard::new(&self.smp.platform);
            if let Some(busy) = busy.as_deref_mut() {
                let idle = self.smp.leave_out_busy(first, meant, busy);
                self.reached.busy += (meant ^ idle).count_ones();
                meant = idle;
            }
            // A target that has our bit, and that we have not counted yet, acknowledges a slot that is gone.
            NoUnwind::around(|| self.send_to_group(first, meant));
        }
        own_is_meant
    }

    /// Who is meant of the CPUs from `first` on: one bit for each.
    #[inline(always)]
    fn meant(&self, to: &mut To<'_>, first: u32) -> usize {
        let len = (self.smp.cpus_len() - first).min(Relaying::<P>::GROUP);
        let all = usize::MAX >> (usize::BITS - len);
        match to {
            To::Others | To::All => all,
            // It names nobody that the machine has not: that was demanded.
            To::Mask(mask) => mask.word(first) & usize::MAX >> (usize::BITS - Relaying::<P>::GROUP),
            To::If(condition) => {
                let _frame = InFrame::enter(&self.smp.platform, self.smp.home());
                (0..len).filter(|bit| condition(first + bit)).fold(0, |word, bit| word | 1 << bit)
            }
        }
    }

    /// A group's targets: one after another, or by way of one of them. Under the irq guard: between the first notification and the
    /// ring nobody on this CPU may wait for us.
    #[inline(always)]
    fn send_to_group(&mut self, first: u32, meant: usize) {
        let notified = self.notify_group(first, meant);
        if notified.acks != 0 {
            self.acks += notified.acks;
            self.last = notified.last;
        }
        self.reached.ran += notified.reached;
        self.reached.offline += notified.offline;
    }

    /// Notifies them: a few, or on a small machine, one after another; else by way of one of them.
    #[inline(always)]
    fn notify_group(&self, first: u32, meant: usize) -> Notified {
        #[cfg(feature = "relays")]
        if self.keep == Keep::Yes && meant.count_ones() >= Relaying::<P>::MIN {
            if let Some(relay) = self.smp.relay(first, self.at) {
                return self.smp.leave_to_a_leader(self.at, first, meant, relay);
            }
        }
        self.smp.notify_all(self.at, first, meant)
    }

    /// How many will run it, as far as is known (of those that a leader notifies, some may turn out to be offline), and one of them.
    pub(super) fn reached_so_far(&self) -> (u32, u32) {
        (self.reached.ran, self.last)
    }

    /// Waits for the acknowledgements, if the caller keeps the slot, and lets go of it.
    #[inline(always)]
    pub(super) fn finish(mut self) -> Reached {
        self.complete();
        let reached = self.reached;
        core::mem::forget(self);
        reached
    }

    /// As `finish`, for callers that do nothing else meanwhile.
    #[inline(always)]
    pub(super) fn finish_only(self) -> (Reached, ()) {
        (self.finish(), ())
    }

    /// As `finish`, with `work` of the caller's before it waits; or, if the slot is one that nobody keeps so long (I43), behind that.
    #[inline(always)]
    pub(super) fn finish_after<T>(self, work: impl FnOnce() -> T) -> (Reached, Result<T, P::Panic>) {
        let smp = self.smp;
        let run = || {
            let _frame = InFrame::enter(&smp.platform, smp.home());
            P::catch(work)
        };
        if Slots::is_kept_in_work(self.at) {
            let result = run();
            return (self.finish(), result);
        }
        let reached = self.finish();
        (reached, run())
    }

    #[inline(always)]
    fn complete(&mut self) {
        let slot = self.smp.slots.get(self.at);
        let are_done = slot.sent(self.acks, self.keep);
        if self.keep == Keep::Yes {
            // No look without need: it would take the line away from a target that is about to write there.
            if !(are_done && slot.is_acknowledged()) {
                self.smp.await_acks(self.at, self.last, self.waiter, self.function);
            }
            let offline = slot.take_offline();
            self.reached.ran -= offline;
            self.reached.offline += offline;
            slot.release();
        }
    }
}

impl<P: Platform, S: Storage> Drop for Multicast<'_, P, S> {
    /// The condition panicked: those that were reached have the function still to run, and the frame is not left before.
    #[cold]
    fn drop(&mut self) {
        self.complete();
    }
}

impl Slot {
    /// What stands for this slot where runs are told apart by their header; compared, never followed.
    pub(in crate::smp) fn as_header(&self) -> *const Header {
        core::ptr::from_ref(self).cast()
    }
}
