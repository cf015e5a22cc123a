//! What is said of a wait that takes too long (P10), and who is rung again.

use super::{Serve, Wait};
use crate::percpu::{Own, PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::Smp;
use crate::smp::context::{InFrame, NoUnwind};
use crate::smp::unrung::is_unrung;
use crate::stall::{CallStall, NAMED_MAX, Phase};
use crate::sync::Ordering;
use crate::trace::{EventKind, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Reports on those who are waited for, or stops for good; and rings them once more where that may help: a target that runs
    /// a function will look by itself when that returns.
    #[cold]
    pub(super) fn report(&self, wait: &Wait<'_>, waited_ns: u64, stalls: &mut Stalls) {
        let pending = self.pending(wait);
        let reports = stalls.reports;
        let tells = |target| self.stall(wait, target, waited_ns, reports);
        if stalls.stop {
            let stall = CallStall { pending, ..tells(wait.target(self)) };
            // A wait cannot be left like this: its frame, or the mark of a CPU that polls, would stay behind.
            let _guard = NoUnwind;
            let _frame = InFrame::enter(&self.platform, wait.here.map(|(_, here)| here));
            self.platform.stop(&stall);
        }
        let mut named = 0;
        for target in wait.pending(self) {
            let stall = CallStall { pending: pending.max(1), ..tells(target) };
            if named < NAMED_MAX {
                self.name(wait, &stall, stalls, named);
                named += 1;
            }
            if matches!(stall.phase, Phase::Queued | Phase::Unrung | Phase::BehindBlocking(_)) {
                self.ring_again(stall.target, &target.1.mailbox.head);
            }
        }
        if named == 0 && wait.is_for_a_slot() {
            // Whoever holds the slots has still to send, or to let go.
            let nobody = CallStall { pending: 0, ..tells((wait.target_cpu, wait.target)) };
            self.name(wait, &nobody, stalls, 0);
            named = 1;
        }
        stalls.reports += u32::from(named != 0);
    }

    /// How many are waited for. If it is none of a multicast's targets, it is acknowledged (I18).
    fn pending(&self, wait: &Wait<'_>) -> u32 {
        let count = || wait.pending(self).count() as u32;
        // A leader may have notified those before it, and acknowledged, while we came to it; so look again.
        let pending = Some(count()).filter(|pending| *pending != 0).unwrap_or_else(count);
        debug_assert!(
            pending != 0
                || wait.is_for_a_slot()
                || self.slots.get(wait.slots.trailing_zeros()).is_acknowledged(),
            "I18: who has still to acknowledge shows it"
        );
        pending
    }

    /// Names one target, after `named` others of the same report, and keeps in mind the first.
    fn name(&self, wait: &Wait<'_>, stall: &CallStall, stalls: &mut Stalls, named: u32) {
        if named == 0 {
            stalls.named = stall.target;
            if stall.reports == 0 {
                // Relaxed: a count.
                self.stalled.fetch_add(1, Ordering::Relaxed);
            }
        }
        trace!(self, EventKind::Stalled { cpu: stall.target });
        self.report_once(wait, |platform| platform.call_stalled(stall));
    }

    /// Calls the port's handler, unless this CPU is inside one: a handler that calls, and stalls, would otherwise nest without an end.
    /// (Of a thread that is no CPU the core knows nothing: there it is the port's duty.)
    fn report_once(&self, wait: &Wait<'_>, report: impl FnOnce(&P)) {
        let here = wait.here.map(|(_, here)| here);
        let own = here.map(|here| &*here.own);
        if own.is_some_and(Own::reporting) {
            return;
        }
        // It may do what code in thread context may, but for changing which CPU waits (I20).
        let _frame = InFrame::enter(&self.platform, here);
        own.inspect(|own| own.set_reporting(true));
        NoUnwind::around(|| report(&self.platform));
        own.inspect(|own| own.set_reporting(false));
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
    pub(super) fn end_of_stall(
        &self,
        wait: &Wait<'_>,
        waited_ns: u64,
        stalls: &Stalls,
        passed: &Result<(), CallStall>,
    ) {
        // Relaxed: a count.
        self.stalled.fetch_sub(1, Ordering::Relaxed);
        if passed.is_ok() {
            let target = (stalls.named, &self.cpus()[stalls.named as usize]);
            let stall = self.stall(wait, target, waited_ns, stalls.reports);
            let over = CallStall { phase: Phase::Over, pending: 0, ..stall };
            self.report_once(wait, |platform| platform.unstuck(&over));
        }
    }

    /// What is to be said of one target.
    pub(super) fn stall(
        &self,
        wait: &Wait<'_>,
        (target_cpu, target): (u32, &PerCpu),
        waited_ns: u64,
        reports: u32,
    ) -> CallStall {
        let running = &*target.running;
        let phase = match running.func_racy() {
            _ if running.runs(wait.header) => Phase::Running,
            _ if running.runs_blocking_racy(wait.header) => Phase::Running,
            Some(func) => Phase::Behind(func.addr()),
            // SAFETY: the header of a blocking call is in its caller's frame, and we are that caller.
            None if wait.serve == Serve::Blocking
                && wait.is_for_a_run()
                && unsafe { &*wait.header }.state.look_racy().is_dequeued() =>
            {
                Phase::Dequeued
            }
            None if is_unrung(target) => Phase::Unrung,
            None => Phase::Queued,
        };
        let phase = match (phase, running.blocking_func_racy()) {
            (Phase::Queued | Phase::Unrung | Phase::Dequeued, Some(func)) => {
                Phase::BehindBlocking(func.addr())
            }
            (phase, _) => phase,
        };
        CallStall {
            waiter: wait.here.map(|(cpu, _)| cpu),
            target: target_cpu,
            pending: 1,
            function: wait.function,
            phase,
            waited_ns,
            reports,
        }
    }
}

/// The most that two looks of a waiter may lie apart, beyond the sleep between them, for the time to count.
const LOOK_NS_MAX: u64 = 100_000_000;
/// Or an eighth of the shorter time-out, if that is less; but never less than this.
const LOOK_NS_MIN: u64 = 10_000_000;

/// When the next report is due: after the time-out, then twice as long, and so on; and when to stop.
///
/// Time in which the waiter itself did not run does not count: the whole process was stopped (SIGSTOP, a debugger, a virtual
/// machine that was paused), and so perhaps was the target. The waiter knows by the distance of two looks. Where it [may be
/// stopped](crate::Hosting::MAY_BE_STOPPED) it sleeps for an eighth of the shorter time-out at a time, since it cannot tell for which part
/// of a sleep it was.
pub(super) struct Stalls {
    started_ns: u64,
    /// The last look.
    seen_ns: u64,
    /// How much did not count so far.
    away_ns: u64,
    /// How far two looks may lie apart.
    look_ns: u64,
    /// How long a sleep may be.
    pub(super) sleep_ns: u64,
    pub(super) next_ns: u64,
    gap_ns: u64,
    pub(super) reports: u32,
    /// The CPU that the last report named first.
    named: u32,
    pub(super) stop_ns: u64,
    stop: bool,
}

impl Stalls {
    /// A time-out of 0 is none.
    pub(super) fn new<P: Platform>(now_ns: u64, timeout_ns: u64, stop_ns: u64) -> Self {
        let after = |ns| if ns == 0 { u64::MAX } else { now_ns.saturating_add(ns) };
        // 0 wraps to the most.
        let eighth_ns = timeout_ns.wrapping_sub(1).min(stop_ns.wrapping_sub(1)) / 8;
        Self {
            started_ns: now_ns,
            seen_ns: now_ns,
            away_ns: 0,
            look_ns: eighth_ns.clamp(LOOK_NS_MIN, LOOK_NS_MAX),
            sleep_ns: if P::MAY_BE_STOPPED { eighth_ns.max(LOOK_NS_MIN) } else { u64::MAX },
            next_ns: after(timeout_ns),
            gap_ns: timeout_ns,
            reports: 0,
            named: 0,
            stop_ns: after(stop_ns),
            stop: false,
        }
    }

    /// Takes note of a look, after a sleep that was to take `slept_ns`.
    pub(super) fn look(&mut self, now_ns: u64, slept_ns: u64) {
        let may_ns = self.look_ns.saturating_add(slept_ns);
        let away_ns = now_ns.saturating_sub(self.seen_ns).saturating_sub(may_ns);
        self.seen_ns = now_ns;
        self.away_ns += away_ns;
        for due_ns in [&mut self.next_ns, &mut self.stop_ns] {
            // `u64::MAX` is never.
            *due_ns = due_ns.saturating_add(away_ns);
        }
    }

    /// How long the wait has gone on, as far as it counts.
    pub(super) fn waited_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.started_ns).saturating_sub(self.away_ns)
    }

    pub(super) fn due(&mut self, now_ns: u64) -> bool {
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
        true
    }
}
