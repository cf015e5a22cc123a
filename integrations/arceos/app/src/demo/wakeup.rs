//! A task that sleeps on another CPU is woken there.

use ax_ipi::machine;
use ax_task::sync::irq::{IrqWaitCell, IrqWorkerWaiter};
use ax_task::thread::current::current_thread_handle;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use smpcall::Csd;
use smpcall_arceos_common::console::Report;
use smpcall_arceos_common::{now_ns, spin_until, tasks};

const ROUNDS: u64 = 20;

// guide: wakeup
static SLEEPER: IrqWaitCell = IrqWaitCell::new();
static READY: AtomicBool = AtomicBool::new(false);
/// Wakes on the sleeper's own CPU: that CPU's interrupt ends its idle sleep, and it runs the task at once.
static WAKE: Csd<fn()> = Csd::new(|| _ = SLEEPER.notify());

fn wake(cpu: u32) {
    // Release: pairs with `sleep`.
    READY.store(true, Ordering::Release);
    // Busy is as good as Queued: a wake-up that is still to come sees READY.
    let _ = machine().post(cpu, &WAKE);
}

fn sleep(waiter: &IrqWorkerWaiter) {
    // Acquire: pairs with `wake`. Taken, for the next time.
    while !READY.swap(false, Ordering::Acquire) {
        waiter.wait(&SLEEPER).expect("nobody else sleeps there");
    }
}
// guide: end

static ASLEEP: AtomicU64 = AtomicU64::new(0);
static WOKEN: AtomicU64 = AtomicU64::new(0);

pub(super) fn run(report: &mut Report) {
    tasks::start_on(1, || {
        let this = current_thread_handle().expect("a task has one");
        let waiter = IrqWorkerWaiter::new(this.wake_handle());
        for round in 1..=ROUNDS {
            // Release: pairs with the looks below.
            ASLEEP.store(round, Ordering::Release);
            sleep(&waiter);
            // Release: as above.
            WOKEN.store(round, Ordering::Release);
        }
    });
    let mut longest_ns = 0;
    for round in 1..=ROUNDS {
        // Acquire: pairs with the task.
        spin_until(|| ASLEEP.load(Ordering::Acquire) == round);
        let before_ns = now_ns();
        wake(1);
        // Acquire: pairs with the task.
        spin_until(|| WOKEN.load(Ordering::Acquire) == round || now_ns() - before_ns > 10_000_000_000);
        longest_ns = longest_ns.max(now_ns() - before_ns);
    }
    // Acquire: pairs with the task.
    let woken = WOKEN.load(Ordering::Acquire);
    report.check(
        "remote_wakeup",
        woken == ROUNDS,
        format_args!("woken {woken} times on CPU 1, in {} us at most", longest_ns / 1_000),
    );
}
