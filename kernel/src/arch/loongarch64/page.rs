//! One page that can be mapped and unmapped; everything else is in the windows of `entry.s`.

use super::probe_read;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Where the page is mapped: the first of the upper half.
const AT: usize = 0xffff_8000_0000_0000;

/// Bits of an entry (LoongArch Reference Manual, Volume 1, 5.4.5): valid, dirty, coherent and cached, present, writable.
const VALID: u64 = 1;
const LEAF: u64 = VALID | 1 << 1 | 1 << 4 | 1 << 7 | 1 << 8;

#[repr(align(4096))]
struct Table([AtomicU64; 512]);

static ROOT: Table = Table([const { AtomicU64::new(0) }; 512]);
static MIDDLE: Table = Table([const { AtomicU64::new(0) }; 512]);
static LAST: Table = Table([const { AtomicU64::new(0) }; 512]);
/// The page itself.
static PAGE: Table = Table([const { AtomicU64::new(0) }; 512]);

fn address_of(table: &Table) -> u64 {
    (&raw const *table) as u64
}

/// Says where the tables are, on this core. The first one fills them.
pub(super) fn enable() {
    /// PWCL: 9 bits of page table from bit 12 on, of the first directory from 21 on, of the second from 30 on; entries of 64 bits.
    const LEVELS: u64 = 12 | 9 << 5 | 21 << 10 | 9 << 15 | 30 << 20 | 9 << 25;
    /// STLBPS: pages of 4 KiB.
    const PAGE_SHIFT: u64 = 12;
    // Relaxed: every core writes the same, and the barrier below orders it before the core's own walks.
    ROOT.0[0].store(address_of(&MIDDLE), Ordering::Relaxed);
    MIDDLE.0[0].store(address_of(&LAST), Ordering::Relaxed);
    let root = address_of(&ROOT);
    // SAFETY: no address that is in use is translated by tables: the windows come first.
    unsafe {
        asm!(
            "csrwr {levels}, 0x1c", "csrwr $zero, 0x1d", "csrwr {shift}, 0x1e", "csrwr {root}, 0x1a", "csrwr $zero, 0x19",
            "csrwr $zero, 0x18", "dbar 0", "invtlb 0x0, $zero, $zero",
            levels = inout(reg) LEVELS => _, shift = inout(reg) PAGE_SHIFT => _, root = inout(reg) root => _, options(nostack)
        );
    }
}

/// Maps the page, with `value` in it. Nobody has it in a translation buffer, but as one that is not there: see `is_mapped`.
pub(crate) fn map(value: u64) {
    // Relaxed: the entry's store publishes it.
    PAGE.0[0].store(value, Ordering::Relaxed);
    // Release: the entry is seen after the page's value.
    LAST.0[0].store(address_of(&PAGE) | LEAF, Ordering::Release);
    flush_local();
}

/// Unmaps it. Until each CPU has called `flush_local`, it may go on reading there.
pub(crate) fn unmap() {
    // Release: as in `map`.
    LAST.0[0].store(0, Ordering::Release);
}

/// Whether the tables have it. This machine keeps "there is none" in its buffer, too: whoever faults looks here, and tries again.
pub(super) fn is_mapped(at: usize) -> bool {
    // Acquire: pairs with `map`.
    at & !0xfff == AT && LAST.0[0].load(Ordering::Acquire) & VALID != 0
}

/// Throws this CPU's translation of the page out.
pub(crate) fn flush_local() {
    // SAFETY: forgets a translation. The barrier orders what was written to the tables before the walks that follow.
    unsafe { asm!("dbar 0", "invtlb 0x5, $zero, {}", in(reg) AT, options(nostack)) };
}

/// There is no such instruction.
pub(crate) const FLUSH_ALL: Option<fn()> = None;

/// Reads the page; `None`: the access faulted.
pub(crate) fn read() -> Option<u64> {
    let mut value = 0;
    // SAFETY: a fault in `probe_read` is caught by the trap handler.
    let read = unsafe { probe_read(AT as *const u64, &mut value) };
    (read != 0).then_some(value)
}
