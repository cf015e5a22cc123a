//! Pages at addresses that the kernel does not use, in tables of ours.

use crate::arch::{self, LEVELS};
use ax_hal::KernelMmu;
use ax_hal::mem::{PhysAddr, VirtAddr, phys_to_virt, virt_to_phys};
use ax_ipi::machine;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use smpcall::To;

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

/// The tables below the kernel's, the last level's first. Of as many levels as are ours.
static TABLES: [Page; LEVELS - 1] = [const { Page::new() }; LEVELS - 1];

/// The address of the first page in them.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);

/// Hangs our tables into the kernel's, which all CPUs share, where there is nothing.
pub(super) fn hang_in() {
    let (mut table, mut level, mut address) =
        (table_at(KernelMmu::read_kernel_page_table()), LEVELS - 1, arch::BASE);
    // Of the other half the kernel has all tables there already.
    let mut entries = 1..256;
    let mut entry = loop {
        // Relaxed: nobody writes there.
        if let Some(free) = entries.clone().find(|&entry| table.0[entry].load(Ordering::Relaxed) == 0) {
            break free;
        }
        // The kernel has all tables of this level there (riscv64): one level down, behind the last of them.
        let last = entries.end - 1;
        let below = arch::table_of(table.0[last].load(Ordering::Relaxed));
        address |= last << shift(level);
        level -= 1;
        table = table_at(PhysAddr::from(below.expect("a table of the kernel's that is not full") as usize));
        entries = 0..512;
    };
    assert!(level > 0, "there is a table of ours in between");
    // Relaxed: the call publishes it.
    ADDRESS.store(address | entry << shift(level), Ordering::Relaxed);
    for next in TABLES[..level].iter().rev() {
        // Release: the walk finds tables that were zero from the start.
        table.0[entry].store(arch::table_entry(next.address()), Ordering::Release);
        (table, entry) = (next, 0);
    }
    arch::tables_were_written();
    // A CPU may remember that there was nothing.
    let reached = machine().call_many(To::All, || KernelMmu::flush_tlb(None));
    assert!(reached.is_ok(), "a task may wait");
}

/// How far an address is shifted for its entry in a table of that level; 0: the last.
const fn shift(level: usize) -> usize {
    12 + 9 * level
}

/// A table of the kernel's.
fn table_at(address: PhysAddr) -> &'static Page {
    // SAFETY: the kernel's root table, or one that hangs there, is a page of entries that is never freed; the hardware reads it, and
    // nobody else writes where we do: what this application runs maps nothing.
    unsafe { &*(phys_to_virt(address).as_usize() as *const Page) }
}

/// The address of our page of that number.
pub(super) fn address(page: usize) -> usize {
    // Relaxed: see `hang_in`.
    ADDRESS.load(Ordering::Relaxed) | page << 12
}

/// Our page of that number is there from now on; who found another one there may find that still.
pub(super) fn map(page: usize, entry: u64) {
    // Release: what the frame contains comes before it can be found; the walk is the hardware's.
    TABLES[0].0[page].store(entry, Ordering::Release);
    arch::tables_were_written();
}
