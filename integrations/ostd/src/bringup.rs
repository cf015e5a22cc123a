//! CPUs join, and each doorbell is tried once, before anything depends on it.

use crate::port::{self, CPUS, SMP};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::Platform;

/// How long a CPU may take to come up, or a doorbell to come: an emulated CPU may be kept from running.
const PATIENCE_NS: u64 = 10_000_000_000;

static JOINED: AtomicU32 = AtomicU32::new(0);

/// Brings the machine up, or says why it cannot be used.
pub(crate) fn first_cpu(what: &str) -> Result<(), String> {
    let cpus = ostd::cpu::num_cpus();
    if cpus > CPUS {
        return Err(format!("the machine has {cpus} CPUs, and this kernel is built for {CPUS}"));
    }
    if !port::has_x2apic() {
        return Err("the doorbell is a register of the x2APIC, and this processor has none".to_owned());
    }
    port::prepare(what != "deaf");
    port::note_apic_id();
    let _handle = SMP.as_pin().online().map_err(|why| format!("CPU 0: {why}"))?;
    ostd::boot::smp::register_ap_entry(crate::other_cpu);
    // Acquire: pairs with `other_cpu`.
    if !within_patience(|| JOINED.load(Ordering::Acquire) as usize == cpus - 1) {
        // Relaxed: for the words only.
        return Err(format!("of {cpus} CPUs, {} came up", JOINED.load(Ordering::Relaxed) + 1));
    }
    (0..cpus as u32).try_for_each(try_doorbell)
}

/// Takes this CPU's calls from now on.
pub(crate) fn other_cpu() {
    port::note_apic_id();
    let _handle = SMP.as_pin().online().expect("each CPU comes online once");
    // Release: pairs with `first_cpu`.
    JOINED.fetch_add(1, Ordering::Release);
}

/// Rings that CPU, and waits for the interrupt. Nothing was posted: a CPU that looks by itself does not hide a doorbell that
/// reaches nobody.
fn try_doorbell(cpu: u32) -> Result<(), String> {
    let sent = SMP.platform().ring(cpu);
    if sent.is_ok() && within_patience(|| port::has_come(cpu)) {
        return Ok(());
    }
    Err(format!(
        "the doorbell does not reach CPU {cpu}: its interrupts are off, or ostd's handler is not called"
    ))
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
