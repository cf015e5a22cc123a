//! A page goes to another frame, and no CPU may go on using its old translation.

use super::cpus;
use super::pages::{self, Page};
use crate::arch;
use ax_hal::KernelMmu;
use ax_hal::mem::VirtAddr;
use ax_ipi::machine;
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::{ManyError, To};
use smpcall_arceos_common::console::Report;

const ROUNDS: u64 = 20;
/// Which of our pages.
const PAGE: usize = 0;

static FRAMES: [Page; 2] = [const { Page::new() }; 2];

// guide: shootdown
/// The page is `frame` from now on, on every CPU: when this returns, none finds the old one.
fn remap(frame: &'static Page) -> Result<(), ManyError> {
    pages::map(PAGE, arch::page_entry(frame.address()));
    let page = VirtAddr::from(pages::address(PAGE));
    // A multicast publishes what was written before it: each CPU throws its translation out after that.
    machine().call_many(To::All, || KernelMmu::flush_tlb(Some(page))).map(drop)
}
// guide: end

fn read() -> u64 {
    // SAFETY: the page is mapped, to one of two frames, from the first `remap` on.
    unsafe { (pages::address(PAGE) as *const u64).read_volatile() }
}

/// How many CPUs read `value` there.
fn readers_of(value: u64) -> u32 {
    let found = AtomicU32::new(0);
    // Relaxed: the call's return publishes it (P4).
    let look = || _ = found.fetch_add(u32::from(read() == value), Ordering::Relaxed);
    let reached = machine().call_many(To::All, look);
    assert!(reached.is_ok_and(|reached| reached.ran == cpus()), "all CPUs are online");
    found.into_inner()
}

/// Frames take turns. That old translations are found before the call shows that there is something to be thrown out.
pub(super) fn run(report: &mut Report) {
    let (mut right, mut stale) = (0, 0);
    for value in 1..=ROUNDS {
        let frame = &FRAMES[value as usize % 2];
        // Relaxed: the entry's store publishes it.
        frame.0[0].store(value, Ordering::Relaxed);
        if value > 1 {
            // As `remap` does, but for the call: what the other CPUs find meanwhile.
            pages::map(PAGE, arch::page_entry(frame.address()));
            stale += readers_of(value - 1);
        }
        if remap(frame).is_ok() {
            right += readers_of(value);
        }
    }
    let all = ROUNDS as u32 * cpus();
    report.check(
        "tlb_shootdown",
        right == all && stale > 0,
        format_args!("{right} of {all} looks found the new frame; before the call {stale} found the old one"),
    );
}
