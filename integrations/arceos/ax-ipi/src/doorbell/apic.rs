//! x86-64. The kernel's `send_ipi` sets up a driver for the APIC anew for each interrupt, which takes longer than all the rest of a call;
//! here the registers are written. The vector, its entry and its acknowledgement stay the kernel's.
//!
//! Sections are of the *Intel 64 and IA-32 Architectures Software Developer's Manual*, volume 3A.

use crate::port::CPUS;
use ax_hal::irq::{IrqError, ipi_irq};
use ax_hal::mem::{PhysAddr, phys_to_virt};
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicU64, Ordering};
use smpcall_bare::arch;

/// The kernel's vector for calls between CPUs. `join` looks whether it still is.
const VECTOR: u8 = 0xf3;

/// IA32_APIC_BASE (11.4.4), and its bits: x2APIC mode (11.12.1); the page of the xAPIC.
const APIC_BASE: u32 = 0x1b;
const X2APIC: u64 = 1 << 10;
const PAGE: u64 = 0x000f_ffff_ffff_f000;

/// The local APICs, as far as they send.
pub(crate) struct Doorbell {
    apic: arch::Doorbell,
    /// How the APICs know the CPUs.
    ids: [AtomicU64; CPUS],
    /// The CPUs that have joined, a bit for each.
    joined: AtomicU64,
}

impl Doorbell {
    pub(crate) const RINGS_FAIL: bool = false;

    pub(crate) const fn new() -> Self {
        Self {
            apic: arch::Doorbell::new(VECTOR),
            ids: [const { AtomicU64::new(0) }; CPUS],
            joined: AtomicU64::new(0),
        }
    }

    /// This CPU can be rung from now on, and ring. On each CPU, before it comes online.
    pub(crate) fn join(&self, cpu: usize) {
        assert_eq!(ipi_irq().hwirq.0, u32::from(VECTOR), "the kernel's vector for calls between CPUs");
        let base = apic_base();
        let id = if base & X2APIC == 0 {
            let page = phys_to_virt(PhysAddr::from((base & PAGE) as usize));
            // SAFETY: the kernel maps it there, uncached, for its own driver, the same on all CPUs; all are in one mode.
            unsafe { self.apic.use_xapic(page.as_mut_ptr().cast()) };
            // The APIC's id, as it was set at power-up (CPUID.01H:EBX[31:24]).
            __cpuid(1).ebx >> 24
        } else {
            // CPUID.0BH:EDX.
            __cpuid_count(0xb, 0).edx
        };
        // Relaxed, both: coming online publishes them to whoever rings.
        self.ids[cpu].store(id.into(), Ordering::Relaxed);
        self.joined.fetch_or(1 << cpu, Ordering::Relaxed);
    }

    /// Interrupts that CPU. With interrupts off, after what it is to see.
    pub(crate) fn ring(&self, cpu: usize) -> Result<(), IrqError> {
        self.apic.publish();
        // Relaxed: as in `join`.
        self.apic.ring(self.ids[cpu].load(Ordering::Relaxed)).map_err(|_| IrqError::Controller)
    }

    /// Interrupts all CPUs but `own`, at once, if those are `cpus`, a bit for each, and the kernel has no other. Returns whether it did.
    pub(crate) fn ring_all_others(&self, own: usize, cpus: usize) -> bool {
        let all = u64::MAX >> (u64::BITS - ax_hal::cpu_num() as u32);
        // Relaxed: as in `join`. Who has not joined may have no handler yet.
        if cpus as u64 | 1 << own != all || self.joined.load(Ordering::Relaxed) != all {
            return false;
        }
        self.apic.publish();
        self.apic.ring_all_others()
    }
}

fn apic_base() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the register exists on all 64-bit processors; reading it changes nothing.
    unsafe {
        asm!("rdmsr", in("ecx") APIC_BASE, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}
