//! Asynchronous posts: claim, push, ring; and what a refused poster owes.

use super::Smp;
use super::context::InCall;
use crate::csd::{Coalesced, Header, Op, Post};
use crate::error::PostError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::posted::Posted;
use crate::queue::{Pushed, Seen};
use crate::state::{Claim, Urgency};
use crate::trace::{CallKind, EventKind, queue, trace};

/// What became of the csds of one [`Smp::post_all`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chain {
    /// Queued, in the order given.
    pub queued: u32,
    /// Queued already, by another post; each as good as a post of one's own (P2).
    pub busy: u32,
    /// Cancelled and still linked in another CPU's queue: no run is promised.
    pub cancelled: u32,
}

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
        let expected = target.mailbox.head.look();
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

    /// Rings, under the irq guard; a ring that fails is owed (I8).
    #[inline(always)]
    pub(super) fn ring(&self, cpu: u32) {
        trace!(self, EventKind::Ring { first: cpu, cpus: 1 });
        if self.platform.ring(cpu).is_err() {
            self.owe_rings(cpu, 1);
        }
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
                self.expedite_linked(header, cpu);
                Ok(Posted::Busy { cpu })
            }
            Claim::Cancelled(cpu) => Err(PostError::Cancelled { cpu }),
            Claim::Won => unreachable!("a claim that is won is not lost"),
        }
    }

    /// Posts several csds to one CPU with one push and at most one ring. They run in the order given.
    ///
    /// A csd in the chain that is queued already is counted as busy, and left where it is. The irq guard is held over
    /// the whole chain, so its length bounds how long interrupts are off.
    ///
    /// Context and progress: as for [`Smp::post`]; the iterator runs with interrupts off and, on a CPU, in call context: what
    /// would wait or flush there is refused.
    ///
    /// # Errors
    ///
    /// [`PostError::Offline`] (nothing was queued; `coalesced` says whether others relied on any of them) and
    /// [`PostError::NoSuchCpu`].
    ///
    /// ```
    /// use smpcall::{Csd, Platform, PostError, Smp, Storage};
    ///
    /// static CSDS: [Csd<fn()>; 2] = [Csd::new(|| println!("first")), Csd::new(|| println!("second"))];
    ///
    /// fn both<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<u32, PostError> {
    ///     let chain = smp.post_all(1, &CSDS)?;
    ///     Ok(chain.queued + chain.busy)
    /// }
    /// ```
    pub fn post_all<T: Post>(&self, cpu: u32, csds: impl IntoIterator<Item = T>) -> Result<Chain, PostError> {
        let target = self.cpu(cpu).ok_or(PostError::NoSuchCpu)?;
        let _irq = IrqGuard::new(&self.platform);
        if target.mailbox.head.look() == Seen::Offline {
            trace!(self, EventKind::Refused { cpu, csd: 0 });
            return Err(PostError::Offline { coalesced: Coalesced::No });
        }
        let mut links = Links { smp: self, target, cpu, ends: None, len: 0 };
        let mut chain = Chain::default();
        let mut csds = csds.into_iter();
        // What the user's iterator does, it does in call context: claims are open.
        let mut next = || {
            let _call = self.here().map(|(_, here)| InCall::enter(here));
            csds.next()
        };
        while let Some(csd) = next() {
            let header = csd.header();
            match header.state.claim(cpu, Urgency::Now) {
                Claim::Won => {
                    let work = csd.work();
                    trace!(self, queue(cpu, header.name(), work.func as usize, CallKind::Posted));
                    // SAFETY: we have won the claim, and push later.
                    unsafe { header.set_work(work) };
                    self.stamp(&header.stamp);
                    // SAFETY: as above; `T: Post` keeps it alive and in place (I5).
                    unsafe { links.add(header) };
                    chain.queued += 1;
                }
                Claim::Busy(queued_for) => {
                    trace!(self, EventKind::Busy { cpu: queued_for, csd: header.name() });
                    chain.busy += 1;
                }
                Claim::Expedited(queued_for) => {
                    self.expedite_linked(header, queued_for);
                    chain.busy += 1;
                }
                Claim::Cancelled(_) => chain.cancelled += 1,
            }
        }
        links.push().map(|()| chain).map_err(|coalesced| PostError::Offline { coalesced })
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

/// Claimed headers on their way into one queue. Whatever ends the walk, they are pushed: others may rely on them.
struct Links<'a, P: Platform, S: Storage> {
    smp: &'a Smp<P, S>,
    target: &'a PerCpu,
    cpu: u32,
    /// The newest and the oldest.
    ends: Option<(*const Header, *const Header)>,
    len: u32,
}

impl<P: Platform, S: Storage> Links<'_, P, S> {
    /// # Safety
    ///
    /// The header's claim is the caller's, and it stays alive and in place while it is queued (I5).
    unsafe fn add(&mut self, header: &Header) {
        let header = core::ptr::from_ref(header);
        self.len += 1;
        match &mut self.ends {
            None => self.ends = Some((header, header)),
            Some((newest, _)) => {
                // SAFETY: the claim is ours (I2).
                unsafe { (*header).set_next(*newest) };
                *newest = header;
            }
        }
    }

    fn push(&mut self) -> Result<(), Coalesced> {
        let Some((newest, oldest)) = self.ends.take() else { return Ok(()) };
        // SAFETY: `add` linked them, from the newest to the oldest; their claims are ours.
        match unsafe {
            self.target.mailbox.head.push(&*newest, &*oldest, false, self.target.mailbox.head.look())
        } {
            Pushed::Refused => {
                trace!(self.smp, EventKind::Refused { cpu: self.cpu, csd: 0 });
                // SAFETY: the push was refused, so the claims are still ours.
                Err(unsafe { self.release_all(newest, oldest) })
            }
            accepted => {
                self.smp.answer_push(self.cpu, self.len, accepted);
                Ok(())
            }
        }
    }

    /// # Safety
    ///
    /// As for [`release`], for each from `newest` to `oldest`.
    unsafe fn release_all(&self, newest: *const Header, oldest: *const Header) -> Coalesced {
        let mut told = Coalesced::No;
        let mut at = newest;
        loop {
            // SAFETY: each is alive by I5, and its fields are ours until it is let go of.
            let next = unsafe { (*at).next() };
            // SAFETY: the caller's promise.
            if unsafe { release(&*at, self.cpu) } == Coalesced::Yes {
                told = Coalesced::Yes;
            }
            if at == oldest {
                return told;
            }
            at = next;
        }
    }
}

impl<P: Platform, S: Storage> Drop for Links<'_, P, S> {
    /// The user's iterator panicked: what was claimed so far is pushed, since others may have been told Busy. If even
    /// that is refused, the panic is what the caller gets to know.
    fn drop(&mut self) {
        let _ = self.push();
    }
}
