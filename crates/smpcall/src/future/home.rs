//! The way home of what came of a call whose caller is gone: by the slot's own csd, which its run has let go of.

use super::slot::AwaitedSlot;
use crate::csd::{Header, Op, Post, Work, sealed};
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::smp::Smp;
use alloc::sync::Arc;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Target, in call context: has the slot dropped on `home`; here if that is this CPU, or takes nothing.
    pub(super) fn post_home<F, R, X>(&self, home: u32, slot: Arc<AwaitedSlot<F, R, X>>, here: u32)
    where
        AwaitedSlot<F, R, X>: Send + Sync + 'static,
    {
        if home == here {
            return;
        }
        let slot = Arc::into_raw(slot);
        if self.post(home, Homeward(slot)).is_err() {
            // SAFETY: a refused post leaves the count to us.
            drop(unsafe { Arc::from_raw(slot) });
        }
    }
}

/// A count of an orphaned slot.
struct Homeward<F, R, X>(*const AwaitedSlot<F, R, X>);

impl<F, R, X> Clone for Homeward<F, R, X> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F, R, X> Copy for Homeward<F, R, X> {}

impl<F, R, X> Post for Homeward<F, R, X> where AwaitedSlot<F, R, X>: Send + Sync + 'static {}

// SAFETY: 1. It is a count, which `drop_at_home` gives back, or the poster whose post was refused. 2. The slot is `Send` and
// `Sync`, and `drop_at_home` turns `arg` back into the count that it was. Nobody else posts an orphan.
unsafe impl<F, R, X> sealed::Sealed for Homeward<F, R, X>
where
    AwaitedSlot<F, R, X>: Send + Sync + 'static,
{
    fn header(&self) -> &Header {
        // SAFETY: a poster has no use for the header any more when the run may have freed it.
        unsafe { (*self.0).header() }
    }

    fn work(&self) -> Work {
        Work { func: drop_at_home::<F, R, X>, arg: self.0.cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<R>()
    }
}

/// # Safety
///
/// `arg` is a count of an `Arc<AwaitedSlot<F, R, X>>`, and this is the one call for that.
unsafe fn drop_at_home<F, R, X>(arg: *const (), op: Op) {
    if !op.is_refused() {
        // SAFETY: by I6.
        drop(unsafe { Arc::from_raw(arg.cast::<AwaitedSlot<F, R, X>>()) });
    }
}
