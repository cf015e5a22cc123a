//! The steps of a csd's word that only lazy posts need.
//!
//! A lazy post claims with `LAZY`. A post that finds it so is told Busy and *expedites* the run: before the csd is linked it takes `LAZY`
//! off, and the lazy poster notifies; afterwards it notifies itself, and so does each further one. `LAZY` then stays: a csd does not
//! know its machine, and who expedites it by way of another one, where nobody is notified, must not keep those from it who can.
//!
//! A *deferred* post claims in the same way. One that finds a csd `LAZY` relies on it too, and is urgent only if the CPU is in the kernel,
//! which is not for this word to say: before the csd is linked it leaves `DEFERRED`, and the poster sees to it; afterwards it does so itself.
//!
//! ```text
//!   locked LAZY ── link: CAS, Release ──▶ locked LAZY LINKED: whoever expedites it notifies
//!      └────────── expedited: CAS ────────▶ locked ───── link: CAS, Release ────▶ locked LINKED: the lazy poster notifies
//! ```
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `link` | Release | `see_linked` | the target is notified, and misses the lazy push that it is notified for (P2) |
//! | `see_linked` | Acquire | `link` | the other half of the same |

use super::State;
use super::snapshot::Snapshot;
use super::word::{DEFERRED, LAZY, LINKED, LOCK, RUNS_SHIFT};
use crate::sync::Ordering;

/// What a lazy poster finds when its csd is linked.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    /// Nobody is urgent.
    Lazy,
    /// Somebody took `LAZY` off before it was linked: the lazy poster notifies the CPU.
    Expedited,
    /// Somebody who defers relied on it before it was linked: the poster notifies the CPU if that is in the kernel.
    Deferred,
    /// A flush was faster: the claim has ended.
    Run,
}

impl State {
    /// Lazy poster, after its push: says that a flush finds the csd now. `runs` is its claim's.
    pub(crate) fn link(&self, runs: u32) -> Linked {
        // Relaxed: a look; the CAS below decides.
        let mut s = self.0.load(Ordering::Relaxed);
        // A later claim of the same number, a multiple of 32 runs later, is only notified for once too often: its own poster
        // comes here as well.
        while s & LOCK != 0 && s >> RUNS_SHIFT == runs {
            // Release, and successful even when it changes nothing: publishes the push to whoever expedites it from now on;
            // pairs with `see_linked`. Failure Relaxed: we look at the newer value and try again.
            match self.0.compare_exchange(s, s | LINKED, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if s & LAZY == 0 => return Linked::Expedited,
                Ok(_) if s & DEFERRED != 0 => return Linked::Deferred,
                Ok(_) => return Linked::Lazy,
                Err(now) => s = now,
            }
        }
        Linked::Run
    }

    /// After a csd was seen linked: whoever looks at its list, or is notified, now finds the csd there.
    pub(crate) fn see_linked(&self) {
        // Acquire: what we saw or a later value, so it is in the release sequence of `link`, and sees the push before it.
        let _ = self.0.load(Ordering::Acquire);
    }

    /// Expedites the run of a lazily posted csd. `Some`: this CPU is to be notified, and will find it.
    pub(crate) fn expedite(&self) -> Option<u32> {
        // Relaxed: a look; the CAS below decides, or `see_linked` looks again.
        let mut s = self.0.load(Ordering::Relaxed);
        while Snapshot(s).is_lazy() {
            if s & LINKED != 0 {
                self.see_linked();
                return Snapshot(s).cpu();
            }
            // Relaxed: publishes nothing; the lazy poster sees it when it links. Failure Relaxed: we try again.
            match self.0.compare_exchange(s, s & !LAZY, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return None,
                Err(now) => s = now,
            }
        }
        None
    }
}
