//! What the crate's surface promises, and what smpcall adds to it, each with a check.

use alloc::vec::Vec;
use ax_hal::irq::{CpuId, IrqError};
use ax_hal::percpu::this_cpu_id;
use ax_ipi::{call_on_cpu, machine};
use ax_sync::IrqSaveGuard;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};
use smpcall::{Csd, Posted, To};
use smpcall_arceos_common::console::{Console, Report};
use smpcall_arceos_common::{held, now_ns, println, spin_until};

/// Runs them all, on CPU 0.
pub(crate) fn run() -> bool {
    let mut report = Report::announce(Console, 7);
    surface(&mut report);
    refused(&mut report);
    never_gives_up(&mut report);
    shootdown(&mut report);
    result(&mut report);
    flood(&mut report);
    busy(&mut report);
    report.end()
}

/// Counts, in the caller's frame, the number of the CPU that runs it, and one.
unsafe fn count(arg: *mut ()) {
    // SAFETY: the caller gave a counter.
    let counter = unsafe { &*arg.cast::<AtomicUsize>() };
    // Relaxed: the call's end publishes it (P4).
    counter.fetch_add(this_cpu_id() + 1, Ordering::Relaxed);
}

fn call(cpu: usize, counter: &AtomicUsize) -> Result<(), IrqError> {
    // SAFETY: the counter outlives the call, and counting is for any context.
    unsafe { call_on_cpu(CpuId(cpu), count, (&raw const *counter).cast_mut().cast()) }
}

fn surface(report: &mut Report) {
    let cpus = ax_hal::cpu_num();
    let counter = AtomicUsize::new(0);
    let called = (0..cpus).all(|cpu| call(cpu, &counter).is_ok() && ax_ipi::is_cpu_ready(cpu));
    let sum = counter.into_inner();
    let holds = called && sum == cpus * (cpus + 1) / 2;
    report.check("each_CPU_runs_a_call", holds, format_args!("{cpus} CPUs"));
}

/// What cannot be waited for is not queued either.
fn refused(report: &mut Report) {
    let counter = AtomicUsize::new(0);
    let nobody = call(ax_hal::cpu_num(), &counter);
    let off = {
        let _off = IrqSaveGuard::new();
        call(1, &counter)
    };
    // What was queued would have run before this.
    let after = call(1, &AtomicUsize::new(0));
    let holds = nobody == Err(IrqError::InvalidCpu)
        && off == Err(IrqError::InIrqContext)
        && after.is_ok()
        && counter.into_inner() == 0;
    report.check("what_is_refused_does_not_run", holds, format_args!("{nobody:?}, {off:?}"));
}

/// A target that is slow for two seconds: the caller comes back when the function has run, and its frame lives until then.
fn never_gives_up(report: &mut Report) {
    let counter = AtomicUsize::new(0);
    let before_ns = now_ns();
    let called = held_for(2_000_000_000, || call(1, &counter));
    let took_ms = (now_ns() - before_ns) / 1_000_000;
    let holds = called.is_ok() && counter.into_inner() == 2 && took_ms >= 2_000;
    report.check("a_slow_target_is_waited_for", holds, format_args!("{called:?}"));
}

/// Has CPU 1 hold its interrupts off for that long, and calls `f` meanwhile, which may wait for it.
fn held_for<R>(ns: u64, f: impl FnOnce() -> R) -> R {
    static HELD: AtomicUsize = AtomicUsize::new(0);
    smpcall_arceos_common::tasks::start_on(1, move || {
        let off = IrqSaveGuard::new();
        // Release: pairs with the look below.
        HELD.store(1, Ordering::Release);
        let until_ns = now_ns() + ns;
        spin_until(|| now_ns() >= until_ns);
        drop(off);
    });
    // Acquire: pairs with the task.
    spin_until(|| HELD.load(Ordering::Acquire) == 1);
    f()
}

/// All others at once, by one multicast; the range is on the caller's stack.
fn shootdown(report: &mut Report) {
    let range = 0x4000_0000_usize..0x4002_1000;
    let pages = AtomicUsize::new(0);
    let reached = machine().call_many(To::Others, || {
        // Relaxed: the call's end publishes it (P4).
        pages.fetch_add(range.clone().step_by(4096).count(), Ordering::Relaxed);
    });
    let others = ax_hal::cpu_num() - 1;
    let holds = reached.is_ok_and(|reached| reached.ran as usize == others) && pages.into_inner() == 33 * others;
    report.check("a_shootdown_carries_its_range", holds, format_args!("33 pages on {others} CPUs"));
}

fn result(report: &mut Report) {
    let mut borrowed = 1;
    let answer = machine().call(1, || {
        borrowed += 1;
        this_cpu_id()
    });
    report.check("a_result_comes_back", answer == Ok(1) && borrowed == 2, format_args!("{answer:?}"));
}

/// Ten thousand at once, to a CPU that takes none for a millisecond: nothing is dropped.
fn flood(report: &mut Report) {
    const CALLS: usize = 10_000;
    static RAN: AtomicUsize = AtomicUsize::new(0);
    // Release: pairs with the look below.
    let one = || Csd::new((|| _ = RAN.fetch_add(1, Ordering::Release)) as fn());
    let csds: &'static [Csd<fn()>] = (0..CALLS).map(|_| one()).collect::<Vec<_>>().leak();
    let queued = held::while_held(1_000_000, || {
        csds.iter().filter(|csd| machine().post(1, *csd) == Ok(Posted::Queued)).count()
    });
    let limit_ns = now_ns() + 60_000_000_000;
    // Acquire: pairs with the functions.
    spin_until(|| RAN.load(Ordering::Acquire) == CALLS || now_ns() > limit_ns);
    let ran = RAN.load(Ordering::Acquire);
    report.check("ten_thousand_at_once", queued == CALLS && ran == CALLS, format_args!("{queued} queued, {ran} ran"));
}

/// Busy means that a run is still to begin which sees what was written before.
fn busy(report: &mut Report) {
    static WORD: AtomicUsize = AtomicUsize::new(0);
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: P2 is what is shown: the post that was told Busy published the word.
    static SHOW: Csd<fn()> = Csd::new(|| SEEN.store(WORD.load(Ordering::Relaxed), Ordering::Relaxed));
    let (first, second) = held::while_held(0, || {
        let first = machine().post(1, &SHOW);
        // Relaxed: see above.
        WORD.store(2, Ordering::Relaxed);
        (first, machine().post(1, &SHOW))
    });
    machine().wait(&SHOW).expect("a task may wait");
    // Relaxed: the wait has seen the run.
    let seen = SEEN.load(Ordering::Relaxed);
    let holds = first == Ok(Posted::Queued) && second == Ok(Posted::Busy { cpu: 1 }) && seen == 2;
    report.check("busy_is_a_promise", holds, format_args!("{first:?}, {second:?}; the run saw {seen}"));
}

/// A CPU that never takes its interrupts: the stall report must name it.
pub(crate) fn waits_for_the_deaf() -> bool {
    let called = held_for(3_600_000_000_000, || {
        // SAFETY: touches nothing but its argument, which is none.
        unsafe { call_on_cpu(CpuId(1), |_| (), null_mut()) }
    });
    println!("smpcall kernel: and yet the call came back: {called:?}");
    false
}
