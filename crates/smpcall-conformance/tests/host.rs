//! The contract on host threads: attached threads are the CPUs, and the log of each run is checked as a kernel's would be.

#[path = "common/threads.rs"]
mod threads;

use smpcall_conformance::Summary;
use smpcall_host::smpcall::{Counts, Waiting};
use smpcall_host::{Latencies, Trace};
use threads::{HostRig, machine, run_suite, tlb};

/// On a machine whose events are counted, and latencies too.
fn run(cpus: u32, rounds: u32) -> Summary {
    run_with(cpus, rounds, Latencies::with_latencies(), |counters| Some(counters.total()))
}

fn run_with<T: Trace>(cpus: u32, rounds: u32, trace: T, counted: fn(&T) -> Option<Counts>) -> Summary {
    let machine = machine(cpus, trace);
    let sleep = |machine: &'static smpcall_host::Machine<T>, limit: std::time::Duration| {
        machine.platform().park(None, limit.as_nanos() as u64);
    };
    run_suite(HostRig::<_, false> { machine, rounds, counted, sleep, tlb: tlb() }, |machine, cpu, run| {
        let _here = machine.attach(cpu).unwrap();
        run();
    })
}

/// What this rig has not: interrupts that can be masked (two cases), and threads that migrate (two).
const NOT_HERE: u32 = 4;

#[test]
fn on_one_cpu() {
    let summary = run(1, 300);
    // Those that need two CPUs are skipped, and counted.
    assert!(summary.passed >= 40 && summary.skipped > NOT_HERE, "{summary}");
}

#[test]
fn on_two_cpus() {
    assert_eq!(run(2, 500).skipped, NOT_HERE);
}

#[test]
fn on_four_cpus() {
    assert_eq!(run(4, 300).skipped, NOT_HERE);
}

#[test]
fn on_four_cpus_to_which_nobody_listens() {
    // Nor is there anything to compare in the two cases about counters.
    assert_eq!(run_with(4, 300, (), |()| None).skipped, NOT_HERE + 2);
}

#[test]
fn on_sixteen_cpus() {
    assert_eq!(run(16, 80).skipped, NOT_HERE);
}

#[test]
fn on_sixty_four_cpus() {
    assert_eq!(run(64, 20).skipped, NOT_HERE);
}
