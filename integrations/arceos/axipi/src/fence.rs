//! Memory before the doorbell. axhal's IPI does not say that it orders what was written before.

use core::arch::asm;

/// Orders what this CPU wrote before the interrupts that it sends.
#[cfg(target_arch = "riscv64")]
pub(crate) fn publish() {
    // SAFETY: a fence; the firmware writes to a device, perhaps.
    unsafe { asm!("fence rw, ow", options(nostack)) };
}

/// Orders what this CPU wrote before the interrupts that it sends.
#[cfg(target_arch = "aarch64")]
pub(crate) fn publish() {
    // SAFETY: a barrier; the GICv2's register is a device, so that nothing stronger than DSB ISHST is asked for.
    unsafe { asm!("dsb ishst", options(nostack)) };
}

/// Orders what this CPU wrote before the interrupts that it sends.
#[cfg(target_arch = "x86_64")]
pub(crate) fn publish() {
    // SAFETY: fences; the x2APIC's write is a WRMSR that does not serialise (Intel SDM 3A, 11.12.3).
    unsafe { asm!("mfence", "lfence", options(nostack)) };
}

/// Clears the pending software interrupt: one that is sent from here on is a new one.
#[cfg(target_arch = "riscv64")]
pub(crate) fn acknowledge() {
    // SAFETY: clears sip.SSIP, which the caller handles.
    unsafe { asm!("csrc sip, {}", in(reg) 2, options(nostack)) };
}

/// Nothing: the platform acknowledges before it calls the handler (GIC), or the vector is not masked by itself (APIC: a second
/// one is kept in IRR until the end of the first).
#[cfg(not(target_arch = "riscv64"))]
pub(crate) fn acknowledge() {}
