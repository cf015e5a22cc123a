//! Multicast: one function on several CPUs.
//!
//! A call takes a slot, sets the slot's bit on the mailbox of each target and notifies it, rings those that were not looking, runs
//! its own part last, then work of its caller's own ([`meanwhile`]), and waits until all have acknowledged; or leaves the slot to the
//! last acknowledgement. What keeps it sound is in [`crate::multicast`]. Whom hardware reaches is not called ([`broadcast`]).

mod broadcast;
mod copied;
mod functions;
mod map;
mod meanwhile;
mod notify;
mod relaying;
mod rendezvous;
mod sending;
mod to;

pub use self::broadcast::Broadcast;
pub use self::rendezvous::Hold;
pub use self::to::{Awaits, Reached, To};

use self::functions::{Panics, Shared, run_shared};
use self::sending::Multicast;
use super::Smp;
use crate::error::{CallError, ManyError};
use crate::mask::CpuMask;
use crate::multicast::{Claimant, Keep, Run, SLOTS};
use crate::payload::copied;
use crate::percpu::{Line, PerCpu, Storage};
use crate::platform::{IrqGuard, Platform, demand_shared_stacks};
use crate::queue::Seen;
use crate::trace::{EventKind, trace};

/// What a multicast came to that was waited for: whom it reached, what `finish` gave back, and the function's first panic.
struct Ended<P: Platform, T> {
    reached: Reached,
    result: T,
    panic: Option<P::Panic>,
}

impl<P: Platform> Ended<P, ()> {
    fn or_resume(self) -> Reached {
        match self.panic {
            Some(panic) => P::resume(panic),
            None => self.reached,
        }
    }
}

/// How often a caller that waits for a slot looks at a few of them, before it looks at all.
const LOOKS_AT_FEW: u32 = 32;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs `function` on all CPUs that `to` names, at the same time, and waits until all have run it. What they wrote is
    /// visible then (P4); it may borrow from the caller's stack. While it waits, a CPU serves its own queue (P10): hold no lock here
    /// that a function in that queue could want, as for [`Smp::call`].
    ///
    /// Several CPUs may do so at once. At most `usize::BITS` multicasts are in flight on a machine; a caller that meets more
    /// waits for one to end. A quarter of them is for callers that wait, so that no flood of [`Smp::post_many`] keeps them off, and
    /// half of that for those that have waited already, so that later ones do not overtake them for ever.
    ///
    /// A call to many CPUs of a large machine travels by *leaders*: one CPU of each group of a word's bits that passes it on to the
    /// others, and acknowledges for all. If a leader is stuck before it has passed the call on, the others of its group, up to 63, wait
    /// with it, although they could run the function; a stuck CPU that is no leader holds up nobody else. Which CPU leads changes
    /// with the slot. [`Smp::post_many`] uses no leaders.
    ///
    /// Context: thread, interrupts on. Progress: waits for the targets.
    ///
    /// # Errors
    ///
    /// [`ManyError`]; never `Full`.
    ///
    /// # Panics
    ///
    /// With the function's own panic, the first of them, after all have run; where there is unwinding (P11).
    ///
    /// ```compile_fail,E0277
    /// # use smpcall::{Platform, Smp, Storage, To};
    /// fn not_sync<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    ///     let local = std::cell::Cell::new(1);
    ///     let _ = smp.call_many(To::All, || local.set(2)); // `Cell` cannot be shared between threads safely
    /// }
    /// ```
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use smpcall::{ManyError, Platform, Smp, Storage, To};
    ///
    /// fn count<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<u32, ManyError> {
    ///     let runs = AtomicU32::new(0); // it may borrow: it waits
    ///     let reached = smp.call_many(To::All, || _ = runs.fetch_add(1, Ordering::Relaxed))?;
    ///     assert_eq!(runs.load(Ordering::Relaxed), reached.ran);
    ///     Ok(reached.offline)
    /// }
    /// ```
    pub fn call_many<F: Fn() + Sync>(&self, to: To<'_>, function: F) -> Result<Reached, ManyError> {
        self.call_and_wait(to, function, None, Multicast::finish_only).map(Ended::or_resume)
    }

    /// As [`Smp::call_many`], but leaves out CPUs that are busy: that run a call, or have one queued. Puts those into
    /// `busy`, which is cleared first. Best effort: a CPU that was idle may get busy meanwhile, and is then waited for.
    ///
    /// # Errors
    ///
    /// As for [`Smp::call_many`], and [`ManyError::MaskTooSmall`].
    ///
    /// ```
    /// use smpcall::{CpuSet, ManyError, Platform, Smp, Storage, To};
    ///
    /// fn idle<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<CpuSet<1>, ManyError> {
    ///     let mut busy = CpuSet::new();
    ///     smp.call_many_idle(To::Others, &mut busy, || println!("was idle"))?;
    ///     Ok(busy)
    /// }
    /// ```
    pub fn call_many_idle<F: Fn() + Sync>(
        &self,
        to: To<'_>,
        busy: &mut CpuMask,
        function: F,
    ) -> Result<Reached, ManyError> {
        if busy.capacity() < self.cpus_len() {
            return Err(ManyError::MaskTooSmall);
        }
        busy.clear();
        self.call_and_wait(to, function, Some(busy), Multicast::finish_only).map(Ended::or_resume)
    }

    /// Returns when every other online CPU has been in call context, or offline, since the call: whatever it ran before with
    /// interrupts off has ended, and it sees what the caller wrote before.
    ///
    /// Context, progress, errors: as for [`Smp::call_many`].
    ///
    /// ```
    /// use core::sync::atomic::{AtomicUsize, Ordering};
    /// use smpcall::{ManyError, Platform, Smp, Storage};
    ///
    /// static HANDLER: AtomicUsize = AtomicUsize::new(0);
    ///
    /// /// Returns when no interrupt's handler uses the old one any more.
    /// fn replace<P: Platform, S: Storage>(smp: &Smp<P, S>, handler: usize) -> Result<usize, ManyError> {
    ///     let old = HANDLER.swap(handler, Ordering::AcqRel);
    ///     smp.kick_all_cpus_sync()?;
    ///     Ok(old)
    /// }
    /// ```
    pub fn kick_all_cpus_sync(&self) -> Result<Reached, ManyError> {
        self.call_many_copied(To::Others, || ())
    }

    /// Rings every online CPU but the caller's that is not looking at its queue, so that it leaves its sleep and passes
    /// through its idle loop. Returns how many.
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// ```
    /// use smpcall::{Platform, Smp, Storage};
    ///
    /// /// Sleeping CPUs look once more how deeply they may sleep.
    /// fn latency_changed<P: Platform, S: Storage>(smp: &Smp<P, S>) -> u32 {
    ///     smp.wake_idle_cpus()
    /// }
    /// ```
    pub fn wake_idle_cpus(&self) -> u32 {
        let own = self.platform.current_cpu();
        let idle = |cpu: &u32| Some(*cpu) != own && self.head_of(*cpu) == Some(Seen::Idle);
        let ring = |cpu: &u32| {
            let _irq = IrqGuard::new(&self.platform);
            trace!(self, EventKind::Ring { first: *cpu, cpus: 1 });
            // Nothing is queued, so nothing is owed.
            self.platform.ring(*cpu).is_ok()
        };
        (0..self.cpus_len()).filter(idle).filter(ring).count() as u32
    }

    /// Returns whether any CPU of `mask` has calls that it has not looked at yet. Racy: the answer may be old by the time it is
    /// read.
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// ```
    /// use smpcall::{CpuSet, Platform, Smp, Storage};
    ///
    /// /// Whether to go into a sleep that takes long to come out of.
    /// fn may_sleep_deeply<P: Platform, S: Storage>(smp: &Smp<P, S>, of_this_cluster: &CpuSet<1>) -> bool {
    ///     !smp.is_pending_racy(of_this_cluster)
    /// }
    /// ```
    pub fn is_pending_racy(&self, mask: &CpuMask) -> bool {
        mask.iter().any(|cpu| matches!(self.head_of(cpu), Some(Seen::List(_))))
    }

    fn head_of(&self, cpu: u32) -> Option<Seen> {
        self.cpu(cpu).map(|cpu| cpu.mailbox.head.look())
    }

    /// The slot to try first: a CPU's own, as long as there are no more CPUs than slots.
    fn first_slot(&self, here: Option<(u32, &PerCpu)>) -> u32 {
        here.map_or(self.cpus_len(), |(cpu, _)| cpu + cpu / SLOTS as u32)
    }

    #[inline(always)]
    fn demand_known(&self, to: &To<'_>) -> Result<(), ManyError> {
        match to {
            To::Mask(mask) if mask.has_from(self.cpus_len()) => Err(ManyError::NoSuchCpu),
            _ => Ok(()),
        }
    }

    /// Sends, runs the caller's own part, and has `finish` await the acknowledgements.
    fn call_and_wait<'s, F: Fn() + Sync, T>(
        &'s self,
        to: To<'_>,
        function: F,
        busy: Option<&mut CpuMask>,
        finish: impl FnOnce(Multicast<'s, P, S>) -> (Reached, T),
    ) -> Result<Ended<P, T>, ManyError> {
        const { demand_shared_stacks::<P>() };
        self.demand_known(&to)?;
        let here = self.here();
        if !self.may_wait(here) {
            return Err(ManyError::WouldDeadlock);
        }
        // What targets read in this frame is not what their caller writes while it waits.
        let function: &F = &Line::new(function);
        let panics = Panics::new(&self.platform);
        let waiter = self.waiter();
        let at = self.claim_slot(here, core::any::type_name::<F>());
        let slot = self.slots.get(at);
        let shared = copied(Shared { function, panics: &panics });
        // SAFETY: claimed, and no bit is set yet.
        slot.payload().with_mut(|room| unsafe { *room = shared });
        let run: Run = run_shared::<P, F>;
        // SAFETY: as above; what is shared is left only after the multicast has finished.
        unsafe { slot.fill(run, waiter.unwrap_or(0), self.slots.ticket()) };
        let mut sending = Multicast::new(self, here, at, waiter, Keep::Yes, core::any::type_name::<F>());
        let own = sending.send(to, busy);
        let ran_here = match here {
            Some((_, here)) if own => self.call_self(here, || panics.run(function)),
            _ => Err(CallError::NoSuchCpu),
        };
        let (mut reached, result) = finish(sending);
        match ran_here {
            Ok(()) => reached.ran += 1,
            Err(CallError::Offline) => reached.offline += 1,
            Err(_) => {}
        }
        // SAFETY: all have acknowledged.
        let panic = unsafe { panics.take() };
        Ok(Ended { reached, result, panic })
    }

    /// A slot for a caller that may wait: until one is free, it passes the time like any other wait. Once it has found none, there
    /// are some that no newcomer takes; it looks at all of them now and then, and in between at those, and at the one that it prefers:
    /// each look at a slot in use costs its sender a line.
    fn claim_slot(&self, here: Option<(u32, &PerCpu)>, function: &'static str) -> u32 {
        let looks = core::cell::Cell::new(0_u32);
        let first = self.first_slot(here);
        let claim = || {
            let look = looks.replace(looks.get().wrapping_add(1));
            match look {
                0 => self.slots.claim(first, Claimant::Newcomer),
                _ if look % LOOKS_AT_FEW == 0 => self.slots.claim(first, Claimant::Waiting),
                _ => {
                    let preferred = || self.slots.claim_one_of(first, Claimant::Newcomer, 1);
                    self.slots.claim_reserved().or_else(preferred)
                }
            }
        };
        claim().unwrap_or_else(|| self.await_slot(function, claim))
    }
}
