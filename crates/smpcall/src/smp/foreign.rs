//! Posts of another language's csds, and of what else rides in the queue; see [`crate::foreign`].

use super::Smp;
use crate::csd::{Coalesced, Header};
use crate::error::PostError;
use crate::foreign::{Entry, ForeignCsd};
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::posted::Posted;
use crate::queue::Seen;
use crate::stamp::Stamp;
use crate::state::{Claim, Kind, Snapshot, Urgency};
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
    ///
    /// Example: [`ForeignCsd`].
    #[inline]
    pub unsafe fn post_foreign(&self, cpu: u32, csd: &ForeignCsd) -> Result<Posted, PostError> {
        match csd.0.state.rely(cpu, Urgency::Now) {
            Some(lost) => self.answer_lost(&csd.0, lost),
            // SAFETY: the caller's promise.
            None => unsafe { self.post_foreign_apart(cpu, &csd.0) },
        }
    }

    /// As [`Self::post_foreign_free`]. Apart, so that a Busy answer is only a few instructions.
    ///
    /// # Safety
    ///
    /// As for [`Smp::post_foreign`].
    #[inline(never)]
    unsafe fn post_foreign_apart(&self, cpu: u32, header: &Header) -> Result<Posted, PostError> {
        // SAFETY: the caller's promise.
        unsafe { self.post_foreign_free(cpu, header) }
    }

    /// Posts one that was seen free.
    ///
    /// # Safety
    ///
    /// As for [`Smp::post_foreign`].
    #[inline(always)]
    unsafe fn post_foreign_free(&self, cpu: u32, header: &Header) -> Result<Posted, PostError> {
        let target = self.cpu(cpu).ok_or(PostError::NoSuchCpu)?;
        let expected = Self::expected(target);
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
    /// `answer` makes of what a poster is told what the other language wants to hear, at each place where it is known.
    ///
    /// # Safety
    ///
    /// As for [`Smp::post_foreign`]; and the caller stays on its CPU.
    ///
    /// Example: [`ForeignCsd`].
    #[inline(always)]
    pub unsafe fn post_foreign_or_run<R>(
        &self,
        cpu: u32,
        csd: &ForeignCsd,
        answer: impl Fn(Result<Posted, PostError>) -> R,
    ) -> R {
        let seen = csd.0.state.look_racy();
        if !seen.is_free() && csd.0.state.rely_once(seen) {
            if let Some(cpu) = seen.cpu() {
                trace!(self, EventKind::Busy { cpu, csd: csd.0.name() });
                return answer(Ok(Posted::Busy { cpu }));
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.run_or_post_foreign(cpu, &csd.0, answer) }
    }

    /// The rest of [`Self::post_foreign_or_run`]. Apart, so that a Busy answer is only a few instructions.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(never)]
    unsafe fn run_or_post_foreign<R>(
        &self,
        cpu: u32,
        header: &Header,
        answer: impl Fn(Result<Posted, PostError>) -> R,
    ) -> R {
        let seen = header.state.look_racy();
        if self.platform.current_cpu() == Some(cpu) && seen.is_free() {
            if let Some(here) = self.cpu(cpu) {
                // SAFETY: the caller's promise.
                if unsafe { self.run_foreign_here(cpu, here, header, seen) } {
                    return answer(Ok(Posted::Queued));
                }
            }
        }
        // SAFETY: the caller's promise.
        answer(unsafe { self.post_foreign_free(cpu, header) })
    }

    /// Runs it at once, if it may; `false` if nothing was done.
    ///
    /// # Safety
    ///
    /// As for [`Smp::post_foreign_or_run`]; and `here` is the caller's CPU, and the csd was `seen` free.
    #[inline(always)]
    unsafe fn run_foreign_here(&self, cpu: u32, here: &PerCpu, header: &Header, seen: Snapshot) -> bool {
        // Before the looks: an interrupt's flush between them would take the list, and leave some of it over.
        let _irq = IrqGuard::new(&self.platform);
        let own = &*here.own;
        if own.in_call() || Self::has_left_over(here) || matches!(here.mailbox.head.look(), Seen::List(_)) {
            return false;
        }
        // SAFETY: the poster's, who is the caller; others who post it do not change them.
        let (func, arg) = unsafe { header.foreign_work() };
        if !header.state.pass(cpu, seen) {
            return false;
        }
        let stamp = Stamp::new();
        self.stamp(&stamp);
        own.set_in_call(true);
        // SAFETY: we have claimed this run.
        unsafe { self.run_foreign_function(here, header, (func, arg), &stamp, || ()) };
        own.set_in_call(false);
        true
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
    ///
    /// Example: [`Entry`].
    pub unsafe fn push_entry(&self, cpu: u32, entry: &Entry) -> bool {
        let target = &self.cpus()[cpu as usize];
        let header = &entry.0;
        debug_assert!(header.state.look_racy().is_no_csd(), "an entry of a kind that csds have");
        let _irq = IrqGuard::new(&self.platform);
        trace!(self, EventKind::Queue { cpu, csd: header.name(), func: 0, kind: CallKind::Foreign });
        // SAFETY: the caller keeps it alive and in place; its link is ours to write.
        unsafe { self.push_one(cpu, target, header, false, Self::expected(target)) }
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
