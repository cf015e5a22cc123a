//! How a multicast is brought to its targets, by its sender or by a leader, and how they answer it.

use crate::mask::{CpuMask, bits_of};
use crate::multicast::SLOTS;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::queue::{Pushed, Seen};
use crate::relay::{Relay, Relaying};
use crate::smp::Smp;
use crate::trace::{CallKind, EventKind, trace};

/// How many mailboxes ahead a sender asks for: lines that send_and_wait at the same time cost little more than one.
const ASKED_AHEAD: usize = 4;

/// What became of several summonses.
#[derive(Clone, Copy, Default)]
pub(in crate::smp) struct Summoned {
    /// So many will answer at the slot.
    pub(in crate::smp) answers: u32,
    /// One of them, if there are any.
    pub(in crate::smp) last: u32,
    /// So many will run the function; those among them whom a leader finds offline, it counts.
    pub(in crate::smp) reached: u32,
    /// So many were offline.
    pub(in crate::smp) offline: u32,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Summons the CPUs `first + n` for each bit `n` of `cpus` to slot `at`, and rings those that were not looking. Under the irq
    /// guard: between the first summons and the ring nobody on this CPU may wait for us.
    #[inline(never)]
    pub(in crate::smp) fn summon_all(&self, at: u32, first: u32, cpus: usize) -> Summoned {
        // Not by `[]`: where asking does nothing, nothing is left of it.
        let ask = |bit: u32| {
            if let Some(cpu) = self.cpu(first + bit) {
                self.platform.prefetch_write(core::ptr::from_ref(&*cpu.mailbox).cast());
            }
        };
        let mut ahead = bits_of(cpus);
        ahead.by_ref().take(ASKED_AHEAD).for_each(ask);
        let mut summoned = Summoned::default();
        let mut ring = 0;
        for bit in bits_of(cpus) {
            ahead.next().into_iter().for_each(ask);
            let cpu = first + bit;
            match self.summon(at, cpu) {
                Pushed::Ring => ring |= 1 << bit,
                Pushed::Seen => trace!(self, EventKind::Saved { cpu }),
                Pushed::Refused => {
                    trace!(self, EventKind::Refused { cpu, csd: self.slot_name(at) });
                    summoned.offline += 1;
                    continue;
                }
            }
            trace!(self, EventKind::Pushed { cpu, calls: 1 });
            summoned.answers += 1;
            summoned.last = cpu;
        }
        summoned.reached = summoned.answers;
        if ring != 0 {
            trace!(self, EventKind::Ring { first, cpus: ring });
            let unrung = self.platform.ring_many(first, ring) & ring;
            if unrung != 0 {
                self.owe_rings(first, unrung);
            }
        }
        summoned
    }

    /// As [`Self::summon_all`], by way of one of them, who answers for all. The first that is online leads, from the slot's own
    /// number on: calls in different slots have different leaders. If none is left for it to summon, it is summoned straight.
    #[inline(never)]
    pub(super) fn leave_to_a_leader(&self, at: u32, first: u32, mut cpus: usize, relay: &Relay) -> Summoned {
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
            let mut summoned = self.summon_all(at, first, leader);
            summoned.offline += offline;
            if summoned.answers == 1 {
                summoned.reached += cpus.count_ones();
            }
            if summoned.answers == 1 || cpus == 0 {
                return summoned;
            }
            offline = summoned.offline;
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

    /// One target. If it refuses, but has taken our bit before, it answers (I11), and counts as reached.
    #[inline(always)]
    fn summon(&self, at: u32, cpu: u32) -> Pushed {
        let target = &self.cpus()[cpu as usize];
        let seen = target.mailbox.head.look();
        if seen == Seen::Offline {
            return Pushed::Refused;
        }
        trace!(self, self.summons(at, cpu));
        let callers = &target.mailbox.callers;
        callers.set(at);
        match target.mailbox.head.summon(seen) {
            Pushed::Refused if !callers.take_back(at) => Pushed::Seen,
            pushed => pushed,
        }
    }

    /// The event before a summons.
    fn summons(&self, at: u32, cpu: u32) -> EventKind {
        // SAFETY: by I10 nobody writes the field before the sender lets go, or the leader answers.
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

    /// Target, before it runs slot `at`: if it leads its group, summons those who were left to it. In call context.
    pub(in crate::smp) fn pass_on(&self, relay: &Relay, cpu: u32, at: u32) {
        let left = relay.take();
        if left != 0 {
            let summoned = self.summon_all(at, cpu / Relaying::<P>::GROUP * Relaying::<P>::GROUP, left);
            self.slots.get(at).count_offline(summoned.offline);
            relay.sent(summoned.reached);
        }
    }
}
