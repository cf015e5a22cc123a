//! How a caller passes the time: look, serve one's own queue, pause, report, sleep.

mod many;

use super::call::{NoUnwind, Trip};
use super::{Budget, Sleep, Smp};
use crate::csd::{Header, Post};
use crate::error::WaitError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{Backoff, IrqGuard, Pause, Platform};
use crate::queue::Seen;
use crate::stall::{Phase, Stall};
use crate::state::Park;
use crate::sync::Ordering;
use crate::trace::{What, told};

/// The longest nap, for waits in which nobody wakes the caller.
const NAP_NS_MAX: u64 = 1_000_000;
const NAP_NS_MIN: u64 = 20_000;

/// What is waited for, and by whom.
struct Wait<'a> {
    here: Option<(u32, &'a PerCpu)>,
    target: &'a PerCpu,
    target_cpu: u32,
    header: *const Header,
    function: &'static str,
    waiter: Option<u16>,
    deadline_ns: Option<u64>,
    /// Of several targets, one that has not answered yet.
    blame: Option<&'a dyn Fn() -> Option<u32>>,
    serve: Serve,
}

/// What a CPU serves while it waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Serve {
    /// Its queue.
    Queue,
    /// Its queue, and the blocking calls that come in by it.
    Blocking,
}

impl<'a> Wait<'a> {
    /// Who is waited for now.
    fn target<P: Platform, S: Storage>(&self, smp: &'a Smp<P, S>) -> (u32, &'a PerCpu) {
        match self.blame.and_then(|blame| blame()).and_then(|cpu| Some((cpu, smp.cpu(cpu)?))) {
            Some(target) => target,
            None => (self.target_cpu, self.target),
        }
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Returns whether the caller may wait (P10): it is in thread context, and its CPU is in no call.
    #[inline]
    pub(super) fn may_wait(&self, here: Option<(u32, &PerCpu)>) -> bool {
        self.platform.can_wait() && !here.is_some_and(|(_, here)| here.own.0.in_call())
    }

    /// Waits until a queued waiting call is done.
    #[inline]
    pub(super) fn await_call(&self, trip: &Trip<'_>, header: &Header, function: &'static str) {
        let Trip { here, cpu: target_cpu, target, waiter, serve } = *trip;
        for _ in 0..self.platform.looks_first(target_cpu) {
            // First the pause: an early look would take the line away from the target that fetches it.
            self.platform.relax();
            if header.state.is_done() {
                return;
            }
        }
        let wait = Wait {
            here,
            target,
            target_cpu,
            header,
            function,
            waiter,
            deadline_ns: None,
            blame: None,
            serve,
        };
        let ask = || if waiter.is_some() { Some(header.state.park()) } else { None };
        let done = self.pass_time(&wait, || header.state.is_done(), ask);
        debug_assert!(done.is_ok(), "there is no deadline");
    }

    /// Waits until the run of `csd` that was pending has finished, and makes what it wrote visible to the caller. If
    /// none is pending, waits for the run that began last, on the CPU that the csd was last posted to.
    ///
    /// While it waits, a CPU serves its own queue. Nobody wakes this caller: it spins, then naps for up to 1 ms at a
    /// time where the port lets callers sleep. The run may be waited for only on the machine that it was posted to.
    ///
    /// Context: thread, interrupts on; from any context if there is nothing to wait for. Progress: waits for the target.
    ///
    /// # Errors
    ///
    /// [`WaitError::WouldDeadlock`].
    pub fn wait<T: Post>(&self, csd: T) -> Result<(), WaitError> {
        self.wait_for(csd, None)
    }

    /// As [`Smp::wait`], until `deadline_ns` on the port's clock at the latest. The csd outlives the wait, so giving up
    /// leaves nothing dangling: its run is still to come, unless [`cancel`](crate::Csd::cancel) takes it away.
    ///
    /// # Errors
    ///
    /// [`WaitError`]; a time-out says which CPU, which function, queued or running, for how long.
    pub fn wait_until<T: Post>(&self, csd: T, deadline_ns: u64) -> Result<(), WaitError> {
        self.wait_for(csd, Some(deadline_ns))
    }

    fn wait_for<T: Post>(&self, csd: T, deadline_ns: Option<u64>) -> Result<(), WaitError> {
        let header = csd.header();
        let seen = header.state.look();
        let Some(target_cpu) = seen.cpu() else { return Ok(()) };
        let Some(target) = self.cpu(target_cpu) else { return Ok(()) };
        let begun = || {
            let now = header.state.look();
            // Free: it has begun, however often the count has come round while we did not look.
            !seen.is_pending() || now.is_free() || now.runs() != seen.runs()
        };
        if begun() && !target.running.0.runs(header) {
            return Ok(());
        }
        let here = self.here();
        if !self.may_wait(here) {
            return Err(WaitError::WouldDeadlock);
        }
        if seen.is_lazy()
            && let Some(cpu) = header.state.hurry()
        {
            self.summon_for_lazy(cpu);
        }
        let function = csd.function_name();
        let (waiter, blame, serve) = (None, None, Serve::Queue);
        let wait = Wait { here, target, target_cpu, header, function, waiter, deadline_ns, blame, serve };
        self.pass_time(&wait, begun, || None).map_err(WaitError::TimedOut)?;
        // The target published the run before it unlocked the csd: if it does not show now, the run has ended. If it
        // does, it may be a later run of the same csd by now; either way ours has ended when this one has.
        let ended = target.running.0.ended();
        let finished = || !target.running.0.runs(header) || target.running.0.ended() != ended;
        self.pass_time(&wait, finished, || None).map_err(WaitError::TimedOut)
    }

    /// The long way: until `done`, or the deadline. `ask` is how the caller asks to be woken; `None`: nobody will.
    #[cold]
    #[inline(never)]
    fn pass_time(
        &self,
        wait: &Wait<'_>,
        done: impl Fn() -> bool,
        ask: impl Fn() -> Option<Park>,
    ) -> Result<(), Stall> {
        let polled = wait.here.is_some_and(|(_, here)| here.own.0.polling());
        self.look_at_own_queue(wait);
        let started_ns = self.platform.now_ns();
        let mut stalls =
            Stalls::new(started_ns, self.platform.stall_timeout_ns(), self.platform.stall_stop_ns());
        let mut backoff = Backoff { rounds: 0, target: wait.target_cpu, waited_ns: 0 };
        let passed = loop {
            if done() {
                break Ok(());
            }
            if wait.here.is_some() {
                if wait.serve == Serve::Blocking {
                    self.run_blocking();
                }
                // `More` needs no answer: we look again.
                let _ = self.flush(Budget::DEFAULT);
                if done() {
                    break Ok(());
                }
            }
            let now_ns = self.platform.now_ns();
            backoff.waited_ns = now_ns.saturating_sub(started_ns);
            if wait.deadline_ns.is_some_and(|deadline_ns| now_ns >= deadline_ns) {
                break Err(self.stall(wait, backoff.waited_ns, stalls.reports));
            }
            if stalls.due(now_ns) {
                self.report(wait, backoff.waited_ns, &stalls);
            }
            if self.platform.pause(&backoff) == Pause::Park {
                let until_ns = stalls.next_ns.min(stalls.stop_ns).min(wait.deadline_ns.unwrap_or(u64::MAX));
                self.sleep(wait, &ask, backoff.rounds, until_ns.saturating_sub(now_ns));
            }
            backoff.rounds = backoff.rounds.saturating_add(1);
        };
        if stalls.reports > 0 {
            self.end_of_stall(wait, started_ns, stalls.reports, &passed);
        }
        if let Some((_, here)) = wait.here
            && !polled
        {
            here.own.0.set_polling(false);
            // On its way out a flush takes the mark back, or runs what came while the mark kept posters from ringing.
            let _ = self.flush(Budget::DEFAULT);
        }
        passed
    }

    /// Sleeps until woken, rung, or `for_ns` have passed; a CPU gives up looking before, and looks again after.
    fn sleep(&self, wait: &Wait<'_>, ask: &impl Fn() -> Option<Park>, rounds: u32, for_ns: u64) {
        if let Some((_, here)) = wait.here {
            let _irq = IrqGuard::new(&self.platform);
            if wait.serve == Serve::Blocking && here.own.0.has_blocking() {
                return;
            }
            if self.stop_polling(here) == Sleep::Work {
                return;
            }
            if wait.serve == Serve::Blocking {
                here.own.0.set_sleeper(wait.waiter);
            }
        }
        self.ring_if_overlooked(wait);
        match ask() {
            Some(Park::Sleep) => self.platform.park(wait.waiter, for_ns),
            Some(Park::Done) => {}
            None => {
                let nap_ns = NAP_NS_MIN << (rounds / 8).min(6);
                self.platform.park(None, for_ns.min(nap_ns.min(NAP_NS_MAX)));
            }
        }
        if wait.serve == Serve::Blocking
            && let Some((_, here)) = wait.here
        {
            here.own.0.set_sleeper(None);
        }
        self.look_at_own_queue(wait);
    }

    fn look_at_own_queue(&self, wait: &Wait<'_>) {
        if let Some((_, here)) = wait.here {
            let _irq = IrqGuard::new(&self.platform);
            self.start_polling(here);
        }
    }

    /// Rings a target that has entries and runs none: the poster that owes the ring may be off its CPU (P7 allows it).
    fn ring_if_overlooked(&self, wait: &Wait<'_>) {
        let (cpu, target) = wait.target(self);
        let queued = matches!(target.door.0.head.look(), Seen::List(_));
        if queued && target.running.0.func_racy().is_none() {
            let _irq = IrqGuard::new(&self.platform);
            self.ring(cpu);
        }
    }

    /// Reports, or stops for good; and rings once more where that may help: a target that runs a function will look by
    /// itself when that returns.
    #[cold]
    fn report(&self, wait: &Wait<'_>, waited_ns: u64, stalls: &Stalls) {
        if stalls.stop {
            let stall = self.stall(wait, waited_ns, stalls.reports);
            // A wait cannot be left like this: its frame, or the mark of a CPU that polls, would stay behind.
            let _guard = NoUnwind;
            self.platform.stop(&stall);
        }
        let stall = self.stall(wait, waited_ns, stalls.reports - 1);
        if stall.reports == 0 {
            // Relaxed: a count.
            self.stalled.fetch_add(1, Ordering::Relaxed);
        }
        told!(self, What::Stalled { cpu: stall.target });
        self.platform.stalled(&stall);
        if stall.phase == Phase::Queued {
            let _irq = IrqGuard::new(&self.platform);
            self.ring(stall.target);
        }
    }

    /// Returns how many waits are stalled: reported, and not over. Whoever watches something else as well may hold its own
    /// report back as long as this is the reason.
    ///
    /// Context: any. Progress: wait-free.
    pub fn stalled_waits_racy(&self) -> usize {
        // Relaxed: a count that may be old by the time it is read.
        self.stalled.load(Ordering::Relaxed)
    }

    /// A wait that was reported has ended after all, or was given up.
    #[cold]
    fn end_of_stall(&self, wait: &Wait<'_>, started_ns: u64, reports: u32, passed: &Result<(), Stall>) {
        // Relaxed: a count.
        self.stalled.fetch_sub(1, Ordering::Relaxed);
        if passed.is_err() {
            return;
        }
        let waited_ns = self.platform.now_ns().saturating_sub(started_ns);
        let stall = Stall { phase: Phase::Over, ..self.stall(wait, waited_ns, reports) };
        self.platform.unstuck(&stall);
    }

    fn stall(&self, wait: &Wait<'_>, waited_ns: u64, reports: u32) -> Stall {
        let (target_cpu, target) = wait.target(self);
        let running = &target.running.0;
        let phase = match running.func_racy() {
            _ if running.runs(wait.header) => Phase::Running,
            _ if running.runs_blocking_racy(wait.header) => Phase::Running,
            Some(func) => Phase::Behind(func.addr()),
            // SAFETY: the header of a blocking call is in its caller's frame, and we are that caller.
            None if wait.serve == Serve::Blocking
                && unsafe { &*wait.header }.state.look_racy().is_taken() =>
            {
                Phase::Taken
            }
            None => Phase::Queued,
        };
        Stall {
            waiter: wait.here.map(|(cpu, _)| cpu),
            target: target_cpu,
            function: wait.function,
            phase,
            waited_ns,
            reports,
        }
    }
}

/// When the next report is due: after the time-out, then twice as long, and so on; and when to stop.
struct Stalls {
    next_ns: u64,
    gap_ns: u64,
    reports: u32,
    stop_ns: u64,
    stop: bool,
}

impl Stalls {
    /// A time-out of 0 is none.
    fn new(now_ns: u64, timeout_ns: u64, stop_ns: u64) -> Self {
        let after = |ns| if ns == 0 { u64::MAX } else { now_ns.saturating_add(ns) };
        Self {
            next_ns: after(timeout_ns),
            gap_ns: timeout_ns,
            reports: 0,
            stop_ns: after(stop_ns),
            stop: false,
        }
    }

    fn due(&mut self, now_ns: u64) -> bool {
        // Two clocks in one: `u64::MAX` is never.
        if now_ns >= self.stop_ns && self.stop_ns != u64::MAX {
            self.stop = true;
            return true;
        }
        if now_ns < self.next_ns {
            return false;
        }
        self.gap_ns = self.gap_ns.saturating_mul(2);
        self.next_ns = now_ns.saturating_add(self.gap_ns);
        self.reports += 1;
        true
    }
}
