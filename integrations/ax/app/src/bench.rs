//! The measurements over the crate's surface, and then those of what the original has no counterpart for.

use ax_ipi::machine;
use core::sync::atomic::{AtomicU64, Ordering};
use smpcall::{Csd, Posted, To};
use smpcall_ax_common::console::{Console, Report};
use smpcall_ax_common::side::{self, median_ns, timed_ns};
use smpcall_ax_common::{held, now_ns, spin_until};

const OWN_ROWS: u32 = 4;

static ENTERED_NS: AtomicU64 = AtomicU64::new(0);
// Release: pairs with the look in `post_to_entry`.
static CSD: Csd<fn()> = Csd::new(|| ENTERED_NS.store(now_ns(), Ordering::Release));

/// The bench on CPU 0.
pub(crate) fn run() -> bool {
    let mut report = Report::announce(Console, side::ROWS + OWN_ROWS);
    side::run(&mut report);
    let ns = median_ns(|| timed_ns(|| _ = machine().call(1, || ())));
    report.well("call_of_a_closure,_waited_for", format_args!("{ns} ns"));
    let ns = median_ns(|| timed_ns(|| _ = machine().call_many(To::Others, || ())));
    report.well("multicast_to_all_others,_waited_for", format_args!("{ns} ns"));
    let ns = median_ns(post_to_entry);
    report.well("csd:_post_to_entry", format_args!("{ns} ns"));
    let ns = held::while_held(0, || {
        assert_eq!(machine().post(1, &CSD), Ok(Posted::Queued), "it is free, and the CPU is online");
        median_ns(|| timed_ns(|| assert_eq!(machine().post(1, &CSD), Ok(Posted::Busy { cpu: 1 }))))
    });
    report.well("csd:_post_told_Busy", format_args!("{ns} ns"));
    report.end()
}

fn post_to_entry() -> u64 {
    // Relaxed: the post publishes it.
    ENTERED_NS.store(0, Ordering::Relaxed);
    let before_ns = now_ns();
    assert_eq!(machine().post(1, &CSD), Ok(Posted::Queued), "it is free, and the CPU is online");
    // Acquire: pairs with the function.
    spin_until(|| ENTERED_NS.load(Ordering::Acquire) != 0);
    // Acquire: as above.
    ENTERED_NS.load(Ordering::Acquire) - before_ns
}
