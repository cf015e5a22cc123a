//! Waiting calls: a frame on the caller's stack that holds the header, the closure and the result.

use super::Smp;
use crate::csd::{Header, Op, Work};
use crate::error::CallError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::{Pushed, Seen};
use crate::sync::SharedCell;
use core::mem::MaybeUninit;

/// One waiting call. Header, a small closure and a small result share one cache line.
///
/// Before the push all of it is the caller's; from then on the target's, until the state word says done; then the
/// caller's again (I4). The caller does not leave the frame before (I5).
#[repr(C, align(64))]
struct Frame<P: Platform, F, R> {
    header: Header,
    function: SharedCell<MaybeUninit<F>>,
    result: SharedCell<MaybeUninit<Result<R, P::Panic>>>,
}

/// Aborts if the stack unwinds past a frame that the target may still reach (I5): a panic while panicking does.
struct NoUnwind;

impl Drop for NoUnwind {
    fn drop(&mut self) {
        panic!("a panic inside a waiting caller, whose frame cannot be left");
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs `function` on `cpu`, waits until it has returned, and gives back its result. What it wrote is visible then
    /// (P4), and it may borrow from the caller's stack. Called on `cpu` itself it runs inline, with interrupts off.
    ///
    /// While it waits, a CPU serves its own queue: two that call each other both finish (P10). A call is never given
    /// up, since its frame could not be left; a target that does not answer is reported to
    /// [`Platform::stalled`].
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
        let target = self.cpu(cpu).ok_or(CallError::NoSuchCpu)?;
        let here = self.here();
        if let Some((number, here)) = here
            && number == cpu
        {
            return self.call_self(here, function);
        }
        if !self.may_wait(here) {
            return Err(CallError::WouldDeadlock);
        }
        let waiter = if P::PARKS { self.platform.waiter() } else { None };
        let frame = Frame::<P, F, R> {
            header: Header::new_waiting(cpu, waiter.unwrap_or(0)),
            function: SharedCell::new(MaybeUninit::new(function)),
            result: SharedCell::new(MaybeUninit::uninit()),
        };
        let work = Work { func: run_frame::<P, F, R>, arg: (&raw const frame).cast() };
        // SAFETY: not pushed yet.
        unsafe { frame.header.set_work(work) };
        if !self.push_waiting(cpu, target, &frame.header) {
            // SAFETY: it was not queued, so the closure is still in the frame, and still ours.
            frame.function.with_mut(|function| unsafe { (*function).assume_init_drop() });
            return Err(CallError::Offline);
        }
        let guard = NoUnwind;
        self.await_call(here, target, cpu, &frame.header, waiter, core::any::type_name::<F>());
        core::mem::forget(guard);
        // SAFETY: the word says done, so `run_frame` has written the result, and the frame is ours again (I4).
        match frame.result.with(|result| unsafe { (*result).assume_init_read() }) {
            Ok(result) => Ok(result),
            Err(panic) => P::resume(panic),
        }
    }

    /// Queues a waiting call; `false` if the CPU is offline.
    #[inline]
    fn push_waiting(&self, cpu: u32, target: &PerCpu, header: &Header) -> bool {
        let _irq = IrqGuard::new(&self.platform);
        // The target that matters for speed polls, so that is the guess.
        // SAFETY: the header is ours, and its frame is not left before the word says done (I4, I5).
        match unsafe { target.head.0.push(header, header, Seen::Polling) } {
            Pushed::Ring => self.platform.ring(cpu),
            Pushed::Seen => {}
            Pushed::Refused => return false,
        }
        true
    }

    /// A call to one's own CPU: in call context like any other, so that what it may do does not depend on where it runs.
    fn call_self<R>(&self, here: &PerCpu, function: impl FnOnce() -> R) -> Result<R, CallError> {
        struct Leave<'a>(&'a PerCpu, bool);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.own.0.set_in_call(self.1);
            }
        }
        if here.head.0.look() == Seen::Offline && !here.own.0.in_call() {
            return Err(CallError::Offline);
        }
        let _irq = IrqGuard::new(&self.platform);
        let _leave = Leave(here, here.own.0.in_call());
        here.own.0.set_in_call(true);
        Ok(function())
    }
}

/// # Safety
///
/// `arg` is a queued `Frame<P, F, R>`, called once, by its target.
unsafe fn run_frame<P: Platform, F: FnOnce() -> R, R>(arg: *const (), op: Op) {
    debug_assert!(op == Op::Run, "a waiting call is not cancelled");
    // SAFETY: by I5 the frame is there until the word says done, which is after this function.
    let frame = unsafe { &*arg.cast::<Frame<P, F, R>>() };
    // SAFETY: the closure is the target's now, and this is the one call.
    let function = frame.function.with(|function| unsafe { (*function).assume_init_read() });
    let result = P::catch(function);
    // SAFETY: the result's place is the target's until the word says done.
    frame.result.with_mut(|place| unsafe { (*place).write(result) });
}
