//! The call object: a header that queues link ([`header`]), and the closure behind it, or the object that it is a field of
//! ([`field`]).
//!
//! # Invariants (I1–I4 are those of [`crate::state`])
//!
//! - **I5** A header that is linked in a queue stays where it is, alive, until its target has let go of it: a csd, or the
//!   owner that embeds it, is posted only as `&'static`, shared (the count is given back by the run), or pinned (its drop
//!   waits); and a waiting call's frame is left only when its word says that it is done.
//! - **I6** `func` and `arg` belong together: whoever writes one writes both, so a `func` is only ever called with the
//!   argument that it was made for, once for each claim. (A foreign csd's are its owner's, and we never write them.)

pub(crate) mod field;
pub(crate) mod header;
#[cfg(feature = "alloc")]
mod shared;

pub(crate) use self::header::{Func, Header, Op, Work};
use crate::sync::const_unless_loom;

/// A call object: a function, and the place in a queue that it takes while it is posted.
///
/// It is made once, owned by the caller, and posted as often as one likes with [`Smp::post`](crate::Smp::post): as
/// `&'static Csd<F>`, or shared (`&Arc<Csd<F>>`, feature `alloc`). While it is queued, a further post is told
/// [`Busy`](crate::Posted::Busy), and that is as good as a post of one's own (P2). It is free again before `F`
/// starts (P5), so `F` may post it again, and may run on two CPUs at once if it was posted to two: hence `Fn + Sync`.
///
/// A shared csd is kept by its queue until its run. If everybody else has let go of it by then, the last count, and with it the
/// closure and what it owns, is dropped *on the target, in call context, interrupts off*: keep a clone where that must not be.
///
/// With a closure of two words a csd takes 64 bytes.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use smpcall::Csd;
///
/// static HITS: AtomicU32 = AtomicU32::new(0);
/// static HIT: Csd<fn()> = Csd::new(|| { HITS.fetch_add(1, Ordering::Relaxed); });
/// # assert!(!HIT.is_pending());
/// ```
///
/// What must not compile: moving or freeing it while it may be queued (P11).
///
/// ```compile_fail,E0597
/// # use smpcall::{Csd, Smp, Platform, Storage};
/// fn too_short<P: Platform, S: Storage>(smp: &Smp<P, S>) {
///     let csd = Csd::new(|| ());
///     let _ = smp.post(1, &csd); // `csd` does not live long enough
/// }
/// ```
#[cfg_attr(target_pointer_width = "64", repr(C, align(32)))]
#[cfg_attr(not(target_pointer_width = "64"), repr(C, align(16)))]
pub struct Csd<F> {
    header: Header,
    function: F,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = assert!(
    align_of::<Csd<()>>() == 32 && size_of::<Csd<[usize; 2]>>() == 64,
    "a csd with a two-word closure fits one cache line"
);

// SAFETY: the header's cells are reached by one side at a time (I2), its atomics by anyone; `function` is only shared,
// so that `F: Sync` is what it takes.
unsafe impl<F: Sync> Sync for Csd<F> {}
// SAFETY: a csd that can be moved is not queued (I5), and then the header's pointers are dead values.
unsafe impl<F: Send> Send for Csd<F> {}

impl<F> Csd<F> {
    const_unless_loom! {
        /// Makes a csd that runs `function`.
        pub fn new(function: F) -> Self {
            Self { header: Header::new(), function }
        }
    }

    /// Returns whether a run is still to begin: the csd is queued, or just being queued, and was not cancelled.
    ///
    /// The answer may be old by the time it is read. `false` does not mean that its function has finished: for that
    /// there is [`Smp::wait`](crate::Smp::wait).
    ///
    /// Context: any, an NMI included. Progress: wait-free.
    ///
    /// ```
    /// use smpcall::Csd;
    ///
    /// let csd = Csd::new(|| println!("runs"));
    /// assert!(!csd.is_pending(), "never posted");
    /// ```
    pub fn is_pending(&self) -> bool {
        self.header.state.look_racy().is_pending()
    }

    /// Takes the pending run away, if it has not begun.
    ///
    /// After [`Cancel::Removed`] the run does not happen, and the csd stays linked in its target's queue until that
    /// CPU's next flush, which skips it. Until then a post to the *same* CPU gives it its run back (and is told
    /// [`Busy`](crate::Posted::Busy)), and a post to *another* CPU is told
    /// [`Cancelled`](crate::PostError::Cancelled).
    ///
    /// Context: any, an NMI included. Progress: lock-free.
    ///
    /// ```
    /// use smpcall::{Cancel, Coalesced, Csd};
    ///
    /// fn stop(csd: &Csd<fn()>) {
    ///     match csd.cancel() {
    ///         Cancel::Removed { coalesced: Coalesced::Yes } => println!("others rely on it: do the work, or post again"),
    ///         Cancel::Removed { coalesced: Coalesced::No } => println!("nobody misses it"),
    ///         Cancel::NotPending => println!("it has begun, or was never posted"),
    ///     }
    /// }
    /// # stop(&Csd::new(|| ()));
    /// ```
    pub fn cancel(&self) -> Cancel {
        Cancel::of(&self.header)
    }
}

impl<F> core::fmt::Debug for Csd<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Csd")
            .field("function", &core::any::type_name::<F>())
            .field("pending", &self.is_pending())
            .finish()
    }
}

/// Whether somebody was told Busy on the strength of a run that is now not going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesced {
    /// Nobody: it was the caller's business only.
    No,
    /// Somebody: the caller sees what they wrote before they posted, and owes them the run (P2). Posting again, or
    /// doing the work itself, pays it.
    Yes,
}

/// What [`Csd::cancel`] came to.
#[must_use = "whoever takes a run away answers to those who relied on it"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// The run was taken away.
    Removed {
        /// Whether others relied on it.
        coalesced: Coalesced,
    },
    /// There was nothing to take away: not posted, begun already, or cancelled before.
    NotPending,
}

impl Cancel {
    /// Cancels the pending run of `header`.
    pub(crate) fn of(header: &Header) -> Self {
        match header.state.cancel() {
            Some(before) if before.is_coalesced() => Self::Removed { coalesced: Coalesced::Yes },
            Some(_) => Self::Removed { coalesced: Coalesced::No },
            None => Self::NotPending,
        }
    }
}

/// Something that can be posted: a csd of its own, as `&'static Csd<F>`, or as `&Arc<Csd<F>>` with the feature `alloc`; or
/// the owner of a [`CsdField`](crate::CsdField), as `&'static Owner`, `&Arc<Owner>` or `Pin<&Pinned<Owner>>`, and if it has
/// several, with the one's tag: `(&OWNER, Tag)`. Sealed: that a posted csd stays alive and in place is this crate's to prove (P11).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be posted",
    label = "is no csd, or may be gone or moved while it is queued",
    note = "what can be posted is a `&'static Csd<_>`, an `&Arc<Csd<_>>`, or the owner of a `CsdField` as `&'static Owner`, \
            `&Arc<Owner>` or `Pin<&Pinned<Owner>>`; with several csds in it, as `(owner, Tag)`"
)]
pub trait Post: sealed::Sealed {}

pub(crate) mod sealed {
    use super::{Header, Work};

    /// The one field that can be embedded.
    pub trait Field {}

    /// What the core asks of whatever can be posted.
    ///
    /// # Safety
    ///
    /// 1. The header stays alive and in place from a won claim until `work`'s function was called for it.
    /// 2. The function may be called on any CPU, with `arg`, once for each `work` taken.
    pub unsafe trait Sealed: Copy {
        /// The header to link.
        fn header(&self) -> &Header;
        /// What the target is to run; called by the winner of a claim, once for each, and takes the count if any.
        fn work(&self) -> Work;
        /// The name of the function's type, for reports.
        fn function_name(&self) -> &'static str;
    }
}

impl<F: Fn() + Sync + 'static> Post for &'static Csd<F> {}

// SAFETY: 1. `'static`. 2. `F: Sync`, and `run_static` turns `arg` back into the reference that it was.
unsafe impl<F: Fn() + Sync + 'static> sealed::Sealed for &'static Csd<F> {
    #[inline]
    fn header(&self) -> &Header {
        &self.header
    }

    #[inline]
    fn work(&self) -> Work {
        Work { func: run_static::<F>, arg: (&raw const self.function).cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<F>()
    }
}

/// # Safety
///
/// `arg` is a `&'static F`.
unsafe fn run_static<F: Fn() + Sync + 'static>(arg: *const (), op: Op) {
    if !op.is_discard() {
        // SAFETY: by I6, `arg` was made from a `&'static F`, in `work` above.
        unsafe { (*arg.cast::<F>())() }
    }
}
