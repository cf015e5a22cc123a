//! Multicasts whose caller has work of its own, which it does when all doorbells are rung, before it waits.
//!
//! That adds no race: the work lies between two steps of one thread, the last ring and the first look at the acknowledgements, where the
//! caller's own part lies too, and the slot is nobody else's meanwhile. What it adds is time, in which the slot is held (I43), and a
//! frame of this crate below code of the user's (I20).

use super::Multicast;
use super::to::{Reached, To};
use crate::error::ManyError;
use crate::multicast::Keep;
use crate::percpu::Storage;
use crate::platform::{IrqGuard, Platform};
use crate::smp::Smp;
use crate::smp::context::InCall;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// As [`Smp::call_many`], with work of the caller's own that would only be idle waiting: `meanwhile` runs when the function has been brought to
    /// all whom `to` names, and their doorbells are rung, and before the caller waits for them. Gives back its result, too.
    ///
    /// `meanwhile` runs as the caller: in its thread, interrupts on, not in call context. It may post, call, and wait, as the caller may;
    /// where threads [migrate](crate::Waiting::MIGRATES) it may be moved (P15). Its CPU cannot come online or go offline in it, nor begin to poll or
    /// to sleep. The caller's own part of the multicast, if it is meant, has run before. No target waits for `meanwhile`, and no
    /// function may: of many callers at once, and if it waited for a slot, one does its work when its wait is over.
    ///
    /// Context, progress: as for [`Smp::call_many`].
    ///
    /// # Errors
    ///
    /// As for [`Smp::call_many`]; `meanwhile` was then dropped without being run.
    ///
    /// # Panics
    ///
    /// With the panic of `meanwhile`, when all have run the function, which may borrow (P11); if that panicked too, that goes to
    /// [`Reporting::caught`](crate::Reporting::caught). Else as [`Smp::call_many`].
    ///
    /// ```
    /// use smpcall::{ManyError, Platform, Smp, Storage, To};
    ///
    /// /// Unmaps: the others drop the page from their TLBs while this CPU clears the frame that comes in its place.
    /// fn replace<P: Platform, S: Storage>(smp: &Smp<P, S>, page: usize, frame: &mut [u8]) -> Result<(), ManyError> {
    ///     smp.call_many_meanwhile(To::All, || println!("dropped: {page:#x}"), || frame.fill(0)).map(drop)
    /// }
    /// ```
    pub fn call_many_meanwhile<F: Fn() + Sync, R>(
        &self,
        to: To<'_>,
        function: F,
        meanwhile: impl FnOnce() -> R,
    ) -> Result<(Reached, R), ManyError> {
        let ended = self.call_and_wait(to, function, None, |sending| sending.finish_after(meanwhile))?;
        match (ended.result, ended.panic) {
            (Ok(result), None) => Ok((ended.reached, result)),
            (Ok(_), Some(panic)) => P::resume(panic),
            (Err(panic), others) => {
                if let Some(other) = others {
                    let _irq = IrqGuard::new(&self.platform);
                    let _call = self.here().map(|(_, here)| InCall::enter(here));
                    self.note_panic(other);
                }
                P::resume(panic)
            }
        }
    }

    /// As [`Smp::call_many_meanwhile`], with a function that is copied into the machine, as for [`Smp::call_many_copied`]. `meanwhile` stays
    /// the caller's, and may borrow.
    ///
    /// Context, progress: as for [`Smp::call_many`].
    ///
    /// # Errors
    ///
    /// As for [`Smp::call_many_meanwhile`].
    ///
    /// # Panics
    ///
    /// As for [`Smp::call_many_copied`], and with the panic of `meanwhile`, when all have run the function. If that panics in the caller's part,
    /// `meanwhile` is dropped without being run.
    ///
    /// ```
    /// use smpcall::{ManyError, Platform, Smp, Storage, To};
    ///
    /// fn tell_others<P: Platform, S: Storage>(smp: &Smp<P, S>, epoch: u64) -> Result<u64, ManyError> {
    ///     let (_, next) = smp.call_many_copied_meanwhile(To::Others, move || println!("epoch {epoch}"), || epoch + 1)?;
    ///     Ok(next)
    /// }
    /// ```
    pub fn call_many_copied_meanwhile<F, R>(
        &self,
        to: To<'_>,
        function: F,
        meanwhile: impl FnOnce() -> R,
    ) -> Result<(Reached, R), ManyError>
    where
        F: Fn() + Copy + Send + Sync + 'static,
    {
        self.demand_known(&to)?;
        let here = self.here();
        if !self.may_wait(here) {
            return Err(ManyError::WouldDeadlock);
        }
        let (waiter, at) = (self.waiter(), self.claim_slot(here, core::any::type_name::<F>()));
        // SAFETY: claimed.
        let (sending, own): (Multicast<'_, P, S>, bool) =
            unsafe { self.send_copied(here, at, waiter, Keep::Yes, to, function) };
        let mut own_part = Reached::default();
        if own {
            // Should it panic, the acknowledgements are awaited by the drop of what is under way.
            self.run_own_part(here, &mut own_part, function);
        }
        let (reached, result) = sending.finish_after(meanwhile);
        match result {
            Ok(result) => Ok((reached.and(own_part), result)),
            Err(panic) => P::resume(panic),
        }
    }
}
