//! CPUs that come and go: the CPU's own thread does it, when control wants it to (P8).

use super::super::csds::{Outcome, Own};
use super::super::tally::{Check, Event};
use super::Worker;
use crate::pace::Place;
use anyhow::Result;
use smpcall_host::Attached;
use smpcall_host::smpcall::{Budget, CallError};
use std::num::NonZeroU32;

/// How many calls a CPU that goes offline posts to itself, twice.
const ACCEPTED: usize = 4;

impl Worker {
    /// Goes offline, or comes online, if control wants it.
    pub(super) fn follow_control(&mut self) -> Result<()> {
        let Some(cpu) = self.kit.cpu else { return Ok(()) };
        let wanted = self.ground().cpu(cpu).wanted.is_set();
        match self.attached.take() {
            Some(attached) if !wanted => self.go_offline(attached),
            None if wanted => self.come_online(cpu)?,
            unchanged => self.attached = unchanged,
        }
        Ok(())
    }

    pub(super) fn come_online(&mut self, cpu: u32) -> Result<()> {
        let ground = self.ground();
        self.attached = Some(Place::attach(&ground.machine, cpu, self.core)?);
        ground.cpu(cpu).online.set(1);
        self.event(Event::Hotplug);
        let posted = self.post_to_itself(cpu).map(|(_, posted)| posted);
        self.expect(Check::Hotplug, matches!(posted, None | Some(Outcome::Due)), || {
            format!("CPU {cpu} came online, and refused its first post")
        });
        Ok(())
    }

    fn go_offline(&mut self, attached: Attached<'static>) {
        let (ground, cpu) = (self.ground(), attached.cpu());
        let mut posted: Vec<_> = (0..ACCEPTED).filter_map(|_| self.post_to_itself(cpu)).collect();
        // A flush that leaves some over, which are older than what comes after.
        self.poll(&attached, Budget::calls(NonZeroU32::MIN));
        posted.extend((0..ACCEPTED).filter_map(|_| self.post_to_itself(cpu)));
        // Others post meanwhile.
        self.linger();
        drop(attached);
        ground.cpu(cpu).online.set(0);
        self.event(Event::Hotplug);
        for (own, posted) in posted {
            self.expect(Check::Hotplug, posted == Outcome::Due && own.is_settled(), || {
                format!("CPU {cpu} went offline, and left what it had accepted ({posted:?})")
            });
        }
        // Only this thread can bring the CPU back, so now it must refuse.
        if let Some((own, posted)) = self.post_to_itself(cpu) {
            self.expect(Check::Hotplug, posted == Outcome::Refused && !own.csd.is_pending(), || {
                format!("CPU {cpu} is offline, and accepted a post")
            });
        }
        let mut ran = false;
        let answer = ground.machine.call(cpu, || ran = true);
        self.expect(Check::Hotplug, answer == Err(CallError::Offline) && !ran, || {
            format!("CPU {cpu} is offline, and a call to it came back as {answer:?}")
        });
    }

    /// Posts one of its own csds, if one is free, to the CPU that it is, or was.
    fn post_to_itself(&self, cpu: u32) -> Option<(&'static Own, Outcome)> {
        let sender = &self.kit.sender;
        let own = sender.free().next()?;
        self.check_seen(own);
        Some((own, own.post(cpu, sender.number())))
    }
}
