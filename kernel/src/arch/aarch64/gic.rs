//! The interrupt controller: the distributor once, and a redistributor and an interface for each CPU. All interrupts are in
//! Group 1, of one priority.
//!
//! Sources: *Arm Generic Interrupt Controller Architecture Specification v3 and v4* (IHI 0069H), chapter 11 (powering a CPU
//! up and down), 12.2 (ICC_SRE_EL1, ICC_CTLR_EL1, ICC_PMR_EL1, ICC_IGRPEN1_EL1, ICC_IAR1_EL1, ICC_EOIR1_EL1, ICC_SGI1R_EL1),
//! 12.9 (GICD), 12.11 (GICR_TYPER, GICR_WAKER); *Arm Base System Architecture* (DEN 0094), PPI assignments (27 is the
//! virtual timer's), which is also what QEMU's hw/arm/virt.h says.

use super::{clock, hardware_id};
use crate::traps;
use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicDistributor, GicRedistributor};
use arm_gic::{IntId, UniqueMmioPointer};
use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use fdt::Fdt;
use smpcall_bare::arch::Doorbell;

/// The doorbell's SGI, and the one that a CPU sends to itself.
const DOORBELL_SGI: u32 = 0;
const OWN_SGI: u32 = 1;
/// The virtual timer's PPI.
const TIMER_PPI: u32 = 11;

const OWN: u32 = IntId::sgi(OWN_SGI).raw_value();
const RUNG: u32 = IntId::sgi(DOORBELL_SGI).raw_value();
const TIMER: u32 = IntId::ppi(TIMER_PPI).raw_value();
/// There is none: it was withdrawn, or is not this state's.
const NONE_FIRST: u32 = 1020;
const NONE_LAST: u32 = IntId::SPECIAL_NONE.raw_value();

pub(crate) const DOORBELL: Doorbell = Doorbell::new(DOORBELL_SGI as u8);

/// Where the first redistributor is; written by `boot`, before other CPUs start.
static REDISTRIBUTORS: AtomicUsize = AtomicUsize::new(0);

/// Sets the distributor up. On the boot CPU, once.
pub(super) fn boot(tree: &Fdt<'_>) {
    let gic = tree.find_compatible(&["arm,gic-v3"]).expect("no GICv3: the machine wants gic-version=3");
    let mut regions = gic.reg().expect("it has registers");
    let mut region = || regions.next().expect("the distributor's, and the redistributors'").starting_address;
    let distributor = NonNull::new(region().cast_mut()).expect("it is not at 0").cast::<Gicd>();
    // Relaxed: the other CPUs start after this, and a start synchronises.
    REDISTRIBUTORS.store(region().addr(), Ordering::Relaxed);
    // SAFETY: the distributor's registers, mapped as a device; nobody else uses them, now or later.
    let distributor = unsafe { UniqueMmioPointer::new(distributor) };
    GicDistributor::new(distributor).configure_default_settings();
}

/// This CPU's redistributor: the one whose GICR_TYPER has its affinity.
fn redistributor() -> GicRedistributor<'static> {
    /// GICR_TYPER: its place; VLPIS: the CPU has four frames and not two; Last; the affinity in the upper half.
    const TYPER: usize = 8;
    const FOUR_FRAMES: u64 = 1 << 1;
    const LAST: u64 = 1 << 4;
    const FRAME_BYTES: usize = 0x1_0000;
    let id = hardware_id();
    let affinity = id >> 32 << 24 | id & 0xff_ffff;
    // Relaxed: written before this CPU was started.
    let mut at = REDISTRIBUTORS.load(Ordering::Relaxed);
    loop {
        // SAFETY: a register of a redistributor, since the one before was not the last; read only.
        let typer = unsafe { ((at + TYPER) as *const u64).read_volatile() };
        if typer >> 32 == affinity {
            break;
        }
        assert!(typer & LAST == 0, "no redistributor for the CPU {id:#x}");
        at += FRAME_BYTES * if typer & FOUR_FRAMES != 0 { 4 } else { 2 };
    }
    let registers = NonNull::new(at as *mut GicrSgi).expect("they are not at 0");
    // SAFETY: the registers of this CPU, which no other touches (but for GICR_TYPER, see above); mapped as a device. The
    // callers are this file's, one at a time: `enter` and `leave`.
    GicRedistributor::new(unsafe { UniqueMmioPointer::new(registers) })
}

/// This CPU can be interrupted from here on. Also when it starts again: its interface was reset, its redistributor not.
pub(super) fn enter() {
    let mut redistributor = redistributor();
    // An error: it is awake.
    let _ = redistributor.mark_core_awake();
    redistributor.configure_default_settings();
    for interrupt in [IntId::sgi(DOORBELL_SGI), IntId::sgi(OWN_SGI), IntId::ppi(TIMER_PPI)] {
        redistributor.enable_interrupt(interrupt, true).expect("SGIs and PPIs are a redistributor's");
    }
    GicCpuInterface::enable_system_register_el1();
    // SAFETY: the other registers of the interface are there after the barrier. ICC_CTLR_EL1: ending an interrupt also
    // deactivates it (EOImode), and each group has its own preemption (CBPR).
    unsafe { asm!("isb", "msr icc_ctlr_el1, xzr", options(nostack)) };
    GicCpuInterface::set_priority_mask(0xff);
    GicCpuInterface::enable_group1(true);
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack)) };
}

/// This CPU is going to be switched off: nothing more is forwarded to it, and a doorbell that all others get does not ask
/// for it to be woken.
pub(super) fn leave() {
    GicCpuInterface::enable_group1(false);
    // SAFETY: barriers: the interface is off before the redistributor is told.
    unsafe { asm!("isb", "dsb sy", options(nostack)) };
    let mut redistributor = redistributor();
    redistributor.enable_all_interrupts(false);
    redistributor.wait_for_pending_write();
    // An error: it is asleep.
    let _ = redistributor.mark_core_asleep();
}

/// The handler of all interrupts.
pub(super) fn interrupt() {
    let acknowledged: u64;
    // SAFETY: takes the interrupt, which is ended below.
    unsafe { asm!("mrs {}, icc_iar1_el1", out(reg) acknowledged, options(nostack)) };
    match acknowledged as u32 & 0xff_ffff {
        // The port ends it.
        RUNG => traps::doorbell(),
        OWN => {
            end(OWN);
            traps::own_interrupt();
        }
        TIMER => {
            clock::no_alarm();
            end(TIMER);
            traps::alarm();
        }
        NONE_FIRST..=NONE_LAST => {}
        other => traps::unexpected(format_args!("interrupt {other}")),
    }
}

/// Ends an interrupt, and deactivates it.
fn end(interrupt: u32) {
    // SAFETY: ends an interrupt that was taken.
    unsafe { asm!("msr icc_eoir1_el1, {}", "isb", in(reg) u64::from(interrupt), options(nostack)) };
}

pub(crate) fn raise_interrupt() {
    let id = hardware_id();
    let affinity = |shift: u32| id >> shift & 0xff;
    // ICC_SGI1R_EL1: Aff3 55:48, RS 47:44, Aff2 39:32, INTID 27:24, Aff1 23:16, the list of Aff0 15:0.
    let value = affinity(32) << 48
        | affinity(0) >> 4 << 44
        | affinity(16) << 32
        | u64::from(OWN_SGI) << 24
        | affinity(8) << 16
        | 1 << (id & 0xf);
    // SAFETY: interrupts this CPU, which has a handler. Not `nomem`: what was written before is for the handler.
    unsafe { asm!("msr icc_sgi1r_el1, {}", "isb", in(reg) value, options(nostack)) };
}
