//! ostd's layer and ours, side by side in one guest: `ok theirs:ROW: FIGURE` and `ok ours:ROW: FIGURE`. Meant for an emulator
//! that counts instructions (`-icount`). CPU 0 calls CPU 1, which sleeps, or holds its interrupts off, or runs something long.
//!
//! Theirs waits by `PendingIpis::wait`, which ostd's own TLB shootdown waits by.

use crate::conformance::{Console, Report};
use crate::heap;
use crate::held::{now_ns, spin_until, while_held};
use crate::port::SMP;
use core::fmt::Arguments;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use ostd::cpu::{CpuId, CpuSet};
use ostd::smp::{PendingIpis, inter_processor_call};
use smpcall::{Csd, Posted, To};

const SAMPLES: usize = 101;
const QUEUED: usize = 1_000;
const FLOOD: usize = 10_000;
const MS: u64 = 1_000_000;
/// How many results each layer gives.
const ROWS: u32 = 9;

static RAN: AtomicUsize = AtomicUsize::new(0);
static ENTERED_NS: AtomicU64 = AtomicU64::new(0);

/// What every row but one has run on CPU 1.
fn note() {
    // Relaxed: the count publishes it.
    ENTERED_NS.store(now_ns(), Ordering::Relaxed);
    // Release: pairs with the looks at it.
    RAN.fetch_add(1, Ordering::Release);
}

static STARTED: AtomicBool = AtomicBool::new(false);

/// A function that takes its time.
fn long() {
    // Release: pairs with the look at it.
    STARTED.store(true, Ordering::Release);
    let until_ns = now_ns() + 100 * MS;
    spin_until(|| now_ns() >= until_ns);
    note();
}

/// Our calls are the caller's own memory: as many as are on their way at once.
static CALLS: [Csd<fn()>; FLOOD] = [const { Csd::new(note as fn()) }; FLOOD];
static LONG: Csd<fn()> = Csd::new(long);

/// Posts a csd that is free to CPU 1, which is online.
fn post_free(csd: &'static Csd<fn()>) {
    assert_eq!(SMP.post(1, csd), Ok(Posted::Queued), "it is free, and the CPU online");
}

/// Whose layer.
#[derive(Clone, Copy)]
enum Layer {
    Theirs,
    Ours,
}

impl Layer {
    fn name(self) -> &'static str {
        match self {
            Self::Theirs => "theirs",
            Self::Ours => "ours",
        }
    }

    /// Has [`note`] run on CPU 1, by the call of that number where calls are objects.
    fn post(self, number: usize) {
        match self {
            // Not waited for.
            Self::Theirs => _ = theirs(note),
            Self::Ours => post_free(&CALLS[number]),
        }
    }

    fn post_long(self) {
        match self {
            Self::Theirs => _ = theirs(long),
            Self::Ours => post_free(&LONG),
        }
    }

    fn call_and_wait(self) {
        match self {
            Self::Theirs => theirs(note).wait(),
            Self::Ours => SMP.call(1, note).expect("the CPU is online"),
        }
    }

    /// What a TLB shootdown asks for: all other CPUs, and back when each has done it.
    fn call_others_and_wait(self, others: &CpuSet) {
        match self {
            Self::Theirs => inter_processor_call(others, note).wait(),
            Self::Ours => _ = SMP.call_many(To::Others, note).expect("they are online"),
        }
    }

    /// Has CPU 1's thread look again, which sleeps.
    fn wake(self) {
        match self {
            Self::Theirs => _ = theirs(|| ()),
            Self::Ours => post_free(&WAKE),
        }
    }
}

/// ostd's call of CPU 1.
fn theirs(f: fn()) -> PendingIpis {
    inter_processor_call(&CpuSet::from(CpuId::new(1)), f)
}

static WAKE: Csd<fn()> = Csd::new(|| ());
/// What CPU 1's thread sleeps for.
static READY: AtomicBool = AtomicBool::new(false);
static WOKEN_NS: AtomicU64 = AtomicU64::new(0);

/// What CPU 1's thread does whenever it is awake.
pub(crate) fn thread_looks() {
    // Acquire: pairs with `wake_up`. The look before it, Relaxed, is for every turn of the loop, and decides nothing.
    if READY.load(Ordering::Relaxed) && READY.swap(false, Ordering::Acquire) {
        // Release: pairs with the look in `wake_up`.
        WOKEN_NS.store(now_ns(), Ordering::Release);
    }
}

pub(crate) fn run() -> bool {
    let mut report = Report::announce(Console, 2 * ROWS + 2);
    rows(&mut report, Layer::Ours);
    busy(&mut report);
    argument(&mut report);
    rows(&mut report, Layer::Theirs);
    report.end()
}

fn ran() -> usize {
    // Acquire: pairs with `note`.
    RAN.load(Ordering::Acquire)
}

/// Waits until `posts` more than `before` have run, which all must.
fn settle(before: usize, posts: usize) {
    spin_until(|| ran() - before >= posts);
}

fn rows(report: &mut Report, layer: Layer) {
    let mut row = |name: &str, figure: Arguments<'_>| {
        report.well(layer.name(), format_args!("{name}: {figure}"));
    };
    let ns = median_ns(|| post_to_entry(layer));
    row("post_to_entry", format_args!("{ns} ns"));
    let ns = median_ns(|| timed_ns(|| layer.call_and_wait()));
    row("call_and_wait", format_args!("{ns} ns"));
    let mut others = CpuSet::new_full();
    others.remove(CpuId::bsp());
    let ns = median_ns(|| timed_ns(|| layer.call_others_and_wait(&others)));
    row("call_all_others_and_wait", format_args!("{ns} ns"));
    let ns = median_ns(|| wake_up(layer));
    row("wake-up_of_a_thread_that_sleeps_there", format_args!("{ns} ns"));
    let (ns, grown) = posted(layer, QUEUED);
    row("post_while_others_are_queued", format_args!("{} ns", ns / QUEUED as u64));
    row("heap_asked_for_by_1,000_queued_calls", format_args!("{} times, {} bytes", grown.0, grown.1));
    let before = ran();
    let ns = while_held(10 * MS, || timed_ns(|| layer.post(0)));
    settle(before, 1);
    row("post_to_a_CPU_with_interrupts_off_for_10_ms", format_args!("returns after {ns} ns"));
    let ns = post_while_running(layer);
    row("post_while_the_target_runs_a_function_of_100_ms", format_args!("returns after {ns} ns"));
    let (ns, grown) = posted(layer, FLOOD);
    row("10,000_posts_at_once", format_args!("{} us, {} bytes of heap", ns / 1_000, grown.1));
}

/// From before the post to the first instruction of the function; the target sleeps.
fn post_to_entry(layer: Layer) -> u64 {
    let before = ran();
    let before_ns = now_ns();
    layer.post(0);
    settle(before, 1);
    // Relaxed: the count published it.
    ENTERED_NS.load(Ordering::Relaxed) - before_ns
}

/// From before the wake-up until the thread that sleeps on CPU 1 goes on.
fn wake_up(layer: Layer) -> u64 {
    // Relaxed: the wake-up publishes it, as it does what follows.
    WOKEN_NS.store(0, Ordering::Relaxed);
    let before_ns = now_ns();
    READY.store(true, Ordering::Release);
    layer.wake();
    // Acquire: pairs with `thread_looks`.
    spin_until(|| WOKEN_NS.load(Ordering::Acquire) != 0);
    WOKEN_NS.load(Ordering::Acquire) - before_ns
}

/// What so many posts cost their sender, and the heap, while the target takes none for 1 ms or more. All must run.
fn posted(layer: Layer, posts: usize) -> (u64, (u64, u64)) {
    let before = ran();
    let figures = while_held(MS, || {
        let (times, bytes) = heap::asked_for();
        let ns = timed_ns(|| (0..posts).for_each(|number| layer.post(number)));
        let after = heap::asked_for();
        (ns, (after.0 - times, after.1 - bytes))
    });
    settle(before, posts);
    figures
}

/// How long a post takes while the target is in a long function.
fn post_while_running(layer: Layer) -> u64 {
    let before = ran();
    // Relaxed: the post publishes it.
    STARTED.store(false, Ordering::Relaxed);
    layer.post_long();
    // Acquire: pairs with `long`.
    spin_until(|| STARTED.load(Ordering::Acquire));
    let ns = timed_ns(|| layer.post(0));
    settle(before, 2);
    ns
}

/// One call object, posted ten thousand times: Busy is as good as a run of one's own.
fn busy(report: &mut Report) {
    let before = ran();
    let (ns, busy) = while_held(0, || {
        let mut busy = 0;
        let ns = timed_ns(|| {
            busy = (0..FLOOD).filter(|_| SMP.post(1, &CALLS[0]) == Ok(Posted::Busy { cpu: 1 })).count()
        });
        (ns, busy)
    });
    SMP.wait(&CALLS[0]).expect("thread context");
    let runs = ran() - before;
    let holds = runs == 1 && busy == FLOOD - 1;
    let text = format_args!("10,000_posts_of_one_csd: {} us, {busy} told Busy, {runs} run", ns / 1_000);
    report.check("ours", holds, text);
}

/// ostd's call takes a `fn()`: that it compiles so is the proof.
fn argument(report: &mut Report) {
    let _theirs: fn(&CpuSet, fn()) -> PendingIpis = inter_processor_call;
    let argument = now_ns();
    let answer = SMP.call(1, || argument + 1);
    report.check("ours", answer == Ok(argument + 1), format_args!("an_argument_and_a_result: yes"));
}

fn median_ns(mut sample: impl FnMut() -> u64) -> u64 {
    let mut samples = [0; SAMPLES];
    // The first few warm up.
    (0..5).for_each(|_| _ = sample());
    samples.iter_mut().for_each(|slot| *slot = sample());
    samples.sort_unstable();
    samples[SAMPLES / 2]
}

fn timed_ns(f: impl FnOnce()) -> u64 {
    let before_ns = now_ns();
    f();
    now_ns() - before_ns
}
