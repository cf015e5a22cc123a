//! The half of a doorbell that is memory.

use crate::arch;
use core::sync::atomic::{AtomicBool, Ordering};

/// One CPU's latch: whether it was rung, and whether it has answered since it last meant to sleep. For ports with an interrupt of their kernel's;
/// [`Bare`](crate::Bare) has one for each CPU.
///
/// | who | calls | and then |
/// |---|---|---|
/// | sender | [`ring`](Self::ring) | the fence that its controller needs, and the interrupt, always: one that was lost is made good for by the next |
/// | target, in the interrupt's handler | [`answer`](Self::answer), after the controller was told that the interrupt was heard | [`flush`](smpcall::Machine::flush) |
/// | target's thread, when its queue is at rest | [`sleep`](Self::sleep) | looks at its queue |
///
/// With these [`Platform`](smpcall::Platform)'s duties 3 and 5 are kept, if the interrupt comes in finite time. Give each a cache line of its own, with
/// what else who rings needs to know of the target: so senders of different targets do not meet.
///
/// ```
/// use core::sync::atomic::{AtomicU32, Ordering};
/// use smpcall_bare::Latch;
///
/// #[repr(align(128))]
/// struct Bell {
///     latch: Latch,
///     apic_id: AtomicU32,
/// }
///
/// static BELLS: [Bell; 2] = [const { Bell { latch: Latch::new(), apic_id: AtomicU32::new(0) } }; 2];
///
/// /// What `Platform::ring` does.
/// fn ring(cpu: usize, interrupt: impl FnOnce(u32)) {
///     BELLS[cpu].latch.ring();
///     interrupt(BELLS[cpu].apic_id.load(Ordering::Relaxed));
/// }
///
/// /// What the interrupt's handler does.
/// fn on_doorbell(cpu: usize, acknowledge: impl FnOnce(), flush: impl FnOnce()) {
///     acknowledge();
///     BELLS[cpu].latch.answer();
///     flush();
/// }
///
/// ring(1, |_apic_id| {});
/// on_doorbell(1, || {}, || {});
/// // What was answered is not slept over.
/// assert!(BELLS[1].latch.take_heard());
/// assert!(!BELLS[1].latch.take_heard());
/// ```
#[derive(Debug)]
pub struct Latch {
    /// Set by each ring, cleared by the handler before it flushes.
    rung: AtomicBool,
    /// Set by the handler, cleared by the CPU's thread when it means to sleep: nothing that was rung for is slept over.
    heard: AtomicBool,
}

impl Latch {
    /// Makes a latch of a CPU that nobody has rung.
    ///
    /// ```
    /// # use smpcall_bare::Latch;
    /// static LATCHES: [Latch; 4] = [const { Latch::new() }; 4];
    /// assert!(!LATCHES[0].take_heard());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { rung: AtomicBool::new(false), heard: AtomicBool::new(false) }
    }

    /// Publishes what the caller wrote to the CPU that answers. Before each interrupt.
    ///
    /// Context: any, an NMI included.
    ///
    /// ```
    /// # use smpcall_bare::Latch;
    /// # static LATCHES: [Latch; 4] = [const { Latch::new() }; 4];
    /// # fn interrupt(_: usize) {}
    /// let cpu = 3;
    /// LATCHES[cpu].ring();
    /// interrupt(cpu);
    /// ```
    #[inline(always)]
    pub fn ring(&self) {
        // Release: publishes what the ringer wrote; pairs with `answer`. A read-modify-write, so that a ring that is merged into a pending one
        // continues its release sequence.
        self.rung.swap(true, Ordering::Release);
    }

    /// Sees what those wrote who rang; after this the caller flushes.
    ///
    /// Context: the handler of the interrupt, on the latch's own CPU, interrupts off, after the controller was told: a ring that comes later must
    /// interrupt again.
    ///
    /// ```
    /// # use smpcall_bare::Latch;
    /// static LATCH: Latch = Latch::new();
    /// LATCH.ring();
    /// LATCH.answer();
    /// assert!(LATCH.take_heard());
    /// ```
    #[inline(always)]
    pub fn answer(&self) {
        // Acquire: sees what those who rang wrote; pairs with `ring`.
        self.rung.swap(false, Ordering::Acquire);
        // Relaxed: for this CPU's own thread.
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Returns whether the CPU has answered since this was last asked: then what it waits for may have come. [`sleep`](Self::sleep) asks, too; this
    /// is for kernels that sleep in a way of their own, with interrupts off between this and the sleep.
    ///
    /// Context: thread of the latch's own CPU.
    ///
    /// ```
    /// # use smpcall_bare::Latch;
    /// # fn sleep_with_irqs_off() {}
    /// static LATCH: Latch = Latch::new();
    /// if !LATCH.take_heard() {
    ///     sleep_with_irqs_off();
    /// }
    /// ```
    #[inline(always)]
    pub fn take_heard(&self) -> bool {
        // Relaxed: both sides are this CPU.
        self.heard.swap(false, Ordering::Relaxed)
    }

    /// Sleeps until an interrupt; not at all if the CPU has answered since the last sleep. `set_alarm` is called before a sleep, with interrupts off:
    /// the place to set a timer that ends it. Returns whether the doorbell was answered since the last sleep.
    ///
    /// Context: thread of the latch's own CPU, interrupts on; its queue is at rest ([`begin_sleep`](smpcall::Cpu::begin_sleep) said so), or it is
    /// offline.
    ///
    /// ```no_run
    /// # use smpcall_bare::Latch;
    /// # fn set_timer(_after_ns: u64) {}
    /// static LATCH: Latch = Latch::new();
    /// let answered = LATCH.sleep(|| set_timer(1_000_000));
    /// ```
    #[inline(always)]
    pub fn sleep(&self, set_alarm: impl FnOnce()) -> bool {
        // guide: sleep
        let state = arch::irq_save();
        // Relaxed: both sides are this CPU. Interrupts are off: an answer comes before this look or ends the sleep.
        if !self.heard.load(Ordering::Relaxed) {
            set_alarm();
            arch::sleep_with_irqs_off();
        }
        // The interrupt that ended the sleep is taken here at the latest.
        arch::irq_restore(state);
        // What was answered the handler has flushed.
        self.take_heard()
        // guide: end
    }
}

impl Default for Latch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_heard_once() {
        let latch = Latch::new();
        latch.ring();
        assert!(!latch.take_heard(), "it was rung, and nobody has answered");
        latch.answer();
        assert!(latch.take_heard());
        assert!(!latch.take_heard());
    }
}
