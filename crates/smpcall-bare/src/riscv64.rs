//! riscv64: interrupts are asked of the firmware, by the Supervisor Binary Interface, or, where the machine has an IMSIC, are messages to
//! its interrupt files.
//!
//! Sources: *RISC-V Supervisor Binary Interface Specification* 3.0, chapters 3 (hart masks, errors), 4 (base extension) and 7 (IPI
//! extension), which are as in 2.0;
//! *The RISC-V Instruction Set Manual, Volume II* 20211203, 4.1.1 (sstatus), 4.1.3 (sip, sie), 3.3.3 (WFI); *Volume I*
//! 20191213, 2.7 (FENCE), and the extension Zihintpause (PAUSE); *The RISC-V Advanced Interrupt Architecture* 1.0, 2.1 (siselect, sireg,
//! stopei), 3.5 (seteipnum_le), 3.8 (eip).

use core::arch::asm;
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
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

/// A version of the Supervisor Binary Interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SbiVersion {
    /// The first number.
    pub major: usize,
    /// The second.
    pub minor: usize,
}

impl fmt::Display for SbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a firmware cannot be asked for interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitFirmware {
    /// It has SBI 0.1, whose calls are others. Use a newer one.
    TooOld,
    /// It has no IPI extension. Use an IMSIC, if the machine has one, or another firmware.
    NoIpis(SbiVersion),
}

impl fmt::Display for UnfitFirmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld => f.write_str("the firmware's SBI is older than 0.2"),
            Self::NoIpis(version) => write!(f, "the firmware (SBI {version}) has no IPI extension"),
        }
    }
}

/// Asks the firmware for its version, and whether it sends interrupts. Before a [`Doorbell`] is used that asks it to.
///
/// What 3.0 has beside 2.0 is not used here. Firmware features (FWFT) are off unless a kernel sets them; one of them, the double trap, asks
/// that a handler takes no trap before it has saved its state, which [`answer`](crate::answer) does not.
///
/// # Errors
///
/// If it cannot be used.
///
/// Example: `kernel/src/arch/riscv64.rs`, in the repository.
pub fn firmware() -> Result<SbiVersion, UnfitFirmware> {
    const BASE: usize = 0x10;
    const IPI: usize = 0x73_5049;
    // Not by sbi-rt, which leaves out the error: SBI 0.1 answers one to whatever it does not know, and the value is then nobody's.
    let base = |function: usize, argument: usize| {
        let (error, value): (isize, usize);
        // SAFETY: a call that tells something, and changes nothing but these two registers.
        unsafe {
            asm!("ecall", in("a7") BASE, in("a6") function, inlateout("a0") argument => error, inlateout("a1") 0_usize => value, options(nostack))
        };
        (error == 0).then_some(value)
    };
    let version = base(0, 0).ok_or(UnfitFirmware::TooOld)?;
    let version = SbiVersion { major: version >> 24 & 0x7f, minor: version & 0xff_ffff };
    if version < (SbiVersion { major: 0, minor: 2 }) {
        return Err(UnfitFirmware::TooOld);
    }
    match base(3, IPI) {
        Some(found) if found != 0 => Ok(version),
        _ => Err(UnfitFirmware::NoIpis(version)),
    }
}

/// The supervisor's software interrupt, or, where [told](Self::use_imsic), a message.
#[derive(Debug)]
pub struct Doorbell {
    /// The first hart's interrupt file; null: there is none, and the firmware is asked.
    files: AtomicPtr<u32>,
    /// How far one hart's file is from the next's: a power of two.
    shift: AtomicU32,
}

/// The message's number, its identity, in the files: one that every file has.
pub const IDENTITY: u32 = 1;

/// siselect: the word of eip that has [`IDENTITY`]'s bit (3.8).
const EIP_0: usize = 0x80;

impl Doorbell {
    /// Makes it; by the firmware, unless told.
    #[expect(clippy::new_without_default, reason = "the other architectures' take an argument")]
    pub const fn new() -> Self {
        Self { files: AtomicPtr::new(ptr::null_mut()), shift: AtomicU32::new(0) }
    }

    /// The harts of this machine have interrupt files of an IMSIC for supervisors: that of hart n is `n << shift` bytes after `files`. Before
    /// the first joins. Each hart switches the delivery of its file and [`IDENTITY`] on, and, in its handler of external interrupts, calls the
    /// port for that; and it uses siselect with interrupts off only.
    ///
    /// # Safety
    ///
    /// From `files` on there is a page for each hart that joins, an interrupt file's, mapped as a device, for ever.
    ///
    /// Example: `kernel/src/arch/riscv64/imsic.rs`, in the repository.
    pub unsafe fn use_imsic(&self, files: *mut u32, shift: u32) {
        // Relaxed: harts that start later are started, and so synchronised with, by the caller.
        self.shift.store(shift, Ordering::Relaxed);
        // Relaxed: as above.
        self.files.store(files, Ordering::Relaxed);
    }

    fn files(&self) -> Option<*mut u32> {
        // Relaxed: as in `use_imsic`.
        let files = self.files.load(Ordering::Relaxed);
        (!files.is_null()).then_some(files)
    }

    /// Orders what this hart wrote before the interrupts that it sends. The firmware writes to a device, perhaps, or this hart does: so memory
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

    /// A hart mask has a base and as many bits as a register. A message is for one hart.
    pub(crate) fn place_of(&self, id: HardwareId) -> (u64, u32) {
        if self.files().is_some() { (id, 0) } else { (id / 64, (id % 64) as u32) }
    }

    /// Interrupts the harts of `mask`, which counts from the group's first.
    pub(crate) fn ring_group(&self, group: u64, mask: u64) -> Result<(), RingError> {
        if let Some(files) = self.files() {
            // Relaxed: as in `use_imsic`.
            let shift = self.shift.load(Ordering::Relaxed);
            // SAFETY: the file of a hart that has joined, as `use_imsic` promised. Its first register is seteipnum_le; the store is one of a
            // device's, and stays behind what `publish` has ordered.
            unsafe { files.byte_add((group as usize) << shift).write_volatile(IDENTITY) };
            return Ok(());
        }
        let harts = sbi_rt::HartMask::from_mask_base(mask as usize, group as usize * 64);
        // An error is a hart that the firmware does not know, or lets nobody interrupt (SBI 3.0, 7.1): the stall report says so.
        if sbi_rt::send_ipi(harts).is_ok() { Ok(()) } else { Err(RingError) }
    }

    /// "All harts" of the firmware has the caller among them.
    pub(crate) fn ring_all_others(&self) -> bool {
        false
    }

    /// Clears sip.SSIP, or the message's bit: an interrupt that is sent from here on is a new one. Where messages are sent, software
    /// interrupts are the kernel's own.
    pub(crate) fn acknowledge(&self) {
        if self.files().is_none() {
            // SAFETY: clears a pending interrupt, which the caller handles.
            unsafe { asm!("csrc sip, {}", in(reg) SSIP, options(nostack)) };
            return;
        }
        let bit = 1_usize << IDENTITY;
        // siselect (0x150) and sireg (0x151), by their numbers. The fence: the bit is clear before the latch is, which is memory's.
        // SAFETY: clears a pending interrupt, which the caller handles, with interrupts off.
        unsafe {
            asm!("csrw 0x150, {}", "csrc 0x151, {}", "fence iorw, rw", in(reg) EIP_0, in(reg) bit, options(nostack))
        };
    }
}
