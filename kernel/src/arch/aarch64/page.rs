//! The translation tables: everything is mapped one to one, in blocks of a gigabyte, but for one page that can be mapped and
//! unmapped. All CPUs use the same ones, and aarch64-rt switches translation on before any of this runs.
//!
//! Sources: *Arm Architecture Reference Manual for A-profile* (DDI 0487), chapter D8 (descriptors, TLB maintenance and its
//! ordering), TLBI VAE1 and VAE1IS, and B2's DSB.

use aarch64_paging::descriptor::Attributes;
use aarch64_rt::{DEFAULT_MAIR, DEFAULT_SCTLR, DEFAULT_TCR_EL1};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

/// Where the page is mapped: nothing else is in that gigabyte.
const AT: usize = 64 << 30;

/// Attributes by the places that aarch64-rt's MAIR_EL1 gives them: 0 is a device, 1 is cached memory.
const DEVICE: u64 = Attributes::VALID
    .union(Attributes::ATTRIBUTE_INDEX_0)
    .union(Attributes::ACCESSED)
    .union(Attributes::UXN)
    .union(Attributes::PXN)
    .bits() as u64;
const MEMORY: u64 = Attributes::VALID
    .union(Attributes::ATTRIBUTE_INDEX_1)
    .union(Attributes::INNER_SHAREABLE)
    .union(Attributes::ACCESSED)
    .bits() as u64;
/// Leads to a table, or, in the last one, to a page.
const TABLE: u64 = Attributes::VALID.union(Attributes::TABLE_OR_PAGE).bits() as u64;
const LEAF: u64 = TABLE | MEMORY | Attributes::UXN.union(Attributes::PXN).bits() as u64;

#[repr(align(4096))]
struct Table([AtomicU64; 512]);

/// Level 1: with a size of 39 bits (TCR_EL1.T0SZ), the first.
static ROOT: Table = {
    let mut entries = [const { AtomicU64::new(0) }; 512];
    // The machine's devices, and memory from 0x40000000.
    entries[0] = AtomicU64::new(DEVICE);
    entries[1] = AtomicU64::new(1 << 30 | MEMORY);
    Table(entries)
};
static MIDDLE: Table = Table([const { AtomicU64::new(0) }; 512]);
static LAST: Table = Table([const { AtomicU64::new(0) }; 512]);
/// The page itself.
static PAGE: Table = Table([const { AtomicU64::new(0) }; 512]);

aarch64_rt::enable_mmu!(ROOT, DEFAULT_MAIR, DEFAULT_SCTLR, DEFAULT_TCR_EL1);

// probe_read(address, value) -> whether it could be read. A fault at probe_load returns to probe_fault.
global_asm!(
    ".section .text.probe, \"ax\"",
    ".balign 4",
    ".globl probe_read, probe_load, probe_fault",
    "probe_read:",
    "probe_load:",
    "ldr x2, [x0]",
    "str x2, [x1]",
    "mov x0, #1",
    "ret",
    "probe_fault:",
    "mov x0, #0",
    "ret",
    ".text",
);

unsafe extern "C" {
    fn probe_read(at: *const u64, value: *mut u64) -> usize;
    fn probe_load();
    fn probe_fault();
}

/// Where code goes on that may fault at `pc`; `None`: it may not.
pub(super) fn recovery(pc: usize) -> Option<usize> {
    (pc == probe_load as *const () as usize).then_some(probe_fault as *const () as usize)
}

fn address_of(table: &Table) -> u64 {
    (&raw const *table) as u64
}

/// Fills the tables that lead to the page. On the boot CPU, once.
pub(super) fn enable() {
    // Relaxed: the store below publishes it.
    MIDDLE.0[0].store(address_of(&LAST) | TABLE, Ordering::Relaxed);
    // Release, and the barrier: a walk that finds a table finds what is in it.
    ROOT.0[AT >> 30].store(address_of(&MIDDLE) | TABLE, Ordering::Release);
    publish();
}

/// Completes what was written to the tables, for the walks of all CPUs.
fn publish() {
    // SAFETY: barriers.
    unsafe { asm!("dsb ishst", "isb", options(nostack)) };
}

/// Maps the page, with `value` in it. Nobody has it in a translation buffer.
pub(crate) fn map(value: u64) {
    // Relaxed: the entry's store publishes it.
    PAGE.0[0].store(value, Ordering::Relaxed);
    // Release: the entry is seen after the page's value. (What is invalid is in no translation buffer.)
    LAST.0[0].store(address_of(&PAGE) | LEAF, Ordering::Release);
    publish();
}

/// Unmaps it. Until each CPU has called `flush_local`, it may go on reading there.
pub(crate) fn unmap() {
    // Release: as in `map`.
    LAST.0[0].store(0, Ordering::Release);
    publish();
}

pub(crate) const FLUSH_ALL: Option<fn()> = Some(flush_all);

/// Throws the translation of the page out on all CPUs of the inner shareable domain, which are all that this kernel has: they do it by
/// themselves, whatever they run. The last barrier but one returns when they have, and all that they had begun by it is over.
fn flush_all() {
    // SAFETY: the first barrier has the tables written for all walks, the second waits for the CPUs, the third is for this one.
    unsafe { asm!("dsb ishst", "tlbi vae1is, {}", "dsb ish", "isb", in(reg) AT >> 12, options(nostack)) };
}

/// Throws this CPU's translation of the page out.
pub(crate) fn flush_local() {
    // SAFETY: the first barrier orders what this CPU has seen written before the maintenance, the others wait for its end.
    unsafe { asm!("dsb ish", "tlbi vae1, {}", "dsb nsh", "isb", in(reg) AT >> 12, options(nostack)) };
}

/// Reads the page; `None`: the access faulted.
pub(crate) fn read() -> Option<u64> {
    let mut value = 0;
    // SAFETY: a fault in `probe_read` is caught by the exception's handler.
    let read = unsafe { probe_read(AT as *const u64, &mut value) };
    (read != 0).then_some(value)
}
