//! The conformance suite, unchanged, on ostd.

use crate::port::{self, CPUS, Machine, OstdPort, SMP};
use core::fmt::{Result, Write};
use core::mem::MaybeUninit;
use ostd::prelude::print;
#[cfg(feature = "stats")]
use smpcall::Counts;
use smpcall::PerCpu;
use smpcall_conformance::{Lines, Memory, Rig, Suite, Woken, memory_bytes};

static MEMORY: Memory<{ memory_bytes(CPUS as u32) }> = Memory::new();
static SUITE: Suite<OstdRig> = Suite::new(OstdRig);

struct OstdRig;

impl Rig for OstdRig {
    type Platform = OstdPort;
    type Storage = [PerCpu; CPUS];

    const HANDLER_FLUSHES: bool = true;

    fn smp(&self) -> &'static Machine {
        &SMP
    }

    fn cpus(&self) -> u32 {
        ostd::cpu::num_cpus() as u32
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

/// ostd's console.
pub(crate) struct Console;

/// Results, which `cargo xtask` reads as it reads those of `kernel/`.
pub(crate) type Report = smpcall_conformance::Report<Console>;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> Result {
        print!("{}", text);
        Ok(())
    }
}

/// Runs the suite on this CPU, together with the others. What failed is in the log, which the reader checks.
pub(crate) fn run() -> bool {
    SUITE.run(&mut Lines(Console)).is_ok_and(|summary| summary.failed == 0)
}
