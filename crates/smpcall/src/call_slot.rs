//! Room for a waiting call that is not on its caller's stack.

use crate::csd::Header;
use crate::lock::{SlotGuard, SlotLock};
use crate::payload::InlinePayload;
use crate::sync::{SharedCell, const_unless_loom};
use core::fmt;
use core::mem::MaybeUninit;

/// Where one waiting call at a time has its function and its result, `WORDS` words of either: for
/// [`Smp::call_in`](crate::Smp::call_in), by which no other CPU reads or writes the caller's stack. A `static`, most often; or part of
/// what a kernel keeps of each thread for ever.
///
/// With four words it is two cache lines. The result of a port that catches panics takes a word or two more than the type says.
///
/// ```
/// use smpcall::{CallInError, CallSlot, Platform, Smp, Storage};
///
/// static SLOT: CallSlot<4> = CallSlot::new();
///
/// fn load<P: Platform, S: Storage>(smp: &Smp<P, S>, from: u32) -> Result<u64, CallInError> {
///     smp.call_in(&SLOT, 1, move || u64::from(from) * 2)
/// }
/// ```
#[repr(C, align(64))]
pub struct CallSlot<const WORDS: usize = 4> {
    header: Header,
    payload: SharedCell<InlinePayload<WORDS>>,
    lock: SlotLock,
}

// SAFETY: header and payload are reached by one side at a time: by who has locked the slot, and between its push and the call's
// completion by the target (I9, I4). What travels there is `Send` by the bounds of `Smp::call_in`.
unsafe impl<const WORDS: usize> Sync for CallSlot<WORDS> {}
// SAFETY: one that can be moved is locked by nobody, and then the header's pointers are dead values.
unsafe impl<const WORDS: usize> Send for CallSlot<WORDS> {}

impl<const WORDS: usize> CallSlot<WORDS> {
    const_unless_loom! {
        /// A slot that nobody uses.
        pub fn new() -> Self {
            Self {
                header: Header::new(),
                payload: SharedCell::new(MaybeUninit::uninit()),
                lock: SlotLock::new(),
            }
        }
    }

    /// Locks it, if nobody has. Wait-free.
    pub(crate) fn try_lock(&self) -> Option<(SlotGuard<'_>, &Header, &SharedCell<InlinePayload<WORDS>>)> {
        Some((self.lock.try_lock()?, &self.header, &self.payload))
    }
}

impl<const WORDS: usize> Default for CallSlot<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> fmt::Debug for CallSlot<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSlot").field("words", &WORDS).finish_non_exhaustive()
    }
}
