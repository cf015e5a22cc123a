//! aarch64: software-generated interrupts of a GICv3, by its system registers, in Group 1.
//!
//! Sources: *Arm Generic Interrupt Controller Architecture Specification v3 and v4* (IHI 0069H), 12.2.25 (ICC_SGI1R_EL1),
//! 12.2.9 (ICC_EOIR1_EL1); *Arm Architecture Reference Manual for A-profile* (DDI 0487), C5.2.2 (DAIF), D1.7.1 (wake-up
//! events of WFI), B2.3.12 (DSB).

use core::arch::asm;
use smpcall::RingError;

/// A CPU's affinity, as in MPIDR_EL1: Aff3 in bits 39 to 32, Aff2, Aff1 and Aff0 in 23 to 0.
pub type HardwareId = u64;

/// DAIF.I: interrupts are masked.
const I: u64 = 1 << 7;

/// What [`irq_save`] hands to [`irq_restore`]: DAIF.
#[derive(Clone, Copy, Debug)]
pub struct IrqState(u64);

/// Masks interrupts on this CPU, and returns what the masks were.
#[inline(always)]
pub fn irq_save() -> IrqState {
    let before: u64;
    // SAFETY: masks interrupts, reads and writes no memory. Not `nomem`: nothing may be moved across.
    unsafe { asm!("mrs {}, daif", "msr daifset, #2", out(reg) before, options(nostack)) };
    IrqState(before)
}

/// Switches interrupts back to what they were.
#[inline(always)]
pub fn irq_restore(state: IrqState) {
    // SAFETY: as in `irq_save`; on only if they were on.
    unsafe { asm!("msr daif, {}", in(reg) state.0, options(nostack)) };
}

/// Returns whether interrupts are on.
#[inline(always)]
pub fn irqs_are_on() -> bool {
    let now: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, daif", out(reg) now, options(nostack)) };
    now & I == 0
}

/// Switches interrupts on, for a CPU that comes up.
pub fn irqs_on() {
    // SAFETY: unmasks interrupts.
    unsafe { asm!("msr daifclr, #2", options(nostack)) };
}

/// One step of a spin.
#[inline(always)]
pub fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nostack)) };
}

/// Sleeps until an interrupt is pending. Interrupts are masked and stay so: WFI wakes on a pending one whatever DAIF says,
/// so that none that comes just before is slept over.
#[inline(always)]
pub fn sleep_with_irqs_off() {
    // SAFETY: waits; the barrier completes what was written before.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// A software-generated interrupt.
#[derive(Debug)]
pub struct Doorbell {
    sgi: u8,
}

impl Doorbell {
    /// The SGI with that number, 0 to 15.
    ///
    /// # Panics
    ///
    /// If there is no such SGI.
    pub const fn new(sgi: u8) -> Self {
        assert!(sgi < 16, "SGIs are numbered from 0 to 15");
        Self { sgi }
    }

    /// Orders what this CPU wrote before the interrupts that it sends: the write of a system register is not ordered with
    /// stores to memory, so they must have completed for the inner shareable domain (DSB, not DMB).
    pub(crate) fn publish(&self) {
        // SAFETY: a barrier.
        unsafe { asm!("dsb ishst", options(nostack)) };
    }

    /// Interrupts the CPU with that affinity.
    pub(crate) fn ring(&self, id: HardwareId) -> Result<(), RingError> {
        let (group, bit) = self.place_of(id);
        self.ring_group(group, 1 << bit)
    }

    /// A target list covers 16 CPUs that differ in Aff0 only; which 16 of 256, the range selector says. So a group is the
    /// affinity with Aff0's low four bits cleared.
    pub(crate) fn place_of(&self, id: HardwareId) -> (u64, u32) {
        (id & !0xf, (id & 0xf) as u32)
    }

    /// Interrupts the CPUs of `mask` in that group.
    pub(crate) fn ring_group(&self, group: u64, mask: u64) -> Result<(), RingError> {
        let affinity = |shift: u32| group >> shift & 0xff;
        // ICC_SGI1R_EL1: Aff3 55:48, RS 47:44, IRM 40 (0: the list), Aff2 39:32, INTID 27:24, Aff1 23:16, list 15:0.
        let range = affinity(0) >> 4;
        let value = affinity(32) << 48
            | range << 44
            | affinity(16) << 32
            | u64::from(self.sgi) << 24
            | affinity(8) << 16
            | mask & 0xffff;
        self.send(value);
        Ok(())
    }

    /// IRM = 1: all but the sender. That is all CPUs of the system, of which more may exist than have joined, or run now:
    /// where such a CPU's redistributor has the SGI disabled it does nothing, else it comes late, which is harmless.
    pub(crate) fn ring_all_others(&self) -> bool {
        self.send(1 << 40 | u64::from(self.sgi) << 24);
        true
    }

    fn send(&self, value: u64) {
        // SAFETY: sends an interrupt. The barrier makes the write take effect before whatever follows.
        unsafe { asm!("msr icc_sgi1r_el1, {}", "isb", in(reg) value, options(nostack)) };
    }

    /// Ends the interrupt for the controller. The handler has read ICC_IAR1_EL1, which is how it knew: from that read on
    /// another SGI of this number is a new one, which becomes pending beside the one that is active. Reading a register is
    /// not ordered with memory, so the barrier (DSB) keeps the latch from being cleared before it.
    pub(crate) fn acknowledge(&self) {
        // SAFETY: ends an interrupt, which the caller handles.
        unsafe {
            asm!("dsb sy", "msr icc_eoir1_el1, {}", "isb", in(reg) u64::from(self.sgi), options(nostack))
        };
    }
}
