// SPDX-License-Identifier: GPL-2.0-only
//! What is a function call in C and an instruction or two here: the hot ends of the port.
//!
//! The glue demands at compile time what this takes for granted: `cpu_number` is an `int`, 12 bytes into `pcpu_hot` where that is, and
//! irq flags are the hardware's (no Xen PV).

use core::arch::asm;

const IF: usize = 1 << 9;

#[cfg(not(feature = "cpu-number"))]
const CPU_NUMBER: usize = 12;

unsafe extern "C" {
    #[cfg(not(feature = "cpu-number"))]
    static pcpu_hot: u8;
    #[cfg(feature = "cpu-number")]
    static cpu_number: u32;
}

/// `raw_smp_processor_id()`.
#[inline(always)]
#[cfg(not(feature = "cpu-number"))]
pub(crate) fn current_cpu() -> u32 {
    let cpu: u32;
    // SAFETY: a load from this CPU's own area, to which gs points in the kernel.
    unsafe {
        asm!("mov {cpu:e}, gs:[{hot} + {at}]", cpu = out(reg) cpu, hot = sym pcpu_hot, at = const CPU_NUMBER,
            options(nostack, preserves_flags, readonly));
    }
    cpu
}

/// `raw_smp_processor_id()`. Volatile, since the thread may have moved since it last asked.
#[inline(always)]
#[cfg(feature = "cpu-number")]
pub(crate) fn current_cpu() -> u32 {
    let cpu: u32;
    // SAFETY: as above.
    unsafe {
        asm!("mov {cpu:e}, gs:[rip + {number}]", cpu = out(reg) cpu, number = sym cpu_number, options(nostack, preserves_flags));
    }
    cpu
}

/// The flags, as they were before `irq_save`.
#[derive(Clone, Copy)]
pub(crate) struct IrqState(usize);

#[inline(always)]
fn flags() -> usize {
    let flags: usize;
    // SAFETY: reads the flags, by way of the stack.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags
}

#[inline(always)]
pub(crate) fn irqs_are_on() -> bool {
    flags() & IF != 0
}

/// `raw_local_irq_save()`: lockdep is not told, since nothing between this and `irq_restore` asks it.
#[inline(always)]
pub(crate) fn irq_save() -> IrqState {
    let state = IrqState(flags());
    // SAFETY: masks interrupts, and orders what follows behind that.
    unsafe { asm!("cli", options(nostack, preserves_flags)) };
    state
}

#[inline(always)]
pub(crate) fn irq_restore(IrqState(flags): IrqState) {
    if flags & IF != 0 {
        // SAFETY: they were on before `irq_save`.
        unsafe { asm!("sti", options(nostack, preserves_flags)) };
    }
}
