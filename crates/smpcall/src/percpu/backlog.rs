//! What a flush leaves over when it stops at its budget, and what others may know of it.
//!
//! The next flush takes the queue *before* it goes on with it: calls that somebody waits for, and multicasts, do not stand behind a
//! flood of posts, and the new posts are appended. So a flush costs what is new, and what it runs, whatever the backlog.
//!
//! # Invariants
//!
//! - **I32** A backlog's posts are linked from the oldest to `newest`, whose link is null; `newest` is null if there is none. What
//!   somebody waits for in it is older than anything in the queue: a flush takes the queue when that has run, and not before.

use super::batch::Batch;
use crate::csd::Header;
use crate::stamp::Stamp;
use crate::sync::{AtomicU32, Ordering, OwnPtr, OwnUsize, OwnersOnly, const_unless_loom};
use core::ptr::null_mut;

/// What was left over, in the hands of the flush that goes on with it.
pub(crate) struct Backlog {
    pub(crate) batch: Batch,
    newest: *const Header,
    /// How many calls it is.
    len: usize,
}

impl Backlog {
    /// Of what a flush took and did not run.
    pub(crate) fn of(batch: Batch) -> Self {
        let (awaited, _) = walk(batch.sync);
        let (posts, newest) = walk(batch.r#async);
        Self { batch, newest, len: awaited + batch.slots.count_ones() as usize + posts }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The name of the call that comes next; 0 for a multicast.
    pub(crate) fn next(&self) -> usize {
        match self.batch {
            Batch { sync, slots: 0, r#async } if sync.is_null() => r#async.addr(),
            Batch { sync, .. } => sync.addr(),
        }
    }

    /// Puts what a flush has taken behind it, each of its kind. Nobody waits for anything in the backlog any more (I32).
    pub(crate) fn append(&mut self, taken: Batch) {
        debug_assert!(!self.batch.is_awaited(), "I32: what is awaited runs before the queue is taken");
        let Self { newest, len, .. } = Self::of(taken);
        if self.newest.is_null() {
            self.batch.r#async = taken.r#async;
        } else {
            // SAFETY: the batch's headers are alive and ours (I5, I2).
            unsafe { (*self.newest).set_next(taken.r#async) };
        }
        if !newest.is_null() {
            self.newest = newest;
        }
        (self.batch.sync, self.batch.slots) = (taken.sync, taken.slots);
        self.len += len;
    }

    /// So many ran, and this is left of it.
    pub(crate) fn ran(&mut self, ran: u32, left: Batch) {
        self.len -= ran as usize;
        self.batch = left;
        if left.r#async.is_null() {
            self.newest = core::ptr::null();
        }
    }
}

/// How many headers there are, and the last of them.
fn walk(mut at: *const Header) -> (usize, *const Header) {
    let (mut len, mut last) = (0, core::ptr::null());
    while !at.is_null() {
        (len, last) = (len + 1, at);
        // SAFETY: the batch's headers are alive and ours (I5, I2).
        at = unsafe { (*at).next() };
    }
    (len, last)
}

/// The owner's memory of it, between two flushes.
pub(crate) struct LeftOver {
    sync: OwnPtr<Header>,
    r#async: OwnPtr<Header>,
    newest: OwnPtr<Header>,
    slots: OwnUsize,
}

impl LeftOver {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self {
                sync: OwnPtr::new(null_mut()),
                r#async: OwnPtr::new(null_mut()),
                newest: OwnPtr::new(null_mut()),
                slots: OwnUsize::new(0),
            }
        }
    }

    pub(super) fn put(&self, backlog: &Backlog) {
        self.sync.set(backlog.batch.sync.cast_mut());
        self.r#async.set(backlog.batch.r#async.cast_mut());
        self.newest.set(backlog.newest.cast_mut());
        self.slots.set(backlog.batch.slots);
    }

    /// The headers were published to us when we took them off the head.
    pub(super) fn get(&self, len: usize) -> Backlog {
        let (sync, r#async, slots) = (self.sync.get(), self.r#async.get(), self.slots.get());
        Backlog { batch: Batch { sync, slots, r#async }, newest: self.newest.get(), len }
    }
}

/// What others may know of it: written when a flush stops at its budget, and when one has caught up.
pub(crate) struct Behind {
    /// How many calls the last flush left over.
    len: AtomicU32,
    /// When the first of the flushes stopped that have left something over since; only where the port stamps.
    since: Stamp,
}

impl Behind {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self { len: AtomicU32::new(0), since: Stamp::new() } }
    }

    /// How many calls the last flush left over. Racy.
    pub(crate) fn len_racy(&self) -> u32 {
        // Relaxed: a hint, old by the time it is read; orders nothing.
        self.len.load(Ordering::Relaxed)
    }

    /// Owner: a flush has stopped, or has caught up (0). `now_ns` if the port stamps: returns for how long it has been behind.
    pub(crate) fn set(&self, len: usize, now_ns: Option<u64>) -> Option<u64> {
        if let Some(now_ns) = now_ns.filter(|_| self.len_racy() == 0) {
            self.since.set(now_ns);
        }
        // Relaxed: as above; only the owner writes it.
        self.len.store(u32::try_from(len).unwrap_or(u32::MAX), Ordering::Relaxed);
        now_ns.map(|now_ns| self.since.read(now_ns).ns)
    }
}
