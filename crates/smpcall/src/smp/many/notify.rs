//! How a multicast is brought to its targets, by its sender or by a leader, and how they acknowledge it.

use super::relaying::Relaying;
use crate::mask::{CpuMask, bits_of};
use crate::multicast::SLOTS;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::queue::{Pushed, Seen};
use crate::relay::Relay;
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
                self.platform.prefetch_write(core::ptr::from_ref(&*cpu.mailbox).cast());
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

    /// As [`Self::notify_all`], by way of one of them, who acknowledges for all. The first that is online leads, from the slot's own
    /// number on: calls in different slots have different leaders. If none is left for it to notify, it is notified straight.
    #[inline(never)]
    pub(super) fn leave_to_a_leader(&self, at: u32, first: u32, mut cpus: usize, relay: &Relay) -> Notified {
        let mut offline = 0;
        loop {
            let later = cpus >> at << at;
            let from = if later != 0 { later } else { cpus };
            let leader = from & from.wrapping_neg();
            cpus &= !leader;
            if cpus == 0 {
                relay.call_off();
            } else {
                relay.leave(cpus);
            }
            let mut notified = self.notify_all(at, first, leader);
            notified.offline += offline;
            if notified.acks == 1 {
                notified.reached += cpus.count_ones();
            }
            if notified.acks == 1 || cpus == 0 {
                return notified;
            }
            offline = notified.offline;
        }
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
        let seen = target.mailbox.head.look();
        if seen == Seen::Offline {
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

    /// The relay of slot `at` to the group of `cpu`, if that group has one.
    #[inline]
    pub(in crate::smp) fn relay(&self, cpu: u32, at: u32) -> Option<&Relay> {
        // Apart: mostly the machine is too small for relays.
        if self.cpus_len() < Relaying::<P>::CPUS { None } else { self.relay_of_many(cpu, at) }
    }

    #[inline(never)]
    fn relay_of_many(&self, cpu: u32, at: u32) -> Option<&Relay> {
        let group = Relaying::<P>::GROUP;
        let first = cpu / group * group;
        if first + group > self.cpus_len() {
            return None;
        }
        if group < SLOTS as u32 && at >= group {
            return None;
        }
        Some(&self.cpu(first + at)?.callers_line.relay)
    }

    /// Target, before it runs slot `at`: if it leads its group, notifies those who were left to it. In call context.
    pub(in crate::smp) fn pass_on(&self, relay: &Relay, cpu: u32, at: u32) {
        let left = relay.take();
        if left != 0 {
            let notified = self.notify_all(at, cpu / Relaying::<P>::GROUP * Relaying::<P>::GROUP, left);
            self.slots.get(at).count_offline(notified.offline);
            relay.sent(notified.reached);
        }
    }
}
