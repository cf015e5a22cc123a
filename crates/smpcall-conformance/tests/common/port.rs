//! A port of plain threads that knows exactly whether a sleeper was rung, or whose doorbell is a signal whose handler
//! flushes, as an interrupt's does; and a wrapper that breaks what a port can break.

use super::signal;
use smpcall::{Budget, Counted, CpuStats, Event, PerCpu, Platform, Smp, Stats};
use smpcall_conformance::{Lines, Rig, Suite, Woken, memory_bytes};
use std::any::Any;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

thread_local! {
    /// Which CPU the thread is. A thread takes part in one machine only.
    static ME: Cell<Option<u32>> = const { Cell::new(None) };
}

/// One CPU's doorbell.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    thread: OnceLock<Thread>,
    /// The same thread, where doorbells interrupt.
    target: OnceLock<signal::Target>,
}

/// Threads as CPUs, the doorbell a latch and `unpark`.
pub(crate) struct Threads {
    bells: Box<[Bell]>,
    started: Instant,
    /// Doorbells that arrived.
    rings: AtomicU64,
    stats: Stats<Box<[CpuStats]>>,
}

impl Threads {
    fn new(cpus: u32) -> Self {
        let bells = (0..cpus).map(|_| Bell::default()).collect();
        let stats = Stats::new((0..cpus).map(|_| CpuStats::new()).collect());
        Self { bells, started: Instant::now(), rings: AtomicU64::new(0), stats }
    }

    fn bell(&self, cpu: u32) -> &Bell {
        &self.bells[cpu as usize]
    }

    /// The calling thread becomes that CPU.
    fn sit_down(&self, cpu: u32) {
        ME.set(Some(cpu));
        self.bell(cpu).thread.set(thread::current()).expect("one thread for each CPU");
    }

    fn sleep(&self, limit: Duration) -> Woken {
        let bell = self.bell(ME.get().expect("a CPU sleeps"));
        let until = Instant::now() + limit;
        loop {
            // Acquire: the flush that follows sees what was written before the ring; pairs with `ring`.
            if bell.rung.swap(false, Ordering::Acquire) {
                return Woken::Rung;
            }
            match until.checked_duration_since(Instant::now()) {
                Some(rest) if !rest.is_zero() => thread::park_timeout(rest),
                _ => return Woken::TimedOut,
            }
        }
    }
}

// SAFETY: 1. One thread sits down as each CPU. 2. Nothing but that thread flushes. 3. The latch is set by a
// read-modify-write and cleared by one before the flush. 4. `catch_unwind`. 5. Nobody parks in a call.
unsafe impl Platform for Threads {
    type IrqState = ();
    type Panic = Box<dyn Any + Send>;

    const TRACES: bool = true;

    fn trace(&self, event: &Event) {
        self.stats.count(event);
    }

    fn current_cpu(&self) -> Option<u32> {
        ME.get()
    }

    fn can_wait(&self) -> bool {
        !signal::irqs_are_off()
    }

    fn ring(&self, cpu: u32) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        // Release: pairs with `sleep`.
        self.bell(cpu).rung.swap(true, Ordering::Release);
        match (self.bell(cpu).target.get(), self.bell(cpu).thread.get()) {
            (Some(target), _) => target.interrupt(),
            (None, Some(thread)) => thread.unpark(),
            (None, None) => {}
        }
    }

    fn irq_save(&self) {
        signal::irq_off();
    }

    fn irq_restore(&self, (): ()) {
        signal::irq_on();
    }

    fn relax(&self) {
        thread::yield_now();
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> {
        catch_unwind(AssertUnwindSafe(f))
    }

    fn resume(panic: Self::Panic) -> ! {
        resume_unwind(panic)
    }
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Every so-many-th doorbell is lost. 1: all are.
    DropsEvery(u64),
    /// Each doorbell rings twice. Harmless, but for P7's figures.
    Twice,
    /// A doorbell goes to the next CPU instead.
    WrongCpu,
    /// Of several doorbells that are rung at once, one is lost.
    ManyLoseOne,
    /// Waiting is said to be allowed always.
    AlwaysWaits,
    /// The suite is told that the doorbell's handler flushes; nobody does.
    NobodyFlushes,
    /// CPU 1 does not come.
    OneStaysAway,
    /// The rig's memory is too small.
    TooLittleMemory,
    /// The rig counts every second doorbell.
    CountsWrong,
    /// Every second Busy is not counted.
    ForgetsBusies,
}

/// A port with a fault wrapped around it.
pub(crate) struct Faulty<P> {
    port: P,
    fault: Fault,
    asked: AtomicU64,
}

// SAFETY: as for the port inside: what is broken here are doorbells, which delay, and the answer to `can_wait`.
unsafe impl<P: Platform> Platform for Faulty<P> {
    type IrqState = P::IrqState;
    type Panic = P::Panic;

    const PARKS: bool = P::PARKS;
    const TRACES: bool = P::TRACES;
    const STAMPS: bool = P::STAMPS;

    fn trace(&self, event: &Event) {
        self.port.trace(event);
    }

    fn current_cpu(&self) -> Option<u32> {
        self.port.current_cpu()
    }

    fn can_wait(&self) -> bool {
        self.fault == Fault::AlwaysWaits || self.port.can_wait()
    }

    fn ring(&self, cpu: u32) {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        match self.fault {
            Fault::DropsEvery(every) if nth.is_multiple_of(every) => {}
            Fault::WrongCpu => self.port.ring(cpu ^ 1),
            Fault::Twice => {
                self.port.ring(cpu);
                self.port.ring(cpu);
            }
            _ => self.port.ring(cpu),
        }
    }

    fn ring_many(&self, first: u32, cpus: usize) {
        let lost = if self.fault == Fault::ManyLoseOne { cpus & cpus.wrapping_neg() } else { 0 };
        let rung = cpus & !lost;
        (0..usize::BITS).filter(|bit| rung & 1 << bit != 0).for_each(|bit| self.ring(first + bit));
    }

    fn irq_save(&self) -> P::IrqState {
        self.port.irq_save()
    }

    fn irq_restore(&self, state: P::IrqState) {
        self.port.irq_restore(state);
    }

    fn relax(&self) {
        self.port.relax();
    }

    fn now_ns(&self) -> u64 {
        self.port.now_ns()
    }

    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, P::Panic> {
        P::catch(f)
    }

    fn resume(panic: P::Panic) -> ! {
        P::resume(panic)
    }
}

/// The rig of such a machine. `HANDLER`: the suite is told that the doorbell's handler flushes.
struct ThreadRig<const HANDLER: bool> {
    smp: &'static Smp<Faulty<Threads>, &'static mut [PerCpu]>,
    setup: Setup,
}

/// How a run is set up.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) cpus: u32,
    pub(crate) rounds: u32,
    pub(crate) patience: Duration,
    pub(crate) fault: Fault,
    /// The doorbell is a signal, and its handler flushes.
    pub(crate) interrupts: bool,
    pub(crate) selects: fn(&str) -> bool,
}

impl<const HANDLER: bool> Rig for ThreadRig<HANDLER> {
    type Platform = Faulty<Threads>;
    type Storage = &'static mut [PerCpu];

    const HANDLER_FLUSHES: bool = HANDLER;

    fn smp(&self) -> &'static Smp<Self::Platform, Self::Storage> {
        self.smp
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        let bytes = match self.setup.fault {
            Fault::TooLittleMemory => 1024,
            _ => memory_bytes(self.setup.cpus),
        };
        vec![MaybeUninit::uninit(); bytes].leak()
    }

    fn rounds(&self) -> u32 {
        self.setup.rounds
    }

    fn patience_ns(&self) -> u64 {
        self.setup.patience.as_nanos() as u64
    }

    fn sleep(&self, limit_ns: u64) -> Woken {
        let limit = Duration::from_nanos(limit_ns);
        if self.setup.interrupts {
            signal::nap(limit);
            return Woken::Unknown;
        }
        self.smp.platform().port.sleep(limit)
    }

    fn rings(&self) -> Option<u64> {
        let rings = self.smp.platform().port.rings.load(Ordering::Relaxed);
        Some(if self.setup.fault == Fault::CountsWrong { rings / 2 } else { rings })
    }

    fn counted(&self) -> Option<Counted> {
        let mut counted = self.smp.platform().port.stats.total();
        if self.setup.fault == Fault::ForgetsBusies {
            counted.busy /= 2;
        }
        Some(counted)
    }

    fn unwind(&self) -> Option<fn() -> !> {
        // To panic allocates, which a signal's handler must not.
        if self.setup.interrupts { None } else { Some(|| resume_unwind(Box::new("meant"))) }
    }

    fn interrupt(&self, f: &(dyn Fn() + Sync)) -> bool {
        signal::raise(&|| {
            signal::irq_off();
            f();
            signal::irq_on();
        });
        true
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        signal::raise(f);
        true
    }

    fn outside(&self, f: &'static (dyn Fn() + Sync)) -> bool {
        thread::spawn(f);
        true
    }

    fn selects(&self, name: &str) -> bool {
        (self.setup.selects)(name)
    }
}

fn run_as<const HANDLER: bool>(setup: Setup) -> String {
    let storage = (0..setup.cpus).map(|_| PerCpu::new()).collect::<Vec<_>>().leak();
    let port = Faulty { port: Threads::new(setup.cpus), fault: setup.fault, asked: AtomicU64::new(0) };
    let smp = Box::leak(Box::new(Smp::with_storage(port, storage).expect("1 to 8192 CPUs")));
    let suite: &'static _ = Box::leak(Box::new(Suite::new(ThreadRig::<HANDLER> { smp, setup })));
    let comes = |cpu: &u32| *cpu != 1 || setup.fault != Fault::OneStaysAway;
    let threads: Vec<_> = (0..setup.cpus)
        .filter(comes)
        .map(|cpu| {
            thread::spawn(move || {
                let port = &suite.rig().smp.platform().port;
                port.sit_down(cpu);
                if setup.interrupts {
                    let flush: &'static _ =
                        Box::leak(Box::new(|| _ = suite.rig().smp.flush(Budget::DEFAULT)));
                    let _ = port.bell(cpu).target.set(signal::Target::here(flush));
                }
                let mut log = Lines(String::new());
                let _ = suite.run(&mut log);
                log.0
            })
        })
        .collect();
    let logs = threads.into_iter().map(|thread| thread.join().expect("the suite does not panic"));
    logs.collect::<Vec<_>>().swap_remove(0)
}

/// Runs the suite on a machine of threads, and returns CPU 0's log.
pub(crate) fn run(setup: Setup) -> String {
    match setup.fault {
        _ if setup.interrupts => run_as::<true>(setup),
        Fault::NobodyFlushes => run_as::<true>(setup),
        _ => run_as::<false>(setup),
    }
}
