//! The surface that the original has, and the Busy that it has not.

use alloc::sync::Arc;
use axipi::{CPUS, machine, run_on_cpu, run_on_each_cpu};
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::{Csd, Posted};
use smpcall_arceos_common::console::Report;
use smpcall_arceos_common::{held, sleep_until};

pub(super) fn run(report: &mut Report) {
    held::start(1);
    callbacks(report);
    busy(report);
    own_closures(report);
}

/// Many callbacks to one CPU, more than a flush runs at a time.
fn callbacks(report: &mut Report) {
    const CALLBACKS: u32 = 1_000;
    let runs = Arc::new(AtomicU32::new(0));
    for turn in 0..CALLBACKS {
        let runs = Arc::clone(&runs);
        // In their order: each finds the count of those before it. Relaxed, Release: one CPU runs them; pairs with the look.
        run_on_cpu(1, move || {
            _ = runs.compare_exchange(turn, turn + 1, Ordering::Release, Ordering::Relaxed)
        });
    }
    // Acquire: pairs with the callbacks. A count that stays behind is a run without an end, which the reader fails.
    sleep_until(|| runs.load(Ordering::Acquire) == CALLBACKS);
    // The last one's count may still be on its way out of the callback.
    sleep_until(|| Arc::strong_count(&runs) == 1);
    report.well("run_on_cpu", format_args!("{CALLBACKS} callbacks ran in their order, and all were dropped"));
}

fn own_closures(report: &mut Report) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    // Release: pairs with the look below.
    run_on_each_cpu(move || _ = counted.fetch_add(1, Ordering::Release));
    // Acquire: pairs with the callbacks.
    sleep_until(|| runs.load(Ordering::Acquire) == CPUS as u32 && Arc::strong_count(&runs) == 1);
    report.well("run_on_each_cpu", format_args!("{CPUS} CPUs ran it"));
}

static WRITTEN: AtomicU32 = AtomicU32::new(0);
static SEEN: AtomicU32 = AtomicU32::new(0);
/// Shows what it saw.
// Relaxed: what it reads, a post has published (P2); the wait publishes what it writes.
static SHOW: Csd<fn()> = Csd::new(|| SEEN.store(WRITTEN.load(Ordering::Relaxed), Ordering::Relaxed));

/// A csd that is queued answers Busy, and its run sees what was written before that.
fn busy(report: &mut Report) {
    let (first, second) = held::while_held(0, || {
        // Relaxed: the posts publish them.
        WRITTEN.store(1, Ordering::Relaxed);
        let first = machine().post(1, &SHOW);
        WRITTEN.store(2, Ordering::Relaxed);
        (first, machine().post(1, &SHOW))
    });
    machine().wait(&SHOW).expect("a task may wait");
    // Relaxed: the wait has seen the run.
    let seen = SEEN.load(Ordering::Relaxed);
    let holds = first == Ok(Posted::Queued) && second == Ok(Posted::Busy { cpu: 1 }) && seen == 2;
    report.check("busy_is_a_promise", holds, format_args!("{first:?}, {second:?}; the run saw {seen}"));
}
