//! The contract on host threads: attached threads are the CPUs, and the log of each run is checked as a kernel's would be.

#[path = "common/signal.rs"]
#[allow(dead_code, reason = "signals as doorbells are another test's")]
mod signal;

use smpcall_conformance::{Lines, Rig, Suite, Summary, Woken, check_log, memory_bytes};
use smpcall_host::smpcall::{Counts, PerCpu, Waiting};
use smpcall_host::{Host, Latencies, Machine, Trace};
use std::mem::MaybeUninit;
use std::thread;

struct HostRig<T: Trace> {
    machine: &'static Machine<T>,
    rounds: u32,
    counted: fn(&T) -> Option<Counts>,
}

impl<T: Trace> Rig for HostRig<T> {
    type Platform = Host<T>;
    type Storage = Box<[PerCpu]>;

    fn smp(&self) -> &'static smpcall_host::smpcall::Machine<Host<T>, Box<[PerCpu]>> {
        self.machine.whole()
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        vec![MaybeUninit::uninit(); memory_bytes(self.machine.cpus_len())].leak()
    }

    fn rounds(&self) -> u32 {
        self.rounds
    }

    // The threads share few cores with one another and with whatever else runs.
    fn patience_ns(&self) -> u64 {
        30_000_000_000
    }

    fn pause(&self) {
        thread::yield_now();
    }

    fn sleep(&self, limit_ns: u64) -> Woken {
        self.machine.platform().park(None, limit_ns);
        Woken::Unknown
    }

    fn rings(&self) -> Option<u64> {
        Some(self.machine.counts().rings)
    }

    fn counts(&self) -> Option<Counts> {
        (self.counted)(self.machine.tracer())
    }

    fn caught(&self) -> Option<u64> {
        Some(self.machine.counts().panics)
    }

    fn unwind(&self) -> Option<fn() -> !> {
        // Without the hook that would print a message.
        Some(|| std::panic::resume_unwind(Box::new("meant")))
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        signal::raise(f);
        true
    }

    fn outside(&self, f: &'static (dyn Fn() + Sync)) -> bool {
        thread::spawn(f);
        true
    }
}

/// On a machine whose events are counted, and latencies too.
fn run(cpus: u32, rounds: u32) -> Summary {
    run_with(cpus, rounds, Latencies::with_latencies(), |counters| Some(counters.total()))
}

fn run_with<T: Trace>(cpus: u32, rounds: u32, trace: T, counted: fn(&T) -> Option<Counts>) -> Summary {
    // Leaked, as the suite asks for: functions of a run that failed may come late.
    let builder = Machine::builder().attachable(cpus as usize).trace(trace);
    // What the watchdog finds is meant.
    let machine: &'static Machine<T> = Box::leak(Box::new(builder.on_queue_stall(|_| ()).build().unwrap()));
    let suite: &'static Suite<HostRig<T>> =
        Box::leak(Box::new(Suite::new(HostRig { machine, rounds, counted })));
    let threads: Vec<_> = (0..cpus)
        .map(|cpu| {
            thread::spawn(move || {
                let _here = machine.attach(cpu).unwrap();
                let mut log = Lines(String::new());
                let summary = suite.run(&mut log);
                (summary, log.0)
            })
        })
        .collect();
    let ends: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let log = &ends[0].1;
    let summary = check_log(log).unwrap_or_else(|fault| panic!("{fault}\n{log}"));
    assert!(ends.iter().all(|(end, _)| *end == Ok(summary)), "every CPU comes to the same end");
    assert!(ends[1..].iter().all(|(_, log)| log.is_empty()), "CPU 0 alone reports");
    let used = suite.memory_used();
    assert!(used * 2 <= memory_bytes(cpus), "{used} bytes of {} are used", memory_bytes(cpus));
    summary
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
