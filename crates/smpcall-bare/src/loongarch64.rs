//! loongarch64: inter-processor interrupts by the registers that each core has in its I/O space (IOCSR).
//!
//! Sources: *LoongArch Reference Manual, Volume 1* 1.10, 2.2.10.5 (IDLE), 4.2.1 (CSRXCHG), 4.2.2 (IOCSR), 7.4.1 (CRMD), 2.2.8.1 (DBAR);
//! *Loongson 3A5000/3B5000 Processor Reference Manual* 1.03, 10.2 (the registers of inter-processor interrupts).

use core::arch::{asm, global_asm};
use smpcall::RingError;

/// A core's number, as in CSR.CPUID: 0 to 1023.
pub type HardwareId = u64;

/// CSR.CRMD.IE: interrupts are on.
const IE: usize = 1 << 2;

/// What [`irq_save`] hands to [`irq_restore`]: CRMD.IE.
#[derive(Clone, Copy, Debug)]
pub struct IrqState(usize);

/// Sets CRMD.IE to that bit of `value`, and returns CRMD as it was.
#[inline(always)]
fn exchange(value: usize) -> usize {
    let before: usize;
    // SAFETY: masks or unmasks interrupts. Not `nomem`: nothing may be moved across.
    unsafe { asm!("csrxchg {0}, {1}, 0x0", inout(reg) value => before, in(reg) IE, options(nostack)) };
    before
}

/// Masks interrupts on this core, and returns whether they were on.
#[inline(always)]
pub fn irq_save() -> IrqState {
    IrqState(exchange(0) & IE)
}

/// Switches interrupts back to what they were.
#[inline(always)]
pub fn irq_restore(state: IrqState) {
    exchange(state.0);
}

/// Returns whether interrupts are on.
#[inline(always)]
pub fn irqs_are_on() -> bool {
    let now: usize;
    // SAFETY: reads a register.
    unsafe { asm!("csrrd {}, 0x0", out(reg) now, options(nostack)) };
    now & IE != 0
}

/// Switches interrupts on, for a core that comes up.
pub fn irqs_on() {
    exchange(IE);
}

/// One step of a spin: there is no instruction for it.
#[inline(always)]
pub fn relax() {
    core::hint::spin_loop();
}

// IDLE is woken by interrupts, which must be on for that: one that comes between the two instructions would be slept over, if its handler
// returned to the second. So it does not: see `after_idle`.
global_asm!(
    ".globl smpcall_bare_idle",
    "smpcall_bare_idle:",
    "ori     $t0, $zero, 4",
    "csrxchg $t0, $t0, 0x0",
    "idle    0",
    ".globl smpcall_bare_idle_end",
    "smpcall_bare_idle_end:",
    "ori     $t0, $zero, 4",
    "csrxchg $zero, $t0, 0x0",
    "jr      $ra",
);

unsafe extern "C" {
    fn smpcall_bare_idle();
    fn smpcall_bare_idle_end();
}

/// Sleeps until an interrupt, which is taken in here; they are off before and after. The kernel's handler of interrupts returns to what
/// [`after_idle`] says, so that none is slept over.
#[inline(always)]
pub fn sleep_with_irqs_off() {
    // SAFETY: waits, with interrupts on; it changes what any function may.
    unsafe { smpcall_bare_idle() };
}

/// Where a handler that interrupted `pc` is to return to.
///
/// Context: the kernel's handler of interrupts, before it returns.
///
/// Example: `kernel/src/arch/loongarch64.rs`, in the repository.
pub fn after_idle(pc: usize) -> usize {
    let (begin, end) = (smpcall_bare_idle as *const () as usize, smpcall_bare_idle_end as *const () as usize);
    if (begin..end).contains(&pc) { end } else { pc }
}

/// Registers of the sending core: IPI_Send; of the receiving one: Clear.
const SEND: u32 = 0x1040;
const CLEAR: u32 = 0x100c;
/// IPI_Send: wait until it has been sent.
const BLOCKING: u32 = 1 << 31;

/// One of the 32 inter-processor interrupts.
#[derive(Debug)]
pub struct Doorbell {
    number: u8,
}

impl Doorbell {
    /// The interrupt with that number, 0 to 31. Each core enables it in its own register before it joins.
    ///
    /// # Panics
    ///
    /// If there is no such interrupt.
    pub const fn new(number: u8) -> Self {
        assert!(number < 32, "inter-processor interrupts are numbered from 0 to 31");
        Self { number }
    }

    /// Orders what this core wrote before the interrupts that it sends: a store to I/O space is not ordered with memory.
    pub(crate) fn publish(&self) {
        // SAFETY: a barrier, of everything before with everything after.
        unsafe { asm!("dbar 0", options(nostack)) };
    }

    /// Interrupts the core `id`.
    pub(crate) fn ring(&self, id: HardwareId) -> Result<(), RingError> {
        write(SEND, BLOCKING | (id as u32 & 0x3ff) << 16 | u32::from(self.number));
        Ok(())
    }

    /// Each core is alone.
    pub(crate) fn place_of(&self, id: HardwareId) -> (u64, u32) {
        (id, 0)
    }

    /// Interrupts the one core of that group.
    pub(crate) fn ring_group(&self, group: u64, _mask: u64) -> Result<(), RingError> {
        self.ring(group)
    }

    /// There is no shorthand.
    pub(crate) fn ring_all_others(&self) -> bool {
        false
    }

    /// Clears the interrupt's bit: one that is sent from here on is a new one. The barrier: the bit is clear before the latch is, which is
    /// memory's.
    pub(crate) fn acknowledge(&self) {
        write(CLEAR, 1 << self.number);
        self.publish();
    }
}

fn write(register: u32, value: u32) {
    // SAFETY: registers of this core's that send, or clear, an interrupt. Not `nomem`: stores stay in front of it.
    unsafe { asm!("iocsrwr.w {}, {}", in(reg) value, in(reg) register, options(nostack)) };
}
