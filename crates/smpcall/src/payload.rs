//! What a call carries: its function until that is run, then its result.
//!
//! A waiting call has one [`Payload`], in its frame, in the target's mailbox or in a slot of its owner's; a detached call, and a
//! multicast that nobody waits for, leave a copy of their function in a slot of the machine's.

use crate::sync::SharedCell;
use core::mem::{ManuallyDrop, MaybeUninit};

/// Room for a function or a result: three words in a slot of the machine's, two in a mailbox.
pub(crate) type InlinePayload<const WORDS: usize = 3> = MaybeUninit<[usize; WORDS]>;

const fn fits<T, C>() -> bool {
    size_of::<T>() <= size_of::<C>() && align_of::<T>() <= align_of::<C>()
}

/// Refuses a function that does not fit, when the call is compiled.
const fn demand_room<F>() {
    assert!(
        fits::<F, InlinePayload>(),
        "a function that nobody waits for fits in three words: capture a reference to what is larger"
    );
}

/// A copy of the function, for a slot of the machine's.
#[inline(always)]
pub(crate) fn copied<F: Copy>(function: F) -> InlinePayload {
    const { demand_room::<F>() };
    let mut payload = InlinePayload::uninit();
    // SAFETY: it is ours, and `F` fits.
    unsafe { payload.as_mut_ptr().cast::<F>().write(function) };
    payload
}

/// The function of which a copy is there.
///
/// # Safety
///
/// `room` holds what [`copied`] made of an `F`.
#[inline(always)]
pub(crate) unsafe fn copy_of<F: Copy>(room: *const InlinePayload) -> F {
    // SAFETY: the caller's promise.
    unsafe { room.cast::<F>().read() }
}

/// A waiting call's: the function until it is run, then the result.
pub(crate) union Payload<F, T> {
    function: ManuallyDrop<F>,
    result: ManuallyDrop<T>,
}

impl<F, T> Payload<F, T> {
    /// Whether a room of that type has room for it.
    pub(crate) const fn fits<C>() -> bool {
        fits::<Self, C>()
    }

    /// # Safety
    ///
    /// The room is the caller's alone, and has room.
    #[inline(always)]
    unsafe fn write<C>(room: &SharedCell<C>, payload: Self) {
        // SAFETY: the caller's promise.
        room.with_mut(|room| unsafe { room.cast::<Self>().write(payload) });
    }

    /// # Safety
    ///
    /// The room is the caller's alone, and was [written](Self::write).
    #[inline(always)]
    unsafe fn read<C>(room: &SharedCell<C>) -> Self {
        // SAFETY: the caller's promise.
        room.with(|room| unsafe { room.cast::<Self>().read() })
    }

    /// Caller: puts the function there.
    ///
    /// # Safety
    ///
    /// The room is the caller's alone, and has room.
    #[inline(always)]
    pub(crate) unsafe fn load<C>(room: &SharedCell<C>, function: F) {
        // SAFETY: the caller's promise.
        unsafe { Self::write(room, Self { function: ManuallyDrop::new(function) }) };
    }

    /// Target: takes the function out; or the caller, if the call was refused.
    ///
    /// # Safety
    ///
    /// The room is the caller's alone, and was [loaded](Self::load); once.
    #[inline(always)]
    pub(crate) unsafe fn function<C>(room: &SharedCell<C>) -> F {
        // SAFETY: the caller's promise: it holds the function, which is read once.
        ManuallyDrop::into_inner(unsafe { Self::read(room).function })
    }

    /// Target: leaves the result there.
    ///
    /// # Safety
    ///
    /// The room is the caller's alone, and has room; the function was taken out.
    #[inline(always)]
    pub(crate) unsafe fn answer<C>(room: &SharedCell<C>, result: T) {
        // SAFETY: the caller's promise.
        unsafe { Self::write(room, Self { result: ManuallyDrop::new(result) }) };
    }

    /// Caller: takes the result out.
    ///
    /// # Safety
    ///
    /// The room is the caller's alone, and was [answered](Self::answer); once.
    #[inline(always)]
    pub(crate) unsafe fn result<C>(room: &SharedCell<C>) -> T {
        // SAFETY: the caller's promise: it holds the result, which is read once.
        ManuallyDrop::into_inner(unsafe { Self::read(room).result })
    }
}
