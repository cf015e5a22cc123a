//! Waiting calls: a header, and a slot for the closure on its way there and the result on its way back.
//!
//! Both are at the target's [`mailbox`](crate::mailbox) if the call is small and the slot is free, else in a frame on the
//! caller's stack. Before the push they are the caller's; from then on the target's, until the state word says done; then
//! the caller's again (I4). The caller does not leave them before (I5).

use super::Smp;
use super::context::{InCall, NoUnwind};
use super::serve::Serve;
use super::wait::CallSetup;
use crate::csd::{Header, Op, Work};
use crate::error::CallError;
use crate::mailbox::MailboxGuard;
use crate::payload::{InlinePayload, Payload};
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform, demand_shared_stacks};
use crate::queue::Seen;
use crate::state::Kind;
use crate::sync::SharedCell;
use crate::trace::{CallKind, queue, trace};
use core::mem::MaybeUninit;

/// The caller's own CPU, and what keeps it there.
type Own<'a, P> = (Option<IrqGuard<'a, P>>, &'a PerCpu);

/// What a function came to: its result, or its panic.
pub(super) type Outcome<P, R> = Result<R, <P as Platform>::Panic>;

/// One waiting call on the caller's stack: with four words of closure or result it is one cache line.
#[repr(C, align(64))]
struct StackFrame<P: Platform, F, R> {
    header: Header,
    payload: SharedCell<MaybeUninit<Payload<F, Outcome<P, R>>>>,
}

/// Under loom, to leave a frame is to write to all of it: whoever still touches it fails the model (I4).
#[cfg(loom)]
impl<P: Platform, F, R> Drop for StackFrame<P, F, R> {
    fn drop(&mut self) {
        self.header.leave();
        self.payload.with_mut(|_| ());
    }
}

/// Where one waiting call is: in the target's mailbox line, on the caller's stack, or in a slot of the caller's.
pub(super) struct CallFrame<'a, C> {
    pub(super) kind: Kind,
    pub(super) header: &'a Header,
    pub(super) payload: &'a SharedCell<C>,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs `function` on `cpu`, waits until it has returned, and gives back its result. What it wrote is visible then
    /// (P4), and it may borrow from the caller's stack. Called on `cpu` itself it runs inline, with interrupts off.
    ///
    /// While it waits, a CPU serves its own queue: two that call each other both finish (P10). So functions that others posted run
    /// *inside* this call: hold no lock, and no borrow of a `RefCell`, across it that such a function could want; the one would
    /// wait for ever, the other panic. The same holds for [`Smp::wait`] and [`Smp::call_many`]. A call is never given
    /// up, since its frame could not be left; a target that does not answer is reported to
    /// [`Reporting::call_stalled`](crate::Reporting::call_stalled).
    ///
    /// Context: thread, interrupts on. From call context only a call to one's own CPU is allowed. Progress: waits for
    /// the target.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the function was then dropped without being run.
    ///
    /// # Panics
    ///
    /// With the function's own panic, where there is unwinding (P11).
    ///
    /// ```compile_fail,E0277
    /// # use smpcall::{Platform, Smp, Storage};
    /// fn not_send<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    ///     let local = std::rc::Rc::new(1);
    ///     let _ = smp.call(1, || *local); // `Rc` cannot be sent between threads safely
    /// }
    /// ```
    #[inline]
    pub fn call<F, R>(&self, cpu: u32, function: F) -> Result<R, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        const { demand_shared_stacks::<P>() };
        let target = self.cpu(cpu).ok_or(CallError::NoSuchCpu)?;
        if let Some((_stay, here)) = self.own_or_may_wait(cpu)? {
            return self.call_self(here, function);
        }
        let setup = CallSetup { cpu, target, waiter: self.waiter(), serve: Serve::Queue };
        let outcome = match self.lock_mailbox::<F, R>(target) {
            Some(slot) => self.call_in_mailbox(&setup, &slot, function)?,
            None => self.call_from_frame(setup, Kind::Sync, function)?,
        };
        match outcome {
            Ok(result) => Ok(result),
            Err(panic) => P::resume(panic),
        }
    }

    /// The caller's own CPU, if that is `cpu`, and what keeps the caller there; else nothing, if it may wait.
    #[inline(always)]
    pub(super) fn own_or_may_wait(&self, cpu: u32) -> Result<Option<Own<'_, P>>, CallError> {
        let stay = self.stay();
        let here = self.here();
        match here {
            Some((number, here)) if number == cpu => return Ok(Some((stay, here))),
            _ => {}
        }
        drop(stay);
        if self.may_wait(here) { Ok(None) } else { Err(CallError::WouldDeadlock) }
    }

    /// The slot at the target's mailbox, if the call fits there and nobody has it.
    #[inline(always)]
    fn lock_mailbox<'a, F, R>(&self, target: &'a PerCpu) -> Option<MailboxGuard<'a>> {
        let fits = const { Payload::<F, Outcome<P, R>>::fits::<InlinePayload<2>>() };
        if fits { target.callers_line.try_lock(&target.mailbox) } else { None }
    }

    #[inline(always)]
    fn call_in_mailbox<F, R>(
        &self,
        setup: &CallSetup<'_>,
        slot: &MailboxGuard<'_>,
        function: F,
    ) -> Result<Outcome<P, R>, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let frame = CallFrame { kind: Kind::Sync, header: slot.header(), payload: slot.payload() };
        // Here already, so that all that is written in the mailbox is written at once: the target looks at that line.
        let irq = IrqGuard::new(&self.platform);
        // SAFETY: the slot is locked, so the header is ours and in no queue (I9), until `slot` is dropped.
        unsafe { frame.header.reuse_waiting(setup.waiter.unwrap_or(0)) };
        // SAFETY: as above; `lock_mailbox` has compared the sizes; the mailbox stays in place as long as the machine is borrowed.
        unsafe { self.send_and_wait(setup, &frame, function, irq) }
    }

    /// Apart from `call`, which mostly finds room in the mailbox: a frame takes stack and its alignment.
    #[inline(never)]
    pub(super) fn call_from_frame<F, R>(
        &self,
        setup: CallSetup<'_>,
        kind: Kind,
        function: F,
    ) -> Result<Outcome<P, R>, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let stack = StackFrame::<P, F, R> {
            header: Header::new_waiting(setup.waiter.unwrap_or(0), kind),
            payload: SharedCell::new(MaybeUninit::uninit()),
        };
        let frame = CallFrame { kind, header: &stack.header, payload: &stack.payload };
        // SAFETY: the frame is ours, of the right type, and left only after `send_and_wait`.
        unsafe { self.send_and_wait(&setup, &frame, function, IrqGuard::new(&self.platform)) }
    }

    /// Loads the function, sends it there, waits, and unloads its outcome.
    ///
    /// # Safety
    ///
    /// The frame is the caller's alone and in no queue, its header that of a new waiting call; its payload has room for a
    /// `Payload<F, Outcome<P, R>>`; it stays alive and in place until this returns (I5).
    #[inline(always)]
    pub(super) unsafe fn send_and_wait<F, R, C>(
        &self,
        setup: &CallSetup<'_>,
        frame: &CallFrame<'_, C>,
        function: F,
        irq: IrqGuard<'_, P>,
    ) -> Result<Outcome<P, R>, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let CallFrame { kind, header, payload } = *frame;
        // SAFETY: not pushed yet, so the room is ours.
        unsafe { Payload::<F, Outcome<P, R>>::load(payload, function) };
        let work = Work { func: run_payload::<P, F, R, C>, arg: core::ptr::from_ref(payload).cast() };
        trace!(self, queue(setup.cpu, header.name(), work.func as usize, CallKind::Waiting));
        // SAFETY: not pushed yet.
        unsafe { header.set_work(work) };
        self.stamp(&header.stamp);
        // From the push on the target may reach what is in our frame.
        let guard = NoUnwind;
        let pushed = self.push_waiting(setup.cpu, setup.target, header, kind);
        drop(irq);
        if !pushed {
            core::mem::forget(guard);
            // SAFETY: it was not queued, so the closure is still there, and still ours.
            drop(unsafe { Payload::<F, Outcome<P, R>>::function(payload) });
            return Err(CallError::Offline);
        }
        self.await_call(setup, header, run_payload::<P, F, R, C>, core::any::type_name::<F>());
        core::mem::forget(guard);
        // SAFETY: the word says done, so `run_payload` has left the outcome, and the room is ours again (I4).
        Ok(unsafe { Payload::<F, Outcome<P, R>>::result(payload) })
    }

    /// Queues a waiting call, under the irq guard; `false` if the CPU is offline.
    #[inline(always)]
    fn push_waiting(&self, cpu: u32, target: &PerCpu, header: &Header, kind: Kind) -> bool {
        // The target that matters for speed polls, if targets do, so that is what is expected.
        let expected = if P::SERVES_IN_WAITS { Seen::Polling } else { Seen::Idle };
        // SAFETY: the header is ours, and stays in place until the word says done (I4, I5).
        unsafe { self.push_one(cpu, target, header, kind == Kind::Sync, expected) }
    }

    /// A call to one's own CPU, on which the caller stays: in call context like any other, so that what it may do does not depend on where it runs.
    pub(super) fn call_self<R>(&self, here: &PerCpu, function: impl FnOnce() -> R) -> Result<R, CallError> {
        if here.mailbox.head.look() == Seen::Offline && !here.own.in_call() {
            return Err(CallError::Offline);
        }
        let _irq = IrqGuard::new(&self.platform);
        let _call = InCall::enter(here);
        Ok(function())
    }
}

/// Runs the function in the payload, and leaves its outcome there.
///
/// # Safety
///
/// `arg` is the `SharedCell<C>` of a queued waiting call, and holds a `Payload` of these types with a function in it; called
/// once, by its target.
unsafe fn run_payload<P: Platform, F: FnOnce() -> R, R, C>(arg: *const (), op: Op) {
    debug_assert!(!op.is_discard(), "a waiting call is not cancelled");
    // SAFETY: by I5 it is there until the word says done, which is after this function.
    let cell = unsafe { &*arg.cast::<SharedCell<C>>() };
    // SAFETY: the room is the target's now, and this is the one call.
    let function = unsafe { Payload::<F, Outcome<P, R>>::function(cell) };
    let result = P::catch(function);
    // SAFETY: the room is the target's until the word says done.
    unsafe { Payload::<F, Outcome<P, R>>::answer(cell, result) };
}
