//! Hermit's layer and ours, side by side in one guest: `ok theirs:ROW: FIGURE` and `ok ours:ROW: FIGURE`. CPU 1 holds its interrupts off when
//! it is asked to; on CPU 2 a task sleeps.

use crate::conformance::{Console, Report};
use crate::layer;
use crate::port::{self, SMP, now_ns};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use hermit::ipi::{BasePageSize, PageTableEntryFlags, Semaphore, map};
use hermit::mm::{VirtAddr, virtual_to_physical};
use smpcall::{Csd, Platform, To};
use smpcall_bare::arch::{irq_restore, irq_save};

const SAMPLES: usize = 101;
/// Each comes a little later after the task was last awake than the one before.
const WAKE_UPS: u64 = 2_000;
/// So many that were lost are enough: each takes its time.
const ENOUGH: u64 = 5;
const WAKE_UP_STEP_NS: u64 = 100;
const MS: u64 = 1_000_000;
/// For how long CPU 1 holds its interrupts off.
const HOLD_NS: u64 = 20 * MS;
/// After how long a wake-up counts as lost: a guest's CPU may be kept from running for a second. Nothing else wakes that CPU.
const LOST_NS: u64 = 5_000 * MS;
/// Where a page is mapped that nobody else uses.
const AT: u64 = 0x5000_0000_0000;

#[repr(align(4096))]
#[expect(dead_code, reason = "nobody reads it; it is mapped")]
struct Page([u64; 512]);

static OLD: Page = Page([1; 512]);
static NEW: Page = Page([2; 512]);

/// Maps a page there, as Hermit's kernel does it: what was mapped is unmapped, and the other CPUs are told.
fn map_page(page: &'static Page) {
    let physical = virtual_to_physical(VirtAddr::from_ptr(page)).expect("a static is mapped");
    map::<BasePageSize>(VirtAddr::new(AT), physical, 1, PageTableEntryFlags::WRITABLE);
}

static HOLD: AtomicBool = AtomicBool::new(false);
/// Odd while CPU 1 holds its interrupts off: a look that comes late finds that it has.
static HELD: AtomicU64 = AtomicU64::new(0);

/// What CPU 1 does.
pub(crate) fn serve() -> ! {
    loop {
        // Acquire: pairs with `hold`.
        port::serve_until(|| HOLD.swap(false, Ordering::Acquire));
        let irqs = irq_save();
        // Release, here and below: pairs with `hold` and `shootdown`.
        HELD.fetch_add(1, Ordering::Release);
        let until_ns = now_ns() + HOLD_NS;
        spin_until(|| now_ns() >= until_ns);
        // Before the interrupts that came meanwhile: who finds it clear may have been answered by them.
        HELD.fetch_add(1, Ordering::Release);
        irq_restore(irqs);
    }
}

/// Has CPU 1 hold its interrupts off for a while, from now on; returns what [`HELD`] is meanwhile.
fn hold() -> u64 {
    // Relaxed: CPU 1 has done what it was asked before.
    let meanwhile = HELD.load(Ordering::Relaxed) + 1;
    // Release: pairs with `serve`.
    HOLD.store(true, Ordering::Release);
    // It sleeps until an interrupt.
    SMP.platform().ring(1).expect("it never fails");
    // Acquire: pairs with `serve`.
    spin_until(|| HELD.load(Ordering::Acquire) >= meanwhile);
    meanwhile
}

/// Maps another page while CPU 1 holds its interrupts off, and so flushes nothing: after how long that returns, and whether CPU 1 still
/// holds them off then.
fn shootdown() -> (u64, bool) {
    let meanwhile = hold();
    let ns = timed_ns(|| map_page(&NEW));
    // Acquire, here and below: pairs with `serve`.
    let held = HELD.load(Ordering::Acquire) == meanwhile;
    spin_until(|| HELD.load(Ordering::Acquire) > meanwhile);
    (ns, held)
}

static SEMAPHORE: Semaphore = Semaphore::new(0);
static WOKEN_NS: AtomicU64 = AtomicU64::new(0);

/// What the task on CPU 2 does: it sleeps in Hermit's scheduler, and says when it goes on.
pub(crate) fn sleep() -> ! {
    loop {
        // Release: pairs with the looks at it.
        WOKEN_NS.store(now_ns(), Ordering::Release);
        SEMAPHORE.acquire(None);
    }
}

/// From before a wake-up until the task goes on, which has said that it is on its way to its sleep so long before; `None`: it did not, until
/// CPU 2 was interrupted by other means.
fn wake_up(after_ns: u64) -> Option<u64> {
    // Acquire: pairs with `sleep`.
    let last_ns = WOKEN_NS.load(Ordering::Acquire);
    let until_ns = now_ns() + after_ns;
    spin_until(|| now_ns() >= until_ns);
    let before_ns = now_ns();
    SEMAPHORE.release();
    // Acquire: pairs with `sleep`.
    spin_until(|| WOKEN_NS.load(Ordering::Acquire) != last_ns || now_ns() - before_ns > LOST_NS);
    // Acquire: pairs with `sleep`. Once more: the wait may have ended by its limit.
    let woken_ns = WOKEN_NS.load(Ordering::Acquire);
    if woken_ns != last_ns {
        return Some(woken_ns.saturating_sub(before_ns));
    }
    SMP.platform().ring(2).expect("it never fails");
    // Acquire: pairs with `sleep`, which goes on at the latest now.
    spin_until(|| WOKEN_NS.load(Ordering::Acquire) != last_ns);
    None
}

pub(crate) fn run() -> bool {
    let mut report = Report::announce(Console, 11);
    if port::cpus() < 3 {
        println!("smpcall kernel: this wants three CPUs");
        return false;
    }
    // Acquire: pairs with `sleep`.
    spin_until(|| WOKEN_NS.load(Ordering::Acquire) != 0);
    for (name, used) in [("theirs", false), ("ours", true)] {
        layer::use_it(used);
        rows(&mut report, name, used);
    }
    ours(&mut report);
    report.end()
}

/// What theirs has not.
fn ours(report: &mut Report) {
    let mut wrong = 0;
    let ns = sampled(|| timed_ns(|| wrong += u32::from(SMP.call(1, port::here) != Ok(1))));
    report.check("ours", wrong == 0, format_args!("a_call_there_and_its_result: {ns}"));
    let others = port::cpus() - 1;
    let ns = sampled(|| {
        timed_ns(|| {
            let reached = SMP.call_many(To::Others, || ());
            wrong += u32::from(!reached.is_ok_and(|reached| reached.ran as usize == others));
        })
    });
    report.check("ours", wrong == 0, format_args!("a_call_of_all_others: {ns}"));
    hold();
    let posted = POSTS.iter().filter(|csd| SMP.post(1, *csd).is_ok()).count();
    // Acquire: pairs with `count`.
    spin_until(|| RAN.load(Ordering::Acquire) as usize >= posted);
    let all = posted == POSTS.len() && RAN.load(Ordering::Acquire) as usize == posted;
    let text = format_args!("10,000_posts_while_interrupts_are_off_there: {posted}, and each ran");
    report.check("ours", all, text);
}

static POSTS: [Csd<fn()>; 10_000] = [const { Csd::new(count as fn()) }; 10_000];
static RAN: AtomicU64 = AtomicU64::new(0);

fn count() {
    // Release: pairs with `ours`.
    RAN.fetch_add(1, Ordering::Release);
}

/// What ours must do is checked; what theirs does is shown.
fn rows(report: &mut Report, name: &str, ours: bool) {
    map_page(&OLD);
    let ns = sampled(|| timed_ns(|| map_page(&NEW)));
    report.well(name, format_args!("a_page_mapped_anew,_others_idle: {ns}"));
    let (ns, held) = shootdown();
    let when = if held { "before that CPU can have flushed" } else { "when that CPU may have flushed" };
    let text = format_args!("the_same,_one_with_interrupts_off_for_20_ms: returns after {ns} ns, {when}");
    report.check(name, !ours || !held, text);
    let ns = sampled(|| wake_up(MS).unwrap_or(LOST_NS));
    report.well(name, format_args!("wake-up_of_a_task_that_sleeps_there: {ns}"));
    let (mut tried, mut lost) = (0, 0);
    while tried < WAKE_UPS && lost < ENOUGH {
        lost += u64::from(wake_up(tried * WAKE_UP_STEP_NS).is_none());
        tried += 1;
    }
    let text = format_args!("wake-ups_lost_while_the_task_goes_to_sleep: {lost} of {tried}");
    report.check(name, !ours || lost == 0, text);
}

/// Samples in nanoseconds: their median, and the least, which others on the host's cores disturb less.
struct Figures {
    median: u64,
    least: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns, least {} ns", self.median, self.least)
    }
}

fn sampled(mut sample: impl FnMut() -> u64) -> Figures {
    let mut samples = [0; SAMPLES];
    // The first few warm up.
    (0..5).for_each(|_| _ = sample());
    samples.iter_mut().for_each(|slot| *slot = sample());
    samples.sort_unstable();
    Figures { median: samples[SAMPLES / 2], least: samples[0] }
}

fn timed_ns(f: impl FnOnce()) -> u64 {
    let before_ns = now_ns();
    f();
    now_ns() - before_ns
}

/// Spins; a guest's CPUs may share a core.
fn spin_until(mut done: impl FnMut() -> bool) {
    while !done() {
        SMP.platform().relax();
    }
}

/// Calls a CPU whose interrupts never come to `flush`. Its stall report ends the machine.
pub(crate) fn waits_for_the_deaf() -> bool {
    let answer = SMP.call(1, port::here);
    println!("smpcall kernel: was answered: {answer:?}");
    false
}
