//! The conformance suite, unchanged, in Hermit.

use crate::port::{self, CPUS, HermitPort, Machine, SMP};
use core::fmt::{Result, Write};
use core::mem::MaybeUninit;
#[cfg(feature = "stats")]
use smpcall::Counts;
use smpcall::PerCpu;
use smpcall_conformance::{Lines, Memory, Rig, Suite, Woken, memory_bytes};

static MEMORY: Memory<{ memory_bytes(CPUS as u32) }> = Memory::new();
static SUITE: Suite<HermitRig> = Suite::new(HermitRig);

struct HermitRig;

impl Rig for HermitRig {
    type Platform = HermitPort;
    type Storage = [PerCpu; CPUS];

    const HANDLER_FLUSHES: bool = true;

    fn smp(&self) -> &'static Machine {
        &SMP
    }

    fn cpus(&self) -> u32 {
        port::cpus() as u32
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        MEMORY.take().expect("the suite runs once")
    }

    fn rounds(&self) -> u32 {
        10
    }

    // A guest's CPU may be kept from running for as long as its host pleases.
    fn patience_ns(&self) -> u64 {
        60_000_000_000
    }

    fn sleep(&self, _limit_ns: u64) -> Woken {
        // The timer answers too: a doorbell that came late cannot be told from one that was lost.
        if port::sleep() { Woken::Rung } else { Woken::Unknown }
    }

    fn rings(&self) -> Option<u64> {
        cfg!(feature = "stats").then(|| SMP.platform().rings())
    }

    #[cfg(feature = "stats")]
    fn counts(&self) -> Option<Counts> {
        Some(port::STATS.total())
    }
}

/// Hermit's console.
pub(crate) struct Console;

/// Results, which `cargo xtask` reads as it reads those of `kernel/`.
pub(crate) type Report = smpcall_conformance::Report<Console>;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> Result {
        hermit::console::_print(format_args!("{text}"));
        Ok(())
    }
}

/// Runs the suite on this CPU, together with the others. What failed is in the log, which the reader checks.
pub(crate) fn run() -> bool {
    SUITE.run(&mut Lines(Console)).is_ok_and(|summary| summary.failed == 0)
}
