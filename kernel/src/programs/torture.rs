//! The engine of soaks on this machine: all kinds of calls at once, on all CPUs, while CPUs are switched off and on; then
//! everything comes to rest, and the accounts must agree.

use super::conformance::KernelRig;
use crate::arch;
use crate::command::Command;
use crate::console::{Console, println};
use crate::cpus::{self, CPUS_MAX};
use crate::idle;
use crate::machine::SMP;
use crate::traps;
use core::convert::Infallible;
use core::fmt::Arguments;
use core::sync::atomic::{AtomicU32, Ordering};
use fastrand::Rng;
use smpcall::{Budget, Flushed};
use smpcall_conformance::Report;
use smpcall_conformance::soak::{self, Came, KINDS, Plan, Soak, Source, Thread, Worker};

/// How long after it came back a CPU is switched off again.
const ONOFF_NS: u64 = 50_000_000;
/// How long everything may take to come to rest.
const REST_NS: u64 = 60_000_000_000;

static SOAK: Soak<KernelRig> = Soak::new(KernelRig);
static SWITCHED_OFF: AtomicU32 = AtomicU32::new(0);
/// How often each CPU has entered: it draws other numbers each time.
static ENTERED: [AtomicU32; CPUS_MAX] = [const { AtomicU32::new(0) }; CPUS_MAX];

impl soak::Rig for KernelRig {
    type Thread = Cpu;

    fn complain(&self, what: Arguments<'_>) {
        println!("wrong: {what}");
    }

    /// On this CPU, whichever was meant.
    fn raise(&self, soak: &'static Soak<Self>, source: Source, _cpu: u32) -> Came {
        let Some(me) = arch::current_cpu() else { return Came::NotHere };
        let handler = || soak.interrupted(me);
        match source {
            Source::Interrupt => traps::interrupt_self(&handler),
            Source::Nmi if traps::nmi_self(&handler) => {}
            Source::Nmi => return Came::NotHere,
        }
        Came::Done
    }
}

/// A CPU.
pub(super) struct Cpu(Rng);

impl Cpu {
    fn new(cpu: u32) -> Self {
        // Relaxed: this CPU's own.
        let entered = ENTERED[cpu as usize].fetch_add(1, Ordering::Relaxed);
        Self(Rng::with_seed(Command::get().seed ^ u64::from(cpu) << 32 ^ u64::from(entered) << 40))
    }
}

impl Thread for Cpu {
    type Error = Infallible;

    fn below(&mut self, end: u32) -> u32 {
        self.0.u32(..end)
    }

    fn online(&mut self) -> Result<(), Infallible> {
        let _handle = SMP.as_pin().online().expect("a CPU comes online when it comes up");
        Ok(())
    }

    fn offline(&mut self) -> Result<(), Infallible> {
        SMP.as_pin().this_cpu().and_then(|cpu| cpu.offline().map_err(|(_, why)| why)).expect("it is online");
        Ok(())
    }

    fn left(&mut self) {
        cpus::stop();
    }

    fn poll(&mut self, budget: Budget) -> usize {
        // Offline there is no handle, and nothing to run.
        let Ok(mut cpu) = SMP.as_pin().this_cpu() else { return 0 };
        match cpu.flush(budget) {
            Flushed::All(ran) | Flushed::More(ran) => ran as usize,
            Flushed::Nested | Flushed::NotACpu => {
                panic!("a flush in thread context says that it is in a call")
            }
        }
    }

    /// Now and then it sleeps for a moment, so that somebody has to ring.
    fn serve(&mut self) {
        let _ = SMP.as_pin().this_cpu().map(|mut cpu| cpu.run_blocking());
        if self.0.u8(..12) == 0 {
            let until_ns = arch::now_ns() + u64::from(self.0.u32(..100_000));
            idle::until(&SMP, || arch::now_ns() >= until_ns);
        }
    }

    fn rest(&mut self, is_over: &dyn Fn() -> bool) {
        idle::until(&SMP, is_over);
    }
}

/// The torture on this CPU; the first one times it, switches the others off and on, and reports.
pub(crate) fn run(cpu: u32) -> bool {
    if cpu == 0 {
        let weights = core::array::from_fn(|kind| KINDS[kind].weight);
        SOAK.build(Plan { callers: 0, weights, hotplug: cpus::count() > 1 });
        (0..cpus::count()).for_each(|cpu| SOAK.cpu(cpu).wanted.set(1));
        SOAK.next_turn();
    }
    // Nothing is queued before: nobody is online.
    while !SOAK.is_built() || SOAK.turn() == soak::Turn::Rest(0) {
        idle::relax();
    }
    let mut worker = Worker::new(&SOAK, cpu as usize, Cpu::new(cpu));
    if cpu == 0 {
        return drive(&mut worker);
    }
    let Ok(()) = worker.run();
    true
}

fn drive(worker: &mut Worker<KernelRig>) -> bool {
    let mut rng = Rng::with_seed(Command::get().seed);
    let until_ns = arch::now_ns() + u64::from(Command::get().seconds) * 1_000_000_000;
    let (mut next_ns, mut gone) = (0, None);
    while arch::now_ns() < until_ns {
        let Ok(()) = worker.step();
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
    SOAK.next_turn();
    report()
}

/// One step of switching CPUs off and on: one is told to leave; when it is gone, it is started again.
fn switch(gone: Option<u32>, rng: &mut Rng) -> Option<u32> {
    match gone {
        None => {
            let cpu = 1 + rng.u32(..cpus::count() - 1);
            SOAK.cpu(cpu).wanted.set(0);
            Some(cpu)
        }
        Some(cpu) if cpus::is_stopped(cpu) => {
            // Relaxed: a figure.
            SWITCHED_OFF.fetch_add(1, Ordering::Relaxed);
            SOAK.cpu(cpu).wanted.set(1);
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
    let others = cpus::count() as usize - 1;
    let at_rest = || SOAK.resting() == others;
    idle::until(&SMP, || at_rest() && SOAK.owing().next().is_none() || arch::now_ns() > until_ns);
    if !at_rest() {
        for cpu in 0..cpus::count() as usize {
            // The console does not fail.
            let _ = SOAK.write_state(cpu, &mut Console);
            println!("");
        }
    }
    SOAK.compare();
    let mut report = Report::announce(Console, 1 + Soak::<KernelRig>::results());
    // Relaxed: a figure.
    let switched = SWITCHED_OFF.load(Ordering::Relaxed);
    report.check(
        "p10_all_came_to_rest",
        at_rest(),
        format_args!("{} of {others} others did; {switched} times a CPU was switched off", SOAK.resting()),
    );
    SOAK.report(&mut report);
    report.end()
}
