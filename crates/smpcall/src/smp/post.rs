//! Asynchronous posts: claim, push, ring; and what a refused poster owes.

mod chain;

pub use self::chain::Chain;

use super::Smp;
use crate::csd::{Coalesced, Header, Op, Post};
use crate::error::PostError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::posted::Posted;
use crate::queue::{Pushed, Seen};
use crate::state::{Claim, Urgency};
use crate::trace::{CallKind, EventKind, queue, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Posts `csd` to `cpu`: its function will run there once, in call context (P1). Returns at once.
    ///
    /// To one's own CPU it is queued like any other, and runs in that CPU's next flush. (Linux runs it on the spot; then
    /// it could overtake earlier ones, and a function that posts itself would never return.)
    ///
    /// Context: any; interrupts off, call context and NMI included. Progress: lock-free; takes no lock, allocates
    /// nothing, waits for no other CPU (P9).
    ///
    /// Both answers are of success: [`Queued`](Posted::Queued), and [`Busy`](Posted::Busy), which is a promise (P2). So `?` is right.
    ///
    /// # Errors
    ///
    /// [`PostError`]: what is not going to run. Each variant says what to do.
    ///
    /// ```
    /// use smpcall::{Csd, Platform, PostError, Posted, Smp, Storage};
    ///
    /// static DRAIN: Csd<fn()> = Csd::new(|| println!("draining"));
    ///
    /// fn drain<P: Platform, S: Storage>(smp: &Smp<P, S>, cpu: u32) -> Result<(), PostError> {
    ///     match smp.post(cpu, &DRAIN)? {
    ///         Posted::Queued => println!("it runs on CPU {cpu}"),
    ///         Posted::Busy { cpu } => println!("a run is still to begin on CPU {cpu}, and sees all we wrote"),
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn post<T: Post>(&self, cpu: u32, csd: T) -> Result<Posted, PostError> {
        let target = self.cpu(cpu).ok_or(PostError::NoSuchCpu)?;
        match csd.header().state.rely(cpu, Urgency::Now) {
            Some(lost) => self.answer_lost(csd.header(), lost),
            None => self.post_free(cpu, target, csd),
        }
    }

    /// Posts a csd that was seen free. Apart from `post`, so that a Busy answer is only a few instructions.
    #[inline(never)]
    fn post_free<T: Post>(&self, cpu: u32, target: &PerCpu, csd: T) -> Result<Posted, PostError> {
        let expected = Self::expected(target);
        if expected == Seen::Offline {
            // Without a claim: nobody can have been told Busy.
            trace!(self, EventKind::Refused { cpu, csd: csd.header().name() });
            return Err(PostError::Offline { coalesced: Coalesced::No });
        }
        let header = csd.header();
        // From the claim to the ring nobody on this CPU may wait for us: an interrupt that found the csd claimed but
        // not pushed would wait for the very code that it interrupted.
        let _irq = IrqGuard::new(&self.platform);
        let claim = header.state.claim(cpu, Urgency::Now);
        if claim != Claim::Won {
            return self.answer_lost_late(header, claim);
        }
        let work = csd.work();
        trace!(self, queue(cpu, header.name(), work.func as usize, CallKind::Posted));
        // SAFETY: we have won the claim, and have not pushed yet.
        unsafe { header.set_work(work) };
        self.stamp(&header.stamp);
        // SAFETY: its claim is ours, and `T: Post` keeps it alive and in place (I5).
        if unsafe { self.push_one(cpu, target, header, false, expected) } {
            return Ok(Posted::Queued);
        }
        // SAFETY: the push was refused, so the claim is still ours.
        Err(PostError::Offline { coalesced: unsafe { release(header, cpu) } })
    }

    /// Puts one header into a queue, under the irq guard, and rings if that is owed; `false` if the CPU is offline, and nothing
    /// was queued. `awaited` and `expected` as for [`Head::push`](crate::queue::Head::push).
    ///
    /// # Safety
    ///
    /// The header's fields are the caller's (I2), and it stays alive and in place until the target lets go of it (I5).
    #[inline(always)]
    pub(super) unsafe fn push_one(
        &self,
        cpu: u32,
        target: &PerCpu,
        header: &Header,
        awaited: bool,
        expected: Seen,
    ) -> bool {
        // SAFETY: a chain of one; the rest is the caller's promise.
        match unsafe { target.mailbox.head.push(header, header, awaited, expected) } {
            Pushed::Refused => {
                trace!(self, EventKind::Refused { cpu, csd: header.name() });
                false
            }
            accepted => {
                self.answer_push(cpu, 1, accepted);
                true
            }
        }
    }

    /// After a push that went through: rings, if it owes that (I8).
    #[inline(always)]
    fn answer_push(&self, cpu: u32, calls: u32, pushed: Pushed) {
        trace!(self, EventKind::Pushed { cpu, calls });
        if pushed == Pushed::Ring {
            self.ring(cpu);
        } else {
            trace!(self, EventKind::Saved { cpu });
        }
    }

    /// Rings, under the irq guard; a ring that fails is owed (I8), and `false`.
    #[inline(always)]
    pub(super) fn ring(&self, cpu: u32) -> bool {
        trace!(self, EventKind::Ring { first: cpu, cpus: 1 });
        self.platform.ring(cpu).inspect_err(|_| self.owe_rings(cpu, 1)).is_ok()
    }

    /// As [`Self::answer_lost`], after a look that found the csd free.
    #[cold]
    #[inline(never)]
    fn answer_lost_late(&self, header: &Header, lost: Claim) -> Result<Posted, PostError> {
        self.answer_lost(header, lost)
    }

    /// What a poster is told that has not won the claim.
    #[inline(always)]
    pub(super) fn answer_lost(&self, header: &Header, lost: Claim) -> Result<Posted, PostError> {
        match lost {
            Claim::Busy(cpu) => {
                trace!(self, EventKind::Busy { cpu, csd: header.name() });
                Ok(Posted::Busy { cpu })
            }
            Claim::Expedited(cpu) => {
                if P::LAZY_POSTS {
                    self.expedite_linked(header, cpu);
                }
                Ok(Posted::Busy { cpu })
            }
            Claim::Cancelled(cpu) => Err(PostError::Cancelled { cpu }),
            Claim::Won => unreachable!("a claim that is won is not lost"),
        }
    }
}

/// Lets go of a claim whose push was refused, before anything else is done about it. Tells whether others relied on it.
///
/// # Safety
///
/// The caller owns the claim, and the header is in no queue.
pub(super) unsafe fn release(header: &Header, cpu: u32) -> Coalesced {
    // SAFETY: until the unlock the fields are ours (I2).
    let work = unsafe { header.work() };
    let old = header.state.unlock(cpu);
    // SAFETY: by I6; the claim's one call, which gives back what the claim took.
    unsafe { (work.func)(work.arg, Op::REFUSED) };
    if old.is_coalesced() { Coalesced::Yes } else { Coalesced::No }
}
