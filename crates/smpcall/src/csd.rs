//! The call object: a header that queues link, and the closure behind it.
//!
//! The header has Linux's layout of a `call_single_data_t` (64-bit: next 8, flags 4, src 2, dst 2, func 8, info 8; 32
//! bytes, 32-aligned), so that the core can stand in for Linux's layer and its other kinds can share the queue. The
//! two small fields are debugging aids there; here they hold the time of queueing, for ports that ask ([`crate::stamp`]).
//!
//! # Invariants (I1–I4 are those of [`crate::state`])
//!
//! - **I5** A header that is linked in a queue stays where it is, alive, until its target has let go of it: `Csd` is
//!   posted only as `&'static` or counted (the count is given back by the run), and a waiting call's frame is left
//!   only when its word says that it is done.
//! - **I6** `func` and `arg` belong together: whoever writes one writes both, so a `func` is only ever called with the
//!   argument that it was made for, once for each claim. (A foreign csd's are its owner's, and we never write them.)

use crate::stamp::Stamp;
use crate::state::{Kind, State};
use crate::sync::{SharedCell, const_unless_loom};

/// What a header's function is asked to do with its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Run the call, and give back what the queue held of it.
    Run,
    /// The run was cancelled: only give back.
    Discard,
}

/// A header's function. Called once for each claim, on the target, with the header's `arg` (I6).
pub(crate) type Func = unsafe fn(arg: *const (), op: Op);

/// What a header's function is: ours, or what another language takes for one, which we only pass on.
#[derive(Clone, Copy)]
union Function {
    ours: Func,
    foreign: *const (),
}

const _: () =
    assert!(size_of::<Func>() == size_of::<*const ()>() && size_of::<Function>() == size_of::<Func>());

/// What queues link: the first 32 bytes of every call object. Aligned no more than Linux's nodes are, some of which lie in the
/// middle of larger objects ([`crate::foreign`]); what a call object is made of sees to its being in one cache line.
#[repr(C, align(8))]
pub struct Header {
    /// The next older entry of the same list (I2).
    pub(crate) next: SharedCell<*const Header>,
    pub(crate) state: State,
    /// In the place of Linux's `src` and `dst`, which our state word names already.
    pub(crate) stamp: Stamp,
    func: SharedCell<Function>,
    arg: SharedCell<*const ()>,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    assert!(size_of::<Header>() == 32 && align_of::<Header>() == 8 && align_of::<Csd<()>>() == 32);
    assert!(offset_of!(Header, next) == 0 && offset_of!(Header, state) == 8);
    assert!(offset_of!(Header, stamp) == 12 && size_of::<Stamp>() == 4);
    assert!(offset_of!(Header, func) == 16 && offset_of!(Header, arg) == 24);
    assert!(size_of::<Csd<[usize; 2]>>() == 64, "a csd with a two-word closure fits one cache line");
};

/// What a target reads out of a header before it lets go of it (I2).
pub struct Work {
    pub(crate) func: Func,
    pub(crate) arg: *const (),
}

unsafe fn never_posted(_arg: *const (), _op: Op) {
    unreachable!("a csd is given its function when it is claimed");
}

impl Header {
    const_unless_loom! {
        /// A header that nobody has claimed.
        pub(crate) fn new() -> Self {
            Self {
                next: SharedCell::new(core::ptr::null()),
                state: State::new(),
                stamp: Stamp::new(),
                func: SharedCell::new(Function { ours: never_posted }),
                arg: SharedCell::new(core::ptr::null()),
            }
        }
    }

    const_unless_loom! {
        /// A header of another language's csd, free.
        pub(crate) fn new_foreign(func: *const (), arg: *const ()) -> Self {
            Self {
                next: SharedCell::new(core::ptr::null()),
                state: State::new(),
                stamp: Stamp::new(),
                func: SharedCell::new(Function { foreign: func }),
                arg: SharedCell::new(arg),
            }
        }
    }

    /// A waiting or blocking call's header: locked from the start (I4), with `waiter` to be woken.
    pub(crate) fn new_waiting(waiter: u16, kind: Kind) -> Self {
        Self {
            next: SharedCell::new(core::ptr::null()),
            state: State::new_waiting(waiter, kind),
            stamp: Stamp::new(),
            func: SharedCell::new(Function { ours: never_posted }),
            arg: SharedCell::new(core::ptr::null()),
        }
    }

    /// Makes this the header of a new waiting call, with `waiter` to be woken.
    ///
    /// # Safety
    ///
    /// The header is the caller's alone, and in no queue (I9).
    pub(crate) unsafe fn reuse_waiting(&self, waiter: u16) {
        self.state.reuse_waiting(waiter);
    }

    /// The header's memory is given back: whoever still touches it fails the model.
    #[cfg(loom)]
    pub(crate) fn leave(&mut self) {
        self.state.leave();
        self.stamp.leave();
        self.next.with_mut(|_| ());
        self.func.with_mut(|_| ());
        self.arg.with_mut(|_| ());
    }

    /// Writes what the target will run.
    ///
    /// # Safety
    ///
    /// The caller has won the claim and has not pushed the header yet (I2).
    #[inline]
    pub(crate) unsafe fn set_work(&self, work: Work) {
        // SAFETY: by I2 nobody else reads or writes the fields between the claim and the push.
        self.func.with_mut(|func| unsafe { *func = Function { ours: work.func } });
        // SAFETY: as above.
        self.arg.with_mut(|arg| unsafe { *arg = work.arg });
    }

    /// Reads what to run, of a call object of ours.
    ///
    /// # Safety
    ///
    /// The caller is the target, took the header off its queue, and has not unlocked it yet (I2).
    #[inline]
    pub(crate) unsafe fn work(&self) -> Work {
        // SAFETY: by I2 the fields are the target's, and nobody writes them; the function is ours (I6).
        let func = self.func.with(|func| unsafe { (*func).ours });
        // SAFETY: as above.
        let arg = self.arg.with(|arg| unsafe { *arg });
        Work { func, arg }
    }

    /// Reads the function, and its argument, of a csd that is none of ours.
    ///
    /// # Safety
    ///
    /// As for [`Header::work`].
    #[inline]
    pub(crate) unsafe fn foreign_work(&self) -> (*const (), *const ()) {
        // SAFETY: by I2 the fields are the target's, and nobody writes them; every function is an address.
        let func = self.func.with(|func| unsafe { (*func).foreign });
        // SAFETY: as above.
        let arg = self.arg.with(|arg| unsafe { *arg });
        (func, arg)
    }

    /// Reads the next older entry.
    ///
    /// # Safety
    ///
    /// As for [`Header::work`].
    #[inline]
    pub(crate) unsafe fn next(&self) -> *const Header {
        // SAFETY: by I2 the field is the target's, and nobody writes it.
        self.next.with(|next| unsafe { *next })
    }

    /// Links the header in front of `next`.
    ///
    /// # Safety
    ///
    /// The caller owns the fields: a poster before its push, or the target after it took the list (I2).
    #[inline]
    pub(crate) unsafe fn set_next(&self, next: *const Header) {
        // SAFETY: by I2 the field is the caller's.
        self.next.with_mut(|field| unsafe { *field = next });
    }

    /// The header's address, as a name.
    pub(crate) fn name(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}

/// A call object: a function, and the place in a queue that it takes while it is posted.
///
/// It is made once, owned by the caller, and posted as often as one likes with [`Smp::post`](crate::Smp::post): as
/// `&'static Csd<F>`, or counted (`&Arc<Csd<F>>`, feature `alloc`). While it is queued, a further post is told
/// [`Busy`](crate::Posted::Busy), and that is as good as a post of one's own (P2). It is free again before `F`
/// starts (P5), so `F` may post it again, and may run on two CPUs at once if it was posted to two: hence `Fn + Sync`.
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
    pub fn cancel(&self) -> Cancel {
        match self.header.state.cancel() {
            Some(before) if before.is_told() => Cancel::Removed { told: Told::Yes },
            Some(_) => Cancel::Removed { told: Told::No },
            None => Cancel::NotPending,
        }
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
pub enum Told {
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
        told: Told,
    },
    /// There was nothing to take away: not posted, begun already, or cancelled before.
    NotPending,
}

/// Something that can be posted: `&'static Csd<F>`, or `&Arc<Csd<F>>` with the feature `alloc`. Sealed: that a posted
/// csd stays alive and in place is this crate's to prove (I5).
pub trait Post: sealed::Sealed {}

pub(crate) mod sealed {
    use super::{Header, Work};

    /// What the core asks of whatever can be posted.
    ///
    /// # Safety
    ///
    /// 1. The header stays alive and in place from a won claim until `work`'s function was called for it (I5).
    /// 2. The function may be called on any CPU, with `arg`, once for each `work` taken (I6).
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
    if op == Op::Run {
        // SAFETY: by I6, `arg` was made from a `&'static F`, in `work` above.
        unsafe { (*arg.cast::<F>())() }
    }
}

#[cfg(feature = "alloc")]
mod counted {
    use super::{Csd, Header, Op, Post, Work, sealed};
    use alloc::sync::Arc;

    impl<F: Fn() + Send + Sync + 'static> Post for &Arc<Csd<F>> {}

    // SAFETY: 1. `work` takes a count, which `run_counted` gives back when the function has returned. 2. `F: Send +
    // Sync`, and `run_counted` turns `arg` back into the `Arc` that it was.
    unsafe impl<F: Fn() + Send + Sync + 'static> sealed::Sealed for &Arc<Csd<F>> {
        fn header(&self) -> &Header {
            &self.header
        }

        fn work(&self) -> Work {
            Work { func: run_counted::<F>, arg: Arc::into_raw(Arc::clone(self)).cast() }
        }

        fn function_name(&self) -> &'static str {
            core::any::type_name::<F>()
        }
    }

    /// # Safety
    ///
    /// `arg` came from `Arc::into_raw` of an `Arc<Csd<F>>`, and this is the one call for that count.
    unsafe fn run_counted<F: Fn() + Send + Sync + 'static>(arg: *const (), op: Op) {
        // SAFETY: by I6. Dropping it at the end, also when the function panics, gives the count back.
        let csd = unsafe { Arc::from_raw(arg.cast::<Csd<F>>()) };
        if op == Op::Run {
            (csd.function)();
        }
    }
}
