//! Closures that the machine keeps for those who do not wait: in a target's place for a detached call, or in a multicast's slot.

use core::mem::MaybeUninit;

/// The room for one: three words.
pub(crate) type Luggage = MaybeUninit<[usize; 3]>;

/// Refuses a closure that does not fit, when the call is compiled.
pub(crate) const fn demand_room<F>() {
    assert!(
        size_of::<F>() <= size_of::<Luggage>() && align_of::<F>() <= align_of::<Luggage>(),
        "a function that nobody waits for fits in three words: capture a reference to what is larger"
    );
}
