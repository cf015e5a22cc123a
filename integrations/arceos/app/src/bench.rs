//! The measurements over the crate's surface, and then those of what the original has no counterpart for.

use ax_hal::KernelMmu;
use ax_hal::mem::VirtAddr;
use ax_ipi::machine;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use smpcall::{Csd, Posted, To};
use smpcall_arceos_common::console::{Console, Report};
use smpcall_arceos_common::side::{self, Layer, SLEEPER, heap_bytes, median_ns, timed_ns};
use smpcall_arceos_common::{held, now_ns, spin_until};

const OWN_ROWS: u32 = 4;

struct Ours;

impl Layer for Ours {
    fn shoot_down(start: VirtAddr, size: usize) {
        // A multicast publishes what was written before it.
        let reached = machine().call_many(To::All, || KernelMmu::flush_tlb_range(start, size));
        assert!(
            reached.is_ok_and(|reached| reached.ran as usize == ax_hal::cpu_num()),
            "all CPUs are online"
        );
    }

    fn wake() {
        static WAKE: Csd<fn()> = Csd::new(|| _ = SLEEPER.notify());
        machine().post(1, &WAKE).expect("the CPU is online");
    }
}

static ENTERED_NS: AtomicU64 = AtomicU64::new(0);
// Release: pairs with the look in `post_to_entry`.
static CSD: Csd<fn()> = Csd::new(|| ENTERED_NS.store(now_ns(), Ordering::Release));

/// The bench on CPU 0.
pub(crate) fn run() -> bool {
    let mut report = Report::announce(Console, side::ROWS + OWN_ROWS);
    side::run::<Ours>(&mut report);
    let ns = median_ns(|| timed_ns(|| _ = machine().call(1, || ())));
    report.well("call_of_a_closure,_waited_for", format_args!("{ns} ns"));
    let ns = median_ns(post_to_entry);
    report.well("csd:_post_to_entry", format_args!("{ns} ns"));
    let ns = held::while_held(0, || {
        assert_eq!(machine().post(1, &CSD), Ok(Posted::Queued), "it is free, and the CPU is online");
        median_ns(|| timed_ns(|| assert_eq!(machine().post(1, &CSD), Ok(Posted::Busy { cpu: 1 }))))
    });
    report.well("csd:_post_told_Busy", format_args!("{ns} ns"));
    flood(&mut report);
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

/// Ten thousand at once, to a CPU that takes none for a millisecond. The original has no call that nobody waits for.
fn flood(report: &mut Report) {
    const CALLS: usize = 10_000;
    static RAN: AtomicUsize = AtomicUsize::new(0);
    // Release: pairs with the look below.
    static CSDS: [Csd<fn()>; CALLS] = [const { Csd::new(|| _ = RAN.fetch_add(1, Ordering::Release)) }; CALLS];
    let (grown, queued) = held::while_held(1_000_000, || {
        let before = heap_bytes();
        let queued = CSDS.iter().filter(|csd| machine().post(1, *csd) == Ok(Posted::Queued)).count();
        (heap_bytes() - before, queued)
    });
    let limit_ns = now_ns() + 60_000_000_000;
    // Acquire: pairs with the functions.
    spin_until(|| RAN.load(Ordering::Acquire) == CALLS || now_ns() > limit_ns);
    let ran = RAN.load(Ordering::Acquire);
    report.check(
        "10,000_calls_at_once,_the_target_slow_for_1_ms",
        queued == CALLS && ran == CALLS && grown == 0,
        format_args!("{ran} ran, {grown} bytes of heap"),
    );
}
