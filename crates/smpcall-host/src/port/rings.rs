//! The doorbells: the latch, and beyond it what the CPU's thread has chosen.

use super::{Host, drop_payload};
use crate::doorbell::Doorbell;
use crate::latch::Rang;
use smpcall::RingError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// What a doorbell is asked for.
type How = fn(&dyn Doorbell) -> Result<(), RingError>;

impl<T> Host<T> {
    /// Says what ends the sleeps in the thread's own loop of `cpu` from now on.
    pub(crate) fn set_bell(&self, cpu: u32, bell: Option<Arc<dyn Doorbell>>) {
        let before = {
            let mut place = self.cpu(cpu).bell.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *place, bell)
        };
        // It is the user's, as is what its drop does.
        drop(before);
    }

    pub(crate) fn ring_doorbell(&self, cpu: u32) -> Result<(), RingError> {
        self.ring_doorbell_by(cpu, |bell| bell.ring())
    }

    /// A ring that the core asks for, and that is counted.
    pub(super) fn ring_counted(&self, cpu: u32, ring: How) -> Result<(), RingError> {
        // Relaxed: a statistic.
        self.cpu(cpu).counts.rings.fetch_add(1, Ordering::Relaxed);
        self.ring_doorbell_by(cpu, ring)
    }

    /// `ring` is for a doorbell that has to end a sleep in the thread's own loop.
    fn ring_doorbell_by(&self, cpu: u32, ring: How) -> Result<(), RingError> {
        match self.cpu(cpu).latch.ring() {
            Rang::Latched | Rang::Merged => return Ok(()),
            Rang::Woke => {}
            Rang::Outside => self.ring_outside(cpu, ring)?,
        }
        // Relaxed: a statistic.
        self.cpu(cpu).counts.wakes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the sleep that the thread of `cpu` sleeps in its own loop.
    #[cold]
    fn ring_outside(&self, cpu: u32, ring: How) -> Result<(), RingError> {
        // Held by a thread that attaches or detaches at this moment: nothing waits for it here.
        let bell = self.cpu(cpu).bell.try_read().ok().and_then(|bell| bell.clone());
        // The last to hold it drops it, in there too.
        let ring = || bell.map_or(Err(RingError), |bell| ring(&*bell));
        let rang = catch_unwind(AssertUnwindSafe(ring)).unwrap_or_else(|panic| {
            self.count_panic(cpu);
            drop_payload(panic);
            Err(RingError)
        });
        if rang.is_err() {
            self.cpu(cpu).latch.unring();
        }
        rang
    }
}
