//! Doorbells that the port could not send ([`RingError`](crate::RingError)): the head keeps the debt (I8 of [`crate::queue`]), and those
//! who come by pay it.

use super::Smp;
use crate::mask::bits_of;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::{Head, Seen};
use crate::sync::Ordering;
use crate::trace::{EventKind, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Takes note of rings that failed, to the CPUs `first + n` for each bit `n`.
    #[cold]
    #[inline(never)]
    pub(super) fn owe_rings(&self, first: u32, cpus: usize) {
        trace!(self, EventKind::Unrung { first, cpus });
        // Relaxed: a count, by which waiters know that it is worth a look.
        self.unrung.fetch_add(cpus.count_ones() as usize, Ordering::Relaxed);
        for bit in bits_of(cpus) {
            if let Some(target) = self.cpu(first + bit) {
                target.mailbox.head.owe();
            }
        }
    }

    /// A CPU that has used up its budget rings itself. If that fails it is not looking, and nobody is to think so: the next one who
    /// comes rings.
    pub(super) fn ring_oneself(&self, cpu: u32, here: &PerCpu) {
        trace!(self, EventKind::Ring { first: cpu, cpus: 1 });
        if self.platform.ring_self(cpu).is_err() {
            // Of a list that is there the debt is noted below.
            let _ = here.mailbox.head.go_idle();
            self.owe_rings(cpu, 1);
        }
    }

    /// Rings a CPU that has not come forward. `false`: that fails.
    #[cold]
    pub(super) fn ring_again(&self, cpu: u32, head: &Head) -> bool {
        let _irq = IrqGuard::new(&self.platform);
        // Whether it was owed or not.
        head.pay();
        self.ring(cpu)
    }

    /// Returns how many doorbells could not be sent so far ([`RingError`](crate::RingError)).
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// smp.post_detached(0, || ()).unwrap();
    /// assert_eq!(smp.failed_rings_racy(), 0); // each doorbell was sent,
    /// assert!(!smp.is_unrung_racy(0)); // and so was this CPU's
    /// ```
    pub fn failed_rings_racy(&self) -> usize {
        if !P::RINGS_FAIL {
            return 0;
        }
        // Relaxed: a count that may be old by the time it is read.
        self.unrung.load(Ordering::Relaxed)
    }

    /// Returns whether calls are queued for `cpu` whose doorbell could not be sent, and nobody has rung since. For a poster that
    /// wants to know; the post's own answer says what becomes of the csd. Racy: the CPU may have looked by itself meanwhile. A call that may block does not count once it was
    /// flushed: it is its caller, which waits, that rings again for the CPU's thread.
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// Example: [`Smp::failed_rings_racy`](crate::Smp::failed_rings_racy).
    pub fn is_unrung_racy(&self, cpu: u32) -> bool {
        self.cpu(cpu).is_some_and(Self::is_unrung)
    }

    /// Rings those CPUs again whose doorbell could not be sent, and returns how many of them still could not be rung. For a port that
    /// learns that there is room again, a timer, an idle loop. Costs one load if no doorbell has ever failed.
    ///
    /// Context: any. Progress: lock-free; a look at each CPU.
    ///
    /// ```
    /// use smpcall::{Platform, Smp, Storage};
    ///
    /// /// Now and then, where doorbells may fail.
    /// fn mend<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    ///     if smp.failed_rings_racy() > 0 && smp.ring_owed() > 0 {
    ///         // Some fail still: their calls stay queued, and reports name them.
    ///     }
    /// }
    /// ```
    pub fn ring_owed(&self) -> u32 {
        if self.failed_rings_racy() == 0 {
            return 0;
        }
        let unrung = |cpu: &(u32, &PerCpu)| Self::is_unrung(cpu.1);
        let fails = |(cpu, target): &(u32, &PerCpu)| !self.ring_again(*cpu, &target.mailbox.head);
        (0..).zip(self.cpus()).filter(unrung).filter(fails).count() as u32
    }

    /// Whether a CPU has something to do, and the doorbell for it failed.
    pub(super) fn is_unrung(cpu: &PerCpu) -> bool {
        if !P::RINGS_FAIL {
            return false;
        }
        match cpu.mailbox.head.look() {
            Seen::List(list) => list.is_owed(),
            // What a flush left over at its budget, and rang itself for in vain.
            Seen::Idle => Self::has_left_over(cpu),
            Seen::Polling | Seen::Offline => false,
        }
    }
}
