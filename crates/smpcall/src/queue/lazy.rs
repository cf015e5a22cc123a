//! The head of a CPU's other list: of lazy posts, and of those that are deferred until the CPU enters the kernel.
//!
//! Nobody rings for what a push adds here. So the word says beside the list what a *deferred* poster owes, by where the CPU is:
//!
//! | word | the CPU | a lazy push | a deferred push | who writes it |
//! |---|---|---|---|---|
//! | `OWED`, also with a list | is in the kernel, and nobody has notified it | keeps `OWED` | takes `OWED` off, and **owes a notification** | owner: `take`, `open`, `enter_kernel` |
//! | a list | is in the kernel; whoever took `OWED` off notifies it | pushes | pushes | anyone: `push`, `pay` |
//! | `USER`, also with a list | is in user space | keeps `USER` | keeps `USER`: the entry runs it | owner: `enter_user` |
//! | `OFFLINE` | takes nothing | is refused | is refused | owner: `close` |
//!
//! # Invariants
//!
//! - **I39** Only the owner changes where the CPU is, and in `USER` only it takes the list, by the same swap that says that the CPU is in the
//!   kernel. So of a post that found `USER` it is certain that the next [`enter_kernel`](LazyHead::enter_kernel) has it in hand.
//! - **I40** Whoever takes `OWED` off notifies the CPU by its mailbox before it returns, or knows that the list was taken meanwhile. So a list
//!   with a deferred post is never left to a CPU in the kernel that nobody notifies.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `push` | AcqRel | `take`, `close`, `enter_kernel` / `enter_user` | Release: the target runs garbage. Acquire: a poster that is told "at its entry" does not see what the kernel did there before |
//! | `pay` | Relaxed | – | –: its caller has seen the csd linked; the notification that follows publishes that |
//! | `take` | Acquire | `push` | the target runs garbage |
//! | `enter_user` | Release | `push` | the other half of its Acquire |
//! | `enter_kernel` | Acquire | `push` | the target runs garbage; the kernel misses what was written before a deferred post |
//! | `open` | Release | `push` | who notifies for an accepted post finds the mailbox not open yet, and notifies nobody |
//! | `close` | Acquire | `push` | what was accepted is run as garbage (P8) |
//! | looks | Relaxed | – | – |
//!
//! The races of a deferred post, both ways. Against `enter_user`: *if the post comes first*, it finds `OWED` and notifies, so `enter_user`
//! finds a list that somebody notifies for, and leaves the CPU in the kernel. *If `enter_user` does*, the post finds `USER`. Against
//! `enter_kernel`: *if the post comes first*, the swap takes it, and it runs before anything else there. *If the swap does*, the post finds
//! `OWED` and notifies, like any other post to a CPU in the kernel. Since all of them read-modify-write one word, there is no third
//! order, and no fence.

use super::List;
use crate::csd::Header;
use crate::state::Urgency;
use crate::sync::{AtomicPtr, Ordering, const_unless_loom};
use core::ptr::without_provenance_mut;

/// In the kernel, and who posts deferred is to notify.
const OWED: usize = 1;
/// Alone: takes nothing.
const OFFLINE: usize = 2;
/// In user space.
const USER: usize = 4;

/// What the word held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lazies(*mut Header);

impl Lazies {
    /// What was pushed, newest first.
    #[inline(always)]
    pub(crate) fn list(self) -> List {
        List::of(self.0.map_addr(|addr| addr & !(OWED | OFFLINE | USER)))
    }

    /// Whether anything was pushed.
    #[inline(always)]
    pub(crate) fn has_any(self) -> bool {
        self.0.addr() > OWED | OFFLINE | USER
    }

    pub(crate) fn is_offline(self) -> bool {
        self.0.addr() == OFFLINE
    }

    pub(crate) fn is_in_user(self) -> bool {
        self.0.addr() & USER != 0
    }

    /// Whether a deferred poster owes a notification.
    pub(crate) fn is_owed(self) -> bool {
        self.0.addr() & OWED != 0
    }
}

/// What came of the wish to enter user space.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EnterUser {
    /// `USER` is in place.
    User,
    /// Somebody has posted deferred, and notifies: the list is to run first.
    Work,
    /// The CPU takes nothing.
    Offline,
}

/// The head word of one CPU's lazy and deferred posts.
pub(crate) struct LazyHead(AtomicPtr<Header>);

impl LazyHead {
    const_unless_loom! {
        /// A CPU that never came online.
        pub(crate) fn new() -> Self { Self(AtomicPtr::new(without_provenance_mut(OFFLINE))) }
    }

    /// Looks, without promise. Wait-free, and writes nothing.
    #[inline(always)]
    pub(crate) fn look(&self) -> Lazies {
        // Relaxed: decides nothing; whoever acts on it follows with a read-modify-write, or is the owner.
        Lazies(self.0.load(Ordering::Relaxed))
    }

    /// Puts a header in front of the list, and gives back what was there before; `None` if the CPU takes nothing. A deferred post
    /// that finds it [owed](Lazies::is_owed) notifies the CPU (I40). Lock-free (P9).
    ///
    /// # Safety
    ///
    /// As for [`Head::push`](super::Head::push).
    pub(crate) unsafe fn push(&self, header: &Header, urgency: Urgency, expected: Lazies) -> Option<Lazies> {
        let kept = if urgency == Urgency::Deferred { USER } else { USER | OWED };
        let mut seen = expected;
        while !seen.is_offline() {
            // SAFETY: the header is the caller's until the CAS below goes through.
            unsafe { header.set_next(seen.list().newest()) };
            let new = core::ptr::from_ref(header).cast_mut().map_addr(|addr| addr | seen.0.addr() & kept);
            // AcqRel: Release publishes the header to `take`, `close` and `enter_kernel`; Acquire shows a poster that finds the CPU
            // in user space what its kernel did before. Failure Relaxed: we try again with the newer value.
            match self.0.compare_exchange(seen.0, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(seen),
                Err(now) => seen = Lazies(now),
            }
        }
        None
    }

    /// Takes `OWED` off a list. `true`: the caller notifies the CPU, before it returns (I40). Lock-free.
    pub(crate) fn pay(&self) -> bool {
        let mut seen = self.look();
        while seen.has_any() && seen.is_owed() {
            let paid = seen.0.map_addr(|addr| addr & !OWED);
            // Relaxed: publishes nothing; whose csd it is for, was seen linked. Failure Relaxed: we try again.
            match self.0.compare_exchange(seen.0, paid, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = Lazies(now),
            }
        }
        false
    }

    /// Owner: takes the whole list; `None` if there is none: then nothing is written. Who flushes is in the kernel.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<List> {
        // A look first: an idle check must not write.
        if !self.look().has_any() {
            return None;
        }
        // Acquire: sees the headers that were pushed; pairs with `push`.
        Some(Lazies(self.0.swap(without_provenance_mut(OWED), Ordering::Acquire)).list())
    }

    /// Owner: is about to enter user space. What was posted lazily stays, and runs at the next entry.
    pub(crate) fn enter_user(&self) -> EnterUser {
        let mut seen = self.look();
        loop {
            if seen.is_in_user() {
                return EnterUser::User;
            }
            if !seen.is_owed() {
                return if seen.is_offline() { EnterUser::Offline } else { EnterUser::Work };
            }
            let user = seen.0.map_addr(|addr| addr & !OWED | USER);
            // Release: a poster that finds the CPU in user space sees what the kernel did here before; pairs with `push`.
            // Failure Relaxed: somebody has pushed, and we look at that.
            match self.0.compare_exchange(seen.0, user, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return EnterUser::User,
                Err(now) => seen = Lazies(now),
            }
        }
    }

    /// Owner: has entered the kernel. `Some`: it was in user space, and this is what has come meanwhile.
    #[inline]
    pub(crate) fn enter_kernel(&self) -> Option<List> {
        // The mark is the owner's own last write, to which others only pushed (I39).
        if !self.look().is_in_user() {
            return None;
        }
        // Acquire: sees the headers that were pushed, and what was written before; pairs with `push`.
        Some(Lazies(self.0.swap(without_provenance_mut(OWED), Ordering::Acquire)).list())
    }

    /// Owner: goes offline. Returns what was accepted until then.
    pub(crate) fn close(&self) -> List {
        // Acquire: sees the headers that were pushed; pairs with `push` (P8).
        Lazies(self.0.swap(without_provenance_mut(OFFLINE), Ordering::Acquire)).list()
    }

    /// Owner: comes online, in the kernel.
    pub(crate) fn open(&self) {
        let (offline, owed) = (without_provenance_mut(OFFLINE), without_provenance_mut(OWED));
        // Release: who pushes finds the mailbox open; pairs with `push`. Failure Relaxed: it was online, and nothing changes.
        let _ = self.0.compare_exchange(offline, owed, Ordering::Release, Ordering::Relaxed);
    }
}
