//! Posts of another language's csds, and of what else rides in the queue; see [`crate::foreign`].

use super::Smp;
use crate::csd::{Coalesced, Header};
use crate::error::PostError;
use crate::foreign::{Entry, ForeignCsd};
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::posted::Posted;
use crate::queue::Seen;
use crate::state::{Claim, Kind, Urgency};
use crate::trace::{CallKind, EventKind, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Posts another language's csd to `cpu`, as [`Smp::post`] does ours: P1, P2, P3, P5, P6 and P8 hold of it.
    ///
    /// Context, progress, errors: as for [`Smp::post`].
    ///
    /// # Safety
    ///
    /// 1. From an `Ok` until its function begins, the csd stays alive and in place, and nobody writes to it but by this
    ///    function. Whoever is told [`Busy`](Posted::Busy) has not changed it either.
    /// 2. The port's [`run_foreign`](crate::Foreign::run_foreign) may call its function with its argument on any CPU, as often as
    ///    it is posted, and at the same time on several if it is posted to several.
    #[inline]
    pub unsafe fn post_foreign(&self, cpu: u32, csd: &ForeignCsd) -> Result<Posted, PostError> {
        match csd.0.state.rely(cpu, Urgency::Now) {
            Some(lost) => self.answer_lost(&csd.0, lost),
            // SAFETY: the caller's promise.
            None => unsafe { self.post_foreign_free(cpu, &csd.0) },
        }
    }

    /// Posts one that was seen free. Apart, so that a Busy answer is only a few instructions.
    ///
    /// # Safety
    ///
    /// As for [`Smp::post_foreign`].
    #[inline(never)]
    unsafe fn post_foreign_free(&self, cpu: u32, header: &Header) -> Result<Posted, PostError> {
        let target = self.cpu(cpu).ok_or(PostError::NoSuchCpu)?;
        let expected = target.mailbox.head.look();
        if expected == Seen::Offline {
            trace!(self, EventKind::Refused { cpu, csd: header.name() });
            return Err(PostError::Offline { coalesced: Coalesced::No });
        }
        // From the claim to the ring nobody on this CPU may wait for us, as in `post`.
        let _irq = IrqGuard::new(&self.platform);
        if let Err(lost) = self.claim_foreign(cpu, header) {
            return lost;
        }
        // SAFETY: the claim is ours, and nothing is pushed yet.
        trace!(self, unsafe { queue_foreign(cpu, header) });
        self.stamp(&header.stamp);
        // SAFETY: its claim is ours, and the caller keeps it alive and in place (I5).
        if unsafe { self.push_one(cpu, target, header, false, expected) } {
            return Ok(Posted::Queued);
        }
        let coalesced = if header.state.unlock(cpu).is_coalesced() { Coalesced::Yes } else { Coalesced::No };
        Err(PostError::Offline { coalesced })
    }

    /// As [`Smp::post_foreign`]; but to the CPU that runs the caller it runs at once, as in Linux, if that CPU is in no call and
    /// has nothing queued: then nothing that was posted before is overtaken (P6), and nothing recurses (P5).
    ///
    /// # Safety
    ///
    /// As for [`Smp::post_foreign`]; and the caller stays on its CPU.
    #[inline]
    pub unsafe fn post_foreign_or_run(&self, cpu: u32, csd: &ForeignCsd) -> Result<Posted, PostError> {
        match csd.0.state.rely(cpu, Urgency::Now) {
            Some(lost) => self.answer_lost(&csd.0, lost),
            None => match self.here().filter(|(here, _)| *here == cpu) {
                // SAFETY: the caller's promise.
                Some((_, here)) => unsafe { self.run_foreign_here(cpu, here, &csd.0) },
                // SAFETY: the caller's promise.
                None => unsafe { self.post_foreign_free(cpu, &csd.0) },
            },
        }
    }

    /// # Safety
    ///
    /// As for [`Smp::post_foreign_or_run`]; and `here` is the caller's CPU.
    #[inline(never)]
    unsafe fn run_foreign_here(&self, cpu: u32, here: &PerCpu, header: &Header) -> Result<Posted, PostError> {
        // Before the looks: an interrupt's flush between them would take the list, and leave some of it over.
        let _irq = IrqGuard::new(&self.platform);
        let own = &*here.own;
        if own.in_call() || own.has_left_over() || matches!(here.mailbox.head.look(), Seen::List(_)) {
            // SAFETY: the caller's promise.
            return unsafe { self.post_foreign_free(cpu, header) };
        }
        if let Err(lost) = self.claim_foreign(cpu, header) {
            return lost;
        }
        own.set_in_call(true);
        // SAFETY: the claim is ours, and so the run.
        unsafe { self.run_foreign(cpu, here, header, header.state.look_racy()) };
        own.set_in_call(false);
        Ok(Posted::Queued)
    }

    #[inline]
    fn claim_foreign(&self, cpu: u32, header: &Header) -> Result<(), Result<Posted, PostError>> {
        match header.state.claim_as(Kind::Foreign, cpu, Urgency::Now) {
            Claim::Won => Ok(()),
            lost => Err(self.answer_lost(header, lost)),
        }
    }

    /// Puts something that is no csd into the queue of `cpu`, and rings if need be; `false` if that is offline, and nothing was
    /// queued.
    ///
    /// Context: any, an NMI included. Progress: lock-free.
    ///
    /// # Panics
    ///
    /// If the machine has no such CPU.
    ///
    /// # Safety
    ///
    /// 1. The entry is in no queue, and its claim, if it has one, is the caller's. From an acceptance until it was handed to the
    ///    port's [`take_entry`](crate::Foreign::take_entry) it stays alive and in place, and nobody else writes its link or its kind.
    /// 2. The entry is 8-aligned, its kind is 0x20 or 0x30, and it lies in an object with at least `size_of::<Entry>()` bytes
    ///    from there on.
    pub unsafe fn push_entry(&self, cpu: u32, entry: &Entry) -> bool {
        let target = &self.cpus()[cpu as usize];
        let header = &entry.0;
        debug_assert!(header.state.look_racy().is_no_csd(), "an entry of a kind that csds have");
        let _irq = IrqGuard::new(&self.platform);
        trace!(self, EventKind::Queue { cpu, csd: header.name(), func: 0, kind: CallKind::Foreign });
        // SAFETY: the caller keeps it alive and in place; its link is ours to write.
        unsafe { self.push_one(cpu, target, header, false, target.mailbox.head.look()) }
    }
}

/// The event before a push.
///
/// # Safety
///
/// The claim is the caller's, and nothing is pushed yet.
unsafe fn queue_foreign(cpu: u32, header: &Header) -> EventKind {
    // SAFETY: the fields are ours (I2).
    let (func, _) = unsafe { header.foreign_work() };
    EventKind::Queue { cpu, csd: header.name(), func: func.addr(), kind: CallKind::Foreign }
}
