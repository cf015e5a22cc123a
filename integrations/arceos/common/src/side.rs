//! The same measurements over whichever `ax-ipi` is built in: `ok NAME: FIGURE`.

use crate::console::Report;
use crate::{now_ns, spin_until, tasks};
use ax_hal::cache::flush_tlb_range_all_cpus;
use ax_hal::irq::CpuId;
use ax_hal::mem::VirtAddr;
use ax_task::sync::WaitQueue;
use ax_task::sync::irq::{IrqWaitCell, IrqWorkerWaiter};
use ax_task::thread::current::current_thread_handle;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many results [`run`] gives.
pub const ROWS: u32 = 6;

const SAMPLES: usize = 101;

/// Four pages, wherever they are: nobody uses them.
const START: usize = 0x4000_0000;
const SIZE: usize = 4 * 4096;

/// What each layer has its own way for.
pub trait Layer {
    /// Has each CPU throw that range out of its TLB. When it returns, all have.
    fn shoot_down(start: VirtAddr, size: usize);

    /// Wakes the thread that sleeps at [`SLEEPER`], on CPU 1.
    fn wake();
}

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

/// As the kernel does it: each CPU is called, one after the other.
pub fn shoot_down_as_arceos_does(start: VirtAddr, size: usize) {
    flush_tlb_range_all_cpus(start, size).expect("all CPUs are online");
}

/// All rows, by CPU 0, against CPU 1, which is idle, or against all others.
pub fn run<L: Layer>(report: &mut Report) {
    let ns = median_ns(|| timed_ns(|| call_and_wait(1)));
    report.well("call_and_wait", format_args!("{ns} ns"));
    let ns = median_ns(|| timed_ns(|| L::shoot_down(VirtAddr::from(START), SIZE)));
    report.well("shootdown_of_four_pages_on_all", format_args!("{ns} ns"));
    let ns = median_ns(|| timed_ns(|| shoot_down_as_arceos_does(VirtAddr::from(START), SIZE)));
    report.well("shootdown,_by_ArceOS'_own_function", format_args!("{ns} ns"));
    start_sleeper();
    let ns = median_ns(|| wake_up(L::wake));
    report.well("wake-up_of_a_thread", format_args!("{ns} ns"));
    // Relaxed: the next wake-up publishes it.
    BY_QUEUE.store(true, Ordering::Relaxed);
    wake_up(L::wake);
    let ns = median_ns(|| wake_up(|| _ = QUEUE.notify_one()));
    report.well("wake-up_of_a_thread,_by_its_wait_queue", format_args!("{ns} ns"));
    let before = heap_bytes();
    (0..1_000).for_each(|_| call_and_wait(1));
    let grown = heap_bytes() - before;
    report.well("heap_held_by_1,000_calls", format_args!("{grown} bytes"));
}

/// Where the thread of CPU 1 sleeps: here a handler may wake it.
pub static SLEEPER: IrqWaitCell = IrqWaitCell::new();
/// And here no handler may.
static QUEUE: WaitQueue = WaitQueue::new();
/// Where it sleeps from the next time on.
static BY_QUEUE: AtomicBool = AtomicBool::new(false);
static READY: AtomicBool = AtomicBool::new(false);
static ASLEEP: AtomicBool = AtomicBool::new(false);
static WOKEN_NS: AtomicU64 = AtomicU64::new(0);

fn start_sleeper() {
    tasks::start_on(1, || {
        let this = current_thread_handle().expect("a task has one");
        let waiter = IrqWorkerWaiter::new(this.wake_handle());
        loop {
            // Release: pairs with the look in `wake_up`.
            ASLEEP.store(true, Ordering::Release);
            // Acquire: pairs with `wake_up`. Taken, for the next time.
            let is_ready = || READY.swap(false, Ordering::Acquire);
            // Relaxed: the last wake-up published it.
            if BY_QUEUE.load(Ordering::Relaxed) {
                QUEUE.wait_until(is_ready);
            } else {
                while !is_ready() {
                    waiter.wait(&SLEEPER).expect("nobody else sleeps there");
                }
            }
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
