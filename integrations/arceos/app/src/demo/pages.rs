//! Pages at addresses that the kernel does not use, in tables of ours.

use crate::arch::{self, LEVELS};
use ax_hal::KernelMmu;
use ax_hal::mem::{VirtAddr, phys_to_virt, virt_to_phys};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A page of memory, or of a table.
#[repr(align(4096))]
pub(super) struct Page(pub(super) [AtomicU64; 512]);

impl Page {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 512])
    }

    /// Where it is in physical memory.
    pub(super) fn address(&self) -> u64 {
        virt_to_phys(VirtAddr::from((&raw const *self).addr())).as_usize() as u64
    }
}

/// The tables below the root, the last level's first.
static TABLES: [Page; LEVELS - 1] = [const { Page::new() }; LEVELS - 1];

/// Which entry of the kernel's root table they hang from.
static ENTRY: AtomicUsize = AtomicUsize::new(0);

/// Hangs our tables into the kernel's, which all CPUs share, where there is nothing.
pub(super) fn hang_in() {
    let root = phys_to_virt(KernelMmu::read_kernel_page_table()).as_usize();
    // SAFETY: the kernel's root table is a page of entries that is never freed; the hardware reads it, and nobody else writes
    // there: what this application runs maps nothing.
    let root = unsafe { &*(root as *const Page) };
    // Of the other half the kernel has all tables there already. Relaxed: nobody writes there.
    let free = (1..256).find(|&entry| root.0[entry].load(Ordering::Relaxed) == 0);
    let free = free.expect("the kernel does not use all addresses");
    // Relaxed: a call publishes it to those that ask.
    ENTRY.store(free, Ordering::Relaxed);
    let (mut table, mut entry) = (root, free);
    for next in TABLES.iter().rev() {
        // Release: the walk finds tables that were zero from the start.
        table.0[entry].store(arch::table_entry(next.address()), Ordering::Release);
        (table, entry) = (next, 0);
    }
    arch::tables_were_written();
}

/// The address of our page of that number.
pub(super) fn address(page: usize) -> usize {
    const SHIFT: usize = 12 + 9 * (LEVELS - 1);
    // Relaxed: see `hang_in`.
    let entry = ENTRY.load(Ordering::Relaxed);
    arch::BASE | entry << SHIFT | page << 12
}

/// Our page of that number is there from now on; who found another one there may find that still.
pub(super) fn map(page: usize, entry: u64) {
    // Release: what the frame contains comes before it can be found; the walk is the hardware's.
    TABLES[0].0[page].store(entry, Ordering::Release);
    arch::tables_were_written();
}
