//! One page that can be mapped and unmapped, in Sv39; everything else is mapped one to one, in pages of a gigabyte.

use super::probe_read;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Where the page is mapped: nothing else is in that gigabyte.
const AT: usize = 64 << 30;

/// Bits of an entry.
const VALID: u64 = 1;
const READ_WRITE_EXECUTE: u64 = 0b111 << 1;
const ACCESSED_DIRTY: u64 = 0b11 << 6;
const LEAF: u64 = VALID | READ_WRITE_EXECUTE | ACCESSED_DIRTY;

/// satp.MODE of Sv39.
const SV39: usize = 8 << 60;

#[repr(align(4096))]
struct Table([AtomicU64; 512]);

static ROOT: Table = Table([const { AtomicU64::new(0) }; 512]);
static MIDDLE: Table = Table([const { AtomicU64::new(0) }; 512]);
static LAST: Table = Table([const { AtomicU64::new(0) }; 512]);
/// The page itself.
static PAGE: Table = Table([const { AtomicU64::new(0) }; 512]);

fn entry_of(table: &Table, bits: u64) -> u64 {
    ((&raw const *table) as u64 >> 12) << 10 | bits
}

/// Switches translation on, on this hart. The first one fills the tables.
pub(super) fn enable() {
    // Devices, and memory: the first four gigabytes.
    for gigabyte in 0..4 {
        // Relaxed: every hart writes the same, and the fence below orders it before the hart's own walks.
        ROOT.0[gigabyte].store((gigabyte as u64) << 28 | LEAF, Ordering::Relaxed);
    }
    // Relaxed: as above.
    ROOT.0[AT >> 30].store(entry_of(&MIDDLE, VALID), Ordering::Relaxed);
    MIDDLE.0[0].store(entry_of(&LAST, VALID), Ordering::Relaxed);
    let root = (&raw const ROOT) as usize >> 12;
    // SAFETY: all that is in use is mapped where it was.
    unsafe { asm!("sfence.vma", "csrw satp, {}", "sfence.vma", in(reg) SV39 | root) };
}

/// Maps the page, with `value` in it. Nobody has it in a translation buffer.
pub(crate) fn map(value: u64) {
    // Relaxed: the entry's store publishes it.
    PAGE.0[0].store(value, Ordering::Relaxed);
    // Release, and the fence of `flush_local`: the entry is seen after the page's value.
    LAST.0[0].store(entry_of(&PAGE, LEAF), Ordering::Release);
    flush_local();
}

/// Unmaps it. Until each CPU has called `flush_local`, it may go on reading there.
pub(crate) fn unmap() {
    // Release: as in `map`.
    LAST.0[0].store(0, Ordering::Release);
}

/// Throws this CPU's translation of the page out.
pub(crate) fn flush_local() {
    // SAFETY: a fence; it orders what was written to the tables before the walks that follow.
    unsafe { asm!("sfence.vma {}, zero", in(reg) AT) };
}

/// There is no such instruction: SBI's remote fences interrupt the other harts, as calls do.
pub(crate) const FLUSH_ALL: Option<fn()> = None;

/// Reads the page; `None`: the access faulted.
pub(crate) fn read() -> Option<u64> {
    let mut value = 0;
    // SAFETY: a fault in `probe_read` is caught by the trap handler.
    let read = unsafe { probe_read(AT as *const u64, &mut value) };
    (read != 0).then_some(value)
}
