//! A multicast under way: the bits are set, the targets summoned and rung, the answers awaited.

use super::{Reached, To};
use crate::csd::Header;
use crate::mask::{CpuMask, bits_of};
use crate::multicast::{Keep, Slot};
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::{Pushed, Seen};
use crate::smp::Smp;
use crate::trace::{CallKind, What, told};

/// A multicast under way. Whatever ends it, it does not leave a target with a bit and without a slot.
pub(super) struct Flight<'a, P: Platform, S: Storage> {
    smp: &'a Smp<P, S>,
    here: Option<(u32, &'a PerCpu)>,
    at: u32,
    waiter: Option<u16>,
    keep: Keep,
    function: &'static str,
    reached: Reached,
    landed: bool,
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
        Self { smp, here, at, waiter, keep, function, reached: Reached::default(), landed: false }
    }

    /// Brings the call to all that are meant. Returns whether the caller's own CPU is one of them.
    pub(super) fn send(&mut self, mut to: To<'_>, mut busy: Option<&mut CpuMask>) -> bool {
        let own = self.here.map(|(cpu, _)| cpu);
        let mut own_is_meant = false;
        self.smp.slots.get(self.at).stamp().set(&self.smp.platform);
        for first in (0..self.smp.cpus_len()).step_by(usize::BITS as usize) {
            // Before the irq guard: the condition is the user's.
            let mut meant = self.meant(&mut to, first);
            if let Some(bit) = own.and_then(|own| own.checked_sub(first)).filter(|bit| *bit < usize::BITS) {
                own_is_meant |= meant & 1 << bit != 0 && !matches!(to, To::Others);
                meant &= !(1 << bit);
            }
            self.send_word(first, meant, busy.as_deref_mut());
        }
        own_is_meant
    }

    /// Who is meant of the CPUs from `first` on: one bit for each.
    fn meant(&self, to: &mut To<'_>, first: u32) -> usize {
        let len = (self.smp.cpus_len() - first).min(usize::BITS);
        let all = usize::MAX >> (usize::BITS - len);
        match to {
            To::Others | To::All => all,
            To::Mask(mask) => mask.word(first) & all,
            To::If(condition) => {
                (0..len).filter(|bit| condition(first + bit)).fold(0, |word, bit| word | 1 << bit)
            }
        }
    }

    /// The event before a summons.
    fn queue(&self, cpu: u32) -> What {
        // SAFETY: by I10 nobody writes the field until we let go of the slot.
        let func = unsafe { self.smp.slots.get(self.at).run() } as usize;
        What::Queue { cpu, csd: self.slot_name(), func, kind: CallKind::Many }
    }

    fn slot_name(&self) -> usize {
        self.smp.slots.get(self.at).as_header().addr()
    }

    /// Up to a word's worth of targets: between the first summons and the ring nobody on this CPU may wait for us.
    fn send_word(&mut self, first: u32, meant: usize, mut busy: Option<&mut CpuMask>) {
        let smp = self.smp;
        let _irq = IrqGuard::new(&smp.platform);
        let mut ring = 0;
        for bit in bits_of(meant) {
            let target = &smp.cpus()[(first + bit) as usize];
            let seen = target.door.0.head.look();
            if let Some(busy) = busy.as_deref_mut()
                && (matches!(seen, Seen::List(_)) || target.running.0.func_racy().is_some())
            {
                busy.insert(first + bit);
                self.reached.busy += 1;
                continue;
            }
            if seen != Seen::Offline {
                told!(smp, self.queue(first + bit));
            }
            match self.summon(target, seen) {
                Pushed::Ring => ring |= 1 << bit,
                Pushed::Seen => told!(smp, What::Saved { cpu: first + bit }),
                Pushed::Refused => {
                    told!(smp, What::Refused { cpu: first + bit, csd: self.slot_name() });
                    self.reached.offline += 1;
                    continue;
                }
            }
            told!(smp, What::Pushed { cpu: first + bit, calls: 1 });
            self.reached.ran += 1;
        }
        if ring != 0 {
            told!(smp, What::Ring { first, cpus: ring });
            smp.platform.ring_many(first, ring);
        }
    }

    /// One target. If it refuses, but has taken our bit before, it answers (I11), and counts as reached.
    fn summon(&self, target: &PerCpu, seen: Seen) -> Pushed {
        if seen == Seen::Offline {
            return Pushed::Refused;
        }
        let callers = &target.door.0.callers;
        callers.set(self.at);
        match target.door.0.head.summon(seen) {
            Pushed::Refused if !callers.take_back(self.at) => Pushed::Seen,
            pushed => pushed,
        }
    }

    /// Waits for the answers, if the caller keeps the slot, and lets go of it.
    pub(super) fn land(mut self) -> Reached {
        self.finish();
        self.reached
    }

    fn finish(&mut self) {
        if core::mem::replace(&mut self.landed, true) {
            return;
        }
        let slot = self.smp.slots.get(self.at);
        slot.sent(self.reached.ran, self.keep);
        if self.keep == Keep::Yes {
            if !slot.answered() {
                self.smp.await_answers(self.here, self.at, self.waiter, self.function);
            }
            slot.let_go();
        }
    }
}

impl<P: Platform, S: Storage> Drop for Flight<'_, P, S> {
    /// The condition panicked: those that were reached have the function still to run, and the frame is not left before.
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
