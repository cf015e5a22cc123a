//! Linux's protocol as a model: the words, the accesses and the barriers of kernel/smp.c since 5.7.
//!
//! ```text
//!   poster                                     target, flushing its queue
//!   message = value                            take the list            (xchg)
//!   flags & LOCK, a plain load → -EBUSY        flags = 0                (smp_store_release)
//!   flags = LOCK; push                         function: reads message
//! ```
//!
//! Each side stores to one place and then loads from the other, and nothing keeps the load behind the store.

use super::race::{self, Outcome, Protocol, Site};
use crate::pace::{Line, Pace, Place, linger_until, pin};
use crate::threads::spawn;
use anyhow::Result;
use indicatif::ProgressBar;
use smpcall_host::smpcall::Posted;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

const LOCK: u32 = 1;
/// The csd is in the queue.
const QUEUED: u32 = 1;

/// The csd and its target's queue.
struct Linux {
    flags: Line<AtomicU32>,
    queue: Line<AtomicU32>,
    stop: Line<AtomicBool>,
    pace: Pace,
}

impl Protocol for Linux {
    #[inline]
    fn post(&self) -> Result<Posted> {
        // Relaxed: `if (csd->node.u_flags & CSD_FLAG_LOCK) return -EBUSY`, a plain load.
        if self.flags.0.load(Ordering::Relaxed) & LOCK != 0 {
            return Ok(Posted::Busy { cpu: 0 });
        }
        // Relaxed: `csd->node.u_flags = CSD_FLAG_LOCK`, a plain store; the push publishes it.
        self.flags.0.store(LOCK, Ordering::Relaxed);
        // AcqRel: llist_add is a cmpxchg.
        self.queue.0.swap(QUEUED, Ordering::AcqRel);
        Ok(Posted::Queued)
    }
}

impl Linux {
    /// The target: looks at its queue until it is told to stop.
    fn flush_untilstopped(&self, site: &Site) {
        let look = || {
            // Relaxed: a look; the swap below takes the list. Relaxed: nothing but an end hangs on the stop.
            self.queue.0.load(Ordering::Relaxed) == QUEUED || self.stop.0.load(Ordering::Relaxed)
        };
        loop {
            while !self.pace.wait_until(look) {}
            // AcqRel: llist_del_all is an xchg.
            if self.queue.0.swap(0, Ordering::AcqRel) != QUEUED {
                return;
            }
            // Release: csd_unlock is `smp_store_release(&csd->node.u_flags, 0)`.
            self.flags.0.store(0, Ordering::Release);
            site.run();
        }
    }
}

/// Tells the target to stop, also when the race ended with an error.
struct Stop<'a>(&'a Linux);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // Relaxed: nothing but the end hangs on it.
        self.0.stop.0.store(true, Ordering::Relaxed);
    }
}

pub(super) fn race(place: &Place, posts: u64, bar: &ProgressBar) -> Result<Outcome> {
    let pace = place.pace();
    let site = Site::new();
    let linux = Linux {
        flags: Line(AtomicU32::new(0)),
        queue: Line(AtomicU32::new(0)),
        stop: Line(AtomicBool::new(false)),
        pace,
    };
    let started = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = Stop(&linux);
        let target = spawn(scope, || {
            let pinned = pin(place.target());
            // Relaxed: only says that it looks at its queue by now.
            started.store(true, Ordering::Relaxed);
            pinned.map(|()| linux.flush_untilstopped(&site))
        })?;
        pin(place.caller())?;
        // Relaxed: as above.
        linger_until(|| started.load(Ordering::Relaxed));
        let outcome = race::race(&linux, &site, posts, pace, bar);
        drop(stop);
        target.join().expect("the model does not panic")?;
        outcome
    })
}
