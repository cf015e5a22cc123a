//! One page that can be mapped and unmapped. The tables above its entry, and those of everything else, are in `boot.s`.

use super::vectors::probe_read;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::tlb;

/// Where the page is mapped: nothing else is in that gigabyte.
pub(super) const GIGABYTE: usize = 64;
const AT: u64 = (GIGABYTE as u64) << 30;

/// Bits of an entry: P, R/W.
const PRESENT_WRITE: u64 = 0b11;

#[repr(align(4096))]
pub(super) struct Table([AtomicU64; 512]);

impl Table {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 512])
    }
}

/// The table with the page's entry, which is the first.
pub(super) static TABLE: Table = Table::new();
/// The page itself.
static PAGE: Table = Table::new();

/// Maps the page, with `value` in it. Nobody has it in a translation buffer.
pub(crate) fn map(value: u64) {
    // Relaxed: the entry's store publishes it.
    PAGE.0[0].store(value, Ordering::Relaxed);
    // Release: the entry is seen after the page's value; pairs with the walks of the processors, which load in order.
    TABLE.0[0].store((&raw const PAGE) as u64 | PRESENT_WRITE, Ordering::Release);
    flush_local();
}

/// Unmaps it. Until each CPU has called `flush_local`, it may go on reading there.
pub(crate) fn unmap() {
    // Release: as in `map`.
    TABLE.0[0].store(0, Ordering::Release);
}

/// Throws this CPU's translation of the page out.
pub(crate) fn flush_local() {
    tlb::flush(VirtAddr::new(AT));
}

/// An AMD processor's INVLPGB would; QEMU emulates none that has it.
pub(crate) const FLUSH_ALL: Option<fn()> = None;

/// Reads the page; `None`: the access faulted.
pub(crate) fn read() -> Option<u64> {
    let mut value = 0;
    // SAFETY: a fault in `probe_read` is caught by the trap handler.
    let read = unsafe { probe_read(AT as *const u64, &mut value) };
    (read != 0).then_some(value)
}
