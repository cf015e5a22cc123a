//! A function that holds its CPU, interrupts off, for longer than the limit: who waits is told which CPU it is (P10).

use super::{Text, Wrong};
use crate::arch;
use crate::cpus;
use crate::machine::{SMP, STALL_TIMEOUT_NS, STALLED_TARGET, STALLS};
use core::sync::atomic::Ordering;

const LIMIT_NS: u64 = 20_000_000;
/// How long the function holds its CPU if no report comes: longer than an emulated CPU, the waiting one, may be kept from running.
const HOLD_NS: u64 = 30_000_000_000;

pub(super) fn run(text: &mut Text) -> Result<(), Wrong> {
    let target = cpus::count() - 1;
    // Relaxed: settings and figures, of which the target needs only the last to come at some time.
    let before_ns = STALL_TIMEOUT_NS.swap(LIMIT_NS, Ordering::Relaxed);
    let stalls = STALLS.load(Ordering::Relaxed);
    let answer = SMP.call(target, || {
        let until_ns = arch::now_ns() + HOLD_NS;
        // Until the report has come; without one, the check fails.
        while STALLS.load(Ordering::Relaxed) == stalls && arch::now_ns() < until_ns {
            crate::idle::relax();
        }
        arch::now_ns()
    });
    // Relaxed: as above.
    STALL_TIMEOUT_NS.store(before_ns, Ordering::Relaxed);
    let (reports, named) = (STALLS.load(Ordering::Relaxed) - stalls, STALLED_TARGET.load(Ordering::Relaxed));
    if answer.is_err() || reports == 0 || named != target {
        return Err(
            text.wrong(format_args!("CPU {target} held still: {reports} reports, the last of CPU {named}"))
        );
    }
    text.well(format_args!("CPU {target} held still, and was named"))
}
