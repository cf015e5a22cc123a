//! How a multicast is brought to its targets, by its sender or by a leader, and how they answer it.

use crate::mask::bits_of;
use crate::multicast::SLOTS;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::queue::{Pushed, Seen};
use crate::relay::{Relay, Relaying};
use crate::smp::Smp;
use crate::trace::{CallKind, What, told};

/// How many doors ahead a sender asks for: lines that travel at the same time cost little more than one.
const ASKED_AHEAD: usize = 4;

/// What became of several summonses.
#[derive(Clone, Copy, Default)]
pub(in crate::smp) struct Summoned {
    /// These will answer.
    pub(in crate::smp) reached: u32,
    /// One of them.
    pub(in crate::smp) last: Option<u32>,
    /// These were offline.
    pub(in crate::smp) offline: u32,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Summons the CPUs `first + n` for each bit `n` of `cpus` to slot `at`, and rings those that were not looking. Under the irq
    /// guard: between the first summons and the ring nobody on this CPU may wait for us.
    pub(in crate::smp) fn summon_all(&self, at: u32, first: u32, cpus: usize) -> Summoned {
        // Not by `[]`: where asking does nothing, nothing is left of it.
        let ask = |bit: u32| {
            if let Some(cpu) = self.cpu(first + bit) {
                self.platform.prefetch_write(core::ptr::from_ref(&cpu.door.0).cast());
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
                Pushed::Seen => told!(self, What::Saved { cpu }),
                Pushed::Refused => {
                    told!(self, What::Refused { cpu, csd: self.slot_name(at) });
                    summoned.offline += 1;
                    continue;
                }
            }
            told!(self, What::Pushed { cpu, calls: 1 });
            summoned.reached += 1;
            summoned.last = Some(cpu);
        }
        if ring != 0 {
            told!(self, What::Ring { first, cpus: ring });
            self.platform.ring_many(first, ring);
        }
        summoned
    }

    /// One target. If it refuses, but has taken our bit before, it answers (I11), and counts as reached.
    #[inline(always)]
    fn summon(&self, at: u32, cpu: u32) -> Pushed {
        let target = &self.cpus()[cpu as usize];
        let seen = target.door.0.head.look();
        if seen == Seen::Offline {
            return Pushed::Refused;
        }
        told!(self, self.summons(at, cpu));
        let callers = &target.door.0.callers;
        callers.set(at);
        match target.door.0.head.summon(seen) {
            Pushed::Refused if !callers.take_back(at) => Pushed::Seen,
            pushed => pushed,
        }
    }

    /// The event before a summons.
    fn summons(&self, at: u32, cpu: u32) -> What {
        // SAFETY: by I10 nobody writes the field before the sender lets go, or the leader answers.
        let func = unsafe { self.slots.get(at).run() } as usize;
        What::Queue { cpu, csd: self.slot_name(at), func, kind: CallKind::Many }
    }

    /// What stands for a slot where calls are told apart by their csd.
    fn slot_name(&self, at: u32) -> usize {
        self.slots.get(at).as_header().addr()
    }

    /// The relay of slot `at` to the group of `cpu`, if that group has one.
    #[inline]
    pub(in crate::smp) fn relay(&self, cpu: u32, at: u32) -> Option<&Relay> {
        let group = Relaying::<P>::GROUP;
        let first = cpu / group * group;
        if self.cpus_len() < Relaying::<P>::CPUS || first + group > self.cpus_len() {
            return None;
        }
        if group < SLOTS as u32 && at >= group {
            return None;
        }
        Some(&self.cpu(first + at)?.lobby.0.relay)
    }

    /// Target, before it runs slot `at`: if it leads its group, summons those who were left to it. In call context.
    #[inline]
    pub(in crate::smp) fn pass_on(&self, relay: Option<&Relay>, cpu: u32, at: u32) {
        if let Some(relay) = relay {
            let left = relay.take();
            if left != 0 {
                let summoned = self.summon_all(at, cpu / Relaying::<P>::GROUP * Relaying::<P>::GROUP, left);
                self.slots.get(at).count_offline(summoned.offline);
                relay.sent(summoned.reached);
            }
        }
    }

    /// Target, when it has run slot `at`: answers, and says whom to wake. The slot is not to be touched afterwards.
    #[inline]
    pub(in crate::smp) fn answer(&self, relay: Option<&Relay>, at: u32) -> Option<u16> {
        match relay {
            Some(relay) if relay.is_in_use() && !relay.answer() => None,
            _ => self.slots.get(at).answer(),
        }
    }
}
