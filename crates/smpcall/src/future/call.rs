//! By what awaited calls are made: the one user of a slot.

use super::slot::{self, AwaitedSlot};
use crate::csd::{Header, Post, Work, sealed};
use crate::lock::SlotGuard;
use crate::percpu::Storage;
use crate::platform::Platform;
#[cfg(feature = "alloc")]
use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;

/// How a slot is kept.
pub(super) enum Held<F: 'static, R: 'static, X: 'static> {
    /// Locked, until it is dropped.
    Static(
        &'static AwaitedSlot<F, R, X>,
        #[allow(dead_code, reason = "its drop is what counts")] SlotGuard<'static>,
    ),
    #[cfg(feature = "alloc")]
    Shared(Arc<AwaitedSlot<F, R, X>>),
}

/// A slot for calls that are awaited, one after the other, and its one user: [`Smp::call_async_by`](crate::Smp::call_async_by). None of the calls allocates.
///
/// It has a slot in a `static` ([`of`](Self::of)), or one on the heap ([`new`](Self::new), feature `alloc`: one allocation for all
/// its calls). Each call borrows it, so there is one at a time: as many calls at once take as many of these.
///
/// A call whose future was dropped when its function had begun leaves its result here, and the next call, or the drop of this,
/// drops it. If this is dropped before, the result is dropped on the CPU that made the call, in call context; on its target if
/// the caller was no CPU, or its CPU is offline.
pub struct AsyncCall<F: 'static, R: 'static, X: 'static> {
    held: Held<F, R, X>,
}

impl<F: 'static, R: 'static, X: 'static> AsyncCall<F, R, X> {
    /// Takes a slot that is in a `static`; `None` if another has it.
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use smpcall::{AsyncCall, AwaitedSlot};
    ///
    /// static SLOT: AwaitedSlot<fn() -> u32, u32, Infallible> = AwaitedSlot::new();
    /// let call = AsyncCall::of(&SLOT);
    /// assert!(call.is_some() && AsyncCall::of(&SLOT).is_none());
    /// drop(call);
    /// assert!(AsyncCall::of(&SLOT).is_some());
    /// ```
    pub fn of(slot: &'static AwaitedSlot<F, R, X>) -> Option<Self> {
        slot.lock.try_lock().map(|locked| Self { held: Held::Static(slot, locked) })
    }

    /// Makes one with a slot on the heap: one allocation.
    ///
    /// Example: [`Smp::call_async_by`](crate::Smp::call_async_by).
    #[cfg(feature = "alloc")]
    pub fn new() -> Self {
        Self { held: Held::Shared(Arc::new(AwaitedSlot::new())) }
    }

    pub(super) fn slot(&self) -> &AwaitedSlot<F, R, X> {
        self.held.slot()
    }

    pub(super) fn held(&self) -> &Held<F, R, X> {
        &self.held
    }
}

impl<F: 'static, R: 'static, X: 'static> Held<F, R, X> {
    fn slot(&self) -> &AwaitedSlot<F, R, X> {
        match self {
            Self::Static(slot, _) => slot,
            #[cfg(feature = "alloc")]
            Self::Shared(slot) => slot,
        }
    }
}

impl<F: 'static, R: 'static, X: 'static> Drop for AsyncCall<F, R, X> {
    fn drop(&mut self) {
        match &self.held {
            // Also if a drop of the user's panics, the lock is given back after it.
            Held::Static(slot, _) => slot.abandon(),
            #[cfg(feature = "alloc")]
            Held::Shared(slot) => {
                slot.abandon();
                if !slot.awaited.orphan() {
                    // Its run may just have ended.
                    slot.abandon();
                }
            }
        }
    }
}

#[cfg(feature = "alloc")]
impl<F: 'static, R: 'static, X: 'static> Default for AsyncCall<F, R, X> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: 'static, R: 'static, X: 'static> fmt::Debug for AsyncCall<F, R, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncCall").field("slot", self.slot()).finish()
    }
}

/// A slot with a call in it, as something to post.
pub(super) struct Loaded<'a, P: Platform, S, F: 'static, R: 'static>(
    pub(super) &'a Held<F, R, P::Panic>,
    pub(super) PhantomData<fn() -> S>,
);

impl<P: Platform, S, F: 'static, R: 'static> Clone for Loaded<'_, P, S, F, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform, S, F: 'static, R: 'static> Copy for Loaded<'_, P, S, F, R> {}

impl<P: Platform, S: Storage, F, R> Post for Loaded<'_, P, S, F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
}

// SAFETY: 1. It is `'static`, or `work` takes a count, which the run gives back. 2. What goes to another CPU is `Send`, and the
// function turns `arg` back into what it was; its caller posts it to a machine of these types, once for each call.
unsafe impl<P: Platform, S: Storage, F, R> sealed::Sealed for Loaded<'_, P, S, F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    #[inline]
    fn header(&self) -> &Header {
        self.0.slot().header()
    }

    #[inline]
    fn work(&self) -> Work {
        match self.0 {
            Held::Static(slot, _) => Work {
                func: slot::run_static::<P, S, F, R>,
                arg: core::ptr::from_ref::<AwaitedSlot<F, R, P::Panic>>(slot).cast(),
            },
            #[cfg(feature = "alloc")]
            Held::Shared(slot) => {
                Work { func: slot::shared::run::<P, S, F, R>, arg: Arc::into_raw(Arc::clone(slot)).cast() }
            }
        }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<F>()
    }
}
