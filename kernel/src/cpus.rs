//! Which CPUs there are; starting and stopping them.

use crate::arch;
use crate::idle::relax;
use crate::machine::{QUIET, SMP};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use smpcall_bare::arch::HardwareId;

/// How many CPUs the kernel was built for.
pub(crate) const CPUS_MAX: usize = 64;

/// How long a CPU may take to start.
const START_NS: u64 = 10_000_000_000;

/// The CPUs' ids, the boot CPU's first; written before the others start.
static IDS: [AtomicU64; CPUS_MAX] = [const { AtomicU64::new(0) }; CPUS_MAX];
static COUNT: AtomicU32 = AtomicU32::new(0);
/// Whether each runs.
static UP: [AtomicBool; CPUS_MAX] = [const { AtomicBool::new(false) }; CPUS_MAX];

/// Why a machine, or a CPU of it, cannot be used.
#[derive(Debug)]
pub(crate) enum Trouble {
    TooMany(usize),
    NotStarted(arch::StartError),
    NotUp,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(found) => {
                write!(f, "the machine has {found} CPUs, and this kernel was built for {CPUS_MAX}")
            }
            Self::NotStarted(why) => write!(f, "cannot be started: {why:?}"),
            Self::NotUp => f.write_str("was started and never came up"),
        }
    }
}

/// Finds the machine's CPUs. On the boot CPU, before any other starts.
pub(crate) fn discover() -> Result<(), Trouble> {
    let mut found = 0;
    let mut add = |id: HardwareId| {
        if let Some(place) = IDS.get(found) {
            // Relaxed: the other CPUs start after this, and a start synchronises.
            place.store(id, Ordering::Relaxed);
        }
        found += 1;
    };
    let boot = arch::hardware_id();
    add(boot);
    arch::discover(&mut |id| {
        if id != boot {
            add(id);
        }
    });
    if found > CPUS_MAX {
        return Err(Trouble::TooMany(found));
    }
    // Relaxed: as above.
    COUNT.store(found as u32, Ordering::Relaxed);
    Ok(())
}

/// How many CPUs the machine has.
pub(crate) fn count() -> u32 {
    // Relaxed: see `discover`.
    COUNT.load(Ordering::Relaxed)
}

fn id_of(cpu: u32) -> HardwareId {
    // Relaxed: see `discover`.
    IDS[cpu as usize].load(Ordering::Relaxed)
}

/// The calling CPU becomes `cpu`, and can be interrupted from here on.
pub(crate) fn enter(cpu: u32) {
    let id = id_of(cpu);
    arch::enter(cpu);
    SMP.platform().join(cpu, id);
    QUIET.platform().join(cpu, id);
    smpcall_bare::arch::irqs_on();
    // Release: publishes all this to the one who started it; pairs with `start`.
    UP[cpu as usize].store(true, Ordering::Release);
}

/// Starts a CPU, again if it was stopped, and waits until it runs.
pub(crate) fn start(cpu: u32) -> Result<(), Trouble> {
    arch::start(cpu, id_of(cpu)).map_err(Trouble::NotStarted)?;
    let until_ns = arch::now_ns() + START_NS;
    // Acquire: pairs with `enter`.
    while !UP[cpu as usize].load(Ordering::Acquire) {
        if arch::now_ns() > until_ns {
            return Err(Trouble::NotUp);
        }
        relax();
    }
    Ok(())
}

/// Stops the calling CPU, which is offline. `start` begins it anew.
pub(crate) fn stop() -> ! {
    let cpu = arch::current_cpu().expect("a CPU stops itself");
    arch::mask_interrupts();
    // Release: what it wrote before is seen by whoever starts it again.
    UP[cpu as usize].store(false, Ordering::Release);
    arch::stop()
}

/// Returns whether the CPU has stopped, and may be started.
pub(crate) fn is_stopped(cpu: u32) -> bool {
    // Acquire: pairs with `stop`.
    !UP[cpu as usize].load(Ordering::Acquire) && arch::is_stopped(id_of(cpu))
}
