//! Coming online, going offline, and the mark that says whether a CPU looks at its queue by itself. What its thread has for it is
//! its handle, [`Cpu`].

use super::Smp;
use super::context::demand_no_frame;
use super::cpu::Cpu;
use super::flush::Left;
use super::machine::Machine;
use crate::error::HotplugError;
use crate::meeting::Gate;
use crate::percpu::{Batch, PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::{GoIdle, List, Seen};
use core::pin::Pin;

/// A CPU on its way through the machine's gate: no rendezvous begins before it is there (I41).
struct Coming<'a>(&'a Gate);

impl<'a> Coming<'a> {
    fn through(gate: &'a Gate) -> Option<Self> {
        // Not by `then_some`: what is refused is not to be dropped.
        gate.come().then(|| Self(gate))
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.0.came();
    }
}

impl<P: Platform, S: Storage> Machine<P, S> {
    /// Opens the queue of the CPU that runs the caller: from now on posts to it are accepted.
    ///
    /// The machine is pinned, since what is queued may lie in it: one in a `static` by [`Machine::as_pin`].
    ///
    /// Context: thread or start-up code of the CPU, outside call context, and not under a frame of this crate: not in a function of
    /// [`Smp::call_blocking`], a condition, or a handler of reports. Progress: wait-free.
    ///
    /// # Errors
    ///
    /// [`HotplugError`].
    ///
    /// ```
    /// # use smpcall::{Budget, HotplugError, Machine, PerCpu, Platform};
    /// fn cpu_main<P: Platform>(machine: &'static Machine<P, [PerCpu; 4]>) -> Result<(), HotplugError> {
    ///     let mut cpu = machine.as_pin().online()?;
    ///     let _ = cpu.flush(Budget::DEFAULT); // what was posted since
    ///     cpu.offline().map(|_| ()).map_err(|(_, why)| why)
    /// }
    /// ```
    pub fn online(self: Pin<&Self>) -> Result<Cpu<'_, P, S>, HotplugError> {
        let _irq = IrqGuard::new(&self.platform);
        let (cpu, here) = self.here().ok_or(HotplugError::NotACpu)?;
        demand_no_frame(here)?;
        let _coming = Coming::through(&self.gate).ok_or(HotplugError::Held)?;
        if !here.mailbox.head.open() {
            return Err(HotplugError::Already);
        }
        // Last: whoever expedites a lazy post that was accepted finds the mailbox open, and notifies.
        if P::LAZY_POSTS {
            here.own.lazy.open();
        }
        Ok(Cpu::new(self.get_ref(), cpu))
    }

    /// Gives back the handle of the CPU that runs the caller, which is online: to the code that the CPU's thread runs, if that could
    /// not keep the one of [`Machine::online`]. One at a time is enough; two of one CPU are harmless, as far as each is used where the
    /// other could be.
    ///
    /// Context: as for [`Machine::online`]. Progress: wait-free.
    ///
    /// # Errors
    ///
    /// [`HotplugError`].
    ///
    /// ```
    /// # use smpcall::{Budget, Machine, PerCpu, Platform};
    /// fn idle_once<P: Platform>(machine: &'static Machine<P, [PerCpu; 4]>) {
    ///     if let Ok(mut cpu) = machine.as_pin().this_cpu() {
    ///         let _ = cpu.flush(Budget::DEFAULT);
    ///     }
    /// }
    /// ```
    pub fn this_cpu(self: Pin<&Self>) -> Result<Cpu<'_, P, S>, HotplugError> {
        let _stay = self.stay();
        let (cpu, here) = self.here().ok_or(HotplugError::NotACpu)?;
        demand_no_frame(here)?;
        match here.mailbox.head.look() {
            Seen::Offline => Err(HotplugError::Offline),
            _ => Ok(Cpu::new(self.get_ref(), cpu)),
        }
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// [`Cpu::offline`].
    pub(super) fn leave(&self) -> Result<u32, HotplugError> {
        let irq = IrqGuard::new(&self.platform);
        let (cpu, here) = self.here().filter(|_| self.is_at_home()).ok_or(HotplugError::NotACpu)?;
        let own = &*here.own;
        demand_no_frame(here)?;
        if here.mailbox.head.look() == Seen::Offline {
            return Err(HotplugError::Already);
        }
        own.set_polling(false);
        let list = here.mailbox.head.close();
        let mut left = Left::ALL;
        self.run_accepted(cpu, here, list, &mut left);
        self.close_lazy(cpu, here, &mut left);
        if P::LEAVES_OVER {
            self.catch_up(here);
        }
        drop(irq);
        // A blocking call was counted when it was taken off the queue.
        if P::BLOCKING_CALLS {
            self.run_all_blocking(here);
        }
        Ok(Left::ALL.total() - left.total())
    }

    /// Returns whether `cpu` takes posts. Racy: it may go offline before the answer is read.
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// ```
    /// use smpcall::{Platform, Smp, Storage};
    ///
    /// fn online<P: Platform, S: Storage>(smp: &Smp<P, S>) -> usize {
    ///     (0..smp.cpus_len()).filter(|cpu| smp.is_online_racy(*cpu)).count()
    /// }
    /// ```
    pub fn is_online_racy(&self, cpu: u32) -> bool {
        self.cpu(cpu).is_some_and(|cpu| cpu.mailbox.head.look() != Seen::Offline)
    }

    /// Runs what a flush left over, which is older than anything in the head, and what was taken off that.
    pub(super) fn run_accepted(&self, cpu: u32, here: &PerCpu, list: List, left: &mut Left) {
        let backlog = if P::LEAVES_OVER { here.own.take_left_over().batch } else { Batch::EMPTY };
        for batch in [backlog, self.unfold(here, list)] {
            let rest = self.run_some(cpu, here, batch, left);
            debug_assert!(rest.is_empty(), "no machine has 2^32 csds");
        }
    }

    /// Going offline: refuses lazy posts from now on, and runs those that were accepted (P8).
    fn close_lazy(&self, cpu: u32, here: &PerCpu, left: &mut Left) {
        if !P::LAZY_POSTS {
            return;
        }
        let list = here.own.lazy.close();
        self.run_lazy(cpu, here, list, left);
    }

    /// Runs what was taken off the list of the lazy ones.
    pub(super) fn run_lazy(&self, cpu: u32, here: &PerCpu, list: List, left: &mut Left) {
        if list != List::EMPTY {
            let mut batch = Batch::EMPTY;
            self.put_first(list, &mut batch);
            let rest = self.run_some(cpu, here, batch, left);
            debug_assert!(rest.is_empty(), "no machine has 2^32 csds");
        }
    }

    pub(super) fn start_polling(&self, here: &PerCpu) {
        here.own.set_polling(true);
        here.mailbox.head.start_polling();
    }

    /// Takes the mark back, so that the next post rings; `false` if there is work.
    pub(super) fn stop_polling(&self, here: &PerCpu) -> bool {
        if Self::has_left_over(here) || here.mailbox.head.go_idle() == GoIdle::Work {
            // Still looking: an interrupt that flushed in between left POLLING in place.
            return false;
        }
        here.own.set_polling(false);
        true
    }
}
