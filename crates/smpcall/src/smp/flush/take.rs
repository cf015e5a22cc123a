//! What a flush takes: the list in the queue's head, the multicasts that it is called for, and the lazy posts; put in the order in
//! which they are to run.

use crate::csd::Header;
use crate::percpu::{Batch, PerCpu, Storage};
use crate::platform::Platform;
use crate::queue::{List, Seen};
use crate::smp::Smp;
use crate::trace::{EventKind, trace};

/// How often a CPU that polls lets posts come together before it runs them.
const GATHERINGS_MAX: u32 = 4;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// What a flush has taken, in the order in which it is to run; with the lazy ones, if these are wanted.
    #[inline]
    pub(super) fn open(&self, here: &PerCpu, list: Option<List>, lazy: bool) -> Batch {
        let mut batch = list.map_or(Batch::EMPTY, |list| self.unfold(here, list));
        // With a list that is called, they came out of `unfold`.
        if lazy && !list.is_some_and(List::is_called) {
            self.add_lazy(here, &mut batch);
        }
        batch
    }

    /// Takes what is queued. `flood`: it came while other calls ran, and more may be on its way.
    #[inline]
    pub(super) fn take_list(&self, here: &PerCpu, flood: bool) -> Option<List> {
        here.mailbox.head.take(|list| {
            self.platform.prefetch_write(list.newest().cast());
            if flood {
                self.gather(here, list);
            }
        })
    }

    /// What a list holds, in the order in which it is to run: oldest first, waiting calls apart from the others; and, if it is
    /// called, the lazy ones.
    #[inline]
    pub(in crate::smp) fn unfold(&self, here: &PerCpu, list: List) -> Batch {
        let mut batch = self.reverse(list.newest());
        if list.is_called() {
            batch.slots = here.mailbox.callers.take(&here.running.collected);
        }
        self.trace_batch(&batch);
        if list.is_called() {
            self.add_lazy(here, &mut batch);
        }
        batch
    }

    /// Lets a flood of posts come together, on a CPU that polls: as long as each short pause brings another call that nobody
    /// waits for, up to [`GATHERINGS_MAX`]. Else poster and target would pass the head's line to and fro for every post.
    #[inline]
    fn gather(&self, here: &PerCpu, mut list: List) {
        for _ in 0..GATHERINGS_MAX {
            if list.is_awaited() {
                return;
            }
            self.platform.gather();
            match here.mailbox.head.look() {
                Seen::List(newer) if newer != list => list = newer,
                _ => return,
            }
        }
    }

    /// Turns a list round that was taken off a head.
    #[inline]
    fn reverse(&self, newest: *const Header) -> Batch {
        let mut batch = Batch::EMPTY;
        let mut at = newest;
        while !at.is_null() {
            // SAFETY: whatever is linked in a queue is alive (I5), and `take` made its fields ours (I2).
            let header = unsafe { &*at };
            // SAFETY: as above.
            let next = unsafe { header.next() };
            let side = if header.state.look_racy().is_sync() { &mut batch.sync } else { &mut batch.r#async };
            if next != *side {
                // SAFETY: as above. Left out where nothing changes: a write takes the line away from its poster.
                unsafe { header.set_next(*side) };
            }
            *side = at;
            at = next;
        }
        batch
    }

    /// Puts the lazy ones that are there in front of the batch's asynchronous calls.
    #[inline]
    fn add_lazy(&self, here: &PerCpu, batch: &mut Batch) {
        if !P::LAZY_POSTS {
            return;
        }
        if let Some(list) = here.own.lazy.take() {
            // A flush that has found nothing else has left IDLE in the head, and would be rung while it runs them (P7).
            here.mailbox.head.start_polling();
            self.put_first(list, batch);
        }
    }

    #[cold]
    pub(in crate::smp) fn put_first(&self, list: List, batch: &mut Batch) {
        let lazy = self.reverse(list.newest());
        self.trace_batch(&lazy);
        debug_assert!(lazy.sync.is_null() && !lazy.r#async.is_null(), "only asynchronous csds are lazy");
        // Turned round, the newest is the last.
        // SAFETY: it is alive (I5), and ours since we took the list (I2).
        unsafe { (*list.newest()).set_next(batch.r#async) };
        batch.r#async = lazy.r#async;
    }

    /// A batch was taken, or nothing. Its length is counted only where somebody listens.
    #[inline(always)]
    pub(super) fn trace_batch(&self, batch: &Batch) {
        if !P::TRACES || batch.is_empty() {
            return;
        }
        let mut len = batch.slots.count_ones();
        for mut at in [batch.sync, batch.r#async] {
            while !at.is_null() {
                len += 1;
                // SAFETY: the batch's headers are alive and ours (I5, I2).
                at = unsafe { (*at).next() };
            }
        }
        trace!(self, EventKind::Batch { len });
    }
}
