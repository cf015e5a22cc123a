//! Lazy posts: queued without a doorbell, they ride along with their target's next flush. (Deferred ones go the same way, as far as
//! here: see [`deferred`](super::deferred).)
//!
//! They have a list of their own, since a list in the queue's head means that somebody rang. A flush takes it once; going
//! offline closes it and runs it (P8). Who relies on such a csd with a plain post, or waits for it, *expedites* it: notifies its target,
//! as for a multicast; the flush that is notified takes the lazy ones as well.
//!
//! The race, both ways: a lazy poster has claimed and is about to push, and somebody expedites. *If the link comes first*, after
//! the push, the other sees `LINKED`, and with it the push, and notifies. *If it takes `LAZY` off first*, the link sees that, and the
//! lazy poster notifies, after its own push. Whoever comes second notifies; so the run is certain once both have returned.

use super::Smp;
use super::post::release;
use crate::csd::{Coalesced, Header, Post};
use crate::error::PostError;
use crate::percpu::Storage;
use crate::platform::{IrqGuard, Platform, demand_used};
use crate::posted::Posted;
use crate::queue::{Lazies, Pushed};
use crate::state::{Claim, Linked, Urgency};
use crate::trace::{CallKind, EventKind, queue, trace};

/// What became of a post into that list.
pub(super) enum Apart {
    /// It is queued; and what the list's word held before.
    Queued(Lazies),
    /// A run is still to begin there (P2).
    Busy(u32),
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Posts `csd` to `cpu` without ringing: its function runs with that CPU's next flush that is for another reason. For work
    /// that may wait as long as the CPU has nothing else to do, such as statistics: Linux's lazy `irq_work`.
    ///
    /// A CPU that sleeps is not woken for it, one that polls does not see it in [`Cpu::has_work`](crate::Cpu::has_work), and
    /// [`Cpu::begin_sleep`](crate::Cpu::begin_sleep) lets a CPU sleep over it. A flush takes the lazy ones once, so one that posts itself lazily runs once in
    /// each. In all else it is a post like any other (P1 to P6, P8), for which [`cancel`](crate::Csd::cancel) and
    /// [`Smp::wait`] work too.
    ///
    /// A [`Smp::post`] of a csd that is queued lazily is told Busy, and *expedites* it: the CPU is rung if it rests. So do
    /// [`Smp::wait`] and [`Smp::wait_until`]. (Only on the machine that it was posted to: by way of another one it is told Busy, and
    /// runs with its own CPU's next flush.) A csd that is queued already, lazily or not, is told Busy here, and is left as it is.
    ///
    /// Context and progress: as for [`Smp::post`].
    ///
    /// # Errors
    ///
    /// As for [`Smp::post`]; the run that `Busy` promises may be a lazy one.
    ///
    /// ```
    /// use smpcall::{Csd, Platform, PostError, Smp, Storage};
    ///
    /// static COUNT: Csd<fn()> = Csd::new(|| println!("counted"));
    ///
    /// fn count<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<(), PostError> {
    ///     smp.post_lazy(1, &COUNT)?; // with the CPU's next flush,
    ///     smp.post(1, &COUNT)?; // or soon, after all
    ///     Ok(())
    /// }
    /// ```
    pub fn post_lazy<T: Post>(&self, cpu: u32, csd: T) -> Result<Posted, PostError> {
        match self.post_apart(cpu, csd, Urgency::Lazy)? {
            Apart::Queued(_) => Ok(Posted::Queued),
            Apart::Busy(cpu) => Ok(Posted::Busy { cpu }),
        }
    }

    /// A post into the list that nobody rings for, lazy or deferred.
    pub(super) fn post_apart<T: Post>(&self, cpu: u32, csd: T, urgency: Urgency) -> Result<Apart, PostError> {
        demand_used!(P::LAZY_POSTS);
        let target = self.cpu(cpu).ok_or(PostError::NoSuchCpu)?;
        let header = csd.header();
        if let Some(lost) = header.state.rely(cpu, urgency) {
            return self.answer_apart(header, lost, urgency);
        }
        let expected = target.own.lazy.look();
        if expected.is_offline() {
            // Without a claim: nobody can have been told Busy.
            trace!(self, EventKind::Refused { cpu, csd: header.name() });
            return Err(PostError::Offline { coalesced: Coalesced::No });
        }
        // From the claim to the notification that may follow nobody on this CPU may wait for us.
        let _irq = IrqGuard::new(&self.platform);
        let claim = header.state.claim(cpu, urgency);
        if claim != Claim::Won {
            return self.answer_apart(header, claim, urgency);
        }
        let runs = header.state.look_racy().runs();
        let work = csd.work();
        let kind = if urgency == Urgency::Deferred { CallKind::Deferred } else { CallKind::Lazy };
        trace!(self, queue(cpu, header.name(), work.func as usize, kind));
        // SAFETY: we have won the claim, and have not pushed yet.
        unsafe { header.set_work(work) };
        self.stamp(&header.stamp);
        // SAFETY: it is ours, and `T: Post` keeps it alive and in place (I5).
        let Some(before) = (unsafe { target.own.lazy.push(header, urgency, expected) }) else {
            trace!(self, EventKind::Refused { cpu, csd: header.name() });
            // SAFETY: the push was refused, so the claim is still ours.
            return Err(PostError::Offline { coalesced: unsafe { release(header, cpu) } });
        };
        trace!(self, EventKind::Pushed { cpu, calls: 1 });
        trace!(self, EventKind::Saved { cpu });
        // The run may be over by now, but the csd is ours to look at: `csd` keeps it alive.
        let linked = header.state.link(runs);
        if linked == Linked::Expedited || urgency == Urgency::Deferred && before.is_owed() {
            self.notify_for_lazy(cpu);
        } else if linked == Linked::Deferred {
            self.notify_if_in_kernel(cpu);
        }
        Ok(Apart::Queued(before))
    }

    /// What a poster is told that has not won the claim.
    fn answer_apart(&self, header: &Header, lost: Claim, urgency: Urgency) -> Result<Apart, PostError> {
        match lost {
            Claim::Expedited(cpu) if urgency == Urgency::Deferred => {
                trace!(self, EventKind::Busy { cpu, csd: header.name() });
                header.state.see_linked();
                self.notify_if_in_kernel(cpu);
                return Ok(Apart::Busy(cpu));
            }
            _ => {}
        }
        match self.answer_lost(header, lost)? {
            Posted::Busy { cpu } => Ok(Apart::Busy(cpu)),
            Posted::Queued => unreachable!("a claim that is lost queues nothing"),
        }
    }

    /// Notifies the CPU of a csd that was lazy until the caller's claim was lost to it ([`Claim::Expedited`]).
    #[cold]
    #[inline(never)]
    pub(super) fn expedite_linked(&self, header: &Header, cpu: u32) {
        trace!(self, EventKind::Busy { cpu, csd: header.name() });
        header.state.see_linked();
        self.notify_for_lazy(cpu);
    }

    /// Makes `cpu` flush, and take the lazy ones with it, after the csd was seen linked. One that is offline, or going there, has run
    /// them or will (P8). One whose list is empty has taken the csd and runs it; or it never had it: it is in another machine's,
    /// which may name a CPU that this one has not. There it runs, as its Busy promises, but nobody here can expedite it.
    pub(super) fn notify_for_lazy(&self, cpu: u32) {
        let Some(target) = self.cpu(cpu) else { return };
        if !target.own.lazy.look().has_any() {
            return;
        }
        let _irq = IrqGuard::new(&self.platform);
        match target.mailbox.head.notify(target.mailbox.head.look_word()) {
            Pushed::Ring => _ = self.ring(cpu),
            Pushed::Seen | Pushed::Refused => {}
        }
    }
}
