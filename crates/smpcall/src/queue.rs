//! The queue's head word: the other of the two words that the whole protocol is made of.
//!
//! One word for each CPU, and it is a list of headers *or* one of three marks. A list carries three bits more: `AWAITED`,
//! somebody waits for a call in it; `OWED`, its doorbell failed; and `CALLED`, some CPU multicasts, and the bits of [`crate::multicast`] say who, or somebody
//! expedites a lazy post. With `CALLED` a list may have no header at all.
//!
//! A CPU has a second head, of another kind, for lazy and for deferred posts: [`lazy`].
//!
//! | head | meaning | a push that replaces it | who writes it |
//! |---|---|---|---|
//! | `IDLE` | the CPU runs something else, or sleeps | pushes, and **owes the ring** | owner: `go_idle`, `open` |
//! | `POLLING` | the CPU is looking: idle loop, event loop, or in a flush | pushes | owner: `take`, `start_polling` |
//! | `OFFLINE` | the CPU takes nothing | is refused | owner: `close` |
//! | a list, newest first | somebody rang already, or nobody needed to | pushes | anyone: `push`, `notify`, `pay` |
//! | a list with `OWED` | somebody rang, and the port said that it did not get through | pushes, and **owes the ring** | anyone: `owe` |
//!
//! ```text
//!          push, notify: CAS, AcqRel (rings)
//!     IDLE ───────────────────────────────▶ list ──┐ push, notify: CAS, AcqRel
//!      ▲ │                                  ▲  │ ▲─┘
//!      │ └ start_polling: CAS ┐        push: CAS │  │ take: swap, Acquire
//!      │                 ▼                  │  ▼
//!      └───────────────────────────────── POLLING          close: swap, Acquire  (from any of the three)
//!          go_idle: CAS, Release                              open:  CAS, Release   OFFLINE ──▶ IDLE
//! ```
//!
//! So one compare-and-swap decides acceptance, doorbell and refusal at once (P7, P8): there is no "sleeping" flag
//! beside the queue, no fence, and no stop-the-machine.
//!
//! # Invariants
//!
//! - **I7** Only the owner replaces a list by a mark, or a mark by another; everyone else only pushes. So the owner's
//!   own last write, if no push came since, is what it reads.
//! - **I8** Whoever takes `OWED` off the head, or replaces `IDLE` (whose word is that bit alone), rings before it returns; if the
//!   port cannot ring, it puts `OWED` back onto the list. So a list is never left with nobody to look at it: its first entry's poster
//!   rings, or the owner is looking and finds it when it tries to `go_idle`, or whoever comes next rings: the next push, a waiter, the
//!   watchdog, or [`Smp::ring_owed`](crate::Smp::ring_owed).
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `push` | AcqRel | `take`, `close` / `go_idle`, `open` | Release: the target runs garbage. Acquire: the ring reads a doorbell that the target has not prepared yet |
//! | `notify` | AcqRel, *successful* CAS | `take`, `close` / `go_idle`, `open` | Release: the target takes the list and misses the caller's bit, which nobody looks at again. Acquire: as for `push` |
//! | `owe` | Relaxed | – | – : a read-modify-write continues the release sequences of those before it |
//! | `pay` | Acquire | `go_idle`, `open` | as for `push`: the ring that follows is the same |
//! | `take` | Acquire | `push`, `notify` | the target runs garbage, or misses a bit |
//! | `go_idle` | Release | `push` | the ringer does not see what the target prepared before it went idle |
//! | `open` | Release | `push` | as for `go_idle`, of a CPU that comes online |
//! | `close` | Acquire | `push`, `notify` | a call accepted before is run as garbage, or missed (P8) |
//! | looks | Relaxed | – | – |
//!
//! P7 as a race, both ways: a push against a flush that leaves. *If the push comes first*, `go_idle` finds a list in
//! place of `POLLING`, fails, and the flush goes round again. *If `go_idle` comes first*, the push replaces `IDLE` and
//! owes the ring.
//!
//! A ring that failed, both ways: `owe` against a flush. *If `owe` comes first*, the flush takes the list, `OWED` or not. *If the flush
//! does*, `owe` finds its mark, and nothing is owed; or a newer list, whose first entry has been rung for, and the next one that comes
//! rings once too often. Against a push: *if `owe` comes first*, the push takes `OWED` off and rings; *if the push does*, its poster is
//! told that somebody has rung, and the debt stays on the list for whoever comes next.

#[cfg(all(test, not(loom), not(smpcall_sim)))]
mod every_word;
mod lazy;
mod owed;
mod word;

pub(crate) use self::lazy::{EnterUser, Lazies, LazyHead};
pub(crate) use self::word::{List, Seen, Word};
#[cfg(smpcall_sim)]
pub use self::word::{head, head_names};

use crate::csd::Header;
use crate::sync::{HeadWord, Ordering, const_unless_loom};

/// What a push came to, and what the poster owes now.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pushed {
    /// The target was not looking, or its doorbell had failed: the poster rings, before it returns (I8).
    Ring,
    /// The target is looking, or was rung already.
    Seen,
    /// The CPU is offline, nothing was queued, and the claims are still the poster's.
    Refused,
}

/// What came of the wish to go idle.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GoIdle {
    /// `IDLE` is in place: the next poster rings.
    Idle,
    /// There is a list to run first.
    Work,
}

/// The head word of one CPU's queue.
pub(crate) struct Head(HeadWord<Header>);

impl Head {
    const_unless_loom! {
        /// A CPU that never came online.
        pub(crate) fn new() -> Self { Self(HeadWord::new(Seen::OFFLINE_WORD)) }
    }

    /// Looks, without promise. Wait-free, and writes nothing: an idle check must not.
    #[inline]
    pub(crate) fn look(&self) -> Seen {
        // Relaxed: decides nothing; whoever acts on it follows with a read-modify-write.
        Seen::of(self.0.load(Ordering::Relaxed))
    }

    /// As [`Self::look`], for whoever is going to replace it.
    #[inline]
    pub(crate) fn look_word(&self) -> Word {
        // Relaxed: as above.
        Word::of(self.0.load(Ordering::Relaxed))
    }

    /// Puts the chain from `newest` to `oldest` in front of the list; `awaited` if its one header is a call that somebody waits
    /// for. `expected` is what the head may hold: a wrong one costs a try, a right one saves the load that would fetch the line a
    /// first time, and all that hangs on it where it is a constant. Lock-free: after the first try it goes round again only when
    /// somebody else's step went through (P9).
    ///
    /// # Safety
    ///
    /// The chain's headers are the caller's (I2), linked from `newest` to `oldest`, and stay alive and in place until
    /// the target lets go of each (I5).
    #[inline(always)]
    pub(crate) unsafe fn push(
        &self,
        newest: &Header,
        oldest: &Header,
        awaited: bool,
        expected: Seen,
    ) -> Pushed {
        // SAFETY: the caller's promise.
        match unsafe { self.try_push(newest, oldest, awaited, expected) } {
            Ok(pushed) => pushed,
            // SAFETY: as above; nothing was pushed.
            Err(now) => unsafe { self.push_after(now, newest, oldest, awaited) },
        }
    }

    /// The rest of a push whose first try found something else.
    ///
    /// # Safety
    ///
    /// As for [`Self::push`].
    #[inline(never)]
    unsafe fn push_after(&self, mut seen: Seen, newest: &Header, oldest: &Header, awaited: bool) -> Pushed {
        loop {
            // SAFETY: the caller's promise; nothing was pushed yet.
            match unsafe { self.try_push(newest, oldest, awaited, seen) } {
                Ok(pushed) => return pushed,
                Err(now) => seen = now,
            }
        }
    }

    /// As [`Self::push`] of one header, but only where no ring is owed for it; `false` if nothing was pushed.
    ///
    /// # Safety
    ///
    /// As for [`Self::push`].
    pub(crate) unsafe fn push_unless_idle(&self, header: &Header) -> bool {
        let mut seen = self.look();
        while !(seen.owes_the_ring() || seen == Seen::Offline) {
            // SAFETY: the caller's promise; nothing was pushed yet.
            match unsafe { self.try_push(header, header, false, seen) } {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// One try. `Err`: the head's newer value, and nothing was pushed.
    ///
    /// # Safety
    ///
    /// As for [`Self::push`].
    #[inline(always)]
    unsafe fn try_push(
        &self,
        newest: &Header,
        oldest: &Header,
        awaited: bool,
        seen: Seen,
    ) -> Result<Pushed, Seen> {
        if seen == Seen::Offline {
            return Ok(Pushed::Refused);
        }
        let below = List::of(seen.word());
        // SAFETY: the chain is the caller's until the CAS below goes through.
        unsafe { oldest.set_next(below.newest()) };
        let new = Seen::List(below.with_newest(newest, awaited)).word();
        // AcqRel: Release publishes the headers to `take` and `close`; Acquire sees, for the ring that may follow,
        // what the target prepared before `go_idle` or `open`. Failure Relaxed: we try again with the newer value.
        match self.0.compare_exchange(seen.word(), new, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) if seen.owes_the_ring() => Ok(Pushed::Ring),
            Ok(_) => Ok(Pushed::Seen),
            Err(now) => Err(Seen::of(now)),
        }
    }

    /// Says that somebody multicasts to this CPU, after having set its bit there. `expected` as for [`Self::push`]. Lock-free.
    #[inline]
    pub(crate) fn notify(&self, expected: Word) -> Pushed {
        let mut seen = expected;
        while seen != Word::OFFLINE {
            // Of a mark, too: it is the empty list.
            let new = List::of(seen.word()).called();
            // AcqRel, and successful even when it changes nothing: Release publishes the caller's bit to `take` and
            // `close`, as P2's loser does; Acquire as for `push`. Failure Relaxed: we try again with the newer value.
            match self.0.compare_exchange(seen.word(), new.word(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if seen.owes_the_ring() => return Pushed::Ring,
                Ok(_) => return Pushed::Seen,
                Err(now) => seen = Word::of(now),
            }
        }
        Pushed::Refused
    }

    /// Owner: takes the whole list and leaves `POLLING`; `None` if there is none: then nothing is written. `ahead` is given
    /// the newest entry just before, to ask for its line while the swap asks for ours.
    #[inline]
    pub(crate) fn take(&self, ahead: impl FnOnce(List)) -> Option<List> {
        // A look first: an idle check must not write.
        let Seen::List(list) = self.look() else { return None };
        ahead(list);
        // Acquire: sees the headers that were pushed and the bits that were set; pairs with `push` and `notify`.
        let list = self.0.swap(Seen::Polling.word(), Ordering::Acquire);
        debug_assert!(matches!(Seen::of(list), Seen::List(_)), "I7: only the owner replaces a list");
        Some(List::of(list))
    }

    /// Owner: says that it is looking, so that posters need not ring. Keeps a list, and `OFFLINE`.
    pub(crate) fn start_polling(&self) {
        // Relaxed: publishes nothing; a poster that sees POLLING only leaves out its ring.
        // Failure Relaxed: a list is there, or the mark is there already.
        let _ = self.0.compare_exchange(
            Seen::Idle.word(),
            Seen::Polling.word(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Owner: stops looking. If that fails there is work, and the owner must look once more. Writes nothing if it is
    /// not looking anyway.
    #[inline]
    pub(crate) fn go_idle(&self) -> GoIdle {
        // By I7 that is our own mark, or a push has replaced it since, and rings (I8).
        match self.look() {
            Seen::Idle | Seen::Offline => GoIdle::Idle,
            Seen::List(_) => GoIdle::Work,
            Seen::Polling => self.go_idle_after_take(),
        }
    }

    /// Owner, after a take: as [`Self::go_idle`], but for the look, since mostly nothing came meanwhile.
    #[inline]
    pub(crate) fn go_idle_after_take(&self) -> GoIdle {
        // Release: whoever rings sees what we prepared before we go idle; pairs with `push`.
        // Failure Relaxed: a list came, and `take` follows.
        match self.0.compare_exchange(
            Seen::Polling.word(),
            Seen::Idle.word(),
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            Ok(_) => GoIdle::Idle,
            Err(_) => GoIdle::Work,
        }
    }

    /// Owner: goes offline. Returns what was accepted until then.
    pub(crate) fn close(&self) -> List {
        // Acquire: sees the headers that were pushed and the bits that were set; pairs with `push` and `notify` (P8).
        match Seen::of(self.0.swap(Seen::Offline.word(), Ordering::Acquire)) {
            Seen::List(list) => list,
            Seen::Idle | Seen::Polling | Seen::Offline => List::EMPTY,
        }
    }

    /// Owner: comes online. `false` if it was online.
    pub(crate) fn open(&self) -> bool {
        // Release: whoever rings sees what we prepared before we came online; pairs with `push`.
        // Failure Relaxed: it was online, and nothing changes.
        self.0
            .compare_exchange(Seen::Offline.word(), Seen::Idle.word(), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}
