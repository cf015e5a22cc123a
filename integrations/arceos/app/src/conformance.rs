//! The conformance suite, unchanged, inside ArceOS: a pinned task on each CPU.

use ax_ipi::{AxPort, CPUS, Machine};
use ax_sync::PreemptGuard;
use core::mem::MaybeUninit;
#[cfg(feature = "stats")]
use smpcall::Counts;
use smpcall::PerCpu;
use smpcall_arceos_common::console::Console;
use smpcall_arceos_common::tasks;
use smpcall_conformance::{Lines, Memory, Rig, Suite, Woken, memory_bytes};

static MEMORY: Memory<{ memory_bytes(CPUS as u32) }> = Memory::new();
static SUITE: Suite<AxRig> = Suite::new(AxRig);

struct AxRig;

impl Rig for AxRig {
    type Platform = AxPort;
    type Storage = [PerCpu; CPUS];

    const HANDLER_FLUSHES: bool = true;

    fn smp(&self) -> &'static Machine {
        // SAFETY: the suite runs in tasks that have an affinity of one CPU.
        unsafe { ax_ipi::machine_unpinned() }
    }

    fn cpus(&self) -> u32 {
        ax_hal::cpu_num() as u32
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        MEMORY.take().expect("the suite runs once")
    }

    fn rounds(&self) -> u32 {
        10
    }

    // An emulated CPU may be kept from running for as long as its host pleases.
    fn patience_ns(&self) -> u64 {
        60_000_000_000
    }

    fn sleep(&self, _limit_ns: u64) -> Woken {
        if ax_ipi::sleep() { Woken::Rung } else { Woken::Unknown }
    }

    #[cfg(feature = "stats")]
    fn rings(&self) -> Option<u64> {
        Some(self.smp().platform().rings())
    }

    #[cfg(feature = "stats")]
    fn counts(&self) -> Option<Counts> {
        Some(ax_ipi::STATS.total())
    }
}

/// Runs the suite on all CPUs. What failed is in the log, which the reader checks.
pub(crate) fn run() -> bool {
    // Each reports; the reader has only CPU 0's summary.
    (1..ax_hal::cpu_num()).for_each(|cpu| tasks::start_on(cpu, || _ = alone()));
    alone()
}

/// Runs it on this CPU, whose scheduler lets nobody else come in between: this task is the CPU.
fn alone() -> bool {
    let _stay = PreemptGuard::new();
    SUITE.run(&mut Lines(Console)).is_ok_and(|summary| summary.failed == 0)
}
