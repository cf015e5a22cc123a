//! Waiting calls without a frame on the caller's stack, for kernels whose stacks other CPUs cannot see.

use super::Smp;
use super::call::{CallFrame, Outcome};
use super::serve::Serve;
use super::wait::CallSetup;
use crate::call_slot::CallSlot;
use crate::error::{CallError, CallInError};
use crate::payload::{InlinePayload, Payload};
use crate::percpu::Storage;
use crate::platform::{IrqGuard, Platform};
use crate::state::Kind;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// As [`Smp::call`], by way of `slot`, so that no other CPU reads or writes the caller's stack: function and result are owned, and
    /// fit in the slot. For ports whose stacks are the CPU's own ([`Waiting::SHARED_STACKS`](crate::Waiting::SHARED_STACKS)), and
    /// allowed with any. Called on `cpu` itself it runs inline.
    ///
    /// Context, progress: as for [`Smp::call`].
    ///
    /// # Errors
    ///
    /// [`CallInError`]; the function was then dropped without being run.
    ///
    /// # Panics
    ///
    /// With the function's own panic, where there is unwinding (P11). A function or a result that does not fit is refused when the
    /// call is compiled.
    ///
    /// ```compile_fail,E0521
    /// # use smpcall::{CallSlot, Platform, Smp, Storage};
    /// fn borrows<P: Platform, S: Storage>(smp: &Smp<P, S>, slot: &'static CallSlot, local: &u32) {
    ///     let _ = smp.call_in(slot, 1, move || *local); // what it borrows may lie on a stack
    /// }
    /// ```
    ///
    /// Example: [`CallSlot`].
    pub fn call_in<const WORDS: usize, F, R>(
        &self,
        slot: &'static CallSlot<WORDS>,
        cpu: u32,
        function: F,
    ) -> Result<R, CallInError>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        const {
            assert!(
                Payload::<F, Outcome<P, R>>::fits::<InlinePayload<WORDS>>(),
                "function and result fit in the slot: give it more words, or capture a reference to what is larger"
            );
        }
        let target = self.cpu(cpu).ok_or(CallError::NoSuchCpu)?;
        if let Some((_stay, here)) = self.own_or_may_wait(cpu)? {
            return Ok(self.call_self(here, function)?);
        }
        let setup = CallSetup { cpu, target, waiter: self.waiter(), serve: Serve::Queue };
        let (_locked, header, payload) = slot.try_lock().ok_or(CallInError::SlotInUse)?;
        let irq = IrqGuard::new(&self.platform);
        // SAFETY: the slot is locked, so the header is ours and in no queue (I9), until `_locked` is dropped.
        unsafe { header.reuse_waiting(setup.waiter.unwrap_or(0)) };
        let frame = CallFrame { kind: Kind::Sync, header, payload };
        // SAFETY: as above; the sizes were compared; a slot stays in place for ever.
        match unsafe { self.send_and_wait(&setup, &frame, function, irq) }? {
            Ok(result) => Ok(result),
            Err(panic) => P::resume(panic),
        }
    }
}
