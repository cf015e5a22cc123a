//! A page goes to another frame, and no CPU may go on using its old translation.

use crate::arch::{self, AT, LEVELS};
use axhal::asm::{flush_tlb, read_kernel_page_table};
use axhal::mem::{VirtAddr, phys_to_virt, virt_to_phys};
use axipi::{CPUS, machine};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use smpcall::{ManyError, To};
use smpcall_arceos_common::console::Report;

const ROUNDS: u64 = 20;

#[repr(align(4096))]
struct Page([AtomicU64; 512]);

/// The tables below the root, the last level's first.
static TABLES: [Page; LEVELS - 1] = [const { Page([const { AtomicU64::new(0) }; 512]) }; LEVELS - 1];
static FRAMES: [Page; 2] = [const { Page([const { AtomicU64::new(0) }; 512]) }; 2];

fn address_of(page: &Page) -> u64 {
    virt_to_phys(VirtAddr::from((&raw const *page).addr())).as_usize() as u64
}

fn index(level: usize) -> usize {
    AT >> (12 + 9 * level) & 511
}

/// Hangs our tables into the kernel's, which all CPUs share, where there is nothing.
fn hang_in() {
    let root = phys_to_virt(read_kernel_page_table()).as_usize();
    // SAFETY: the kernel's root table is a page of entries that is never freed; the hardware reads it, and nobody else writes
    // there: axmm is not built in.
    let mut table = unsafe { &*(root as *const Page) };
    for level in (1..LEVELS).rev() {
        let next = &TABLES[level - 1];
        // Release: the walk finds tables that were zero from the start.
        let old = table.0[index(level)].swap(arch::table_entry(address_of(next)), Ordering::Release);
        assert_eq!(old, 0, "nothing is mapped at {AT:#x}");
        table = next;
    }
}

// guide: shootdown
/// The page at `AT` is `frame` from now on, on every CPU: when this returns, none finds the old one.
fn remap(frame: &'static Page) -> Result<(), ManyError> {
    // Release: the frame's contents come before it can be found; the walk is the hardware's.
    TABLES[0].0[index(0)].store(arch::page_entry(address_of(frame)), Ordering::Release);
    arch::tables_were_written();
    // A multicast publishes what was written before it: each CPU throws its translation out after that.
    machine().call_many(To::All, || flush_tlb(Some(VirtAddr::from(AT)))).map(drop)
}
// guide: end

fn read() -> u64 {
    // SAFETY: the page is mapped, to one of two frames, from the first `remap` on.
    unsafe { (AT as *const u64).read_volatile() }
}

/// How many CPUs read `value` there.
fn readers_of(value: u64) -> u32 {
    let found = AtomicU32::new(0);
    // Relaxed: the call's return publishes it (P4).
    let reached =
        machine().call_many(To::All, || _ = found.fetch_add(u32::from(read() == value), Ordering::Relaxed));
    assert!(reached.is_ok_and(|reached| reached.ran == CPUS as u32), "all CPUs are online");
    found.into_inner()
}

/// Frames take turns. That old translations are found before the call shows that there is something to be thrown out.
pub(super) fn run(report: &mut Report) {
    hang_in();
    let (mut right, mut stale) = (0, 0);
    for value in 1..=ROUNDS {
        let frame = &FRAMES[value as usize % 2];
        // Relaxed: the entry's store publishes it.
        frame.0[0].store(value, Ordering::Relaxed);
        if value > 1 {
            // As `remap` does, but for the call: what the other CPUs find meanwhile.
            // Release: as in `remap`.
            TABLES[0].0[index(0)].store(arch::page_entry(address_of(frame)), Ordering::Release);
            arch::tables_were_written();
            stale += readers_of(value - 1);
        }
        if remap(frame).is_ok() {
            right += readers_of(value);
        }
    }
    let all = ROUNDS as u32 * CPUS as u32;
    report.check(
        "tlb_shootdown",
        right == all && stale > 0,
        format_args!("{right} of {all} looks found the new frame; before the call {stale} found the old one"),
    );
}
