//! CPUs join, and each doorbell is tried once, before anything depends on it.

use crate::port::{self, CPUS, SMP};
use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ostd::cpu::{CpuId, CpuSet};
use ostd::smp::inter_processor_call;
use smpcall::Platform;

/// How long a CPU may take to come up, or a doorbell to come: an emulated CPU may be kept from running.
const PATIENCE_NS: u64 = 10_000_000_000;

static JOINED: AtomicU32 = AtomicU32::new(0);
static ECHOED: [AtomicBool; CPUS] = [const { AtomicBool::new(false) }; CPUS];

/// Brings the machine up, or says why it cannot be used.
pub(crate) fn first_cpu(what: &str) -> Result<(), String> {
    let cpus = ostd::cpu::num_cpus();
    if cpus > CPUS {
        return Err(format!("the machine has {cpus} CPUs, and this kernel is built for {CPUS}"));
    }
    port::prepare(what != "deaf");
    let _handle = SMP.as_pin().online().map_err(|why| format!("CPU 0: {why}"))?;
    ostd::boot::smp::register_ap_entry(crate::other_cpu);
    // Acquire: pairs with `other_cpu`.
    if !within_patience(|| JOINED.load(Ordering::Acquire) as usize == cpus - 1) {
        // Relaxed: for the words only.
        return Err(format!("of {cpus} CPUs, {} came up", JOINED.load(Ordering::Relaxed) + 1));
    }
    (1..cpus as u32).try_for_each(try_doorbell)
}

/// Takes this CPU's calls from now on.
pub(crate) fn other_cpu() {
    let _handle = SMP.as_pin().online().expect("each CPU comes online once");
    // Release: pairs with `first_cpu`.
    JOINED.fetch_add(1, Ordering::Release);
}

fn echo() {
    // Release: pairs with `try_doorbell`.
    ECHOED[port::here() as usize].store(true, Ordering::Release);
}

/// Rings that CPU by ostd alone: smpcall's own latch would be answered by the timer's interrupt too, a tick later, and a
/// doorbell that reaches nobody would pass for a slow one.
fn try_doorbell(cpu: u32) -> Result<(), String> {
    inter_processor_call(&CpuSet::from(CpuId::new(cpu)), echo);
    // Acquire: pairs with `echo`.
    if within_patience(|| ECHOED[cpu as usize].load(Ordering::Acquire)) {
        return Ok(());
    }
    let why = if port::has_x2apic() {
        "its interrupts are off, or ostd's handler is not called"
    } else {
        "ostd 0.18 on an xAPIC sends every IPI to APIC 0; boot with x2APIC"
    };
    Err(format!("the doorbell does not reach CPU {cpu}: {why}"))
}

fn within_patience(mut done: impl FnMut() -> bool) -> bool {
    let until_ns = SMP.platform().now_ns() + PATIENCE_NS;
    loop {
        if done() {
            return true;
        }
        if SMP.platform().now_ns() >= until_ns {
            return false;
        }
        SMP.platform().relax();
    }
}
