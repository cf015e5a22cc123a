//! How a CPU of the suite passes the time: it serves its queue, as a kernel's idle loop would, and looks for doorbells
//! that were lost.

use crate::rig::{Rig, Woken};
use crate::sync::{AtomicU32, Ordering};
use smpcall::{Budget, Cpu, Flushed, Platform};

/// How often a CPU that waits only yields before it begins to sleep.
const YIELDS: u32 = 24;
/// How long it sleeps at a time: nobody rings when what it waits for is done on another CPU.
const NAP_NS_MIN: u64 = 20_000;
const NAP_NS_MAX: u64 = 1_000_000;

/// What came of one step of idling.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idled {
    /// Nothing to remark.
    Well,
    /// Functions ran.
    Ran,
    /// There was work for longer than the platform's patience, and nobody rang: a doorbell was lost.
    DoorbellLost,
}

/// One wait of one CPU.
pub(crate) struct Idle {
    steps: u32,
    /// Whether this CPU is awake, or was rung, so that it may look at its queue by itself.
    may_flush: bool,
    /// Since when there has been work that nobody rang for.
    overdue_since_ns: Option<u64>,
    began_ns: u64,
}

impl Idle {
    pub(crate) fn new<R: Rig>(rig: &R) -> Self {
        let began_ns = if rig.patience_ns() == 0 { 0 } else { rig.smp().platform().now_ns() };
        Self { steps: 0, may_flush: true, overdue_since_ns: None, began_ns }
    }

    /// A CPU that is not to look at its queue before it is rung.
    pub(crate) fn at_rest<R: Rig>(rig: &R) -> Self {
        Self { may_flush: false, ..Self::new(rig) }
    }

    /// Returns whether the wait has gone on for `patiences` times the platform's patience. Never, without a clock.
    pub(crate) fn is_over<R: Rig>(&self, rig: &R, patiences: u64) -> bool {
        let limit_ns = rig.patience_ns().saturating_mul(patiences);
        limit_ns != 0 && rig.smp().platform().now_ns().saturating_sub(self.began_ns) >= limit_ns
    }

    /// Serves the queue, then yields; after a while, sleeps for a moment.
    pub(crate) fn step<R: Rig>(&mut self, rig: &R) -> Idled {
        let idled = self.serve(rig);
        self.steps = self.steps.saturating_add(1);
        if self.steps <= YIELDS {
            rig.pause();
        } else {
            let doublings = ((self.steps - YIELDS) / 8).min(6);
            self.sleep(rig, (NAP_NS_MIN << doublings).min(NAP_NS_MAX));
        }
        idled
    }

    /// Serves the queue, then sleeps until rung, or until the platform's patience is over. Only for one who waits for
    /// something that happens on its own CPU.
    pub(crate) fn step_asleep<R: Rig>(&mut self, rig: &R) -> Idled {
        let idled = self.serve(rig);
        if idled == Idled::Ran {
            // What is waited for may be among it.
            return idled;
        }
        if R::HANDLER_FLUSHES || rig.patience_ns() == 0 {
            // The doorbell's handler may have come and gone just before the sleep.
            self.sleep(rig, NAP_NS_MAX);
            return idled;
        }
        let began_ns = rig.smp().platform().now_ns();
        self.sleep(rig, rig.patience_ns());
        let slept_ns = rig.smp().platform().now_ns().saturating_sub(began_ns);
        if slept_ns >= rig.patience_ns() && handle(rig).is_some_and(|cpu| cpu.has_work()) {
            Idled::DoorbellLost
        } else {
            idled
        }
    }

    fn serve<R: Rig>(&mut self, rig: &R) -> Idled {
        let smp = rig.smp();
        let Some(mut cpu) = handle(rig) else { return self.serve_without(rig) };
        // What a flush, or a handler's, has left for the thread.
        if cpu.run_blocking() > 0 {
            return Idled::Ran;
        }
        if self.may_flush && !R::HANDLER_FLUSHES {
            // What is left over rang for itself, and is seen at the next step.
            return match smp.flush(Budget::DEFAULT) {
                Flushed::All(0) => Idled::Well,
                _ => Idled::Ran,
            };
        }
        if !cpu.has_work() {
            self.overdue_since_ns = None;
            return Idled::Well;
        }
        let now_ns = smp.platform().now_ns();
        let since_ns = *self.overdue_since_ns.get_or_insert(now_ns);
        if rig.patience_ns() == 0 || now_ns.saturating_sub(since_ns) < rig.patience_ns() {
            return Idled::Well;
        }
        self.overdue_since_ns = None;
        // So that the run goes on.
        let _ = smp.flush(Budget::DEFAULT);
        Idled::DoorbellLost
    }

    fn sleep<R: Rig>(&mut self, rig: &R, limit_ns: u64) {
        let sleeps = R::HANDLER_FLUSHES
            || !self.may_flush
            || handle(rig).is_none_or(|mut cpu| cpu.begin_sleep().map(|guard| _ = guard.commit()).is_ok());
        if sleeps {
            self.may_flush = rig.sleep(limit_ns) != Woken::TimedOut;
        }
    }

    /// For one who has no handle: its CPU is offline, or this is inside of a function that may block.
    fn serve_without<R: Rig>(&self, rig: &R) -> Idled {
        if !self.may_flush || R::HANDLER_FLUSHES {
            return Idled::Well;
        }
        match rig.smp().flush(Budget::DEFAULT) {
            Flushed::All(0) | Flushed::Nested => Idled::Well,
            _ => Idled::Ran,
        }
    }
}

fn handle<R: Rig>(rig: &R) -> Option<Cpu<'static, R::Platform, R::Storage>> {
    rig.smp().as_pin().this_cpu().ok()
}

/// A place where CPUs wait for one another, again and again.
pub(crate) struct Barrier {
    arrived: AtomicU32,
    passed: AtomicU32,
}

impl Barrier {
    pub(crate) const fn new() -> Self {
        Self { arrived: AtomicU32::new(0), passed: AtomicU32::new(0) }
    }

    /// Comes to the barrier. `None`: as the last one, which opens it; else what to ask `is_open` with.
    pub(crate) fn arrive(&self, cpus: u32) -> Option<u32> {
        // Relaxed: it cannot be passed again before we have arrived.
        let turn = self.passed.load(Ordering::Relaxed);
        // AcqRel: the last one sees what all did before they came, and hands it on; pairs with itself.
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 < cpus {
            return Some(turn);
        }
        // Relaxed: published with the turn, to those who come next.
        self.arrived.store(0, Ordering::Relaxed);
        // Release: publishes what all did before they came; pairs with `is_open`.
        self.passed.store(turn.wrapping_add(1), Ordering::Release);
        None
    }

    pub(crate) fn is_open(&self, turn: u32) -> bool {
        // Acquire: sees what all did before they came; pairs with `arrive`.
        self.passed.load(Ordering::Acquire) != turn
    }

    /// Forgets who has arrived: some went away instead of waiting on. Nobody may be at the barrier.
    pub(crate) fn reset(&self) {
        // Relaxed: the barrier that keeps everybody else away publishes it.
        self.arrived.store(0, Ordering::Relaxed);
    }
}
