//! Multicasts whose function is copied into their slot: nobody needs the caller's stack, nor, for one that is posted, the caller.

use super::functions::run_copied;
use super::sending::Multicast;
use super::to::{Awaits, Reached, To};
use crate::error::ManyError;
use crate::multicast::{Claimant, Keep};
use crate::payload::copied;
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::Smp;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Has `function` run on all CPUs that `to` names, and does not wait. It is kept in the machine until all have run it:
    /// three words at most. The caller's own part is run inline, last.
    ///
    /// Two of one sender run in the order in which they were posted, on each CPU (P6).
    ///
    /// Context: any; interrupts off, call context and NMI included. Progress: lock-free in each step; as many steps as there
    /// are CPUs.
    ///
    /// # Errors
    ///
    /// [`ManyError::Full`], which promises nothing, and [`ManyError::NoSuchCpu`].
    ///
    /// ```
    /// use smpcall::{ManyError, Platform, Smp, Storage, To};
    ///
    /// fn tell<P: Platform, S: Storage>(smp: &Smp<P, S>, epoch: u64) -> Result<u32, ManyError> {
    ///     let reached = smp.post_many(To::Others, move || println!("epoch {epoch}"))?;
    ///     Ok(reached.ran)
    /// }
    /// ```
    pub fn post_many<F>(&self, to: To<'_>, function: F) -> Result<Reached, ManyError>
    where
        F: Fn() + Copy + Send + Sync + 'static,
    {
        self.many_copied(to, Awaits::Nobody, function)
    }

    /// As [`Smp::call_many`], with a function that is copied into the machine, three words at most, so that it borrows nothing: no
    /// other CPU reads the caller's stack. For ports whose stacks are the CPU's own
    /// ([`Waiting::SHARED_STACKS`](crate::Waiting::SHARED_STACKS)), and allowed with any.
    ///
    /// Context, progress: as for [`Smp::call_many`].
    ///
    /// # Errors
    ///
    /// [`ManyError`]; never `Full`.
    ///
    /// # Panics
    ///
    /// With the function's own panic in the caller's part, after all have run. One elsewhere goes to
    /// [`Reporting::caught`](crate::Reporting::caught), as that of a post does.
    ///
    /// ```
    /// use smpcall::{ManyError, Platform, Smp, Storage, To};
    ///
    /// fn flush_tlbs<P: Platform, S: Storage>(smp: &Smp<P, S>, page: usize) -> Result<(), ManyError> {
    ///     smp.call_many_copied(To::All, move || println!("no longer mapped: {page:#x}"))?;
    ///     Ok(())
    /// }
    /// ```
    pub fn call_many_copied<F>(&self, to: To<'_>, function: F) -> Result<Reached, ManyError>
    where
        F: Fn() + Copy + Send + Sync + 'static,
    {
        self.many_copied(to, Awaits::Everybody, function)
    }

    /// As [`Smp::call_many_copied`], or as [`Smp::post_many`]: for callers who are told at run time which.
    ///
    /// # Errors
    ///
    /// As for these.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use smpcall::{Awaits, To};
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// let wait = true; // as a C interface is told
    /// let awaits = if wait { Awaits::Everybody } else { Awaits::Nobody };
    /// assert_eq!(smp.many_copied(To::All, awaits, || ()).map(|reached| reached.ran), Ok(1));
    /// ```
    #[inline]
    pub fn many_copied<F>(&self, to: To<'_>, awaits: Awaits, function: F) -> Result<Reached, ManyError>
    where
        F: Fn() + Copy + Send + Sync + 'static,
    {
        self.demand_known(&to)?;
        let here = self.here();
        let (waiter, at, keep) = match awaits {
            Awaits::Nobody => {
                let at = self.slots.claim(self.first_slot(here), Claimant::Unawaited);
                (None, at.ok_or(ManyError::Full)?, Keep::No)
            }
            Awaits::Everybody if !self.may_wait(here) => return Err(ManyError::WouldDeadlock),
            Awaits::Everybody => {
                (self.waiter(), self.claim_slot(here, core::any::type_name::<F>()), Keep::Yes)
            }
        };
        // SAFETY: claimed.
        let (sending, own) = unsafe { self.send_copied(here, at, waiter, keep, to, function) };
        if awaits == Awaits::Nobody {
            let mut reached = sending.finish();
            if own {
                self.run_own_part(here, &mut reached, function);
            }
            return Ok(reached);
        }
        let mut own_part = Reached::default();
        if own {
            // Should it panic, the acknowledgements are awaited by the drop of what is under way.
            self.run_own_part(here, &mut own_part, function);
        }
        Ok(sending.finish().and(own_part))
    }

    /// Fills slot `at`, and brings the call to all that are meant. Returns whether the caller is to run it, too.
    ///
    /// # Safety
    ///
    /// The caller has claimed the slot, and set no bit yet (I10).
    #[inline(always)]
    pub(super) unsafe fn send_copied<F>(
        &self,
        here: Option<(u32, &PerCpu)>,
        at: u32,
        waiter: Option<u16>,
        keep: Keep,
        to: To<'_>,
        function: F,
    ) -> (Multicast<'_, P, S>, bool)
    where
        F: Fn() + Copy + Send + Sync + 'static,
    {
        let slot = self.slots.get(at);
        // SAFETY: the caller's promise.
        slot.payload().with_mut(|room| unsafe { *room = copied(function) });
        let ticket = self.slots.ticket();
        // SAFETY: as above; the copy stays where it is until the last acknowledgement.
        unsafe { slot.fill(run_copied::<F>, waiter.unwrap_or(0), ticket) };
        let mut sending = Multicast::new(self, here, at, waiter, keep, core::any::type_name::<F>());
        let own = sending.send(to, None);
        (sending, own)
    }

    #[inline(always)]
    pub(super) fn run_own_part(
        &self,
        here: Option<(u32, &PerCpu)>,
        reached: &mut Reached,
        function: impl Fn(),
    ) {
        let Some((_, here)) = here else { return };
        match self.call_self(here, function) {
            Ok(()) => reached.ran += 1,
            Err(_) => reached.offline += 1,
        }
    }
}
