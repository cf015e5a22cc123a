//! The memory of an awaited call, and its run.

use super::awaited::{Awaited, End};
use super::error::AsyncCallError;
use crate::csd::{Cancel, Header, Op};
use crate::lock::SlotLock;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::smp::Smp;
use crate::sync::{SharedCell, const_unless_loom};
use core::fmt;

/// A closure on its way, and where from.
pub(super) struct Job<F> {
    pub(super) function: F,
    /// Not to begin from then on, on the port's clock.
    pub(super) deadline_ns: Option<u64>,
    /// The CPU that made the call.
    pub(super) home: Option<u32>,
    /// The machine: an `Smp` of the types that the run was made for.
    pub(super) smp: *const (),
}

/// What is in a slot.
pub(super) enum Content<F, R, X> {
    Nothing,
    Call(Job<F>),
    Result(R),
    Panic(X),
    /// Its deadline had passed.
    Late(F),
}

/// The memory of an awaited call: its csd, and room for a closure and what comes of it. In a `static` it serves calls that
/// allocate nothing; [`AsyncCall`](crate::AsyncCall) is by what it is used.
///
/// `F` is the closure, `R` its result, `X` what a panic leaves behind on the port ([`crate::Platform::Panic`]).
///
/// ```
/// use std::convert::Infallible;
/// use smpcall::{AsyncCall, AsyncCallError, AwaitedSlot, Platform, Smp, Storage};
///
/// static SLOT: AwaitedSlot<fn() -> u32, u32, Infallible> = AwaitedSlot::new();
///
/// async fn answers<P: Platform<Panic = Infallible>, S: Storage>(
///     smp: &Smp<P, S>,
/// ) -> Result<u32, AsyncCallError<Infallible>> {
///     let mut call = AsyncCall::of(&SLOT).expect("nobody else uses it");
///     let mut sum = 0;
///     for cpu in 0..smp.cpus_len() {
///         sum += smp.call_async_by(&mut call, cpu, || 21).await?;
///     }
///     Ok(sum)
/// }
/// ```
pub struct AwaitedSlot<F, R, X> {
    header: Header,
    pub(super) awaited: Awaited,
    /// Of a static slot: an [`AsyncCall`](crate::AsyncCall) has it.
    pub(super) lock: SlotLock,
    content: SharedCell<Content<F, R, X>>,
}

// SAFETY: closure, result and panic go from one thread to another (I30); the waker may be anywhere.
unsafe impl<F: Send, R: Send, X: Send> Sync for AwaitedSlot<F, R, X> {}
// SAFETY: a slot that can be moved is not queued (I5), and goes with what it holds.
unsafe impl<F: Send, R: Send, X: Send> Send for AwaitedSlot<F, R, X> {}

impl<F, R, X> AwaitedSlot<F, R, X> {
    const_unless_loom! {
        /// An empty slot.
        pub fn new() -> Self {
            Self {
                header: Header::new(),
                awaited: Awaited::new(),
                lock: SlotLock::new(),
                content: SharedCell::new(Content::Nothing),
            }
        }
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Puts something else into the slot.
    ///
    /// # Safety
    ///
    /// The content is the caller's (I30).
    #[must_use]
    pub(super) unsafe fn replace(&self, content: Content<F, R, X>) -> Content<F, R, X> {
        // SAFETY: the caller's promise.
        self.content.with_mut(|place| unsafe { core::mem::replace(&mut *place, content) })
    }

    /// Caller's side: takes the run away and drops the closure, if it has not begun.
    pub(super) fn withdraw(&self) -> bool {
        // Nobody else can have relied on it.
        let is_removed = matches!(Cancel::of(&self.header), Cancel::Removed { .. });
        if is_removed {
            // SAFETY: the run was taken away, so the content is still ours (I30).
            drop(unsafe { self.replace(Content::Nothing) });
        }
        is_removed
    }

    /// Caller's side: nobody awaits the call that is in the slot any more, if there is one.
    pub(super) fn abandon(&self) {
        // Dropped at the end, when all is in order: that is code of the user's.
        let mut _waker = None;
        if !self.awaited.is_callers() {
            // First the waker, so that nobody is woken for a run that was taken away.
            _waker = self.awaited.take_back();
            self.withdraw();
        }
        if self.awaited.is_callers() {
            // SAFETY: no run is under way, or it has ended (I30).
            drop(unsafe { self.replace(Content::Nothing) });
        }
    }

    /// Target: runs what is in the slot, unless that was cancelled or comes too late, and puts there what came of it. Gives back
    /// the machine and the CPU that the call came from.
    ///
    /// # Safety
    ///
    /// The call was posted to a machine of these types, which is flushing it, and this is the one call for that.
    #[cfg_attr(not(feature = "alloc"), allow(unused, reason = "nothing goes home that is static"))]
    unsafe fn run<'m, P, S>(&self, op: Op) -> Option<(&'m Smp<P, S>, Option<u32>)>
    where
        P: Platform<Panic = X> + 'm,
        S: Storage + 'm,
        F: FnOnce() -> R,
    {
        if op.is_discard() {
            return None;
        }
        // SAFETY: it was not cancelled, so the content is ours (I30).
        let Content::Call(job) = (unsafe { self.replace(Content::Nothing) }) else {
            unreachable!("what was posted is a call (I30)");
        };
        // SAFETY: it was made from the machine that this call was posted to, which runs it now.
        let smp = unsafe { &*job.smp.cast::<Smp<P, S>>() };
        let is_late = job.deadline_ns.is_some_and(|deadline_ns| smp.platform().now_ns() >= deadline_ns);
        let function = job.function;
        let ended = match () {
            () if is_late => Content::Late(function),
            () => P::catch(function).map_or_else(Content::Panic, Content::Result),
        };
        // SAFETY: as above. There is nothing in it.
        drop(unsafe { self.replace(ended) });
        Some((smp, job.home))
    }

    /// Caller's side: what came of the call.
    pub(super) fn outcome(&self) -> Result<R, AsyncCallError<X>> {
        // SAFETY: the caller has seen that the run has ended (I30).
        match unsafe { self.replace(Content::Nothing) } {
            Content::Result(result) => Ok(result),
            Content::Panic(panic) => Err(AsyncCallError::Panicked(panic)),
            Content::Late(function) => {
                drop(function);
                Err(AsyncCallError::TimedOut)
            }
            Content::Nothing | Content::Call(_) => unreachable!("an awaited run has ended (I30)"),
        }
    }
}

/// # Safety
///
/// `arg` is a `&'static AwaitedSlot<F, R, P::Panic>` that was posted to a machine of these types, and this is the one call for that.
pub(super) unsafe fn run_static<P: Platform, S: Storage, F: FnOnce() -> R, R>(arg: *const (), op: Op) {
    if op.is_refused() {
        return;
    }
    // SAFETY: by I6.
    let slot = unsafe { &*arg.cast::<AwaitedSlot<F, R, P::Panic>>() };
    // SAFETY: the caller's promise.
    let _ = unsafe { slot.run::<P, S>(op) };
    wake(slot.awaited.end());
}

/// The last step, when the slot is in nobody's hands here any more (I31).
pub(super) fn wake(end: End) {
    if let End::Callers(Some(waker)) = end {
        waker.wake();
    }
}

#[cfg(feature = "alloc")]
pub(super) mod shared {
    use super::*;
    use alloc::sync::Arc;

    /// # Safety
    ///
    /// `arg` is a count of an `Arc<AwaitedSlot<F, R, P::Panic>>` that was posted to a machine of these types, and this is the one call
    /// for that.
    pub(in super::super) unsafe fn run<P, S, F, R>(arg: *const (), op: Op)
    where
        P: Platform,
        S: Storage,
        F: FnOnce() -> R,
        AwaitedSlot<F, R, P::Panic>: Send + Sync + 'static,
    {
        // SAFETY: by I6.
        let slot = unsafe { Arc::from_raw(arg.cast::<AwaitedSlot<F, R, P::Panic>>()) };
        if op.is_refused() {
            return;
        }
        // SAFETY: the caller's promise.
        let from = unsafe { slot.run::<P, S>(op) };
        match (slot.awaited.end(), from) {
            (End::Orphaned, Some((smp, Some(home)))) => smp.post_home(home, slot, op.cpu()),
            (end, _) => {
                // Before the wake-up: the caller, who is about to take the result, has the last count.
                drop(slot);
                wake(end);
            }
        }
    }
}

impl<F, R, X> Default for AwaitedSlot<F, R, X> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F, R, X> fmt::Debug for AwaitedSlot<F, R, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitedSlot").field("pending", &!self.awaited.is_callers()).finish_non_exhaustive()
    }
}
