//! Closures that the machine keeps for those who do not wait: in a target's slot for a detached call, or in a multicast's slot.

use core::mem::MaybeUninit;

/// The room for a closure or a result: three words for one that is kept, two in a mailbox.
pub(crate) type InlinePayload<const WORDS: usize = 3> = MaybeUninit<[usize; WORDS]>;

/// Refuses a closure that does not fit, when the call is compiled.
pub(crate) const fn demand_room<F>() {
    assert!(
        size_of::<F>() <= size_of::<InlinePayload>() && align_of::<F>() <= align_of::<InlinePayload>(),
        "a function that nobody waits for fits in three words: capture a reference to what is larger"
    );
}
