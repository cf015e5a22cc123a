//! The target's side: take the list, run it oldest first, and leave so that no doorbell is missed.

mod dispatch;
mod singly;
mod take;

use self::singly::Singly;
use super::Smp;
use crate::percpu::{Batch, PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::GoIdle;
use core::num::NonZeroU32;

/// How many functions a flush may run before it lets its CPU do something else.
///
/// ```
/// use core::num::NonZeroU32;
/// use smpcall::{Budget, Cpu, Flushed, Platform, Storage};
///
/// fn some<P: Platform, S: Storage>(cpu: &mut Cpu<'_, P, S>) -> bool {
///     // At most 16; what is left rings again.
///     cpu.flush(Budget::calls(NonZeroU32::new(16).unwrap())) == Flushed::All(16)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(NonZeroU32);

impl Budget {
    /// For an interrupt handler or an event loop: 256 functions.
    pub const DEFAULT: Self = Self::calls(NonZeroU32::new(256).unwrap());

    /// That many functions.
    pub const fn calls(calls: NonZeroU32) -> Self {
        Self(calls)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a flush came to.
#[must_use = "`More` means that a polling loop must flush again"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Everything that was there has run: that many functions.
    All(u32),
    /// The budget, that many functions, is used up, and there is more. A CPU that polls flushes again soon; any other
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
        let irq = IrqGuard::new(&self.platform);
        let cpu = self.platform.current_cpu().unwrap_or(u32::MAX);
        // (As an index: for an option LLVM computes the place twice.)
        if cpu as usize >= self.cpus().len() {
            return Flushed::NotACpu;
        }
        let here = &self.cpus()[cpu as usize];
        if here.own.in_call() {
            return Flushed::Nested;
        }
        let mut left = budget.0.get();
        let flushed = self.run_queue(cpu, here, &mut left);
        drop(irq);
        let ran = budget.0.get() - left;
        if flushed { Flushed::All(ran) } else { Flushed::More(ran) }
    }

    /// Runs until the queue is empty (`true`) or the budget is used up (`false`): an interrupt's flush by the short way as long
    /// as that leads on.
    #[inline]
    fn run_queue(&self, cpu: u32, here: &PerCpu, left: &mut u32) -> bool {
        let own = &*here.own;
        if own.polling() || own.has_left_over() {
            return self.run_batches(cpu, here, left, own.take_left_over(), true);
        }
        match self.run_singly(cpu, here, left) {
            Singly::All => true,
            Singly::Further { batch, lazy } => self.run_batches(cpu, here, left, batch, lazy),
        }
    }

    /// As [`Self::run_queue`], from `batch` on. `lazy`: the lazy ones were not taken yet.
    #[inline(never)]
    fn run_batches(&self, cpu: u32, here: &PerCpu, left: &mut u32, mut batch: Batch, mut lazy: bool) -> bool {
        let own = &*here.own;
        let mut flood = false;
        loop {
            if batch.is_empty() {
                let list = self.take_list(here, flood);
                // Not a second time: what came in between would be put in front of what came before (P6).
                batch = self.open(here, list, core::mem::take(&mut lazy));
                // What is there when a batch has just run came while it ran.
                flood = own.polling();
            }
            if batch.is_empty() {
                // Nothing there. A polling CPU stays POLLING; any other must say that it looks no more, and look again
                // if somebody was faster.
                if own.polling() || here.mailbox.head.go_idle() == GoIdle::Idle {
                    return true;
                }
                continue;
            }
            if *left == 0 {
                own.leave_over(batch);
                if !own.polling() {
                    // The head stays as it is, POLLING or a list, so nobody else will ring.
                    self.ring_oneself(cpu, here);
                }
                return false;
            }
            batch = self.run_batch(cpu, here, batch, left);
        }
    }
}
