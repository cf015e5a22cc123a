//! The same measurements over whichever `ax-ipi` is built in, through its own surface: `ok NAME: FIGURE`. Meant for an emulator that
//! counts instructions (`-icount`): then a figure is the same in every run, and comparable between guests.

use crate::console::Report;
use crate::{now_ns, spin_until, tasks};
use ax_hal::irq::CpuId;
use ax_task::sync::WaitQueue;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many results [`run`] gives.
pub const ROWS: u32 = 5;

const SAMPLES: usize = 101;

/// Returns the bytes that the kernel's heap has given out.
pub fn heap_bytes() -> usize {
    ax_alloc::global_allocator().used_bytes()
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

/// What is called, to no effect.
unsafe fn nothing(_: *mut ()) {}

/// A call that is waited for, by the crate's own surface.
pub fn call_and_wait(cpu: usize) {
    // SAFETY: the function touches nothing.
    let called = unsafe { ax_ipi::call_on_cpu(CpuId(cpu), nothing, null_mut()) };
    assert_eq!(called, Ok(()), "the CPU is online");
}

/// All rows, by CPU 0, against CPU 1, which is idle, or against all others.
pub fn run(report: &mut Report) {
    let ns = median_ns(|| timed_ns(|| call_and_wait(1)));
    report.well("call_and_wait", format_args!("{ns} ns"));
    let others = || (1..ax_hal::cpu_num()).for_each(call_and_wait);
    let ns = median_ns(|| timed_ns(others));
    report.well("all_others,_one_after_the_other,_as_ArceOS_does", format_args!("{ns} ns"));
    let ns = median_ns(|| timed_ns(ax_hal::cache::flush_icache_all_cpus));
    report.well("its_flush_of_all_instruction_caches", format_args!("{ns} ns"));
    start_sleeper();
    let ns = median_ns(|| wake_up(|| _ = SLEEPERS.notify_one()));
    report.well("wake-up_of_a_thread,_by_the_scheduler", format_args!("{ns} ns"));
    let before = heap_bytes();
    (0..1_000).for_each(|_| call_and_wait(1));
    let grown = heap_bytes() - before;
    report.well("heap_held_by_1,000_calls", format_args!("{grown} bytes"));
}

/// Where the thread of CPU 1 sleeps.
static SLEEPERS: WaitQueue = WaitQueue::new();
static READY: AtomicBool = AtomicBool::new(false);
static ASLEEP: AtomicBool = AtomicBool::new(false);
static WOKEN_NS: AtomicU64 = AtomicU64::new(0);

fn start_sleeper() {
    tasks::start_on(1, || {
        loop {
            // Release: pairs with the look in `wake_up`.
            ASLEEP.store(true, Ordering::Release);
            // Acquire: pairs with `wake_up`. Taken, for the next time.
            SLEEPERS.wait_until(|| READY.swap(false, Ordering::Acquire));
            // Release: as above.
            WOKEN_NS.store(now_ns(), Ordering::Release);
        }
    });
}

/// From before `wake` until the thread that sleeps on CPU 1 goes on.
fn wake_up(wake: impl FnOnce()) -> u64 {
    // Acquire: pairs with the sleeper.
    spin_until(|| ASLEEP.swap(false, Ordering::Acquire));
    // It says so before it sleeps: the CPU is left alone for long enough to go idle.
    let until_ns = now_ns() + 1_000_000;
    spin_until(|| now_ns() >= until_ns);
    // Relaxed: the wake-up publishes it.
    WOKEN_NS.store(0, Ordering::Relaxed);
    let before_ns = now_ns();
    // Release: pairs with the sleeper.
    READY.store(true, Ordering::Release);
    wake();
    // Acquire: pairs with the sleeper.
    spin_until(|| WOKEN_NS.load(Ordering::Acquire) != 0);
    // Acquire: as above.
    WOKEN_NS.load(Ordering::Acquire) - before_ns
}

