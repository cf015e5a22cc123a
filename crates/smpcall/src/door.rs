//! The door: the cache line that a CPU looks at, with room beside the queue's head for one waiting call.
//!
//! A waiting call from a frame moves three lines one after another: the target sees the head, fetches the frame, and the
//! caller fetches the answer. A call that is small enough, and finds the place at the door free, is written beside the
//! head instead: what the target sees it also has, and the answer comes back in the same line, so that the call costs what
//! a bare round trip does. It is queued like any other, by a push of its header: batch, doorbell, order and refusal are the
//! queue's (P1, P6, P7, P8). A call that finds the place taken, or is larger, uses a frame.
//!
//! | lease | fields | whose |
//! |---|---|---|
//! | `FREE` | dead values | nobody's |
//! | `TAKEN` | being filled, queued, run, or being read out | the lessee's; from the push to the completion, the target's |
//!
//! # Invariants
//!
//! - **I9** Only the lessee fills and pushes the header, once, and it gives the place back after the call's word says done,
//!   or after a refused push. So the header is a waiting call's with one owner (I4), and one that is queued is never
//!   filled anew.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `take`, look | Relaxed | – | – |
//! | `take`, CAS | Acquire | `Drop` of [`Place`] | the new lessee writes over an answer that the last one still reads (P4) |
//! | `Drop` of [`Place`] | Release | `take` | the other half of the same |

use crate::csd::Header;
use crate::multicast::Callers;
use crate::queue::Head;
use crate::relay::Relay;
use crate::sync::{AtomicU32, Ordering, SharedCell, const_unless_loom};
use core::mem::MaybeUninit;

const FREE: u32 = 0;
const TAKEN: u32 = 1;

/// What a call may bring along to the door, and take home: a closure or a result of two words.
pub(crate) type Luggage = MaybeUninit<[usize; 2]>;

/// The line: the head, the bits of those who multicast, and the place for one call.
#[repr(C, align(64))]
pub(crate) struct Door {
    pub(crate) head: Head,
    /// Who multicasts to this CPU: the slots that it owes an answer.
    pub(crate) callers: Callers,
    luggage: SharedCell<Luggage>,
    header: Header,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Door>() == 64, "head, callers, luggage and header are one cache line");

// SAFETY: the header and the luggage are reached by one side at a time: the lessee, and between its push and the call's
// completion the target (I9, I4). What travels in the luggage is `Send` by the bounds of `Smp::call`.
unsafe impl Sync for Door {}
// SAFETY: a door that can be moved has no lessee, and then the header's pointers are dead values.
unsafe impl Send for Door {}

impl Door {
    const_unless_loom! {
        /// The door of a CPU that never came online.
        pub(crate) fn new() -> Self {
            Self {
                head: Head::new(),
                callers: Callers::new(),
                luggage: SharedCell::new(MaybeUninit::uninit()),
                header: Header::new(),
            }
        }
    }
}

/// Whose the place at one door is. In a line of its own, which only callers write: in the door's line, giving back and
/// taking again would each cost a transfer from the target, which looks at that line all the time.
pub(crate) struct Lease(AtomicU32);

impl Lease {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self(AtomicU32::new(FREE)) }
    }

    /// Takes the place at `door`, whose lease this is, if it is free. Wait-free.
    #[inline]
    pub(crate) fn take<'a>(&'a self, door: &'a Door) -> Option<Place<'a>> {
        // Relaxed: a look; a place that is taken is not worth a write.
        if self.0.load(Ordering::Relaxed) != FREE {
            return None;
        }
        // Acquire: the last lessee has read its answer; pairs with `Drop`. Failure Relaxed: somebody was faster.
        match self.0.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(Place { lease: self, door }),
            Err(_) => None,
        }
    }
}

/// The place at a door, until it is dropped.
pub(crate) struct Place<'a> {
    lease: &'a Lease,
    door: &'a Door,
}

impl<'a> Place<'a> {
    pub(crate) fn header(&self) -> &'a Header {
        &self.door.header
    }

    pub(crate) fn luggage(&self) -> &'a SharedCell<Luggage> {
        &self.door.luggage
    }
}

impl Drop for Place<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: the answer was read; pairs with `take`.
        self.lease.0.store(FREE, Ordering::Release);
    }
}

/// What others keep here, and the owner does not look at. Two lines.
pub(crate) struct Lobby {
    pub(crate) lease: Lease,
    pub(crate) relay: Relay,
}

impl Lobby {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self { lease: Lease::new(), relay: Relay::new() } }
    }
}
