//! The clock is the virtual counter, one for all CPUs; the alarm is each CPU's virtual timer.
//!
//! Sources: *Arm Architecture Reference Manual for A-profile* (DDI 0487), the chapter on the Generic Timer, CNTVCT_EL0,
//! CNTFRQ_EL0, CNTV_CVAL_EL0, CNTV_CTL_EL0.

use core::arch::asm;

const NS_PER_S: u64 = 1_000_000_000;

fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register. The barrier keeps it from being read ahead of what comes before.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack)) };
    ticks
}

fn ticks_per_s() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

pub(crate) fn now_ns() -> u64 {
    let (ticks, per_s) = (ticks(), ticks_per_s());
    // The remainder is below `per_s`, which is 32 bits wide: no product overflows.
    ticks / per_s * NS_PER_S + ticks % per_s * NS_PER_S / per_s
}

pub(crate) fn set_alarm(after_ns: u64) {
    let per_s = ticks_per_s();
    let after =
        (after_ns / NS_PER_S).saturating_mul(per_s).saturating_add(after_ns % NS_PER_S * per_s / NS_PER_S);
    let at = ticks().saturating_add(after);
    // SAFETY: the timer's interrupt has a handler. CNTV_CTL_EL0.ENABLE, and IMASK clear.
    unsafe {
        asm!("msr cntv_cval_el0, {}", "msr cntv_ctl_el0, {}", "isb", in(reg) at, in(reg) 1_u64, options(nostack))
    };
}

/// Also ends the one that came: its interrupt is asserted for as long as the timer is on.
pub(super) fn no_alarm() {
    // SAFETY: switches the timer off.
    unsafe { asm!("msr cntv_ctl_el0, xzr", "isb", options(nostack)) };
}
