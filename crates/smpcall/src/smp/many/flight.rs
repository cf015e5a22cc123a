//! A multicast under way: the bits are set, the targets summoned and rung, the answers awaited.

use super::summon::Summoned;
use super::{Reached, To};
use crate::csd::Header;
use crate::mask::{CpuMask, bits_of};
use crate::multicast::{Keep, Slot};
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::Seen;
use crate::relay::{Relay, Relaying};
use crate::smp::Smp;

/// A multicast under way. Whatever ends it, it does not leave a target with a bit and without a slot.
pub(super) struct Flight<'a, P: Platform, S: Storage> {
    smp: &'a Smp<P, S>,
    here: Option<(u32, &'a PerCpu)>,
    at: u32,
    waiter: Option<u16>,
    keep: Keep,
    function: &'static str,
    /// How many will answer at the slot, and one of them.
    answers: u32,
    last: u32,
    reached: Reached,
}

impl<'a, P: Platform, S: Storage> Flight<'a, P, S> {
    pub(super) fn new(
        smp: &'a Smp<P, S>,
        here: Option<(u32, &'a PerCpu)>,
        at: u32,
        waiter: Option<u16>,
        keep: Keep,
        function: &'static str,
    ) -> Self {
        Self { smp, here, at, waiter, keep, function, answers: 0, last: 0, reached: Reached::default() }
    }

    /// Brings the call to all that are meant. Returns whether the caller's own CPU is one of them.
    #[inline(always)]
    pub(super) fn send(&mut self, mut to: To<'_>, mut busy: Option<&mut CpuMask>) -> bool {
        let own = self.here.map(|(cpu, _)| cpu);
        let mut own_is_meant = false;
        self.smp.slots.get(self.at).stamp().set(&self.smp.platform);
        for first in (0..self.smp.cpus_len()).step_by(Relaying::<P>::GROUP as usize) {
            // Before the irq guard: the condition is the user's.
            let mut meant = self.meant(&mut to, first);
            if let Some(bit) =
                own.and_then(|own| own.checked_sub(first)).filter(|bit| *bit < Relaying::<P>::GROUP)
            {
                own_is_meant |= meant & 1 << bit != 0 && !matches!(to, To::Others);
                meant &= !(1 << bit);
            }
            if let Some(busy) = busy.as_deref_mut() {
                self.send_to_idle(first, meant, busy);
            } else {
                self.send_to_group(first, meant);
            }
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
            To::Mask(mask) => mask.word(first) & all,
            To::If(condition) => {
                (0..len).filter(|bit| condition(first + bit)).fold(0, |word, bit| word | 1 << bit)
            }
        }
    }

    /// A group's targets: one after another, or by way of one of them.
    #[inline(always)]
    fn send_to_group(&mut self, first: u32, meant: usize) {
        let _irq = IrqGuard::new(&self.smp.platform);
        let many = |_: &&Relay| self.keep == Keep::Yes && meant.count_ones() >= Relaying::<P>::MIN;
        match self.smp.relay(first, self.at).filter(many) {
            Some(relay) => self.leave_to_a_leader(first, meant, relay),
            None => self.send_straight(first, meant),
        }
    }

    /// Under the irq guard: between the first summons and the ring nobody on this CPU may wait for us.
    #[inline(always)]
    fn send_straight(&mut self, first: u32, meant: usize) {
        let summoned = self.smp.summon_all(self.at, first, meant);
        self.will_answer(&summoned);
        self.reached.ran += summoned.reached;
        self.reached.offline += summoned.offline;
    }

    fn will_answer(&mut self, summoned: &Summoned) {
        self.answers += summoned.reached;
        self.last = summoned.last.unwrap_or(self.last);
    }

    /// The first that is online leads, from the slot's own number on: calls in different slots have different leaders. If none
    /// is left for it to summon, it is summoned straight.
    #[inline(never)]
    fn leave_to_a_leader(&mut self, first: u32, mut meant: usize, relay: &Relay) {
        loop {
            let later = meant >> self.at << self.at;
            let from = if later != 0 { later } else { meant };
            let leader = from & from.wrapping_neg();
            meant &= !leader;
            if meant == 0 {
                relay.call_off();
                return self.send_straight(first, leader);
            }
            relay.leave(meant);
            let summoned = self.smp.summon_all(self.at, first, leader);
            self.reached.offline += summoned.offline;
            if summoned.reached == 1 {
                self.will_answer(&summoned);
                // Less those that the leader will find offline.
                self.reached.ran += 1 + meant.count_ones();
                return;
            }
        }
    }

    /// A group's targets, but for those that are busy.
    #[inline(never)]
    fn send_to_idle(&mut self, first: u32, mut meant: usize, busy: &mut CpuMask) {
        let _irq = IrqGuard::new(&self.smp.platform);
        for bit in bits_of(meant) {
            let target = &self.smp.cpus()[(first + bit) as usize];
            if matches!(target.door.0.head.look(), Seen::List(_)) || target.running.0.func_racy().is_some() {
                busy.insert(first + bit);
                self.reached.busy += 1;
                meant &= !(1 << bit);
            }
        }
        self.send_straight(first, meant);
    }

    /// Waits for the answers, if the caller keeps the slot, and lets go of it.
    #[inline(always)]
    pub(super) fn land(mut self) -> Reached {
        self.finish();
        let reached = self.reached;
        core::mem::forget(self);
        reached
    }

    #[inline(always)]
    fn finish(&mut self) {
        let slot = self.smp.slots.get(self.at);
        slot.sent(self.answers, self.keep);
        if self.keep == Keep::Yes {
            if !slot.answered() {
                self.smp.await_answers(self.here, self.at, self.last, self.waiter, self.function);
            }
            let offline = slot.take_offline();
            self.reached.ran -= offline;
            self.reached.offline += offline;
            slot.let_go();
        }
    }
}

impl<P: Platform, S: Storage> Drop for Flight<'_, P, S> {
    /// The condition panicked: those that were reached have the function still to run, and the frame is not left before.
    #[cold]
    fn drop(&mut self) {
        self.finish();
    }
}

impl Slot {
    /// What stands for this slot where runs are told apart by their header; compared, never followed.
    pub(in crate::smp) fn as_header(&self) -> *const Header {
        core::ptr::from_ref(self).cast()
    }
}
