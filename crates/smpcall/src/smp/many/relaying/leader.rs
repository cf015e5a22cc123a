//! A group that is left to a leader: how the sender leaves it, and how the leader passes the multicast on.

use super::Relaying;
use crate::multicast::SLOTS;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::relay::Relay;
use crate::smp::Smp;
use crate::smp::many::notify::Notified;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// As [`Self::notify_all`], by way of one of them, who acknowledges for all. The first that is online leads, from the slot's own
    /// number on: calls in different slots have different leaders. If none is left for it to notify, it is notified straight.
    #[inline(never)]
    pub(in crate::smp::many) fn leave_to_a_leader(
        &self,
        at: u32,
        first: u32,
        mut cpus: usize,
        relay: &Relay,
    ) -> Notified {
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
