//! By the kernel: `send_ipi` of ax-hal.

use ax_hal::irq::{CpuId, IpiTarget, IrqError, ipi_irq, send_ipi};
use core::arch::asm;

/// The interrupt controller, as far as it sends.
pub(crate) struct Doorbell;

impl Doorbell {
    pub(crate) const RINGS_FAIL: bool = true;

    pub(crate) const fn new() -> Self {
        Self
    }

    /// This CPU can be rung from now on.
    pub(crate) fn join(&self, _cpu: usize) {}

    /// Interrupts that CPU. With interrupts off, after what it is to see.
    pub(crate) fn ring(&self, cpu: usize) -> Result<(), IrqError> {
        publish();
        let target =
            if cpu == crate::port::this_cpu() { IpiTarget::Current } else { IpiTarget::Cpu(CpuId(cpu)) };
        send_ipi(ipi_irq(), target)
    }

    /// Several CPUs at once: there is no such function.
    pub(crate) fn ring_all_others(&self, _own: usize, _cpus: usize) -> bool {
        false
    }
}

/// Orders what this CPU wrote before the interrupts that it sends.
#[cfg(target_arch = "aarch64")]
fn publish() {
    // SAFETY: a barrier: a GICv3 is told by a system register, which no store orders (Arm DDI 0487, B2.3).
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
}

/// Orders what this CPU wrote before the interrupts that it sends.
#[cfg(target_arch = "riscv64")]
fn publish() {
    // SAFETY: a fence; the firmware writes to a device, perhaps.
    unsafe { asm!("fence rw, ow", options(nostack)) };
}
