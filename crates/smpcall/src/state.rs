//! The csd's state word: one of the two words that the whole protocol is made of.
//!
//! # Layout
//!
//! | bits | name | meaning |
//! |---|---|---|
//! | 0 | `LOCK` | claimed: queued, or about to be, or (a waiting call) running |
//! | 2 | `LAZY` | queued without a doorbell (Linux has its lazy flag there too) |
//! | 3 | `DEFERRED` | of a lazily posted csd that is not linked yet: a deferred post relies on it |
//! | 4–7 | kind | `ASYNC` 0x00, `SYNC` 0x10, as in Linux; `DETACHED` 0x40, `BLOCKING` 0x50, `FOREIGN` 0x60, which Linux (up to 0x30) leaves free; 0x20 and 0x30 are no csds: see [`crate::foreign`] |
//! | 8–23 | CPU + 1 | locked: the target; free: where it ran last; 0: nowhere yet. A waiting or blocking call: who is to be woken |
//! | 24 | `COALESCED` | somebody was told Busy since the claim (or since the last `cancel`) |
//! | 25 | `CANCELLED` | still linked in the queue, but its run was taken away |
//! | 25 | `DEQUEUED` | of a blocking call: its target has taken it off the queue, for its thread to run |
//! | 26 | `PARKED` | of a waiting call: its caller sleeps; whoever completes it must wake it |
//! | 26 | `LINKED` | of a lazily posted csd: it is in the list of the lazy ones, where a flush finds it |
//! | 27–31 | runs | how often it was unlocked, modulo 32: tells one pending run from the next |
//!
//! # Transitions of an asynchronous csd
//!
//! ```text
//!            claim: CAS, Acquire                      cancel: CAS, Acquire
//!   free ───────────────────────────▶ locked(cpu) ───────────────────────▶ locked(cpu) CANCELLED
//!    ▲                                 │      ▲ lost: CAS +COALESCED, Release      │        │
//!    │                                 │      └─ (told Busy)                  │        │
//!    │                                 │      ◀────────────────────────────────┘        │
//!    │   unlock: swap, AcqRel          │         revive: CAS −CANCELLED +COALESCED, Release  │
//!    └─────────────────────────────────┴────────────────────────────────────────────────┘
//! ```
//!
//! A foreign csd for the caller's own CPU, which runs at once, goes from free to free in one step, `pass`: CAS, Relaxed.
//!
//! Lazy posts have steps of their own: see `state/lazy.rs`.
//!
//! # Invariants
//!
//! - **I1** Nothing but read-modify-writes ever writes the word of a csd that others may post. So the writes form
//!   one release sequence: whoever unlocks sees what *every* loser wrote before it was told Busy (P2).
//! - **I2** Between a won claim and the unlock, `next`, `func` and `arg` belong to one side: the poster until its
//!   push, the target after it took the list. Neither touches them after the unlock.
//! - **I3** Kind, CPU and runs do not change while the word is locked.
//! - **I4** A waiting call's word has one owner who waits: it starts locked, is never claimed, and nothing but its
//!   owner touches it after its completion.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `claim`, look | Relaxed | – | – |
//! | `claim`, won | Acquire | `unlock` | the new poster writes fields that the last flush still reads (P11) |
//! | `claim_unshared` | Acquire | `unlock` | the same, of a detached call's slot |
//! | `claim`, lost or revived | Release, *successful* CAS | `unlock` | told Busy, and the run misses the writes (P2) |
//! | `pass` | Relaxed | – | –: nobody was told Busy, and no field that the core writes is read |
//! | `unlock` | AcqRel | lost `claim` / won `claim` | as the two rows above |
//! | `set_dequeued` | Relaxed | – | –: for reports; a read-modify-write only so that `PARKED` is not lost |
//! | `cancel` | Acquire | lost `claim` | the canceller does not see what those wrote whom it now owes (P2) |
//! | `complete` | AcqRel, swap | `is_done` / `park` | Acquire: the caller reads a half-written result (P4). Release: the wake-up misses what the caller prepared. A store: it sleeps for ever |
//! | `complete_spinning` | Release | `is_done` | the caller reads a half-written result (P4) |
//! | `park` | Release | `complete` | the wake-up misses what the caller prepared before it parked |
//! | `is_done` | Acquire | `complete` | the caller reads a half-written result (P4) |
//! | `look` | Acquire | `unlock` | `wait` sees the csd free but not that its target runs it |
//!
//! P2 as a race, both ways. *If the loser's CAS comes first* in the word's order, the unlock's swap reads from it
//! or from a later link of its release sequence (I1), and the function, which starts after the swap, sees all that
//! the loser wrote. *If the unlock comes first*, the loser's CAS does not find the word locked and it wins a claim
//! of its own. There is no third order, on any memory model.

#[cfg(all(test, not(loom), not(smpcall_sim)))]
mod every_word;
mod lazy;
mod snapshot;
mod waiting;
mod wake;
mod word;

pub(crate) use self::lazy::Linked;
pub(crate) use self::snapshot::Snapshot;
pub(crate) use self::waiting::Park;
pub(crate) use self::word::Kind;
#[cfg(smpcall_sim)]
pub use self::word::{state, state_names};

use self::word::{CANCELLED, COALESCED, CPU_SHIFT, DEFERRED, LAZY, LINKED, LOCK, RUNS, locked, unlocked};
use crate::sync::{Ordering, StateWord, const_unless_loom};

/// Whether a post is to run soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Its target is rung if it rests.
    Now,
    /// It rides along with its target's next flush.
    Lazy,
    /// As `Lazy` while its target is in user space; else as `Now`.
    Deferred,
}

/// What a claim came to, and what the caller owes now.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The fields are the caller's; it must push the csd, or unlock it.
    Won,
    /// A run on this CPU is still to begin and will see what the caller wrote (P2). Nothing is owed.
    Busy(u32),
    /// As `Busy`, and that run is a lazy one: the CPU is to be notified, once [`State::see_linked`] was called.
    Expedited(u32),
    /// Cancelled, and still linked in the queue of this other CPU. No run is promised.
    Cancelled(u32),
}

/// The word itself.
#[repr(transparent)]
pub(crate) struct State(StateWord);

impl State {
    const_unless_loom! {
        /// Free, never posted.
        pub(crate) fn new() -> Self { Self(StateWord::new(0)) }
    }

    /// The word's memory is given back: whoever still touches it fails the model.
    #[cfg(loom)]
    pub(crate) fn leave(&mut self) {
        self.0.leave();
    }

    /// Claims an asynchronous csd for `cpu`, or leaves word that somebody relies on its run.
    ///
    /// Lock-free: goes round again only when somebody else's claim, unlock or first Busy went through (P9).
    #[inline]
    pub(crate) fn claim(&self, cpu: u32, urgency: Urgency) -> Claim {
        self.claim_as(Kind::Async, cpu, urgency)
    }

    /// As [`Self::claim`], for a run of that kind.
    #[inline(always)]
    pub(crate) fn claim_as(&self, kind: Kind, cpu: u32, urgency: Urgency) -> Claim {
        let lazy = if urgency == Urgency::Now { 0 } else { LAZY };
        // Relaxed: a look; the CAS below, or that of `rely_on`, decides.
        let mut s = self.0.load(Ordering::Relaxed);
        loop {
            if s & LOCK != 0 {
                match self.rely_on(s, cpu, urgency) {
                    Ok(lost) => return lost,
                    Err(now) => s = now,
                }
                continue;
            }
            let want = locked(kind, cpu) | lazy | s & RUNS;
            // Acquire: the last flush has read next, func and arg before we write them; pairs with `unlock`.
            // Failure Relaxed: we look at the newer value and try again.
            match self.0.compare_exchange(s, want, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Claim::Won,
                Err(now) => s = now,
            }
        }
    }

    /// Claims the word of an object that others may claim, and on whose run nobody but its claimant relies; `false` if it
    /// is locked. Wait-free.
    #[inline]
    pub(crate) fn claim_unshared(&self, cpu: u32, kind: Kind) -> bool {
        // Relaxed: a look; one that is locked is not worth a write.
        let free = self.0.load(Ordering::Relaxed);
        let want = locked(kind, cpu) | free & RUNS;
        // Acquire: the last flush has read the fields before we write them; pairs with `unlock`. Failure Relaxed: somebody
        // was faster.
        free & LOCK == 0 && self.0.compare_exchange(free, want, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Leaves word that somebody relies on the run of a csd that is claimed already; `None` if it is free. Never wins a
    /// claim, so nobody can have to wait for the caller, and it needs no irq guard.
    #[inline]
    pub(crate) fn rely(&self, cpu: u32, urgency: Urgency) -> Option<Claim> {
        // Relaxed: a look; the CAS below decides.
        let mut s = self.0.load(Ordering::Relaxed);
        while s & LOCK != 0 {
            match self.rely_on(s, cpu, urgency) {
                Ok(lost) => return Some(lost),
                Err(now) => s = now,
            }
        }
        None
    }

    /// As [`Self::rely`], one try, of a word that was seen locked; mostly that is enough. `true`: a run is still to begin on its CPU.
    #[inline(always)]
    pub(crate) fn rely_once(&self, seen: Snapshot) -> bool {
        seen.0 & (CANCELLED | LAZY) == 0 && self.rely_on(seen.0, 0, Urgency::Now).is_ok()
    }

    /// Claims a foreign csd and lets go of it in one step, for a run that begins at once on `cpu`, and for which the caller has read
    /// the fields: nobody is told Busy in between. `seen` was free. `false`: somebody was faster.
    #[inline(always)]
    pub(crate) fn pass(&self, cpu: u32, seen: Snapshot) -> bool {
        // Relaxed: nobody relies on a word that was never locked (P2); of the fields only those were read that their poster writes, who
        // comes to know by the run's own writes that it has begun. Failure Relaxed: the caller posts it like any other.
        self.0.compare_exchange(seen.0, unlocked(cpu, seen.0), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// One try to be told Busy by the claim seen in `s`; `Err` is the word's newer value.
    #[inline]
    fn rely_on(&self, s: u32, cpu: u32, urgency: Urgency) -> Result<Claim, u32> {
        if s & (CANCELLED | LAZY) != 0 {
            return self.rely_on_marked(s, cpu, urgency);
        }
        let told = s | COALESCED;
        self.tell(s, told, Claim::Busy((s >> CPU_SHIFT & 0xffff) - 1))
    }

    /// The same for a claim that is cancelled, or lazy.
    #[cold]
    fn rely_on_marked(&self, s: u32, cpu: u32, urgency: Urgency) -> Result<Claim, u32> {
        let target = (s >> CPU_SHIFT & 0xffff) - 1;
        if s & CANCELLED != 0 && target != cpu {
            return Ok(Claim::Cancelled(target));
        }
        // A post to the same CPU gives a cancelled csd its run back. It is told Busy, not Ok: the run still hangs on
        // the owner's push, and COALESCED is how the owner learns of us should that push be refused.
        let told = (s | COALESCED) & !CANCELLED;
        // Who is urgent takes LAZY off if the csd is not linked yet: its poster sees that, and notifies in our place. If it is
        // linked, it may be in another machine's list, whose own posters are still to expedite it: LAZY stays, and we only try.
        match urgency {
            Urgency::Now | Urgency::Deferred if s & (LAZY | LINKED) == LAZY | LINKED => {
                self.tell(s, told, Claim::Expedited(target))
            }
            Urgency::Now => self.tell(s, told & !LAZY, Claim::Busy(target)),
            // Who defers does not know where the CPU is: the poster who links the csd sees to it.
            Urgency::Deferred if s & LAZY != 0 => self.tell(s, told | DEFERRED, Claim::Busy(target)),
            Urgency::Deferred | Urgency::Lazy => self.tell(s, told, Claim::Busy(target)),
        }
    }

    #[inline]
    fn tell(&self, s: u32, told: u32, lost: Claim) -> Result<Claim, u32> {
        // Release, and successful even when it changes nothing: publishes what the caller wrote to the run (P2);
        // pairs with `unlock`. A failed CAS would only be a load. Failure Relaxed: the caller tries again.
        self.0.compare_exchange(s, told, Ordering::Release, Ordering::Relaxed).map(|_| lost)
    }

    /// Lets go of an asynchronous csd: by its target before the function starts, or by a poster whose push was
    /// refused. Returns what the word was: `COALESCED` and `CANCELLED` are the caller's to answer for.
    #[inline]
    pub(crate) fn unlock(&self, cpu: u32) -> Snapshot {
        self.unlock_seen(cpu, self.look_racy())
    }

    /// As [`Self::unlock`], for one who has looked at the word since it was locked: the count of runs has not changed (I3).
    #[inline]
    pub(crate) fn unlock_seen(&self, cpu: u32, seen: Snapshot) -> Snapshot {
        let free = unlocked(cpu, seen.0);
        // AcqRel: sees what every loser wrote (its half of P2), and publishes that the fields were read to the next
        // `claim`. A swap, not a store: a store would cut the losers' release sequence (I1).
        Snapshot(self.0.swap(free, Ordering::AcqRel))
    }

    /// Takes the pending run away. `Some` is the word just before: `COALESCED` means that the caller owes those.
    pub(crate) fn cancel(&self) -> Option<Snapshot> {
        // Relaxed: a first look; the CAS below decides.
        let mut s = self.0.load(Ordering::Relaxed);
        while Snapshot(s).is_pending() && !Snapshot(s).is_sync() {
            // COALESCED goes with the debt: from here on the canceller answers for those told before, and a fresh COALESCED
            // is of those who revived it after.
            let cancelled = (s | CANCELLED) & !COALESCED;
            // Acquire: sees what those wrote who were told Busy; pairs with the lost `claim`. Nothing to publish: a
            // read-modify-write leaves the losers' release sequence whole (I1), and the canceller posts anew if it
            // wants its own writes seen. Failure Relaxed: we look at the newer value and try again.
            match self.0.compare_exchange(s, cancelled, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Snapshot(s)),
                Err(now) => s = now,
            }
        }
        None
    }

    /// Reads the word for `wait`.
    pub(crate) fn look(&self) -> Snapshot {
        // Acquire: whoever sees it free also sees which csd its target published as running; pairs with `unlock`.
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Reads the word for a look that promises nothing.
    pub(crate) fn look_racy(&self) -> Snapshot {
        // Relaxed: the answer may be old by the time it is read; the kind and the CPU of a locked word are not (I3).
        Snapshot(self.0.load(Ordering::Relaxed))
    }
}
