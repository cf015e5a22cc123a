//! The mailbox: the cache line that a CPU looks at, with room beside the queue's head for one waiting call.
//!
//! A waiting call from a frame moves three lines one after another: the target sees the head, fetches the frame, and the
//! caller fetches the result. A call that is small enough, and finds the slot in the mailbox free, is written beside the
//! head instead: what the target sees it also has, and the result comes back in the same line, so that the call costs what
//! a bare round trip does. It is queued like any other, by a push of its header: batch, doorbell, order and refusal are the
//! queue's (P1, P6, P7, P8). A call that finds the slot locked, or is larger, uses a frame.
//!
//! | lock | fields | whose |
//! |---|---|---|
//! | free | dead values | nobody's |
//! | locked | being filled, queued, run, or being read out | the holder's; from the push to the completion, the target's |
//!
//! # Invariants
//!
//! - **I9** Only the holder fills and pushes the header, once, and it gives the slot back after the call's word says done,
//!   or after a refused push. So the header is a waiting call's with one owner (I4), and one that is queued is never
//!   filled anew.

use crate::csd::Header;
use crate::lock::{SlotGuard, SlotLock};
use crate::multicast::Callers;
use crate::payload::InlinePayload;
use crate::percpu::Behind;
use crate::queue::Head;
#[cfg(feature = "relays")]
use crate::relay::Relay;
use crate::sync::{SharedCell, const_unless_loom};
use core::mem::MaybeUninit;

/// The line: the head, the bits of those who multicast, and the slot for one call.
#[repr(C, align(64))]
pub(crate) struct Mailbox {
    pub(crate) head: Head,
    /// Who multicasts to this CPU: the slots that it has to acknowledge.
    pub(crate) callers: Callers,
    payload: SharedCell<InlinePayload<2>>,
    header: Header,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Mailbox>() == 64, "head, callers, payload and header are one cache line");

// SAFETY: the header and the payload are reached by one side at a time: the holder, and between its push and the call's
// completion the target (I9, I4). What travels in the payload is `Send` by the bounds of `Smp::call`.
unsafe impl Sync for Mailbox {}
// SAFETY: a mailbox that can be moved has no holder, and then the header's pointers are dead values.
unsafe impl Send for Mailbox {}

impl Mailbox {
    const_unless_loom! {
        /// The mailbox of a CPU that never came online.
        pub(crate) fn new() -> Self {
            Self {
                head: Head::new(),
                callers: Callers::new(),
                payload: SharedCell::new(MaybeUninit::uninit()),
                header: Header::new(),
            }
        }
    }
}

/// The slot in a mailbox, until it is dropped.
pub(crate) struct MailboxGuard<'a> {
    mailbox: &'a Mailbox,
    _locked: SlotGuard<'a>,
}

impl<'a> MailboxGuard<'a> {
    pub(crate) fn header(&self) -> &'a Header {
        &self.mailbox.header
    }

    pub(crate) fn payload(&self) -> &'a SharedCell<InlinePayload<2>> {
        &self.mailbox.payload
    }
}

/// What others keep here, and the owner seldom comes to: one line.
#[repr(align(64))]
pub(crate) struct CallersLine {
    /// Whose the slot in the mailbox is. Not beside it, since only callers write here: in the mailbox's line, giving back and
    /// taking again would each cost a transfer from the target, which looks at that line all the time.
    lock: SlotLock,
    /// Here, since a flood of posts writes neither: who looks at it before each post takes no line from those who post.
    pub(crate) behind: Behind,
    #[cfg(feature = "relays")]
    pub(crate) relay: Relay,
}

impl CallersLine {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                lock: SlotLock::new(),
                behind: Behind::new(),
                #[cfg(feature = "relays")]
                relay: Relay::new(),
            }
        }
    }

    /// Locks the slot in `mailbox`, whose lock is here, if it is free. Wait-free.
    #[inline]
    pub(crate) fn try_lock<'a>(&'a self, mailbox: &'a Mailbox) -> Option<MailboxGuard<'a>> {
        Some(MailboxGuard { _locked: self.lock.try_lock()?, mailbox })
    }
}
