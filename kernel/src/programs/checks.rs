//! What only a kernel can test: interrupts that are counted, page tables, interrupts inside posts, CPUs that are switched off.

mod doorbells;
mod hotplug;
mod inside;
mod shootdown;
mod stall;

use crate::console::Console;
use crate::cpus;
use crate::idle;
use crate::machine::SMP;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use smpcall_conformance::Report;

/// A check, which the first CPU makes while the others stand by: a sentence of what was seen, or of what went wrong.
struct Check {
    name: &'static str,
    run: fn(&mut Text) -> Result<(), Wrong>,
    cpus_min: u32,
}

static CHECKS: [Check; 6] = [
    Check { name: "p4_tlb_shootdown", run: shootdown::run, cpus_min: 1 },
    Check { name: "p4_tlb_shootdown_by_broadcast", run: shootdown::run_by_broadcast, cpus_min: 1 },
    Check { name: "p7_interrupts_are_as_many_as_rings", run: doorbells::run, cpus_min: 2 },
    Check { name: "p1_interrupts_inside_posts", run: inside::run, cpus_min: 1 },
    Check { name: "p10_a_long_function_is_reported", run: stall::run, cpus_min: 2 },
    Check { name: "p8_cpus_are_switched_off_and_on_under_load", run: hotplug::run, cpus_min: 2 },
];

/// What went wrong.
struct Wrong;

/// A sentence.
struct Text {
    bytes: [u8; 160],
    len: usize,
}

impl fmt::Write for Text {
    /// Drops what has no room.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (to, from) in self.bytes[self.len..].iter_mut().zip(text.bytes()) {
            *to = from;
            self.len += 1;
        }
        Ok(())
    }
}

impl Text {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }

    /// What was seen.
    fn well(&mut self, what: fmt::Arguments<'_>) -> Result<(), Wrong> {
        // It cannot fail.
        let _ = fmt::write(self, what);
        Ok(())
    }

    /// What went wrong.
    fn wrong(&mut self, what: fmt::Arguments<'_>) -> Wrong {
        // It cannot fail.
        let _ = fmt::write(self, what);
        Wrong
    }
}

/// What the other CPUs do meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Duty {
    /// Idle: poll, then sleep.
    Idle,
    /// Run something else, and look at nothing: only interrupts bring calls.
    Busy,
}

static DUTY: AtomicU32 = AtomicU32::new(Duty::Idle as u32);
/// Counts on while a CPU is busy and no interrupt holds it.
static BEATS: [AtomicU32; cpus::CPUS_MAX] = [const { AtomicU32::new(0) }; cpus::CPUS_MAX];
static LEAVES: [AtomicBool; cpus::CPUS_MAX] = [const { AtomicBool::new(false) }; cpus::CPUS_MAX];

/// Runs the checks on the first CPU, and serves them on the others.
pub(crate) fn run(cpu: u32) -> bool {
    run_each(cpu, &CHECKS)
}

/// Shows one of them.
pub(crate) fn demo(cpu: u32) -> bool {
    run_each(cpu, &[Check { name: "tlb_shootdown", run: shootdown::demo, cpus_min: 1 }])
}

/// Runs one that does not work.
pub(crate) fn broken_broadcast(cpu: u32) -> bool {
    run_each(
        cpu,
        &[Check { name: "tlb_shootdown_by_no_broadcast", run: shootdown::run_by_none, cpus_min: 2 }],
    )
}

fn run_each(cpu: u32, checks: &[Check]) -> bool {
    let _handle = SMP.as_pin().online().expect("a CPU comes online when it comes up");
    if cpu != 0 {
        stand_by(cpu);
    }
    idle::until(&SMP, || (0..cpus::count()).all(|cpu| SMP.is_online_racy(cpu)));
    let mut report = Report::announce(Console, checks.len() as u32);
    for Check { name, run, cpus_min } in checks {
        if cpus::count() < *cpus_min {
            report.skip(name, "needs 2 CPUs");
            continue;
        }
        let mut text = Text { bytes: [0; 160], len: 0 };
        let outcome = run(&mut text);
        report.check(name, outcome.is_ok(), format_args!("{}", text.as_str()));
    }
    report.end()
}

/// Another CPU: does as it is told, until it is told to leave.
fn stand_by(cpu: u32) -> ! {
    // Acquire: pairs with `set_duty`, and with `hotplug`.
    let leaves = || LEAVES[cpu as usize].load(Ordering::Acquire);
    let duty = || DUTY.load(Ordering::Acquire);
    while !leaves() {
        idle::until(&SMP, || leaves() || duty() == Duty::Busy as u32);
        while duty() == Duty::Busy as u32 && !leaves() {
            // Release: pairs with `until_it_beats`.
            BEATS[cpu as usize].fetch_add(1, Ordering::Release);
            idle::relax();
        }
    }
    SMP.as_pin().this_cpu().and_then(|cpu| cpu.offline().map_err(|(_, why)| why)).expect("it was online");
    // Release: it is offline when that is seen; pairs with `hotplug`.
    LEAVES[cpu as usize].store(false, Ordering::Release);
    cpus::stop()
}

/// Has the others do that, and waits until they do.
fn set_duty(duty: Duty) {
    // Release, Acquire: nothing else hangs on it.
    DUTY.store(duty as u32, Ordering::Release);
    if duty == Duty::Busy {
        (1..cpus::count()).for_each(until_it_beats);
    }
}

/// Waits until a busy CPU is back from whatever interrupted it: its queue is at rest then.
fn until_it_beats(cpu: u32) {
    // Acquire: pairs with `stand_by`. Two: the first may have been counted before the interrupt.
    let beats = || BEATS[cpu as usize].load(Ordering::Acquire);
    let before = beats();
    idle::until(&SMP, || beats().wrapping_sub(before) >= 2);
}

/// The alarm's interrupt.
pub(super) fn alarm() {
    inside::alarm();
}
