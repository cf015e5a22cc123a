//! The conformance suite, unchanged, on this machine.

use crate::command::Command;
use crate::console::Console;
use crate::cpus::{self, CPUS_MAX};
use crate::machine::{SMP, STATS, Site};
use crate::traps;
use core::mem::MaybeUninit;
use smpcall::{Counts, Machine, PerCpu};
use smpcall_bare::Bare;
use smpcall_conformance::{Lines, Memory, Rig, Suite, Woken, memory_bytes};

static MEMORY: Memory<{ memory_bytes(CPUS_MAX as u32) }> = Memory::new();
static SUITE: Suite<KernelRig> = Suite::new(KernelRig);

pub(super) struct KernelRig;

impl Rig for KernelRig {
    type Platform = Bare<Site<true>, CPUS_MAX>;
    type Storage = [PerCpu; CPUS_MAX];

    const HANDLER_FLUSHES: bool = true;

    fn smp(&self) -> &'static Machine<Self::Platform, Self::Storage> {
        &SMP
    }

    fn cpus(&self) -> u32 {
        cpus::count()
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        MEMORY.take().expect("the kernel runs the suite once")
    }

    fn rounds(&self) -> u32 {
        Command::get().rounds
    }

    // An emulated CPU may be kept from running for as long as its host pleases.
    fn patience_ns(&self) -> u64 {
        60_000_000_000
    }

    fn sleep(&self, limit_ns: u64) -> Woken {
        if SMP.platform().sleep(limit_ns) { Woken::Rung } else { Woken::Unknown }
    }

    fn rings(&self) -> Option<u64> {
        Some(SMP.platform().rings())
    }

    fn counts(&self) -> Option<Counts> {
        Some(STATS.total())
    }

    fn interrupt(&self, f: &(dyn Fn() + Sync)) -> bool {
        traps::interrupt_self(f);
        true
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        traps::nmi_self(f)
    }
}

/// Runs the suite on this CPU, together with the others. What failed is in the log, which the reader checks.
pub(crate) fn run() -> bool {
    SUITE.run(&mut Lines(Console)).is_ok_and(|summary| summary.failed == 0)
}
