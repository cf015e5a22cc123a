//! How a CPU goes to sleep, so that no doorbell is missed: in steps, for a loop that sleeps elsewhere, or by [`Cpu::serve`].
//!
//! | step | the CPU counts as | a post meanwhile |
//! |---|---|---|
//! | [`Cpu::begin_sleep`] | one that does not look | rings |
//! | [`SleepGuard::look_again`] | the same | has rung, if this says yes |
//! | [`SleepGuard::commit`], the sleep, [`Asleep::woken`] | the same | ends the sleep, if the doorbell does |
//! | the guard is dropped | what it was before | does not ring a CPU that polls |
//!
//! The race, both ways: *if the post comes first*, `begin_sleep` finds it and does not begin. *If the mark comes first*, the post
//! replaces it and rings; the look, or the sleep, finds the ring.

use super::Cpu;
use crate::percpu::Storage;
use crate::platform::{Backoff, IrqGuard, Pause, Platform};
use crate::smp::context::{InFrame, demand_no_frame};
use crate::smp::flush::{Budget, Flushed};

/// Why a CPU does not sleep.
#[must_use = "a CPU that has work must not sleep"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoSleep {
    /// There is work: [flush](Cpu::flush), and try again. The CPU looks on, if it did.
    Work,
    /// Not from call context, nor under a frame of this crate: who sleeps there may sleep for ever. Nothing has changed.
    InCall,
}

impl<'m, P: Platform, S: Storage> Cpu<'m, P, S> {
    /// Says that the CPU no longer looks by itself, and means to sleep: from now on the next post rings. Lazy posts do not keep it
    /// awake. What is posted while the guard is held has rung; it goes on as before when the guard is dropped.
    ///
    /// ```
    /// # use smpcall::{Budget, Cpu, Platform, Storage};
    /// fn idle<P: Platform, S: Storage>(cpu: &mut Cpu<'_, P, S>, sleep_and_acknowledge: impl Fn()) {
    ///     if let Ok(guard) = cpu.begin_sleep() {
    ///         let asleep = guard.commit();
    ///         sleep_and_acknowledge(); // epoll_wait, io_uring_enter, wfi: the doorbell ends it
    ///         let _ = asleep.woken(Budget::DEFAULT);
    ///     } else {
    ///         let _ = cpu.flush(Budget::DEFAULT);
    ///     }
    /// }
    /// ```
    ///
    /// Context: the CPU's thread. A kernel calls it with interrupts off, and sleeps by the instruction that switches them on and halts
    /// in one. Progress: wait-free.
    ///
    /// # Errors
    ///
    /// [`NoSleep`].
    pub fn begin_sleep(&mut self) -> Result<SleepGuard<'_, 'm, P, S>, NoSleep> {
        self.begin_sleep_as(None)
    }

    /// The same; `sleeper` is woken for a call that may block, if an interrupt's flush takes one.
    fn begin_sleep_as(&mut self, sleeper: Option<u16>) -> Result<SleepGuard<'_, 'm, P, S>, NoSleep> {
        let smp = self.smp;
        let _irq = IrqGuard::new(&smp.platform);
        let here = self.here();
        if demand_no_frame(here).is_err() {
            return Err(NoSleep::InCall);
        }
        let polled = here.own.polling();
        if here.own.has_blocking() || !smp.stop_polling(here) {
            return Err(NoSleep::Work);
        }
        // Under the guard, in which there was no such call.
        here.own.set_sleeper(sleeper);
        Ok(SleepGuard { cpu: self, polled })
    }

    /// Serves the CPU until `until`: flushes, and sleeps as the port does in a wait. For a loop that sleeps nowhere else. It is woken
    /// by posts only: what makes `until` true elsewhere has to post, or [wake](crate::Smp::wake_idle_cpus), then.
    ///
    /// Where doorbells interrupt, [`Waiting::park`](crate::Waiting::park) has to return also for a ring that was answered just before.
    ///
    /// ```
    /// # use smpcall::{Cpu, Platform, Storage};
    /// # use std::sync::atomic::{AtomicBool, Ordering};
    /// fn cpu_main<P: Platform, S: Storage>(mut cpu: Cpu<'_, P, S>, stop: &AtomicBool) {
    ///     cpu.serve(|| stop.load(Ordering::Acquire)); // set by a function that is posted here
    ///     cpu.offline().map_err(|(_, why)| why).expect("no frame of this crate is below");
    /// }
    /// ```
    ///
    /// Context: the CPU's thread, interrupts on, outside call context. `until` neither flushes nor changes the CPU's state. Progress:
    /// until then.
    pub fn serve(&mut self, mut until: impl FnMut() -> bool) {
        let platform = &self.smp.platform;
        let mut until = |cpu: &Self| {
            let _frame = InFrame::enter(platform, cpu.smp.home());
            until()
        };
        let waiter = if P::PARKS { platform.waiter() } else { None };
        let mut began_ns = platform.now_ns();
        let mut rounds = 0_u32;
        while !until(self) {
            if self.flush(Budget::DEFAULT) != Flushed::All(0) {
                (rounds, began_ns) = (0, platform.now_ns());
                continue;
            }
            let waited_ns = platform.now_ns().saturating_sub(began_ns);
            let pause =
                platform.pause(&Backoff { rounds, target: self.number, with_others: false, waited_ns });
            rounds = rounds.saturating_add(1);
            if pause != Pause::Park {
                continue;
            }
            if let Ok(guard) = self.begin_sleep_as(waiter) {
                // Once more: what made it true may have been flushed by an interrupt before the CPU was at rest.
                if until(guard.cpu) {
                    return;
                }
                let asleep = guard.commit();
                platform.park(waiter, u64::MAX);
                asleep.cpu.here().own.set_sleeper(None);
                let _ = asleep.woken(Budget::DEFAULT);
            }
        }
    }
}

/// A CPU that is about to sleep: the next post to it rings. Dropped, it does not sleep: it looks on, if it did before.
#[must_use = "a CPU that does not commit itself does not sleep"]
pub struct SleepGuard<'c, 'm, P: Platform, S: Storage> {
    cpu: &'c mut Cpu<'m, P, S>,
    polled: bool,
}

impl<'c, 'm, P: Platform, S: Storage> SleepGuard<'c, 'm, P, S> {
    /// Returns whether something came since: then the doorbell has rung, and a sleep would end at once. Two loads.
    ///
    /// For a loop that prepares its sleep after it has said so, as by an entry for its ring of events, and wants to spare itself the
    /// rest.
    ///
    /// ```
    /// # use smpcall::{Budget, Cpu, Platform, Storage};
    /// fn idle<P: Platform, S: Storage>(cpu: &mut Cpu<'_, P, S>, prepare: impl Fn(), sleep: impl Fn()) {
    ///     if let Ok(guard) = cpu.begin_sleep() {
    ///         prepare();
    ///         if guard.look_again() {
    ///             guard.abort(); // goes on as before, and finds it
    ///         } else {
    ///             let asleep = guard.commit();
    ///             sleep();
    ///             let _ = asleep.woken(Budget::DEFAULT);
    ///         }
    ///     }
    ///     let _ = cpu.flush(Budget::DEFAULT);
    /// }
    /// ```
    ///
    /// Context: the CPU's thread. Progress: wait-free.
    pub fn look_again(&self) -> bool {
        self.cpu.has_work()
    }

    /// Sleeps: what comes back is to be used when the sleep is over. The CPU counts as one that sleeps until then, and does not poll
    /// afterwards, until it says so.
    ///
    /// Context: the CPU's thread. Progress: wait-free.
    ///
    /// Example: [`SleepGuard::look_again`](crate::SleepGuard::look_again).
    pub fn commit(self) -> Asleep<'c, 'm, P, S> {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: the guard is neither dropped nor used again, so that there is one borrow of the handle, as before.
        let cpu = unsafe { core::ptr::read(&raw const this.cpu) };
        Asleep { cpu }
    }

    /// Does not sleep after all; as dropping it: the CPU polls again, if it did before.
    ///
    /// Context: the CPU's thread. Progress: wait-free.
    ///
    /// Example: [`SleepGuard::look_again`](crate::SleepGuard::look_again).
    pub fn abort(self) {}
}

impl<P: Platform, S: Storage> Drop for SleepGuard<'_, '_, P, S> {
    fn drop(&mut self) {
        if self.polled {
            self.cpu.poll_begin();
        }
    }
}

/// A CPU that sleeps.
#[must_use = "the doorbell that ended the sleep wants a flush"]
pub struct Asleep<'c, 'm, P: Platform, S: Storage> {
    cpu: &'c mut Cpu<'m, P, S>,
}

impl<P: Platform, S: Storage> Asleep<'_, '_, P, S> {
    /// The sleep is over, and the doorbell, if it rang, is acknowledged: [flushes](Cpu::flush), and runs what may block.
    ///
    /// Context: the CPU's thread, interrupts on. Progress: as [`Cpu::flush`].
    ///
    /// Example: [`SleepGuard::look_again`](crate::SleepGuard::look_again).
    pub fn woken(self, budget: Budget) -> Flushed {
        self.cpu.flush(budget)
    }
}

impl<P: Platform, S: Storage> core::fmt::Debug for SleepGuard<'_, '_, P, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SleepGuard").field("cpu", &self.cpu.number).field("polled", &self.polled).finish()
    }
}

impl<P: Platform, S: Storage> core::fmt::Debug for Asleep<'_, '_, P, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Asleep").field("cpu", &self.cpu.number).finish()
    }
}
