//! A csd behind an `Arc`: the queue holds a count, and the run gives it back.

use super::{Csd, Header, Op, Post, Work, sealed};
use alloc::sync::Arc;

impl<F: Fn() + Send + Sync + 'static> Post for &Arc<Csd<F>> {}

// SAFETY: 1. `work` takes a count, which `run_shared` gives back when the function has returned. 2. `F: Send +
// Sync`, and `run_shared` turns `arg` back into the `Arc` that it was.
unsafe impl<F: Fn() + Send + Sync + 'static> sealed::Sealed for &Arc<Csd<F>> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn work(&self) -> Work {
        Work { func: run_shared::<F>, arg: Arc::into_raw(Arc::clone(self)).cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<F>()
    }
}

/// # Safety
///
/// `arg` came from `Arc::into_raw` of an `Arc<Csd<F>>`, and this is the one call for that count.
unsafe fn run_shared<F: Fn() + Send + Sync + 'static>(arg: *const (), op: Op) {
    // SAFETY: by I6. Dropping it at the end, also when the function panics, gives the count back.
    let csd = unsafe { Arc::from_raw(arg.cast::<Csd<F>>()) };
    if !op.is_discard() {
        (csd.function)();
    }
}
