//! What ostd's own layer cannot do, which takes a `fn()` and gives back nothing.

use crate::conformance::{Console, Report};
use crate::held::{now_ns, spin_until, while_held};
use crate::port::{SMP, here};
use core::arch::asm;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use ostd::cpu::num_cpus;
use smpcall::{Csd, Posted, To};

const PAGE_BYTES: usize = 4096;

pub(crate) fn run() -> bool {
    let mut report = Report::announce(Console, 6);
    result(&mut report);
    shootdown(&mut report);
    all_at_once(&mut report);
    busy(&mut report);
    blocking(&mut report);
    chain(&mut report);
    report.end()
}

/// A call that is waited for, which borrows and gives back.
fn result(report: &mut Report) {
    let mut seen = u32::MAX;
    let answer = SMP.call(1, || {
        seen = here();
        6 * 7
    });
    report.check(
        "a_result_comes_back",
        answer == Ok(42) && seen == 1,
        format_args!("{answer:?} from CPU {seen}"),
    );
}

/// Forgets this CPU's translations of those pages.
fn invalidate(range: &Range<usize>) -> u64 {
    let pages = range.clone().step_by(PAGE_BYTES);
    // SAFETY: forgets a translation, which the processor looks up again.
    pages.map(|page| unsafe { asm!("invlpg [{}]", in(reg) page, options(nostack, preserves_flags)) }).count()
        as u64
}

/// A TLB shootdown: the range is on the caller's stack, the targets read it there.
fn shootdown(report: &mut Report) {
    // guide: shootdown
    let range = 0x40_0000..0x40_0000 + 33 * PAGE_BYTES;
    let invalidated = AtomicU64::new(0);
    let reached = SMP.call_many(To::All, || {
        // Relaxed: the call's end publishes it (P4).
        invalidated.fetch_add(invalidate(&range), Ordering::Relaxed);
    });
    // guide: end
    let pages = invalidated.into_inner();
    let holds =
        reached.is_ok_and(|reached| reached.ran as usize == num_cpus()) && pages == 33 * num_cpus() as u64;
    report.check(
        "a_shootdown_carries_its_range",
        holds,
        format_args!("{pages} pages on {} CPUs", num_cpus()),
    );
}

/// All CPUs call all CPUs, and serve one another while they wait.
fn all_at_once(report: &mut Report) {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let each = |_| {
        let reached = SMP.call_many(To::Others, || {
            // Relaxed: a count; the calls' ends publish it (P4).
            CALLS.fetch_add(1, Ordering::Relaxed);
        });
        reached.is_ok()
    };
    // Blocking calls run in the targets' threads, where one may wait.
    let spread = SMP.call_blocking(1, move || (0..100).all(each));
    let own = (0..100).all(each);
    // Relaxed: as above.
    let calls = CALLS.load(Ordering::Relaxed);
    let meant = 200 * (num_cpus() as u32 - 1);
    report.check(
        "calls_to_many_from_two_CPUs",
        spread == Ok(true) && own && calls == meant,
        format_args!("{calls}"),
    );
}

/// Busy means that a run is still to begin which sees what was written before.
fn busy(report: &mut Report) {
    static WORD: AtomicU64 = AtomicU64::new(0);
    static SEEN: AtomicU64 = AtomicU64::new(0);
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static CSD: Csd<fn()> = Csd::new(|| {
        // Relaxed: P2 is what is shown: the post that was told Busy published the word.
        SEEN.store(WORD.load(Ordering::Relaxed), Ordering::Relaxed);
        // Relaxed: waited for below.
        RUNS.fetch_add(1, Ordering::Relaxed);
    });
    let (first, second) = while_held(0, || {
        let first = SMP.post(1, &CSD);
        // Relaxed: see above.
        WORD.store(7, Ordering::Relaxed);
        (first, SMP.post(1, &CSD))
    });
    let waited = SMP.wait(&CSD);
    // Relaxed: `wait` has seen the end of the run.
    let (seen, runs) = (SEEN.load(Ordering::Relaxed), RUNS.load(Ordering::Relaxed));
    let told = second == Ok(Posted::Busy { cpu: 1 });
    let holds = first == Ok(Posted::Queued) && told && waited.is_ok() && (seen, runs) == (7, 1);
    report.check("busy_is_a_promise", holds, format_args!("{second:?}; {runs} run saw {seen}"));
}

/// A function that may block, on the target's thread, with interrupts on.
fn blocking(report: &mut Report) {
    let on = SMP.call_blocking(1, || (here(), smpcall_bare::arch::irqs_are_on()));
    report.check("a_call_that_may_block", on == Ok((1, true)), format_args!("{on:?}"));
}

/// A function that posts on from call context, to the next CPU, round the machine: ostd holds a lock around its functions,
/// we do not.
fn chain(report: &mut Report) {
    const HOPS: u32 = 1_000;
    static LEFT: AtomicU32 = AtomicU32::new(HOPS);
    static DONE: AtomicBool = AtomicBool::new(false);
    static CSD: Csd<fn()> = Csd::new(|| {
        // Relaxed: each hop's post publishes it to the next.
        if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Release: pairs with the look below.
            return DONE.store(true, Ordering::Release);
        }
        let next = (here() + 1) % num_cpus() as u32;
        // Free again since before its function began (P5).
        assert_eq!(SMP.post(next, &CSD), Ok(Posted::Queued), "free, and the CPU is online");
    });
    let before_ns = now_ns();
    assert_eq!(SMP.post(1, &CSD), Ok(Posted::Queued), "free, and the CPU is online");
    let limit_ns = before_ns + 60_000_000_000;
    // Acquire: pairs with the function.
    spin_until(|| DONE.load(Ordering::Acquire) || now_ns() > limit_ns);
    let done = DONE.load(Ordering::Acquire);
    report.check("posts_from_inside_a_call", done, format_args!("{HOPS} hops round the machine"));
}

/// Calls a CPU whose interrupts never come to `flush`. Its stall report ends the machine.
pub(crate) fn waits_for_the_deaf() -> bool {
    let answer = SMP.call(1, here);
    println!("smpcall kernel: was answered: {answer:?}");
    false
}
