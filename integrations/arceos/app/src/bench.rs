//! The measurements over the crate's surface, and then those of what the original has no counterpart for.

use axipi::machine;
use core::sync::atomic::{AtomicU64, Ordering};
use smpcall::{Csd, Posted, To};
use smpcall_arceos_common::console::{Console, Report};
use smpcall_arceos_common::side::{self, Layer, heap_bytes, median_ns, timed_ns};
use smpcall_arceos_common::{held, now_ns, sleep_until};

const OWN_ROWS: u32 = 4;
const FLOOD: u32 = 10_000;

struct Ours;

impl Layer for Ours {
    fn post(cpu: usize, f: impl FnOnce() + Send + 'static) {
        axipi::run_on_cpu(cpu, f);
    }

    fn call_and_wait(cpu: usize) {
        machine().call(cpu as u32, || ()).expect("the CPU is online");
    }
}

static ENTERED_NS: AtomicU64 = AtomicU64::new(0);
static RUNS: AtomicU64 = AtomicU64::new(0);
static CSD: Csd<fn()> = Csd::new(|| {
    // Relaxed: the clock's store publishes it.
    RUNS.fetch_add(1, Ordering::Relaxed);
    // Release: pairs with the looks below.
    ENTERED_NS.store(now_ns(), Ordering::Release);
});

/// The bench on CPU 0.
pub(crate) fn run() -> bool {
    axipi::share_cores();
    let mut report = Report::announce(Console, side::ROWS + OWN_ROWS);
    side::run::<Ours>(&mut report);
    let ns = median_ns(post_to_entry);
    report.well("csd:_post_to_entry", format_args!("{ns} ns"));
    let ns = held::while_held(0, || {
        assert_eq!(machine().post(1, &CSD), Ok(Posted::Queued), "it is free, and the CPU is online");
        median_ns(|| timed_ns(|| assert_eq!(machine().post(1, &CSD), Ok(Posted::Busy { cpu: 1 }))))
    });
    report.well("csd:_post_told_Busy", format_args!("{ns} ns"));
    flood(&mut report);
    let ns = median_ns(|| timed_ns(|| _ = machine().call_many(To::Others, || ())));
    report.well("csd:_multicast_to_all_others,_waited_for", format_args!("{ns} ns"));
    report.end()
}

fn post_to_entry() -> u64 {
    // Relaxed: the post publishes it.
    ENTERED_NS.store(0, Ordering::Relaxed);
    let before_ns = now_ns();
    assert_eq!(machine().post(1, &CSD), Ok(Posted::Queued), "it is free, and the CPU is online");
    // Acquire: pairs with the function.
    sleep_until(|| ENTERED_NS.load(Ordering::Acquire) != 0);
    ENTERED_NS.load(Ordering::Acquire).saturating_sub(before_ns)
}

/// As many posts of one csd: one is queued, the others are told that its run will see what they wrote.
fn flood(report: &mut Report) {
    machine().wait(&CSD).expect("thread context");
    // Relaxed: the wait has seen the last run.
    let runs_before = RUNS.load(Ordering::Relaxed);
    let (ns, bytes, busy) = held::while_held(0, || {
        let before = heap_bytes();
        let mut busy = 0;
        let ns = timed_ns(|| {
            busy = (0..FLOOD).filter(|_| machine().post(1, &CSD) == Ok(Posted::Busy { cpu: 1 })).count()
        });
        (ns, heap_bytes() - before, busy)
    });
    machine().wait(&CSD).expect("thread context");
    // Relaxed: as above.
    let runs = RUNS.load(Ordering::Relaxed) - runs_before;
    report.check(
        "csd:_10,000_posts_at_once",
        runs == 1 && busy == FLOOD as usize - 1,
        format_args!("{} us to post, {bytes} bytes of heap, {busy} told Busy, {runs} run", ns / 1_000),
    );
}
