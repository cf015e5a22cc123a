//! What interrupts a CPU: on x86-64 its own write to the local APIC, elsewhere the kernel's function.

#[cfg(target_arch = "x86_64")]
mod apic;
#[cfg(not(target_arch = "x86_64"))]
mod kernels;

#[cfg(target_arch = "x86_64")]
pub(crate) use apic::Doorbell;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use kernels::Doorbell;
