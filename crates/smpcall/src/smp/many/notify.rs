//! How a multicast is brought to its targets, by its sender or by a leader, and how they acknowledge it.

use crate::mask::{CpuMask, bits_of};
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::queue::{Pushed, Seen, Word};
use crate::smp::Smp;
use crate::trace::{CallKind, EventKind, trace};

/// How many mailboxes ahead a sender asks for: lines that send_and_wait at the same time cost little more than one.
const ASKED_AHEAD: usize = 4;

/// What became of several notifications.
#[derive(Clone, Copy, Default)]
pub(in crate::smp) struct Notified {
    /// So many will acknowledge at the slot.
    pub(in crate::smp) acks: u32,
    /// One of them, if there are any.
    pub(in crate::smp) last: u32,
    /// So many will run the function; those among them whom a leader finds offline, it counts.
    pub(in crate::smp) reached: u32,
    /// So many were offline.
    pub(in crate::smp) offline: u32,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Notifies the CPUs `first + n` for each bit `n` of `cpus` to slot `at`, and rings those that were not looking. Under the irq
    /// guard: between the first notification and the ring nobody on this CPU may wait for us.
    #[inline(never)]
    pub(in crate::smp) fn notify_all(&self, at: u32, first: u32, cpus: usize) -> Notified {
        // Not by `[]`: where asking does nothing, nothing is left of it.
        let ask = |bit: u32| {
            if let Some(cpu) = self.cpu(first + bit) {
                self.platform.prefetch_write(core::ptr::from_ref(&cpu.mailbox).cast());
            }
        };
        let mut ahead = bits_of(cpus);
        ahead.by_ref().take(ASKED_AHEAD).for_each(ask);
        let mut notified = Notified::default();
        let mut ring = 0;
        for bit in bits_of(cpus) {
            ahead.next().into_iter().for_each(ask);
            let cpu = first + bit;
            match self.notify(at, cpu) {
                Pushed::Ring => ring |= 1 << bit,
                Pushed::Seen => trace!(self, EventKind::Saved { cpu }),
                Pushed::Refused => {
                    trace!(self, EventKind::Refused { cpu, csd: self.slot_name(at) });
                    notified.offline += 1;
                    continue;
                }
            }
            trace!(self, EventKind::Pushed { cpu, calls: 1 });
            notified.acks += 1;
            notified.last = cpu;
        }
        notified.reached = notified.acks;
        if ring != 0 {
            trace!(self, EventKind::Ring { first, cpus: ring });
            let unrung = self.platform.ring_many(first, ring) & ring;
            if unrung != 0 {
                self.owe_rings(first, unrung);
            }
        }
        notified
    }

    /// Those of a group that are not busy; the others are put into `busy`.
    #[inline(never)]
    pub(super) fn leave_out_busy(&self, first: u32, mut cpus: usize, busy: &mut CpuMask) -> usize {
        for bit in bits_of(cpus) {
            let target = &self.cpus()[(first + bit) as usize];
            if matches!(target.mailbox.head.look(), Seen::List(_)) || target.running.func_racy().is_some() {
                busy.insert(first + bit);
                cpus &= !(1 << bit);
            }
        }
        cpus
    }

    /// One target. If it refuses, but has taken our bit before, it acknowledges (I11), and counts as reached.
    #[inline(always)]
    fn notify(&self, at: u32, cpu: u32) -> Pushed {
        let target = &self.cpus()[cpu as usize];
        let seen = target.mailbox.head.look_word();
        if seen == Word::OFFLINE {
            return Pushed::Refused;
        }
        trace!(self, self.notification_event(at, cpu));
        let callers = &target.mailbox.callers;
        callers.set(at);
        match target.mailbox.head.notify(seen) {
            Pushed::Refused if !callers.take_back(at) => Pushed::Seen,
            pushed => pushed,
        }
    }

    /// The event before a notification.
    fn notification_event(&self, at: u32, cpu: u32) -> EventKind {
        // SAFETY: by I10 nobody writes the field before the sender lets go, or the leader acknowledges.
        let func = unsafe { self.slots.get(at).run() } as usize;
        EventKind::Queue { cpu, csd: self.slot_name(at), func, kind: CallKind::Many }
    }

    /// What stands for a slot where calls are told apart by their csd.
    fn slot_name(&self, at: u32) -> usize {
        self.slots.get(at).as_header().addr()
    }
}
