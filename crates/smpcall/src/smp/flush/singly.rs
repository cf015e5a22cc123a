//! The short way of a flush: what an interrupt finds on a CPU that does not poll is mostly one call, or one multicast, and
//! nothing else. Then there is nothing to turn round, to put in order, or to leave over, and a budget is never exceeded: none is 0.

use super::budget::Before;
use crate::percpu::{Batch, PerCpu, Storage};
use crate::platform::Platform;
use crate::queue::{GoIdle, List};
use crate::smp::Smp;
use crate::trace::{EventKind, trace};

/// How far the short way led.
pub(super) enum Singly {
    /// So many ran, the queue is empty, and the CPU at rest.
    All(u32),
    /// There is more than one at a time; this comes next.
    Further(Batch, Before),
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs what is queued, if it is one. What comes meanwhile goes the long way: mostly nothing does.
    #[inline(always)]
    pub(super) fn run_singly(&self, cpu: u32, here: &PerCpu) -> Singly {
        let list = here.mailbox.head.take(|_| ());
        // After the take, which may have been notified for them.
        let has_lazy = Self::has_lazy(here);
        match list {
            None if has_lazy => Singly::Further(Batch::EMPTY, Before::Nothing),
            None if here.mailbox.head.go_idle() == GoIdle::Idle => Singly::All(0),
            None => Singly::Further(Batch::EMPTY, Before::Lazy),
            Some(list) if has_lazy => Singly::Further(self.open(here, Some(list), true), Before::Lazy),
            Some(list) => match self.run_alone(cpu, here, list) {
                Err(batch) => Singly::Further(batch, Before::Lazy),
                Ok(()) if here.mailbox.head.go_idle_after_take() == GoIdle::Idle => Singly::All(1),
                Ok(()) => Singly::Further(Batch::EMPTY, Before::One),
            },
        }
    }

    /// Runs what was taken, if it is one; else says what it is.
    #[inline(always)]
    fn run_alone(&self, cpu: u32, here: &PerCpu, list: List) -> Result<(), Batch> {
        let at = list.newest();
        if at.is_null() {
            let slots = here.mailbox.callers.take(&here.running.collected);
            if slots == 0 || slots & (slots - 1) != 0 {
                let batch = Batch { slots, ..Batch::EMPTY };
                self.trace_batch(&batch);
                return Err(batch);
            }
            trace!(self, EventKind::Batch { len: 1 });
            here.own.set_in_call(true);
            // SAFETY: we took its bit, so this is its one acknowledgement (I11).
            unsafe { self.run_slot(cpu, here, slots.trailing_zeros()) };
        } else {
            // SAFETY: whatever is linked in a queue is alive (I5), and `take` made its fields ours (I2).
            if list.is_called() || !unsafe { (*at).next() }.is_null() {
                return Err(self.unfold(here, list));
            }
            trace!(self, EventKind::Batch { len: 1 });
            here.own.set_in_call(true);
            // SAFETY: as above; it is off the queue, so this is its one run. That it is awaited, the list says of no other.
            unsafe {
                if list.is_awaited() {
                    self.run_sync(here, at);
                } else {
                    self.run_async(cpu, here, at);
                }
            }
        }
        here.own.set_in_call(false);
        Ok(())
    }
}
