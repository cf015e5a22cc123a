//! The conformance suite, unchanged, on this machine.

use crate::arch::page;
use crate::command::Command;
use crate::console::Console;
use crate::cpus::{self, CPUS_MAX};
use crate::machine::{DropPage, Port, SMP, STATS};
use crate::traps;
use core::mem::MaybeUninit;
use smpcall::{Broadcast, Counts, Machine, ManyError, PerCpu, To};
use smpcall_conformance::{Lines, Memory, Rig, Suite, Tlb, Woken, memory_bytes};

static MEMORY: Memory<{ memory_bytes(CPUS_MAX as u32) }> = Memory::new();
static SUITE: Suite<KernelRig> = Suite::new(KernelRig);

pub(super) struct KernelRig;

impl Rig for KernelRig {
    type Platform = Port;
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

    fn tlb(&self) -> Option<&'static dyn Tlb> {
        Some(&Page)
    }

    fn shoot_down(&self, to: To<'_>) -> Option<Result<Broadcast, ManyError>> {
        Some(SMP.broadcast(to, &DropPage))
    }

    fn interrupt(&self, f: &(dyn Fn() + Sync)) -> bool {
        traps::interrupt_self(f);
        true
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        traps::nmi_self(f)
    }
}

/// The hardware's own TLB, on the kernel's one page.
struct Page;

impl Tlb for Page {
    fn map(&self, value: u32) {
        page::map(value.into());
    }

    fn unmap(&self) {
        page::unmap();
    }

    fn read(&self, _cpu: u32) -> Option<u32> {
        page::read().and_then(|value| value.try_into().ok())
    }

    fn drop_here(&self, _cpu: u32) {
        page::flush_local();
    }
}

/// Runs the suite on this CPU, together with the others. What failed is in the log, which the reader checks.
pub(crate) fn run() -> bool {
    SUITE.run(&mut Lines(Console)).is_ok_and(|summary| summary.failed == 0)
}
