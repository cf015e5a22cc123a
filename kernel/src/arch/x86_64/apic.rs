//! The local APIC, but for the doorbell, which is `smpcall_bare`'s: its mode, the timer, starting other CPUs.
//!
//! Sections are of the SDM, volume 3A.

use super::{clock, vectors};
use crate::machine::{QUIET, SMP};
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicBool, Ordering};
use smpcall_bare::arch::{HardwareId, irq_restore, irq_save, relax};
use x86_64::registers::model_specific::Msr;

/// Where the registers are in xAPIC mode: `boot.s` maps that uncached.
const PAGE: usize = 0xfee0_0000;

/// IA32_APIC_BASE, and its bits: enabled, x2APIC mode (11.12.1).
const APIC_BASE: Msr = Msr::new(0x1b);
const BASE_ENABLED: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;

/// Registers: an offset in the page; in x2APIC mode MSR 0x800 + offset / 16 (11.12.1.2).
const ID: u32 = 0x020;
const TPR: u32 = 0x080;
const EOI: u32 = 0x0b0;
const SVR: u32 = 0x0f0;
const ICR: u32 = 0x300;
const ICR_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const LVT_ERROR: u32 = 0x370;
const TIMER_INITIAL: u32 = 0x380;
const TIMER_CURRENT: u32 = 0x390;
const TIMER_DIVIDE: u32 = 0x3e0;

/// SVR: the APIC takes interrupts (11.9).
const SVR_ENABLED: u64 = 1 << 8;
/// An entry of the local vector table: masked (11.5.1).
const MASKED: u64 = 1 << 16;
/// The timer's clock divided by 16 (11.5.4): alarms up to some seconds fit into 32 bits.
const DIVIDE_BY_16: u64 = 0b0011;

/// ICR (11.6.1): how it is delivered, asserted, to whom.
const NMI: u64 = 0b100 << 8;
const INIT: u64 = 0b101 << 8;
const START_UP: u64 = 0b110 << 8;
const PENDING: u64 = 1 << 12;
const ASSERT: u64 = 1 << 14;
const SELF: u64 = 0b01 << 18;

/// Whether the APICs are in x2APIC mode. Decided by the boot CPU, before the others start.
static X2APIC: AtomicBool = AtomicBool::new(false);

fn is_x2apic() -> bool {
    // Relaxed: see `choose`.
    X2APIC.load(Ordering::Relaxed)
}

pub(super) fn name() -> &'static str {
    if is_x2apic() { "x2APIC" } else { "xAPIC" }
}

/// Chooses the mode, for all CPUs, and switches this one's APIC on. On the boot CPU.
pub(super) fn choose(want_xapic: bool) {
    // CPUID.01H:ECX[21].
    let offered = __cpuid(1).ecx >> 21 & 1 != 0;
    // SAFETY: the register exists.
    let found_on = unsafe { APIC_BASE.read() } & BASE_X2APIC != 0;
    // From x2APIC mode there is no way back but a reset, or by way of "disabled", which the firmware's other CPUs have not gone.
    assert!(
        !(found_on && want_xapic),
        "apic=xapic: the firmware has left the x2APIC on (SeaBIOS does from maxcpus=256 on)"
    );
    // Relaxed: the other CPUs start later, and a start synchronises.
    X2APIC.store(found_on || offered && !want_xapic, Ordering::Relaxed);
    if !is_x2apic() {
        for doorbell in [SMP.platform().doorbell(), QUIET.platform().doorbell()] {
            // SAFETY: mapped uncached by boot.s, and `enable` puts the registers of each CPU there.
            unsafe { doorbell.use_xapic(PAGE as *mut u32) };
        }
    }
    enable();
}

/// Switches this CPU's APIC on, in the mode that was chosen, with nothing to interrupt from but other CPUs and the alarm.
pub(super) fn enable() {
    const BOOT_CPU: u64 = 1 << 8;
    let mut base = APIC_BASE;
    // SAFETY: the register exists, and the mode goes from disabled to xAPIC to x2APIC, the way it must (11.12.5).
    unsafe {
        let found = base.read() & (BOOT_CPU | BASE_X2APIC);
        base.write(PAGE as u64 | found | BASE_ENABLED);
        if is_x2apic() {
            base.write(PAGE as u64 | found | BASE_ENABLED | BASE_X2APIC);
        }
    }
    write(SVR, SVR_ENABLED | u64::from(vectors::SPURIOUS));
    write(TPR, 0);
    for entry in [LVT_TIMER, LVT_LINT0, LVT_LINT1, LVT_ERROR] {
        write(entry, MASKED);
    }
    write(TIMER_DIVIDE, DIVIDE_BY_16);
    // Nothing is left over from before a stop: an INIT has cleared what was pending (11.4.7.3).
}

/// This CPU is about to join: the doorbell, and the alarm, can interrupt it.
pub(super) fn enter() {
    for doorbell in [SMP.platform().doorbell(), QUIET.platform().doorbell()] {
        doorbell.prepare(id());
    }
    // One-shot (bits 18:17 are 0).
    write(LVT_TIMER, vectors::ALARM.into());
}

/// This CPU's id.
pub(super) fn id() -> HardwareId {
    if is_x2apic() { read(ID) } else { read(ID) >> 24 }
}

/// The interrupt was heard.
pub(super) fn acknowledge() {
    write(EOI, 0);
}

/// Starts the timer, which interrupts once if it is not masked; 0 stops it.
pub(super) fn start_timer(ticks: u32) {
    write(TIMER_INITIAL, ticks.into());
}

/// How many ticks are left.
pub(super) fn timer() -> u32 {
    read(TIMER_CURRENT) as u32
}

/// This CPU interrupts itself.
pub(super) fn interrupt_self() {
    send(0, SELF | ASSERT | u64::from(vectors::OWN));
}

/// As an NMI: for that there is no shorthand (table 11-3).
pub(super) fn nmi_self() {
    send(id(), NMI | ASSERT);
}

/// Resets a CPU, which then waits to be started.
pub(super) fn send_init(id: HardwareId) {
    send(id, INIT | ASSERT);
}

/// Starts a CPU that was reset, in real mode at that page below a megabyte. One that runs ignores it.
pub(super) fn send_start_up(id: HardwareId, page: u8) {
    send(id, START_UP | ASSERT | u64::from(page));
}

fn send(destination: HardwareId, command: u64) {
    if is_x2apic() {
        return write(ICR, destination << 32 | command);
    }
    // The destination is a register of its own: nobody may come in between and change it. (An NMI puts back what it found.)
    let irqs = irq_save();
    while read(ICR) & PENDING != 0 {
        relax();
    }
    write(ICR_HIGH, destination << 24);
    write(ICR, command);
    irq_restore(irqs);
}

fn read(register: u32) -> u64 {
    if is_x2apic() {
        // SAFETY: a register of the x2APIC, which this machine has.
        unsafe { msr(register).read() }
    } else {
        // SAFETY: the local APIC's page.
        unsafe { ((PAGE + register as usize) as *const u32).read_volatile() }.into()
    }
}

fn write(register: u32, value: u64) {
    if is_x2apic() {
        // SAFETY: as in `read`.
        unsafe { msr(register).write(value) };
    } else {
        // SAFETY: as in `read`; the upper half of the one register that is longer is written apart.
        unsafe { ((PAGE + register as usize) as *mut u32).write_volatile(value as u32) };
    }
}

fn msr(register: u32) -> Msr {
    Msr::new(0x800 + (register >> 4))
}

/// Has this CPU interrupted once.
pub(super) fn set_alarm(after_ns: u64) {
    start_timer(clock::timer_ticks(after_ns));
}
