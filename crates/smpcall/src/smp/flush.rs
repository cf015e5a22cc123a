//! The target's side: take the list, run it oldest first, and leave so that no doorbell is missed.

mod behind;
mod budget;
mod dispatch;
mod singly;
mod take;

pub use self::budget::Budget;
pub(super) use self::budget::Left;

use self::budget::{Before, Packed};
use self::singly::Singly;
use super::Smp;
use crate::percpu::{Batch, PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::{GoIdle, Seen};

/// What a flush came to.
#[must_use = "`More` means that a polling loop must flush again"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Everything that was there has run: that many functions.
    All(u32),
    /// The budget is used up, by that many functions, and there is more. A CPU that polls flushes again soon; any other
    /// has rung itself.
    More(u32),
    /// The CPU is in call context already: the flush that is under way will see to it.
    Nested,
    /// Nothing: the caller is no CPU of this machine.
    NotACpu,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Not for everybody: a CPU's thread has it by its handle ([`Cpu::flush`](super::Cpu::flush)), the handler of a doorbell by the
    /// port's machine ([`Machine::flush`](super::Machine::flush)).
    #[inline]
    pub(super) fn flush(&self, budget: Budget) -> Flushed {
        let _irq = IrqGuard::new(&self.platform);
        self.flush_guarded(budget)
    }

    /// As [`Self::flush`], with local interrupts off.
    #[inline(always)]
    pub(super) fn flush_guarded(&self, budget: Budget) -> Flushed {
        let cpu = self.platform.current_cpu().unwrap_or(u32::MAX);
        // (As an index: for an option LLVM computes the place twice.)
        if cpu as usize >= self.cpus().len() {
            return Flushed::NotACpu;
        }
        let here = &self.cpus()[cpu as usize];
        if here.own.in_call() {
            return Flushed::Nested;
        }
        self.run_queue(cpu, here, budget)
    }

    /// Runs until the queue is empty or the budget is used up: an interrupt's flush by the short way as long as that leads on.
    #[inline]
    fn run_queue(&self, cpu: u32, here: &PerCpu, budget: Budget) -> Flushed {
        if Self::has_left_over(here) {
            return self.run_backlog(cpu, here, budget.packed());
        }
        if Self::polls(here) {
            return self.run_batches(cpu, here, budget.packed(), Batch::EMPTY, Before::Nothing);
        }
        match self.run_singly(cpu, here) {
            Singly::All(ran) => Flushed::All(ran),
            Singly::Further(batch, before) => self.run_batches(cpu, here, budget.packed(), batch, before),
        }
    }

    /// As [`Self::run_queue`], from `batch` on.
    #[inline(never)]
    fn run_batches(
        &self,
        cpu: u32,
        here: &PerCpu,
        budget: Packed,
        mut batch: Batch,
        before: Before,
    ) -> Flushed {
        let mut left = budget.unpack().after(before);
        let mut lazy = before == Before::Nothing;
        let mut flood = false;
        loop {
            if batch.is_empty() {
                if !P::LEAVES_OVER && left.total() == 0 && matches!(here.mailbox.head.look(), Seen::List(_)) {
                    if !Self::polls(here) {
                        // The head stays as it is, a list, so nobody else will ring.
                        self.ring_oneself(cpu, here);
                    }
                    return Flushed::More(budget.unpack().total());
                }
                let list = self.take_list(here, flood);
                // Not a second time: what came in between would be put in front of what came before (P6).
                batch = self.open(here, list, core::mem::take(&mut lazy));
                // What is there when a batch has just run came while it ran.
                flood = Self::polls(here);
            }
            if batch.is_empty() {
                // Nothing there. A polling CPU stays POLLING; any other must say that it looks no more, and look again
                // if somebody was faster.
                if Self::polls(here) || here.mailbox.head.go_idle() == GoIdle::Idle {
                    return Flushed::All(budget.unpack().total() - left.total());
                }
                continue;
            }
            if P::LEAVES_OVER && left.is_used_up_for(&batch) {
                self.leave_over(cpu, here, batch);
                return Flushed::More(budget.unpack().total() - left.total());
            }
            batch = if P::POLLS {
                self.run_batch(cpu, here, batch, &mut left)
            } else {
                // An interrupt's flush seldom comes here.
                self.run_some(cpu, here, batch, &mut left)
            };
        }
    }
}
