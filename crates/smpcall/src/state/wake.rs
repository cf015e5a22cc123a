//! The steps of a wake's word ([`crate::wake`]): it names its waiter where a csd's names its target.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `claim_wake` | Acquire | `unlock` | the link is written that the last flush still reads |
//! | `rely_on_wake` | Release, *successful* CAS | `unlock` | the wake-up misses what the waiter prepared before it parked; with a load, it is asked to come when it has come already |

use super::State;
use super::word::{COALESCED, CPU, CPU_SHIFT, KIND, Kind, LOCK, RUNS, waiting};
use crate::sync::Ordering;

impl State {
    /// Claims a wake for `waiter`; `false` if it is under way. Wait-free.
    pub(crate) fn claim_wake(&self, waiter: u16) -> bool {
        // Relaxed: a look; one that is locked is not worth a write.
        let free = self.0.load(Ordering::Relaxed);
        let want = waiting(waiter, Kind::Wake) | free & RUNS;
        // Acquire: the last flush has read the link before we write it; pairs with `unlock`. Failure Relaxed: somebody
        // was faster.
        free & LOCK == 0 && self.0.compare_exchange(free, want, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Returns whether this is a wake of `waiter` that is still to come; then it sees what the caller wrote. Lock-free.
    pub(crate) fn rely_on_wake(&self, waiter: u16) -> bool {
        // Relaxed: a look; the CAS below decides.
        let mut s = self.0.load(Ordering::Relaxed);
        while s & (LOCK | KIND | CPU) == waiting(waiter, Kind::Wake) {
            // Release, and successful even when it changes nothing: publishes what we prepared for our sleep to the
            // wake; pairs with `unlock`. Failure Relaxed: we look at the newer value.
            match self.0.compare_exchange(s, s | COALESCED, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => s = now,
            }
        }
        false
    }
}

const _: () = assert!(CPU >> CPU_SHIFT == u16::MAX as u32, "any waiter's number fits");
