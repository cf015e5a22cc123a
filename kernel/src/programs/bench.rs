//! What calls cost on this machine, in ns of its clock: the median of many, one after the other, by the first CPU. On an
//! emulator that counts instructions (`-icount`) the figures are the same in every run; on one that runs a thread for each CPU
//! they tell an order of magnitude.

use crate::arch;
use crate::console::Console;
use crate::cpus;
use crate::idle;
use crate::machine::{Cpu, QUIET};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use smpcall::{Budget, Csd, Posted, SleepGuard, To};
use smpcall_conformance::Report;

const SAMPLES: usize = 101;
/// How many calls make a sample of what is too short for the clock.
const AT_ONCE: u64 = 100;

/// What the second CPU does meanwhile. The others sleep.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Duty {
    Sleeps,
    Polls,
    /// Runs something else, with interrupts on.
    Works,
}

static DUTY: AtomicU32 = AtomicU32::new(Duty::Sleeps as u32);
/// That the second CPU has turned to its duty.
static TURNED: AtomicU32 = AtomicU32::new(u32::MAX);

struct Row {
    name: &'static str,
    cpus_min: u32,
    duty: Duty,
    /// One sample: ns, or ns for `AT_ONCE`.
    sample: fn() -> u64,
    at_once: u64,
}

const ROWS: [Row; 8] = [
    Row { name: "post_to_entry_polling", cpus_min: 2, duty: Duty::Polls, sample: post_to_entry, at_once: 1 },
    Row { name: "post_to_entry_working", cpus_min: 2, duty: Duty::Works, sample: post_to_entry, at_once: 1 },
    Row { name: "post_to_entry_asleep", cpus_min: 2, duty: Duty::Sleeps, sample: post_to_entry, at_once: 1 },
    Row { name: "call_polling", cpus_min: 2, duty: Duty::Polls, sample: call, at_once: 1 },
    Row { name: "call_working", cpus_min: 2, duty: Duty::Works, sample: call, at_once: 1 },
    Row { name: "call_self", cpus_min: 1, duty: Duty::Sleeps, sample: call_self, at_once: AT_ONCE },
    Row { name: "multicast_to_all", cpus_min: 2, duty: Duty::Sleeps, sample: multicast, at_once: 1 },
    Row { name: "busy", cpus_min: 2, duty: Duty::Works, sample: busy, at_once: AT_ONCE },
];

/// The bench on the first CPU; the others serve it.
pub(crate) fn run(cpu: u32) -> bool {
    let handle = QUIET.as_pin().online().expect("a CPU comes online when it comes up");
    if cpu != 0 {
        serve(cpu, handle);
    }
    idle::until(&QUIET, || (0..cpus::count()).all(|cpu| QUIET.is_online_racy(cpu)));
    let mut report = Report::announce(Console, ROWS.len() as u32);
    for row in &ROWS {
        if cpus::count() < row.cpus_min {
            report.skip(row.name, "needs 2 CPUs");
            continue;
        }
        turn(row.duty);
        let mut samples = [0; SAMPLES];
        // The first few warm up.
        (0..5).for_each(|_| _ = (row.sample)());
        samples.iter_mut().for_each(|sample| *sample = (row.sample)() / row.at_once);
        samples.sort_unstable();
        let [least, .., most] = samples;
        let median = samples[SAMPLES / 2];
        report.well(row.name, format_args!("{median} ns ({least} to {most})"));
    }
    report.end()
}

/// Has the second CPU do that.
fn turn(duty: Duty) {
    // Release, Acquire: nothing else hangs on it.
    DUTY.store(duty as u32, Ordering::Release);
    if cpus::count() > 1 {
        // A call, so that a sleeper notices.
        idle::until(&QUIET, || QUIET.call(1, || ()).is_ok() && TURNED.load(Ordering::Acquire) == duty as u32);
    }
}

fn serve(cpu: u32, mut handle: Cpu<false>) -> ! {
    // Acquire: pairs with `turn`.
    let duty = || if cpu == 1 { DUTY.load(Ordering::Acquire) } else { Duty::Sleeps as u32 };
    loop {
        let now = duty();
        if cpu == 1 {
            // Release: pairs with `turn`.
            TURNED.store(now, Ordering::Release);
        }
        if now == Duty::Works as u32 {
            idle::relax();
        } else if now == Duty::Polls as u32 {
            handle.poll_begin();
            while duty() == now {
                if handle.has_work() {
                    let _ = handle.flush(Budget::DEFAULT);
                }
                idle::relax();
            }
            while handle.begin_sleep().map(SleepGuard::commit).is_err() {
                let _ = handle.flush(Budget::DEFAULT);
            }
        } else {
            // Until it is rung; a limit that is longer than the bench.
            QUIET.platform().sleep(3_600_000_000_000);
        }
    }
}

static ENTERED_NS: AtomicU64 = AtomicU64::new(0);
static CSD: Csd<fn()> = Csd::new(|| {
    // Release: pairs with `post_to_entry`.
    ENTERED_NS.store(arch::now_ns(), Ordering::Release);
});

/// From before the post to the first instruction of the function.
fn post_to_entry() -> u64 {
    // Acquire: pairs with `serve`.
    let turned = TURNED.load(Ordering::Acquire);
    if turned == Duty::Sleeps as u32 {
        let_it_fall_asleep();
    }
    // Relaxed: the post publishes it.
    ENTERED_NS.store(0, Ordering::Relaxed);
    let before_ns = arch::now_ns();
    assert_eq!(QUIET.post(1, &CSD), Ok(Posted::Queued), "it is free, and the CPU is online");
    // Acquire: pairs with the function.
    while ENTERED_NS.load(Ordering::Acquire) == 0 {
        idle::relax();
    }
    // Another clock's tick may be behind.
    ENTERED_NS.load(Ordering::Acquire).saturating_sub(before_ns)
}

/// Gives the second CPU time to go back to sleep.
fn let_it_fall_asleep() {
    let until_ns = arch::now_ns() + 50_000;
    while arch::now_ns() < until_ns {
        idle::relax();
    }
}

fn call() -> u64 {
    let before_ns = arch::now_ns();
    QUIET.call(1, || ()).expect("the CPU is online");
    arch::now_ns() - before_ns
}

fn call_self() -> u64 {
    let before_ns = arch::now_ns();
    (0..AT_ONCE).for_each(|_| QUIET.call(0, || ()).expect("the CPU is online"));
    arch::now_ns() - before_ns
}

fn multicast() -> u64 {
    let_it_fall_asleep();
    let before_ns = arch::now_ns();
    QUIET.call_many(To::Others, || ()).expect("thread context");
    arch::now_ns() - before_ns
}

/// Posts of a csd that is queued already, on a CPU that is held.
fn busy() -> u64 {
    static HELD: AtomicBool = AtomicBool::new(false);
    static HOLDS: AtomicBool = AtomicBool::new(false);
    static HOLD: Csd<fn()> = Csd::new(|| {
        // Release, Acquire: each flag is one side's, and the other acts on it; pairs with what follows.
        HOLDS.store(true, Ordering::Release);
        while HELD.load(Ordering::Acquire) {
            idle::relax();
        }
        HOLDS.store(false, Ordering::Release);
    });
    // Release, Acquire: as above.
    HELD.store(true, Ordering::Release);
    assert_eq!(QUIET.post(1, &HOLD), Ok(Posted::Queued), "it is free, and the CPU is online");
    while !HOLDS.load(Ordering::Acquire) {
        idle::relax();
    }
    assert_eq!(QUIET.post(1, &CSD), Ok(Posted::Queued), "it is free, and the CPU is online");
    let before_ns = arch::now_ns();
    let all = (0..AT_ONCE).all(|_| QUIET.post(1, &CSD) == Ok(Posted::Busy { cpu: 1 }));
    let ns = arch::now_ns() - before_ns;
    assert!(all, "a queued csd is busy");
    // Release, Acquire: as above.
    HELD.store(false, Ordering::Release);
    QUIET.wait(&CSD).expect("thread context");
    while HOLDS.load(Ordering::Acquire) {
        idle::relax();
    }
    ns
}
