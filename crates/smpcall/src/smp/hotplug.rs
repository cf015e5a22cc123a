//! A CPU's own affairs: coming online, going offline, and saying whether it looks at its queue by itself.

use super::Smp;
use crate::error::HotplugError;
use crate::percpu::{Batch, PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::{GoIdle, List, Seen};
use core::pin::Pin;

/// What a CPU that means to sleep is told.
#[must_use = "a CPU that has work must not sleep"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// It may: from now on the next post rings.
    Ready,
    /// There is work: flush, and run what may block, first.
    Work,
    /// Not from call context: nothing has changed, and who sleeps there may sleep for ever.
    InCall,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Opens the queue of the CPU that runs the caller: from now on posts to it are accepted.
    ///
    /// The machine is pinned, since what is queued may lie in it: one in a `static` by [`Smp::as_pin`].
    ///
    /// Context: thread or start-up code of the CPU, outside call context, and not under a frame of this crate: not in a function of
    /// [`Smp::call_blocking`], a condition, or a handler of reports. Progress: wait-free.
    ///
    /// # Errors
    ///
    /// [`HotplugError`].
    pub fn online(self: Pin<&Self>) -> Result<(), HotplugError> {
        let _irq = IrqGuard::new(&self.platform);
        let (_, here) = self.here().ok_or(HotplugError::NotACpu)?;
        demand_no_frame(here)?;
        if !here.mailbox.head.open() {
            return Err(HotplugError::Already);
        }
        // Last: whoever expedites a lazy post that was accepted finds the mailbox open, and notifies.
        here.own.lazy.open();
        Ok(())
    }

    /// Closes the queue of the CPU that runs the caller, and runs all that it had accepted (P8). From the moment of
    /// closing every post is refused with `Offline`; also those of the functions that run here last. Returns how many ran.
    ///
    /// Blocking calls run last, outside call context, with interrupts as the caller has them; their functions may still wait
    /// for others.
    ///
    /// Context: as for [`Smp::online`]. Progress: runs every accepted call, without a budget.
    ///
    /// # Errors
    ///
    /// [`HotplugError`].
    pub fn offline(&self) -> Result<u32, HotplugError> {
        let irq = IrqGuard::new(&self.platform);
        let (cpu, here) = self.here().filter(|_| self.is_at_home()).ok_or(HotplugError::NotACpu)?;
        let own = &*here.own;
        demand_no_frame(here)?;
        if here.mailbox.head.look() == Seen::Offline {
            return Err(HotplugError::Already);
        }
        own.set_polling(false);
        let list = here.mailbox.head.close();
        let mut left = u32::MAX;
        // What a flush left over is older than anything in the head.
        for batch in [own.take_left_over(), self.unfold(here, list)] {
            let rest = self.run_batch(cpu, here, batch, &mut left);
            debug_assert!(rest.is_empty(), "no machine has 2^32 csds");
        }
        self.close_lazy(cpu, here, &mut left);
        drop(irq);
        // A blocking call was counted when it was taken off the queue.
        self.run_all_blocking(here);
        Ok(u32::MAX - left)
    }

    /// Returns whether `cpu` takes posts. Racy: it may go offline before the answer is read.
    ///
    /// Context: any. Progress: wait-free.
    pub fn is_online_racy(&self, cpu: u32) -> bool {
        self.cpu(cpu).is_some_and(|cpu| cpu.mailbox.head.look() != Seen::Offline)
    }

    /// Says that the CPU that runs the caller looks at its queue by itself from now on, so that posts to it need not
    /// ring (P7). It must then call [`Smp::flush`] again and again, until [`Smp::poll_end`].
    ///
    /// Context: idle or event loop of a CPU; in call context it does nothing. A function of [`Smp::call_blocking`] may poll for as
    /// long as it runs; what it leaves behind is taken back. Progress: wait-free.
    ///
    /// # Panics
    ///
    /// If the caller is no CPU of this machine.
    pub fn poll_begin(&self) {
        let _irq = IrqGuard::new(&self.platform);
        let (_, here) = self.here().expect("poll_begin is for a CPU of this machine");
        if !here.own.in_call() {
            self.start_polling(here);
        }
    }

    /// Says that the CPU that runs the caller no longer looks by itself. If that is [`Sleep::Ready`] it may sleep, and the
    /// next post to it rings; if it is [`Sleep::Work`] it still counts as polling, and must flush, and [run what may
    /// block](Smp::run_blocking), first. Lazy posts do not keep it awake.
    ///
    /// Context: idle or event loop of a CPU. A kernel calls it with interrupts off, and sleeps by the instruction that
    /// switches them on and halts in one. Progress: wait-free.
    ///
    /// # Panics
    ///
    /// If the caller is no CPU of this machine.
    pub fn poll_end(&self) -> Sleep {
        let _irq = IrqGuard::new(&self.platform);
        let (_, here) = self.here().expect("poll_end is for a CPU of this machine");
        match () {
            () if here.own.in_call() => Sleep::InCall,
            () if here.own.has_blocking() => Sleep::Work,
            () => self.stop_polling(here),
        }
    }

    /// Returns whether there is something to flush on the CPU that runs the caller. Two loads; writes nothing. Lazy posts do
    /// not count, nor do blocking calls that were flushed and wait for the CPU's thread.
    ///
    /// Context: any code of a CPU. Progress: wait-free.
    ///
    /// # Panics
    ///
    /// If the caller is no CPU of this machine.
    #[inline]
    pub fn has_work(&self) -> bool {
        let (_, here) = self.here().expect("has_work is for a CPU of this machine");
        matches!(here.mailbox.head.look(), Seen::List(_)) || here.own.has_left_over()
    }

    /// Going offline: refuses lazy posts from now on, and runs those that were accepted (P8).
    fn close_lazy(&self, cpu: u32, here: &PerCpu, left: &mut u32) {
        let list = here.own.lazy.close();
        if list != List::EMPTY {
            let mut batch = Batch::EMPTY;
            self.put_first(list, &mut batch);
            let rest = self.run_batch(cpu, here, batch, left);
            debug_assert!(rest.is_empty(), "no machine has 2^32 csds");
        }
    }

    pub(super) fn start_polling(&self, here: &PerCpu) {
        here.own.set_polling(true);
        here.mailbox.head.start_polling();
    }

    pub(super) fn stop_polling(&self, here: &PerCpu) -> Sleep {
        let own = &*here.own;
        if own.has_left_over() || here.mailbox.head.go_idle() == GoIdle::Work {
            // Still looking: an interrupt that flushed in between left POLLING in place.
            return Sleep::Work;
        }
        own.set_polling(false);
        Sleep::Ready
    }
}

/// Refuses where a flush is under way, or a frame below uses the CPU (I20).
fn demand_no_frame(here: &PerCpu) -> Result<(), HotplugError> {
    let own = &*here.own;
    if own.in_call() || own.frames() != 0 { Err(HotplugError::InCall) } else { Ok(()) }
}
