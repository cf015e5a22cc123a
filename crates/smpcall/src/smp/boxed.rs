//! Owned closures, posted and forgotten: a csd that its run frees.

use super::Smp;
use crate::csd::{Header, Op, Post, Work, sealed};
use crate::error::{PostError, Refused};
use crate::percpu::Storage;
use crate::platform::Platform;
use alloc::boxed::Box;

/// A csd and what it owns.
struct Owned<F> {
    header: Header,
    function: F,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Has `function` run once on `cpu`, in call context, and returns at once: one allocation, which the run frees before the
    /// function starts. The function may own whatever can be sent. A panic in it goes to [`Reporting::caught`](crate::Reporting::caught).
    ///
    /// For a function of three words that is `Copy`, [`post_detached`](Smp::post_detached) needs no allocation.
    ///
    /// Context: where the allocator may be called, here and in call context on `cpu`. Progress: that of the allocator; the post
    /// itself as for [`Smp::post`].
    ///
    /// # Errors
    ///
    /// [`Refused`] hands the function back: the CPU is offline, or there is none of that number.
    ///
    /// ```
    /// use smpcall::{Platform, Refused, Smp, Storage};
    ///
    /// fn send<P: Platform, S: Storage>(smp: &Smp<P, S>, text: String) {
    ///     if let Err(Refused { function, why }) = smp.post_boxed(1, move || println!("{text}")) {
    ///         eprintln!("{why}: run here");
    ///         function();
    ///     }
    /// }
    /// ```
    pub fn post_boxed<F>(&self, cpu: u32, function: F) -> Result<(), Refused<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let owned = Boxed(Box::into_raw(Box::new(Owned { header: Header::new(), function })));
        let Err(error) = self.post(cpu, owned) else { return Ok(()) };
        // SAFETY: it came from a box, and a refused post leaves it to us: `run_owned` does nothing then.
        let owned = unsafe { Box::from_raw(owned.0) };
        #[cfg_attr(not(loom), allow(unused_mut, reason = "written to under loom"))]
        let mut owned = *owned;
        leave(&mut owned.header);
        let why = match error {
            PostError::NoSuchCpu => crate::error::WhyRefused::NoSuchCpu,
            PostError::Offline { .. } => crate::error::WhyRefused::Offline,
            PostError::Cancelled { .. } => unreachable!("nobody else has cancelled it"),
        };
        Err(Refused { function: owned.function, why })
    }
}

/// The header's memory is given back.
fn leave(header: &mut Header) {
    #[cfg(loom)]
    header.leave();
    let _ = header;
}

/// The one handle of an [`Owned`] on its way into a queue.
struct Boxed<F>(*mut Owned<F>);

impl<F> Clone for Boxed<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Boxed<F> {}

impl<F: FnOnce() + Send + 'static> Post for Boxed<F> {}

// SAFETY: 1. It is freed by `run_owned`, or by the poster whose push was refused. 2. `F: Send`, and `run_owned` turns `arg`
// back into the box that it was.
unsafe impl<F: FnOnce() + Send + 'static> sealed::Sealed for Boxed<F> {
    fn header(&self) -> &Header {
        // SAFETY: a poster has no use for the header any more when the run may have freed it.
        unsafe { &(*self.0).header }
    }

    fn work(&self) -> Work {
        Work { func: run_owned::<F>, arg: self.0.cast_const().cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<F>()
    }
}

/// # Safety
///
/// `arg` is an `Owned<F>` that came out of a box, and this is the one call for its one claim.
unsafe fn run_owned<F: FnOnce()>(arg: *const (), op: Op) {
    // Nobody cancels it: what does not run was refused, and is the poster's.
    if op.is_discard() {
        return;
    }
    // SAFETY: by I6; nobody else knows it any more.
    let mut owned = *unsafe { Box::from_raw(arg.cast::<Owned<F>>().cast_mut()) };
    leave(&mut owned.header);
    (owned.function)();
}
