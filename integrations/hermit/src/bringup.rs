//! CPUs join, and each doorbell is tried once, before anything depends on it.

use crate::port::{self, CPUS, SMP};
use crate::tasks;
use core::arch::x86_64::__cpuid;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::Platform;

/// How long a CPU may take to come up, or a doorbell to come: a guest's CPU may be kept from running.
const PATIENCE_NS: u64 = 10_000_000_000;

static JOINED: AtomicU32 = AtomicU32::new(0);

/// Why the machine cannot be used.
pub(crate) enum Trouble {
    TooMany(usize),
    NoX2apic,
    Missing(u32),
    Offline(u32),
    Deaf(u32),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(cpus) => {
                write!(f, "the machine has {cpus} CPUs, and this program is built for {CPUS}")
            }
            Self::NoX2apic => {
                f.write_str("the doorbell is a register of the x2APIC, and this processor has none")
            }
            Self::Missing(up) => write!(f, "{up} CPUs came up, and that is not all"),
            Self::Offline(cpu) => write!(f, "CPU {cpu} cannot come online"),
            Self::Deaf(cpu) => write!(f, "the doorbell does not reach CPU {cpu}"),
        }
    }
}

/// Brings the machine up, or says why it cannot be used.
pub(crate) fn first_cpu() -> Result<(), Trouble> {
    let cpus = port::cpus();
    if cpus > CPUS {
        return Err(Trouble::TooMany(cpus));
    }
    if __cpuid(1).ecx >> 21 & 1 == 0 {
        return Err(Trouble::NoX2apic);
    }
    crate::layer::prepare();
    port::note_apic_id();
    let _handle = SMP.as_pin().online().map_err(|_| Trouble::Offline(0))?;
    for cpu in 1..cpus as u32 {
        tasks::spawn(cpu, other_cpu);
    }
    // Acquire: pairs with `other_cpu`.
    if !within_patience(|| JOINED.load(Ordering::Acquire) as usize == cpus - 1) {
        // Relaxed: for the words only.
        return Err(Trouble::Missing(JOINED.load(Ordering::Relaxed) + 1));
    }
    (0..cpus as u32).try_for_each(try_doorbell)
}

/// Takes this CPU's calls from now on.
fn other_cpu() {
    port::note_apic_id();
    let _handle = SMP.as_pin().online().expect("each CPU comes online once");
    // Release: pairs with `first_cpu`.
    JOINED.fetch_add(1, Ordering::Release);
    crate::other_cpu();
}

/// Rings that CPU, and waits for the interrupt. Nothing was posted: a CPU that looks by itself does not hide a doorbell that
/// reaches nobody.
fn try_doorbell(cpu: u32) -> Result<(), Trouble> {
    let sent = SMP.platform().ring(cpu);
    if sent.is_ok() && within_patience(|| port::has_come(cpu)) { Ok(()) } else { Err(Trouble::Deaf(cpu)) }
}

fn within_patience(mut done: impl FnMut() -> bool) -> bool {
    let until_ns = port::now_ns() + PATIENCE_NS;
    loop {
        if done() {
            return true;
        }
        if port::now_ns() >= until_ns {
            return false;
        }
        SMP.platform().relax();
    }
}
