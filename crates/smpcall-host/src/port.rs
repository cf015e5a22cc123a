//! The port: what the core asks of a machine, answered by threads.
//!
//! Interrupts are soft: the irq guard remembers that it is held (waiting is refused then), and the handler of a signal, where one
//! interrupts a thread to flush ([`interrupt`]), looks at that. The doorbell is a [`Latch`], and beyond it what the CPU's thread has chosen ([`Doorbell`]).

mod cores;
mod rings;

use crate::callers;
use crate::doorbell::Doorbell;
use crate::first_look;
use crate::here::{self, NO_CORE};
use crate::interrupt;
use crate::latch::Latch;
use crate::machine::CpuCounts;
use crate::spin::{self, Spin, Waits, short_pauses};
use crate::stalls::{Stalls, nanos};
#[cfg(feature = "topology")]
use crate::topology::Topology;
use crate::trace::Trace;
use smpcall::{
    Backoff, CallStall, Event, Foreign, Hosting, Pause, Platform, QueueStall, Reporting, RingError, Serve,
    Tracing, Tuning, Waiting,
};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// Waiter numbers from here on are threads that only call; below, CPUs.
const FIRST_CALLER: u16 = 0x8000;

/// How many short pauses a polling CPU gathers posts for: about 40 ns, where a flood's cost per post was measured to fall
/// to less than half, and a single post's way to its run grows by a quarter.
const GATHER: u16 = 30;

/// How often a CPU that is held only pauses, before it gives its core away: who has still to arrive may need it.
const HELD_PAUSES: u32 = 64;

/// One CPU as the port sees it.
pub(crate) struct HostCpu {
    pub(crate) latch: Latch,
    /// What ends a sleep in its thread's own loop, while it is attached. Nobody holds the lock for longer than it takes to look.
    bell: RwLock<Option<Arc<dyn Doorbell>>>,
    pub(crate) spin: Spin,
    /// The core that its thread was last seen on, or [`NO_CORE`].
    core: AtomicU32,
    /// A caller on that core has gone to sleep: while the thread polls there, it keeps the caller from running.
    wanted: AtomicBool,
    pub(crate) counts: CpuCounts,
}

/// The port of a [`Machine`](crate::Machine).
pub struct Host<T = ()> {
    /// Tells this machine's CPUs from those of others; never used twice in a process.
    id: u64,
    cpus: Box<[HostCpu]>,
    started: Instant,
    waits: Waits,
    #[cfg(feature = "topology")]
    topology: &'static Topology,
    stalls: Stalls,
    trace: T,
}

impl<T> std::fmt::Debug for Host<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("id", &self.id).field("cpus", &self.cpus.len()).finish_non_exhaustive()
    }
}

impl<T> Host<T> {
    pub(crate) fn new(cpus_len: usize, waits: Waits, stalls: Stalls, trace: T) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let cpu = || HostCpu {
            latch: Latch::new(),
            bell: RwLock::new(None),
            spin: Spin::new(),
            core: AtomicU32::new(NO_CORE),
            wanted: AtomicBool::new(false),
            counts: CpuCounts::default(),
        };
        Self {
            // Relaxed: only has to be unique.
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            cpus: std::iter::repeat_with(cpu).take(cpus_len).collect(),
            started: Instant::now(),
            waits,
            #[cfg(feature = "topology")]
            topology: Topology::of_this_system(),
            stalls,
            trace,
        }
    }

    /// Returns what listens to the tracepoints.
    ///
    /// Example: [`Builder::trace`](crate::Builder::trace).
    pub fn tracer(&self) -> &T {
        &self.trace
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn cpu(&self, cpu: u32) -> &HostCpu {
        &self.cpus[cpu as usize]
    }

    pub(crate) fn counts(&self) -> impl Iterator<Item = &CpuCounts> {
        self.cpus.iter().map(|cpu| &cpu.counts)
    }

    /// Calls a listener or a handler, which is the user's: a panic ends there, since the core's frames below cannot be left (P11).
    #[inline(always)]
    fn listen(&self, cpu: u32, listener: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(listener)) {
            self.count_panic(cpu);
            drop_payload(panic);
        }
    }

    #[cold]
    fn count_panic(&self, cpu: u32) {
        // Relaxed: a statistic.
        self.cpu(cpu).counts.panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// Drops what was thrown, which is the user's. If its drop throws in turn, there is nothing left to do with that.
fn drop_payload(panic: Box<dyn Any + Send>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic))).map_err(std::mem::forget);
}

// SAFETY: 1. A thread is at most one CPU at a time (`here`), and each CPU has at most one thread (`machine`, `attach`);
// nothing moves it. 2. Nothing flushes but the thread itself, and the handler of its signal, which finds the
// soft irq guard held and leaves that to its end (`interrupt`). 3. The CPU's thread looks at its
// queue whenever its doorbell rang (`machine`); the latch is as asked for (`doorbell`). For an attached thread that is
// the user's promise, which safety does not rest on: a lost ring only delays. 4. `catch_unwind`. 5. The sleep's latch is
// the one that `wake` sets, and it lives as long as the machine, or for ever (`callers`). 6. Listeners and handlers are called in
// `listen`, payloads dropped in `drop_payload`; the latch has no code that unwinds, and doorbells are rung in `ring_outside`.
unsafe impl<T: Trace> Platform for Host<T> {
    type IrqState = ();
    type Panic = Box<dyn Any + Send>;

    #[inline]
    fn current_cpu(&self) -> Option<u32> {
        self.current_cpu_of_this_machine()
    }

    #[inline]
    fn can_wait(&self) -> bool {
        !here::irq_is_off()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.ring_counted(cpu, |bell| bell.ring())
    }

    #[inline]
    fn irq_save(&self) {
        here::irq_off();
    }

    #[inline]
    fn irq_restore(&self, (): ()) {
        here::irq_on();
    }

    #[inline(always)]
    fn relax(&self) {
        short_pauses(first_look::BETWEEN);
    }

    fn now_ns(&self) -> u64 {
        nanos(self.started.elapsed())
    }

    #[inline]
    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> {
        // What the function borrowed is the caller's business: it gets the panic, or asked for nobody to wait.
        catch_unwind(AssertUnwindSafe(f))
    }

    fn resume(panic: Self::Panic) -> ! {
        resume_unwind(panic)
    }
}

impl<T: Trace> Waiting for Host<T> {
    const PARKS: bool = true;

    fn pause(&self, backoff: &Backoff) -> Pause {
        let Backoff { target, rounds, waited_ns, .. } = *backoff;
        if backoff.with_others {
            self.pause_for_several(target, rounds, waited_ns)
        } else {
            self.pause_after(target, rounds, waited_ns)
        }
    }

    fn hold(&self, rounds: u32) {
        if rounds < HELD_PAUSES {
            self.relax();
        } else {
            std::thread::yield_now();
        }
    }

    #[inline]
    fn waiter(&self) -> Option<u16> {
        match self.current_cpu() {
            Some(cpu) => u16::try_from(cpu).ok(),
            None => Some(FIRST_CALLER + callers::waiter()),
        }
    }

    fn park(&self, waiter: Option<u16>, timeout_ns: u64) {
        let timeout = Duration::from_nanos(timeout_ns);
        let slept = spin::sleeps(|| match (self.current_cpu(), waiter) {
            (Some(cpu), _) => {
                let rung = self.cpu(cpu).latch.sleep(Some(timeout));
                self.show_core(cpu);
                if rung {
                    // Instead of its handler, which is not called for a ring that ends a sleep here.
                    interrupt::answer_if_armed();
                }
            }
            (None, Some(waiter)) => callers::sleep(waiter - FIRST_CALLER, Some(timeout)),
            (None, None) => callers::nap(timeout),
        });
        if let Some((target, waited_ns)) = slept {
            // A thread that slept for one machine may have been asked to by another, with other targets.
            if let Some(target) = self.cpus.get(target as usize) {
                target.spin.woken_after(waited_ns);
            }
        }
    }

    fn wake(&self, waiter: u16) {
        match waiter.checked_sub(FIRST_CALLER) {
            Some(caller) => _ = callers::ring(caller),
            // It sleeps on the latch, which never fails; or it is awake.
            None => _ = self.ring_doorbell(waiter.into()),
        }
    }
}

impl<T: Trace> Reporting for Host<T> {
    fn caught(&self, panic: <Self as Platform>::Panic) {
        let cpu = self.current_cpu().unwrap_or(0);
        // First: the handler, and whomever it tells, find it counted.
        self.count_panic(cpu);
        self.listen(cpu, || (self.stalls.on_panic)(cpu, &*panic));
        drop_payload(panic);
    }

    fn stall_timeout_ns(&self) -> u64 {
        self.stalls.timeout_ns
    }

    fn stall_stop_ns(&self) -> u64 {
        self.stalls.stop_ns
    }

    fn stop(&self, stall: &CallStall) -> ! {
        eprintln!("smpcall: {stall}: this is the end");
        std::process::abort()
    }

    fn call_stalled(&self, stall: &CallStall) {
        // Relaxed: a statistic.
        self.cpu(stall.target).counts.stalls.fetch_add(1, Ordering::Relaxed);
        self.listen(stall.target, || self.stalls.report_once(&self.stalls.on_call_stall, stall));
    }

    fn unstuck(&self, stall: &CallStall) {
        self.listen(stall.target, || self.stalls.report_once(&self.stalls.on_unstuck, stall));
    }

    fn queue_stalled(&self, stall: &QueueStall) {
        self.listen(stall.cpu, || (self.stalls.on_queue_stall)(stall));
    }
}

impl<T: Trace> Tracing for Host<T> {
    const TRACES: bool = T::TRACES;
    const STAMPS: bool = T::STAMPS;

    #[inline(always)]
    fn trace(&self, event: &Event) {
        self.listen(event.by.unwrap_or(0), || self.trace.trace(event));
    }
}

impl<T: Trace> smpcall::Topology for Host<T> {
    fn ring_self(&self, cpu: u32) -> Result<(), RingError> {
        self.ring_counted(cpu, |bell| bell.ring_self())
    }

    /// By the cores that the threads were last seen on, and what the system says of those.
    #[cfg(feature = "topology")]
    fn nearest(&self, cpu: u32, among: &mut dyn Iterator<Item = u32>) -> Option<u32> {
        self.topology.nearest(cpu, among, |cpu| self.core_of(cpu))
    }
}

impl<T: Trace> Tuning for Host<T> {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn prefetch_write(&self, line: *const ()) {
        // SAFETY: a hint that reads nothing, writes nothing and never faults, whatever the address.
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    fn gather(&self) {
        short_pauses(GATHER);
    }

    #[inline]
    fn looks_first(&self, target: u32) -> u32 {
        if self.shares_a_core_with(target) { 0 } else { first_look::LOOKS }
    }

    #[inline(always)]
    fn look_first(&self, target: u32, alike: usize, done: impl Fn() -> bool) -> bool {
        !self.shares_a_core_with(target) && first_look::look_first(target, alike, done)
    }
}

impl<T: Trace> Hosting for Host<T> {
    const MAY_BE_STOPPED: bool = true;

    fn frame_begins(&self) {
        here::frame_begins();
    }

    fn frame_ends(&self) {
        here::frame_ends();
    }

    fn serve_elsewhere(&self, serve: Serve) {
        here::serve_elsewhere(serve);
    }

    fn rest_elsewhere(&self, serve: Serve, sleep: &mut dyn FnMut()) {
        here::rest_elsewhere(serve, sleep);
    }
}

impl<T: Trace> Foreign for Host<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::here::Here;

    fn host(waits: Waits) -> Host {
        Host::new(3, waits, Stalls::new(), ())
    }

    #[test]
    fn waiters_numbers_are_of_cpus_or_of_callers() {
        let host = host(Waits::Spin);
        let caller = host.waiter().expect("few threads call");
        assert!(caller >= FIRST_CALLER);
        here::set(Here { machine: host.id(), cpu: 2, core: NO_CORE });
        assert_eq!((host.current_cpu(), host.waiter()), (Some(2), Some(2)));
        here::set(Here { machine: host.id() + 1, cpu: 2, core: NO_CORE });
        assert_eq!((host.current_cpu(), host.waiter()), (None, Some(caller)), "another machine's CPU");
        here::clear();
        // A wake before the sleep is not lost, whichever it is.
        for waiter in [caller, 2] {
            host.wake(waiter);
            if waiter == 2 {
                here::set(Here { machine: host.id(), cpu: 2, core: NO_CORE });
            }
            host.park(Some(waiter), u64::MAX);
            here::clear();
        }
    }

    #[test]
    fn only_wake_ups_of_threads_that_sleep_are_counted_as_such() {
        let host = host(Waits::Spin);
        host.ring(1).unwrap();
        host.ring(1).unwrap();
        let count = |counter: fn(&CpuCounts) -> &AtomicU64| {
            // Relaxed: this thread's own.
            host.counts().map(|cpu| counter(cpu).load(Ordering::Relaxed)).collect::<Vec<_>>()
        };
        assert_eq!((count(|cpu| &cpu.rings), count(|cpu| &cpu.wakes)), (vec![0, 2, 0], vec![0; 3]));
    }
}
