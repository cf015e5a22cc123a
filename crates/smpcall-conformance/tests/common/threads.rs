//! The rig of host threads, whatever they sleep in, and a run of the suite on them.

#[path = "signal.rs"]
#[allow(dead_code, reason = "signals as doorbells are another test's")]
pub(crate) mod signal;

use smpcall_conformance::{Lines, Rig, Suite, Summary, Tlb, ToyTlb, Woken, check_log, memory_bytes};
use smpcall_host::smpcall::{Broadcast, Broadcasting, Counts, ManyError, NotBroadcast, PerCpu, Platform, To};
use smpcall_host::{Host, Machine, Trace};
use std::mem::MaybeUninit;
use std::thread;
use std::time::Duration;

/// `HANDLER`: the doorbell is a signal, whose handler flushes.
pub(crate) struct HostRig<T: Trace, const HANDLER: bool> {
    pub(crate) machine: &'static Machine<T>,
    pub(crate) rounds: u32,
    pub(crate) counted: fn(&T) -> Option<Counts>,
    /// How the calling thread sleeps, for so long at most.
    pub(crate) sleep: fn(&'static Machine<T>, Duration),
    pub(crate) tlb: &'static ToyTlb,
}

/// A TLB for one run.
pub(crate) fn tlb() -> &'static ToyTlb {
    Box::leak(Box::new(ToyTlb::new()))
}

/// To throw its page out.
struct DropPage(&'static ToyTlb);

/// Threads have no TLB of their own: hardware that is emulated.
impl<T: Trace> Broadcasting<DropPage> for Host<T> {
    fn broadcast(&self, request: &DropPage) -> Result<(), NotBroadcast> {
        if request.0.broadcast() { Ok(()) } else { Err(NotBroadcast) }
    }

    fn left_out(&self, request: &DropPage, first: u32, cpus: usize) -> usize {
        request.0.left_out(first, cpus)
    }

    fn do_here(&self, request: &DropPage) {
        request.0.drop_here(self.current_cpu().expect("a CPU is called"));
    }
}

impl<T: Trace, const HANDLER: bool> Rig for HostRig<T, HANDLER> {
    type Platform = Host<T>;
    type Storage = Box<[PerCpu]>;

    const HANDLER_FLUSHES: bool = HANDLER;

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
        (self.sleep)(self.machine, Duration::from_nanos(limit_ns));
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
        // Without the hook that would print a message. Not in a signal's handler, which may not allocate what is thrown.
        (!HANDLER).then_some(|| std::panic::resume_unwind(Box::new("meant")))
    }

    fn tlb(&self) -> Option<&'static dyn Tlb> {
        Some(self.tlb)
    }

    fn shoot_down(&self, to: To<'_>) -> Option<Result<Broadcast, ManyError>> {
        Some(self.smp().broadcast(to, &DropPage(self.tlb)))
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

/// A machine for so many threads. Leaked, as the suite asks for: functions of a run that failed may come late.
pub(crate) fn machine<T: Trace>(cpus: u32, trace: T) -> &'static Machine<T> {
    let builder = Machine::builder().attachable(cpus as usize).trace(trace);
    // What the watchdog finds is meant.
    Box::leak(Box::new(builder.on_queue_stall(|_| ()).build().unwrap()))
}

/// Runs the suite, on a thread for each CPU that `as_cpu` makes one while it calls what it is given.
pub(crate) fn run_suite<T: Trace, const HANDLER: bool>(
    rig: HostRig<T, HANDLER>,
    as_cpu: fn(&'static Machine<T>, u32, &mut dyn FnMut()),
) -> Summary {
    let (machine, cpus) = (rig.machine, rig.machine.cpus_len());
    let suite: &'static Suite<HostRig<T, HANDLER>> = Box::leak(Box::new(Suite::new(rig)));
    let run = |cpu| {
        thread::spawn(move || {
            let mut log = Lines(String::new());
            let mut summary = None;
            as_cpu(machine, cpu, &mut || summary = Some(suite.run(&mut log)));
            (summary.expect("a CPU runs the suite"), log.0)
        })
    };
    let threads: Vec<_> = (0..cpus).map(run).collect();
    let ends: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let log = &ends[0].1;
    let summary = check_log(log).unwrap_or_else(|fault| panic!("{fault}\n{log}"));
    assert!(ends.iter().all(|(end, _)| *end == Ok(summary)), "every CPU comes to the same end");
    assert!(ends[1..].iter().all(|(_, log)| log.is_empty()), "CPU 0 alone reports");
    let used = suite.memory_used();
    assert!(used * 2 <= memory_bytes(cpus), "{used} bytes of {} are used", memory_bytes(cpus));
    summary
}
