//! What queues link: the header of every call object.
//!
//! It has Linux's layout of a `call_single_data_t` (64-bit: next 8, flags 4, src 2, dst 2, func 8, info 8; 32 bytes), so that
//! the core can stand in for Linux's layer and its other kinds can share the queue. The two small fields are debugging aids
//! there; here they hold the time of queueing, for ports that ask ([`crate::stamp`]).

use crate::stamp::Stamp;
use crate::state::{Kind, Snapshot, State};
use crate::sync::{SharedCell, const_unless_loom};

/// What a header's function is asked to do with its argument: the csd's state word as it was when it was let go of, which
/// says whether the run was cancelled, and on which CPU it is.
#[derive(Clone, Copy)]
pub(crate) struct Op(Snapshot);

impl Op {
    /// Run the call; the word does not say where.
    pub(crate) const RUN: Self = Self(Snapshot::FREE);
    /// The push was refused: only give back. The poster has the rest.
    pub(crate) const REFUSED: Self = Self(Snapshot::REFUSED);

    /// What the word says of an asynchronous csd that its target lets go of.
    #[inline(always)]
    pub(crate) fn of(word: Snapshot) -> Self {
        Self(word)
    }

    /// The run does not happen: only give back what the queue held of it.
    #[inline(always)]
    pub(crate) fn is_discard(self) -> bool {
        self.0.is_cancelled()
    }

    /// The run does not happen, and it is the poster that says so.
    #[inline(always)]
    pub(crate) fn is_refused(self) -> bool {
        self.0 == Snapshot::REFUSED
    }

    /// The CPU that runs an asynchronous csd: it was locked for that one (P1).
    #[inline(always)]
    pub(crate) fn cpu(self) -> u32 {
        self.0.cpu().unwrap_or(u32::MAX)
    }
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
    assert!(size_of::<Header>() == 32 && align_of::<Header>() == 8);
    assert!(offset_of!(Header, next) == 0 && offset_of!(Header, state) == 8);
    assert!(offset_of!(Header, stamp) == 12 && size_of::<Stamp>() == 4);
    assert!(offset_of!(Header, func) == 16 && offset_of!(Header, arg) == 24);
};

/// What a target reads out of a header before it lets go of it.
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
