//! The same measurements over two layers, in one form: `ok NAME: FIGURE`. Meant for an emulator that counts instructions
//! (`-icount`): then a figure is the same in every run, and comparable between guests.

use crate::console::Report;
use crate::{held, now_ns, sleep_until};
use alloc::sync::Arc;
use axalloc::UsageKind;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use smpcall_bare::arch;

/// How many results [`run`] gives.
pub const ROWS: u32 = 8;

const SAMPLES: usize = 101;
const QUEUED: usize = 1_000;
const FLOOD: usize = 10_000;
const MS: u64 = 1_000_000;

/// A layer that calls CPUs.
pub trait Layer {
    /// Has `f` run on that CPU, and does not wait.
    fn post(cpu: usize, f: impl FnOnce() + Send + 'static);

    /// Has nothing run on that CPU, and waits until it has.
    fn call_and_wait(cpu: usize);
}

/// Returns the bytes that Rust's heap has given out.
pub fn heap_bytes() -> usize {
    axalloc::global_allocator().usages().get(UsageKind::RustHeap)
}

/// The median of many.
pub fn median_ns(mut sample: impl FnMut() -> u64) -> u64 {
    let mut samples = [0; SAMPLES];
    // The first few warm up.
    (0..5).for_each(|_| _ = sample());
    samples.iter_mut().for_each(|slot| *slot = sample());
    samples.sort_unstable();
    samples[SAMPLES / 2]
}

/// Measures how long `f` takes.
pub fn timed_ns(f: impl FnOnce()) -> u64 {
    let before_ns = now_ns();
    f();
    now_ns() - before_ns
}

/// All rows, by CPU 0 against CPU 1, which sleeps or is held.
pub fn run<L: Layer>(report: &mut Report) {
    held::start(1);
    let ns = median_ns(post_to_entry::<L>);
    report.well("post_to_entry", format_args!("{ns} ns"));
    let ns = median_ns(|| timed_ns(|| L::call_and_wait(1)));
    report.well("call_and_wait", format_args!("{ns} ns"));
    queued::<L>(report);
    let ns = held::while_held(10 * MS, || timed_ns(|| L::post(1, || ())));
    report.well("post_to_a_CPU_with_interrupts_off", format_args!("returns after {ns} ns"));
    let ns = post_while_running::<L>();
    report.well("post_while_the_target_runs_a_function_of_500_ms", format_args!("returns after {ns} ns"));
    flood::<L>(report);
    drops::<L>(report);
}

/// From before the post to the first instruction of the function; the target sleeps.
fn post_to_entry<L: Layer>() -> u64 {
    static ENTERED_NS: AtomicU64 = AtomicU64::new(0);
    // Relaxed: the post publishes it.
    ENTERED_NS.store(0, Ordering::Relaxed);
    let before_ns = now_ns();
    // Release: pairs with the look below.
    L::post(1, || ENTERED_NS.store(now_ns(), Ordering::Release));
    // Acquire: pairs with the function.
    sleep_until(|| ENTERED_NS.load(Ordering::Acquire) != 0);
    ENTERED_NS.load(Ordering::Acquire).saturating_sub(before_ns)
}

/// What a post costs its sender, and the heap, while the target takes none.
fn queued<L: Layer>(report: &mut Report) {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    let (ns, bytes) = held::while_held(0, || {
        let before = heap_bytes();
        let ns = timed_ns(|| {
            // Release: pairs with the look below.
            (0..QUEUED).for_each(|_| L::post(1, || _ = RAN.fetch_add(1, Ordering::Release)));
        });
        (ns, heap_bytes() - before)
    });
    // Acquire: pairs with the functions.
    sleep_until(|| RAN.load(Ordering::Acquire) == QUEUED);
    let each = ns / QUEUED as u64;
    report.well("post_while_others_are_queued", format_args!("{each} ns"));
    report.well("heap_held_by_a_queued_call", format_args!("{} bytes", bytes / QUEUED));
}

/// How long a post takes while the target is in a long function.
fn post_while_running<L: Layer>() -> u64 {
    static STARTED: AtomicBool = AtomicBool::new(false);
    static ENDED: AtomicU32 = AtomicU32::new(0);
    L::post(1, || {
        // Release: pairs with the look below.
        STARTED.store(true, Ordering::Release);
        let until_ns = now_ns() + 500 * MS;
        while now_ns() < until_ns {
            arch::relax();
        }
        // Release: pairs with the look below.
        ENDED.fetch_add(1, Ordering::Release);
    });
    // Acquire: pairs with the function.
    sleep_until(|| STARTED.load(Ordering::Acquire));
    // Release: as above.
    let ns = timed_ns(|| L::post(1, || _ = ENDED.fetch_add(1, Ordering::Release)));
    // Acquire: as above.
    sleep_until(|| ENDED.load(Ordering::Acquire) == 2);
    ns
}

/// Many at once to a CPU that takes none yet: how long that takes, and what they hold meanwhile.
fn flood<L: Layer>(report: &mut Report) {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    let (ns, bytes) = held::while_held(0, || {
        let before = heap_bytes();
        let ns = timed_ns(|| {
            for _ in 0..FLOOD {
                L::post(1, || {
                    // Release: pairs with the look below.
                    RAN.fetch_add(1, Ordering::Release);
                });
            }
        });
        (ns, heap_bytes() - before)
    });
    // Acquire: pairs with the functions.
    sleep_until(|| RAN.load(Ordering::Acquire) == FLOOD);
    report.well(
        "10,000_posts_at_once",
        format_args!("{} us to post, {} KiB of heap", ns / 1_000, bytes / 1_024),
    );
}

/// Says where and in which context it is dropped.
struct Token(Arc<AtomicU32>);

impl Drop for Token {
    fn drop(&mut self) {
        let cpu = axhal::percpu::this_cpu_id() as u32;
        let off = u32::from(!arch::irqs_are_on());
        // Release: pairs with `drops`.
        self.0.store(1 + 2 * cpu + off, Ordering::Release);
    }
}

/// Who drops what the closure owns.
fn drops<L: Layer>(report: &mut Report) {
    let said = Arc::new(AtomicU32::new(0));
    let token = Token(Arc::clone(&said));
    L::post(1, move || {
        let _owned = &token;
    });
    // Acquire: pairs with `Token`.
    sleep_until(|| said.load(Ordering::Acquire) != 0);
    let word = said.load(Ordering::Acquire) - 1;
    let off = if word % 2 == 1 { "off" } else { "on" };
    report.well("closure_is_dropped", format_args!("by CPU {}, interrupts {off}", word / 2));
}
