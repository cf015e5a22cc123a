//! What is said of a wait that takes too long (P10), and who is rung again.

use super::awaited::Wait;
use super::stall_clock::StallClock;
use crate::percpu::{Own, PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::context::{InFrame, NoUnwind};
use crate::smp::{Serve, Smp};
use crate::stall::{CallStall, NAMED_MAX, Phase};
use crate::sync::Ordering;
use crate::trace::{EventKind, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Reports on those who are waited for, or stops for good; and rings them once more where that may help: a target that runs
    /// a function will look by itself when that returns.
    #[cold]
    pub(super) fn report(&self, wait: &Wait<'_>, waited_ns: u64, stalls: &mut StallClock) {
        let pending = self.pending(wait);
        let reports = stalls.reports;
        let tells = |target| self.stall(wait, target, waited_ns, reports);
        if stalls.stop {
            let stall = CallStall { pending, ..tells(wait.target(self)) };
            // A wait cannot be left like this: its frame, or the mark of a CPU that polls, would stay behind.
            let _guard = NoUnwind;
            let _frame = InFrame::enter(&self.platform, self.home());
            self.platform.stop(&stall);
        }
        let mut named = 0;
        for target in wait.pending(self) {
            let stall = CallStall { pending: pending.max(1), ..tells(target) };
            if named < NAMED_MAX {
                self.name(&stall, stalls, named);
                named += 1;
            }
            if matches!(stall.phase, Phase::Queued | Phase::Unrung | Phase::BehindBlocking(_)) {
                self.ring_again(stall.target, &target.1.mailbox.head);
            }
            if P::MIGRATES && stall.phase == Phase::Dequeued {
                // Whoever flushed has rung for the thread that is bound there; perhaps in vain.
                self.ring_again(stall.target, &target.1.mailbox.head);
            }
        }
        if named == 0 && wait.is_for_a_slot() {
            // Whoever holds the slots has still to send, or to let go.
            let nobody = CallStall { pending: 0, ..tells((wait.target_cpu, wait.target)) };
            self.name(&nobody, stalls, 0);
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
                || wait.gathers
                || self.slots.get(wait.slots.trailing_zeros()).is_acknowledged(),
            "I18: who has still to acknowledge shows it"
        );
        pending
    }

    /// Names one target, after `named` others of the same report, and keeps in mind the first.
    fn name(&self, stall: &CallStall, stalls: &mut StallClock, named: u32) {
        if named == 0 {
            stalls.named = stall.target;
            if stall.reports == 0 {
                // Relaxed: a count.
                self.stalled.fetch_add(1, Ordering::Relaxed);
            }
        }
        trace!(self, EventKind::Stalled { cpu: stall.target });
        self.report_once(|platform| platform.call_stalled(stall));
    }

    /// Calls the port's handler, unless this CPU is inside one: a handler that calls, and stalls, would otherwise nest without an end.
    /// (Of a thread that is no CPU, or that may migrate, the core knows nothing: there it is the port's duty.)
    fn report_once(&self, report: impl FnOnce(&P)) {
        let here = self.home();
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
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// use smpcall::{Platform, Smp, Storage};
    ///
    /// /// A kernel's own watchdog: what somebody waits for is reported already.
    /// fn is_news<P: Platform, S: Storage>(smp: &Smp<P, S>) -> bool {
    ///     smp.stalled_waits_racy() == 0
    /// }
    /// # assert!(is_news(&one::machine(one::One)));
    /// ```
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
        stalls: &StallClock,
        passed: &Result<(), CallStall>,
    ) {
        // Relaxed: a count.
        self.stalled.fetch_sub(1, Ordering::Relaxed);
        if passed.is_ok() {
            let target = (stalls.named, &self.cpus()[stalls.named as usize]);
            let stall = self.stall(wait, target, waited_ns, stalls.reports);
            let over = CallStall { phase: Phase::Over, pending: 0, ..stall };
            self.report_once(|platform| platform.unstuck(&over));
        }
    }

    /// Returns whether it is the target's bound thread that is waited for, and that runs nothing: whoever flushed has rung for it.
    pub(super) fn is_left_to_who_is_bound(wait: &Wait<'_>) -> bool {
        P::MIGRATES && is_dequeued(wait) && wait.target.running.blocking_func_racy().is_none()
    }

    /// What is to be said of one target.
    pub(super) fn stall(
        &self,
        wait: &Wait<'_>,
        (target_cpu, target): (u32, &PerCpu),
        waited_ns: u64,
        reports: u32,
    ) -> CallStall {
        let running = &target.running;
        let phase = match running.func_racy() {
            _ if running.runs(wait.header) => Phase::Running,
            _ if P::BLOCKING_CALLS && running.runs_blocking_racy(wait.header) => Phase::Running,
            Some(func) => Phase::Behind(func.addr()),
            None if P::BLOCKING_CALLS && is_dequeued(wait) => Phase::Dequeued,
            None if Self::is_unrung(target) => Phase::Unrung,
            None => Phase::Queued,
        };
        let phase = match (phase, running.blocking_func_racy().filter(|_| P::BLOCKING_CALLS)) {
            (Phase::Queued | Phase::Unrung | Phase::Dequeued, Some(func)) => {
                Phase::BehindBlocking(func.addr())
            }
            (phase, _) => phase,
        };
        CallStall {
            waiter: self.here().map(|(cpu, _)| cpu),
            target: target_cpu,
            pending: 1,
            function: wait.function,
            phase,
            waited_ns,
            reports,
        }
    }
}

/// Whether a flush has left the blocking call that is waited for to its target's thread.
fn is_dequeued(wait: &Wait<'_>) -> bool {
    // SAFETY: the header of a blocking call is in its caller's frame, and we are that caller.
    let is_dequeued = || unsafe { &*wait.header }.state.look_racy().is_dequeued();
    wait.serve == Serve::Blocking && wait.is_for_a_run() && is_dequeued()
}
