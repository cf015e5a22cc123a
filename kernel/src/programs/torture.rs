//! Everything at once, on all CPUs, while CPUs are switched off and on: then everything comes to rest, and the accounts must
//! agree.

mod accounts;
mod kinds;

use crate::arch;
use crate::command::Command;
use crate::cpus::{self, CPUS_MAX};
use crate::idle;
use crate::machine::SMP;
use crate::report::{Outcome, Report};
use accounts::{Contested, Shared};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use fastrand::Rng;
use kinds::KINDS;

/// How long after it came back a CPU is switched off again.
const ONOFF_NS: u64 = 50_000_000;
/// How long everything may take to come to rest.
const REST_NS: u64 = 60_000_000_000;

static STOPS: AtomicBool = AtomicBool::new(false);
/// Set by the first CPU, cleared by the one that leaves.
static LEAVES: [AtomicBool; CPUS_MAX] = [const { AtomicBool::new(false) }; CPUS_MAX];
/// CPUs that do not begin anything any more.
static AT_REST: AtomicU32 = AtomicU32::new(0);
static SWITCHED_OFF: AtomicU32 = AtomicU32::new(0);

/// Random numbers, different on each CPU.
fn rng_of(cpu: u32) -> Rng {
    Rng::with_seed(Command::get().seed ^ (u64::from(cpu) << 32))
}

/// The torture on this CPU; the first one times it, switches the others off and on, and reports.
pub(crate) fn run(cpu: u32) -> bool {
    SMP.as_pin().online().expect("a CPU comes online when it comes up");
    let mut rng = rng_of(cpu);
    if cpu != 0 {
        return work(cpu, &mut rng);
    }
    let until_ns = arch::now_ns() + u64::from(Command::get().seconds) * 1_000_000_000;
    let mut next_ns = 0;
    let mut gone = None;
    while arch::now_ns() < until_ns {
        kinds::any(cpu, &mut rng);
        if cpus::count() > 1 && arch::now_ns() > next_ns {
            gone = switch(gone, &mut rng);
            next_ns = arch::now_ns() + ONOFF_NS;
        }
    }
    // Who is to leave may be waiting for this CPU.
    idle::until(&SMP, || {
        gone = gone.and_then(|cpu| switch(Some(cpu), &mut rng));
        gone.is_none()
    });
    // Release: pairs with `work`.
    STOPS.store(true, Ordering::Release);
    report()
}

/// Another CPU, until it is told to leave, or all stop.
fn work(cpu: u32, rng: &mut Rng) -> bool {
    // Acquire: pairs with `run` and `switch`.
    while !STOPS.load(Ordering::Acquire) {
        kinds::any(cpu, rng);
        if LEAVES[cpu as usize].load(Ordering::Acquire) {
            SMP.offline().expect("it is online");
            // Relaxed: what stopping publishes.
            LEAVES[cpu as usize].store(false, Ordering::Relaxed);
            cpus::stop();
        }
    }
    // Release: what it began is in the accounts; pairs with `report`.
    AT_REST.fetch_add(1, Ordering::Release);
    idle::until(&SMP, || false);
    true
}

/// One step of switching CPUs off and on: one is told to leave; when it is gone, it is started again.
fn switch(gone: Option<u32>, rng: &mut Rng) -> Option<u32> {
    match gone {
        None => {
            let cpu = 1 + rng.u32(..cpus::count() - 1);
            // Release: nothing hangs on it.
            LEAVES[cpu as usize].store(true, Ordering::Release);
            Some(cpu)
        }
        Some(cpu) if cpus::is_stopped(cpu) => {
            // Relaxed: a figure.
            SWITCHED_OFF.fetch_add(1, Ordering::Relaxed);
            if let Err(why) = cpus::start(cpu) {
                panic!("CPU {cpu} does not come back: {why}");
            }
            None
        }
        still => still,
    }
}

/// Waits until everything is at rest, and compares.
fn report() -> bool {
    let until_ns = arch::now_ns() + REST_NS;
    // Acquire: pairs with `work`.
    let at_rest = || AT_REST.load(Ordering::Acquire) + 1 == cpus::count();
    idle::until(&SMP, || at_rest() && accounts::settled() || arch::now_ns() > until_ns);
    let mut report = Report::announce(6 + KINDS.len() as u32);
    let mut result = |name, holds: bool, text: core::fmt::Arguments<'_>| {
        report.result(name, if holds { Outcome::Passed(text) } else { Outcome::Failed(text) });
    };
    result(
        "p10_all_came_to_rest",
        at_rest(),
        // Relaxed: a figure.
        format_args!("{} of the others did", AT_REST.load(Ordering::Relaxed)),
    );
    let (accepted, ran) = Shared::runs();
    result("p1_shared_csds", accepted == ran, format_args!("{accepted} posts were accepted, {ran} ran"));
    let (owed, seen) = accounts::blind();
    result(
        "p2_writes_are_seen",
        seen == 0,
        format_args!("of {owed} csds, {seen} did not see what they were to see"),
    );
    let (least, most, ran) = Contested::bounds();
    result(
        "p1_contested_csds",
        (least..=most).contains(&ran),
        format_args!("{most} posts were accepted, {} taken back, {ran} ran", most - least),
    );
    let (sent, ran) = accounts::numbered();
    result("p6_numbered_calls", sent == ran, format_args!("{sent} were sent, {ran} ran"));
    let wrong = accounts::wrongs();
    result(
        "nothing_was_wrong",
        wrong == 0,
        // Relaxed: a figure.
        format_args!("{wrong} wrongs; {} times a CPU was switched off", SWITCHED_OFF.load(Ordering::Relaxed)),
    );
    for kind in &KINDS {
        let (done, refused) = kind.count();
        let skipped = done == 0 && kind.is_skipped();
        let text = format_args!("{done} done, {refused} refused");
        match skipped {
            true => report.result(kind.name, Outcome::Skipped("this machine, or this command, has it not")),
            false if done > 0 => report.result(kind.name, Outcome::Passed(text)),
            false => report.result(kind.name, Outcome::Failed(text)),
        }
    }
    report.end()
}
