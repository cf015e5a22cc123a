//! riscv64: interrupts are asked of the firmware, by the Supervisor Binary Interface.
//!
//! Sources: *RISC-V Supervisor Binary Interface Specification* 2.0, chapters 3 (hart masks) and 7 (IPI extension);
//! *The RISC-V Instruction Set Manual, Volume II* 20211203, 4.1.1 (sstatus), 4.1.3 (sip, sie), 3.3.3 (WFI); *Volume I*
//! 20191213, 2.7 (FENCE), and the extension Zihintpause (PAUSE).

use core::arch::asm;
use smpcall::RingError;

/// A hart's id.
pub type HardwareId = u64;

/// sstatus.SIE: whether interrupts are on.
const SIE: usize = 1 << 1;
/// sip.SSIP: a software interrupt is pending.
const SSIP: usize = 1 << 1;

/// What [`irq_save`] hands to [`irq_restore`]: sstatus.SIE.
#[derive(Clone, Copy, Debug)]
pub struct IrqState(usize);

/// Masks interrupts on this hart, and returns whether they were on.
#[inline(always)]
pub fn irq_save() -> IrqState {
    let before: usize;
    // SAFETY: masks interrupts, reads and writes no memory. Not `nomem`: nothing may be moved across.
    unsafe { asm!("csrrci {}, sstatus, 2", out(reg) before, options(nostack)) };
    IrqState(before & SIE)
}

/// Switches interrupts back to what they were.
#[inline(always)]
pub fn irq_restore(state: IrqState) {
    // SAFETY: as in `irq_save`; on only if they were on.
    unsafe { asm!("csrs sstatus, {}", in(reg) state.0, options(nostack)) };
}

/// Returns whether interrupts are on.
#[inline(always)]
pub fn irqs_are_on() -> bool {
    let now: usize;
    // SAFETY: reads a register.
    unsafe { asm!("csrr {}, sstatus", out(reg) now, options(nostack)) };
    now & SIE != 0
}

/// Switches interrupts on, for a hart that comes up.
pub fn irqs_on() {
    irq_restore(IrqState(SIE));
}

/// One step of a spin.
#[inline(always)]
pub fn relax() {
    // The encoding of PAUSE, a hint (FENCE with pred = W and no successor) that every hart accepts.
    // SAFETY: a hint.
    unsafe { asm!(".4byte 0x0100000f", options(nostack)) };
}

/// Sleeps until an interrupt is pending. Interrupts are off and stay so: WFI wakes on a pending one that sie enables,
/// whatever sstatus.SIE says, so that none that comes just before is slept over.
#[inline(always)]
pub fn sleep_with_irqs_off() {
    // SAFETY: waits.
    unsafe { asm!("wfi", options(nostack)) };
}

/// The supervisor's software interrupt.
#[derive(Debug)]
pub struct Doorbell(());

impl Doorbell {
    /// Makes it; there is one kind.
    #[expect(clippy::new_without_default, reason = "the other architectures' take an argument")]
    pub const fn new() -> Self {
        Self(())
    }

    /// Orders what this hart wrote before the interrupts that it sends. The firmware writes to a device, perhaps: so memory
    /// before memory and devices, `fence rw, ow`.
    pub(crate) fn publish(&self) {
        // SAFETY: a fence.
        unsafe { asm!("fence rw, ow", options(nostack)) };
    }

    /// Interrupts the hart `id`.
    pub(crate) fn ring(&self, id: HardwareId) -> Result<(), RingError> {
        let (group, bit) = self.place_of(id);
        self.ring_group(group, 1 << bit)
    }

    /// A hart mask has a base and as many bits as a register.
    pub(crate) fn place_of(&self, id: HardwareId) -> (u64, u32) {
        (id / 64, (id % 64) as u32)
    }

    /// Interrupts the harts of `mask`, which counts from the group's first.
    pub(crate) fn ring_group(&self, group: u64, mask: u64) -> Result<(), RingError> {
        let harts = sbi_rt::HartMask::from_mask_base(mask as usize, group as usize * 64);
        // An error is a hart that the firmware does not know, or lets nobody interrupt (SBI 2.0, 7.1): the stall report says so.
        if sbi_rt::send_ipi(harts).is_ok() { Ok(()) } else { Err(RingError) }
    }

    /// "All harts" of the firmware has the caller among them.
    pub(crate) fn ring_all_others(&self) -> bool {
        false
    }

    /// Clears sip.SSIP: a software interrupt that is sent from here on is a new one.
    pub(crate) fn acknowledge(&self) {
        // SAFETY: clears a pending interrupt, which the caller handles.
        unsafe { asm!("csrc sip, {}", in(reg) SSIP, options(nostack)) };
    }
}
