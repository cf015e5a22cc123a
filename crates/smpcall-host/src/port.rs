//! The port: what the core asks of a machine, answered by threads.
//!
//! Interrupts are soft: nothing interrupts a thread to flush, so the irq guard only has to remember that it is held
//! (waiting is refused then). The doorbell is [`Doorbell`]'s futex.

use crate::callers;
use crate::doorbell::{Doorbell, Rang};
use crate::here::{self, EVERYONES_CORE, NO_CORE};
use crate::spin::{Spin, short_pause};
use crate::stalls::Stalls;
use crate::topology::Topology;
use crate::trace::Trace;
use smpcall::{Backoff, Event, Overdue, Pause, Platform, Stall};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Waiter numbers from here on are threads that only call; below, CPUs.
const FIRST_CALLER: u16 = 0x8000;

/// How many short pauses a polling CPU gathers posts for: about 40 ns, where a flood's cost per post was measured to fall
/// to less than half, and a single post's way to its run grows by a quarter.
const GATHER: u32 = 30;

/// One CPU as the port sees it.
pub(crate) struct HostCpu {
    pub(crate) doorbell: Doorbell,
    pub(crate) spin: Spin,
    /// The core that its thread is pinned to, [`NO_CORE`] or [`EVERYONES_CORE`].
    core: AtomicU32,
    pub(crate) counts: CpuCounts,
}

/// Counted on paths that cost a system call or a stall anyway, or that should not happen.
#[derive(Default)]
pub(crate) struct CpuCounts {
    /// Rings that the core asked for, by target.
    pub(crate) rings: AtomicU64,
    /// Those of them, and of the wake-ups of callers, that had to wake a thread.
    pub(crate) wakes: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) stalls: AtomicU64,
}

/// The port of a [`Machine`](crate::Machine).
pub struct Host<T = ()> {
    /// Tells this machine's CPUs from those of others; never used twice in a process.
    id: u64,
    cpus: Box<[HostCpu]>,
    started: Instant,
    /// The process has one core, so that all threads share it.
    one_core: bool,
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
    pub(crate) fn new(cpus_len: usize, one_core: bool, stalls: Stalls, trace: T) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let cpu = || HostCpu {
            doorbell: Doorbell::new(),
            spin: Spin::new(),
            core: AtomicU32::new(NO_CORE),
            counts: CpuCounts::default(),
        };
        Self {
            // Relaxed: only has to be unique.
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            cpus: std::iter::repeat_with(cpu).take(cpus_len).collect(),
            started: Instant::now(),
            one_core,
            topology: Topology::of_this_system(),
            stalls,
            trace,
        }
    }

    /// Returns what listens to the tracepoints.
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

    /// Takes note of the core that the calling thread, which becomes `cpu`, is kept on; returns its number for `here`.
    pub(crate) fn settle(&self, cpu: u32, core: Option<usize>) -> u32 {
        let core = match core.and_then(|core| u32::try_from(core).ok()) {
            _ if self.one_core => EVERYONES_CORE,
            Some(core) => core,
            None => NO_CORE,
        };
        // Relaxed: a hint for those who wait.
        self.cpu(cpu).core.store(core, Ordering::Relaxed);
        core
    }

    fn core_of(&self, cpu: u32) -> u32 {
        // Relaxed: a hint; it only decides how long to spin, and whom to call.
        self.cpu(cpu).core.load(Ordering::Relaxed)
    }

    fn shares_a_core_with(&self, target: u32) -> bool {
        let theirs = self.core_of(target);
        theirs == EVERYONES_CORE || (theirs != NO_CORE && theirs == here::here().core)
    }

    /// Spins for a moment, as long as that may pay off.
    fn pause_after(&self, target: u32, rounds: u32, waited_ns: u64) -> Pause {
        let spin = &self.cpu(target).spin;
        let limit_ns = match rounds {
            _ if self.shares_a_core_with(target) => 0,
            0 => spin.begin(),
            _ => spin.limit_ns(),
        };
        if waited_ns < u64::from(limit_ns) {
            for _ in 0..8 {
                std::hint::spin_loop();
            }
            return Pause::Again;
        }
        if limit_ns > 0 {
            spin.in_vain();
        }
        Pause::Park
    }

    fn ring_doorbell(&self, cpu: u32) {
        if self.cpu(cpu).doorbell.ring() == Rang::Woke {
            // Relaxed: a statistic.
            self.cpu(cpu).counts.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: 1. A thread is at most one CPU at a time (`here`), and each CPU has at most one thread (`machine`, `attach`);
// nothing moves it. 2. Nothing flushes but the thread itself: there are no interrupts. 3. The CPU's thread looks at its
// queue whenever its doorbell rang (`machine`); the latch is as asked for (`doorbell`). For an attached thread that is
// the user's promise, which safety does not rest on: a lost ring only delays. 4. `catch_unwind`. 5. The sleep's latch is
// the one that `wake` sets, and it lives as long as the machine, or for ever (`callers`).
unsafe impl<T: Trace> Platform for Host<T> {
    type IrqState = ();
    type Panic = Box<dyn Any + Send>;

    const PARKS: bool = true;
    const TRACES: bool = T::TRACES;
    const STAMPS: bool = T::STAMPS;

    #[inline]
    fn current_cpu(&self) -> Option<u32> {
        let here = here::here();
        (here.machine == self.id).then_some(here.cpu)
    }

    #[inline]
    fn can_wait(&self) -> bool {
        !here::irq_is_off()
    }

    fn ring(&self, cpu: u32) {
        // Relaxed: a statistic.
        self.cpu(cpu).counts.rings.fetch_add(1, Ordering::Relaxed);
        self.ring_doorbell(cpu);
    }

    /// By the cores that the threads are kept on, and what the system says of those.
    fn nearest(&self, cpu: u32, among: &mut dyn Iterator<Item = u32>) -> Option<u32> {
        self.topology.nearest(cpu, among, |cpu| self.core_of(cpu))
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
        for _ in 0..4 {
            short_pause();
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    #[inline]
    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> {
        // What the function borrowed is the caller's business: it gets the panic, or asked for nobody to wait.
        catch_unwind(AssertUnwindSafe(f))
    }

    fn resume(panic: Self::Panic) -> ! {
        resume_unwind(panic)
    }

    fn caught(&self, panic: Self::Panic) {
        if let Some(cpu) = self.current_cpu() {
            // Relaxed: a statistic.
            self.cpu(cpu).counts.panics.fetch_add(1, Ordering::Relaxed);
        }
        if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            // The payload's own drop panicked. There is nothing left to do with it.
            std::mem::forget(worse);
        }
    }

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
        for _ in 0..GATHER {
            short_pause();
        }
    }

    #[inline]
    fn looks_first(&self, target: u32) -> u32 {
        if self.shares_a_core_with(target) { 0 } else { 64 }
    }

    fn pause(&self, backoff: &Backoff) -> Pause {
        self.pause_after(backoff.target, backoff.rounds, backoff.waited_ns)
    }

    #[inline]
    fn waiter(&self) -> Option<u16> {
        match self.current_cpu() {
            Some(cpu) => u16::try_from(cpu).ok(),
            None => callers::slot().map(|slot| FIRST_CALLER + slot),
        }
    }

    fn park(&self, waiter: Option<u16>, timeout_ns: u64) {
        let timeout = Duration::from_nanos(timeout_ns);
        match (self.current_cpu(), waiter) {
            (Some(cpu), _) => self.cpu(cpu).doorbell.sleep(Some(timeout)),
            (None, Some(waiter)) => callers::doorbell(waiter - FIRST_CALLER).sleep(Some(timeout)),
            (None, None) => std::thread::sleep(timeout),
        }
    }

    fn wake(&self, waiter: u16) {
        match waiter.checked_sub(FIRST_CALLER) {
            Some(slot) => {
                callers::doorbell(slot).ring();
            }
            None => self.ring_doorbell(waiter.into()),
        }
    }

    #[inline(always)]
    fn trace(&self, event: &Event) {
        self.trace.trace(event);
    }

    fn stall_timeout_ns(&self) -> u64 {
        self.stalls.timeout_ns
    }

    fn stall_stop_ns(&self) -> u64 {
        self.stalls.stop_ns
    }

    fn stop(&self, stall: &Stall) -> ! {
        eprintln!("smpcall: {stall}: this is the end");
        std::process::abort()
    }

    fn stalled(&self, stall: &Stall) {
        // Relaxed: a statistic.
        self.cpu(stall.target).counts.stalls.fetch_add(1, Ordering::Relaxed);
        self.stalls.report_once(&self.stalls.on_stall, stall);
    }

    fn unstuck(&self, stall: &Stall) {
        self.stalls.report_once(&self.stalls.on_unstuck, stall);
    }

    fn overdue(&self, overdue: &Overdue) {
        (self.stalls.on_overdue)(overdue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::here::Here;
    use crate::spin::SPIN_NS_MAX;

    fn host(one_core: bool) -> Host {
        Host::new(3, one_core, Stalls::new(), ())
    }

    /// What a thread that is kept on `core` does at its first looks at that CPU, and at its first pause.
    fn first_steps(host: &Host, core: u32, target: u32) -> (u32, Pause) {
        here::set(Here { machine: u64::MAX, cpu: 0, core });
        let looks = host.looks_first(target);
        let pause = host.pause_after(target, 0, 0);
        here::clear();
        (looks, pause)
    }

    #[test]
    fn who_shares_a_core_with_its_target_does_not_spin() {
        let host = host(false);
        assert_eq!([host.settle(0, Some(5)), host.settle(1, None)], [5, NO_CORE]);
        assert_eq!(first_steps(&host, 5, 0), (0, Pause::Park));
        assert_eq!(first_steps(&host, 4, 0), (64, Pause::Again));
        for target in [0, 1, 2] {
            assert_eq!(first_steps(&host, NO_CORE, target), (64, Pause::Again), "nobody knows");
        }
    }

    #[test]
    fn where_there_is_one_core_nobody_spins() {
        let host = host(true);
        assert_eq!([host.settle(0, Some(5)), host.settle(1, None)], [EVERYONES_CORE; 2]);
        for (target, core) in [(0, EVERYONES_CORE), (1, EVERYONES_CORE), (0, NO_CORE), (1, NO_CORE)] {
            assert_eq!(first_steps(&host, core, target), (0, Pause::Park));
        }
    }

    #[test]
    fn a_spin_that_was_long_enough_ends_in_sleep() {
        let host = host(false);
        assert_eq!(host.pause_after(0, 0, SPIN_NS_MAX.into()), Pause::Park);
        let learnt_ns = u64::from(host.cpu(0).spin.limit_ns());
        assert!(learnt_ns < u64::from(SPIN_NS_MAX / 2), "and is not tried for as long again");
        assert_eq!(host.pause_after(0, 1, learnt_ns - 1), Pause::Again);
        assert_eq!(host.pause_after(0, 1, learnt_ns), Pause::Park);
    }

    #[test]
    fn waiters_numbers_are_of_cpus_or_of_callers() {
        let host = host(false);
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
        let host = host(false);
        host.ring(1);
        host.ring(1);
        let count = |counter: fn(&CpuCounts) -> &AtomicU64| {
            // Relaxed: this thread's own.
            host.counts().map(|cpu| counter(cpu).load(Ordering::Relaxed)).collect::<Vec<_>>()
        };
        assert_eq!((count(|cpu| &cpu.rings), count(|cpu| &cpu.wakes)), (vec![0, 2, 0], vec![0; 3]));
    }
}
