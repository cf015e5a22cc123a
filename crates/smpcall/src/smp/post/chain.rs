//! Several csds with one push and one ring.

use super::release;
use crate::csd::{Coalesced, Header, Post};
use crate::error::PostError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::{Pushed, Seen};
use crate::smp::Smp;
use crate::smp::context::InCall;
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
        let mut coalesced = Coalesced::No;
        let mut at = newest;
        loop {
            // SAFETY: each is alive by I5, and its fields are ours until it is let go of.
            let next = unsafe { (*at).next() };
            // SAFETY: the caller's promise.
            if unsafe { release(&*at, self.cpu) } == Coalesced::Yes {
                coalesced = Coalesced::Yes;
            }
            if at == oldest {
                return coalesced;
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
