//! A port of plain threads that knows exactly whether a sleeper was rung, or whose doorbell is a signal whose handler
//! flushes, as an interrupt's does.

use super::signal;
use smpcall::{CpuStats, Event, Platform, Reporting, RingError, Stats, Tracing, Waiting};
use smpcall_conformance::Woken;
use std::any::Any;
use std::cell::Cell;
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
pub(crate) struct Bell {
    rung: AtomicBool,
    /// A caller that parks is woken.
    woken: AtomicBool,
    thread: OnceLock<Thread>,
    /// The same thread, where doorbells interrupt.
    pub(crate) target: OnceLock<signal::Target>,
}

/// Threads as CPUs, the doorbell a latch and `unpark`.
pub(crate) struct Threads {
    bells: Box<[Bell]>,
    started: Instant,
    /// Doorbells that arrived.
    pub(crate) rings: AtomicU64,
    /// Panics that were taken note of.
    pub(crate) caught: AtomicU64,
    pub(crate) stats: Stats<Box<[CpuStats]>>,
}

impl Threads {
    pub(crate) fn new(cpus: u32) -> Self {
        let bells = (0..cpus).map(|_| Bell::default()).collect();
        let stats = Stats::new((0..cpus).map(|_| CpuStats::new()).collect());
        Self { bells, started: Instant::now(), rings: AtomicU64::new(0), caught: AtomicU64::new(0), stats }
    }

    pub(crate) fn bell(&self, cpu: u32) -> &Bell {
        &self.bells[cpu as usize]
    }

    /// The calling thread becomes that CPU.
    pub(crate) fn sit_down(&self, cpu: u32) {
        ME.set(Some(cpu));
        self.bell(cpu).thread.set(thread::current()).expect("one thread for each CPU");
    }

    pub(crate) fn sleep(&self, limit: Duration) -> Woken {
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

    /// Sleeps until woken, or until its time is over; `rings`: or rung.
    pub(crate) fn park_until(&self, limit: Duration, rings: Rings) {
        let Some(cpu) = ME.get() else { return thread::sleep(limit) };
        let (bell, until) = (self.bell(cpu), Instant::now() + limit);
        // Acquire: pairs with `wake` and `ring`. The ring is left to the idle loop.
        let ends = || {
            bell.woken.swap(false, Ordering::Acquire)
                || rings == Rings::Heard && bell.rung.load(Ordering::Acquire)
        };
        while !ends() {
            match until.checked_duration_since(Instant::now()) {
                Some(rest) if !rest.is_zero() => thread::park_timeout(rest),
                _ => return,
            }
        }
    }

    /// Sends a doorbell: `latch` sets the latch, and says whether it is set.
    pub(crate) fn ring_by(&self, cpu: u32, latch: fn(&AtomicBool) -> bool) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        let bell = self.bell(cpu);
        if let Some(target) = bell.target.get() {
            return target.interrupt();
        }
        if latch(&bell.rung)
            && let Some(thread) = bell.thread.get()
        {
            thread.unpark();
        }
    }
}

/// Whether a ring ends a park.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rings {
    Heard,
    Ignored,
}

// SAFETY: 1. One thread sits down as each CPU. 2. Nothing but that thread flushes. 3. The latch is set by a
// read-modify-write and cleared by one before the flush. 4. `catch_unwind`. 5. `woken` keeps a
// wake that nobody waits for, and lives as long as the machine.
unsafe impl Platform for Threads {
    type IrqState = ();
    type Panic = Box<dyn Any + Send>;

    fn current_cpu(&self) -> Option<u32> {
        ME.get()
    }

    fn can_wait(&self) -> bool {
        !signal::irqs_are_off()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.ring_by(cpu, |rung| {
            // Release: pairs with `sleep`.
            rung.swap(true, Ordering::Release);
            true
        });
        Ok(())
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

impl Waiting for Threads {
    const PARKS: bool = true;

    fn waiter(&self) -> Option<u16> {
        ME.get().map(|cpu| cpu as u16)
    }

    fn park(&self, _waiter: Option<u16>, timeout_ns: u64) {
        self.park_until(Duration::from_nanos(timeout_ns), Rings::Heard);
    }

    fn wake(&self, waiter: u16) {
        let bell = self.bell(waiter.into());
        // Release: pairs with `park_until`.
        bell.woken.swap(true, Ordering::Release);
        if let Some(thread) = bell.thread.get() {
            thread.unpark();
        }
    }
}

impl Reporting for Threads {
    fn caught(&self, panic: <Self as Platform>::Panic) {
        self.caught.fetch_add(1, Ordering::Relaxed);
        drop(panic);
    }
}

impl Tracing for Threads {
    const TRACES: bool = true;

    fn trace(&self, event: &Event) {
        self.stats.count(event);
    }
}

smpcall::simple_port!(Threads: Topology, Tuning, Foreign, Hosting);
