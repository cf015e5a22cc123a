//! The loop of every wait.

use super::awaited::Wait;
use super::stall_clock::StallClock;
use crate::percpu::Storage;
use crate::platform::{Backoff, Pause, Platform};
use crate::queue::Seen;
use crate::smp::Smp;
use crate::stall::CallStall;
use crate::state::Park;

/// The longest nap, for waits in which nobody wakes the caller.
const NAP_NS_MAX: u64 = 1_000_000;
const NAP_NS_MIN: u64 = 20_000;

/// A waiter looks for doorbells that failed after so many pauses, after twice that, and so on.
const RINGS_AGAIN: u32 = 16;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Until `done`, or the deadline. `ask` is how the caller asks to be woken; `None`: nobody will.
    #[cold]
    #[inline(never)]
    pub(super) fn wait_loop(
        &self,
        wait: &Wait<'_>,
        done: &dyn Fn() -> bool,
        ask: &dyn Fn() -> Option<Park>,
    ) -> Result<(), CallStall> {
        let found = self.begin_serving();
        let started_ns = self.platform.now_ns();
        let mut stalls =
            StallClock::new::<P>(started_ns, self.platform.stall_timeout_ns(), self.platform.stall_stop_ns());
        let mut backoff =
            Backoff { rounds: 0, target: wait.target_cpu, with_others: wait.slots != 0, waited_ns: 0 };
        // How long the last sleep was to take.
        let mut slept_ns = 0;
        let passed = loop {
            if done() || self.serve_once(wait.serve) && done() {
                break Ok(());
            }
            let now_ns = self.platform.now_ns();
            backoff.waited_ns = now_ns.saturating_sub(started_ns);
            stalls.look(now_ns, core::mem::take(&mut slept_ns));
            if wait.deadline_ns.is_some_and(|deadline_ns| now_ns >= deadline_ns) {
                break Err(self.stall(wait, wait.target(self), backoff.waited_ns, stalls.reports));
            }
            if stalls.due(now_ns) {
                self.report(wait, stalls.waited_ns(now_ns), &mut stalls);
            }
            if backoff.rounds >= RINGS_AGAIN
                && backoff.rounds.is_power_of_two()
                && self.failed_rings_racy() != 0
            {
                self.ring_those_owed(wait);
            }
            if self.platform.pause(&backoff) == Pause::Park {
                let until_ns = stalls.next_ns.min(stalls.stop_ns).min(wait.deadline_ns.unwrap_or(u64::MAX));
                let for_ns = until_ns.saturating_sub(now_ns).min(stalls.sleep_ns);
                slept_ns = self.sleep(wait, ask, backoff.rounds, for_ns);
            }
            backoff.rounds = backoff.rounds.saturating_add(1);
        };
        if stalls.reports > 0 {
            let waited_ns = stalls.waited_ns(self.platform.now_ns());
            self.end_of_stall(wait, waited_ns, &stalls, &passed);
        }
        self.end_serving(found);
        passed
    }

    /// Sleeps until woken, rung, or `for_ns` have passed; a CPU gives up looking before, and looks again after. Returns how long
    /// it was to sleep.
    fn sleep(&self, wait: &Wait<'_>, ask: &dyn Fn() -> Option<Park>, rounds: u32, for_ns: u64) -> u64 {
        if P::SERVES_IN_WAITS && !self.may_sleep(wait.serve, wait.waiter) {
            return 0;
        }
        // Who is not rung does not wake us: so it is tried again before long.
        let for_ns = if self.ring_if_overlooked(wait) { for_ns.min(NAP_NS_MAX) } else { for_ns };
        let mut slept_ns = 0;
        let mut park = || match ask() {
            Some(Park::Sleep) => {
                slept_ns = for_ns;
                self.platform.park(wait.waiter, for_ns);
            }
            Some(Park::Done) => {}
            None => {
                let nap_ns = NAP_NS_MIN << (rounds / 8).min(6);
                slept_ns = for_ns.min(nap_ns.min(NAP_NS_MAX));
                self.platform.park(None, slept_ns);
            }
        };
        if self.here().is_none() {
            self.platform.rest_elsewhere(wait.serve, &mut park);
        } else {
            park();
        }
        self.end_sleep(wait);
        slept_ns
    }

    /// Rings a target that has entries and runs none: the poster that owes the ring may be off its CPU (P7 allows it). Returns whether
    /// the doorbell of any that is waited for still fails.
    fn ring_if_overlooked(&self, wait: &Wait<'_>) -> bool {
        let (cpu, target) = wait.target(self);
        let queued = matches!(target.mailbox.head.look(), Seen::List(_));
        if queued && target.running.func_racy().is_none() {
            self.ring_again(cpu, &target.mailbox.head);
        }
        self.failed_rings_racy() != 0 && self.rings_still_fail(wait)
    }

    #[cold]
    fn rings_still_fail(&self, wait: &Wait<'_>) -> bool {
        self.ring_those_owed(wait);
        Self::is_left_to_who_is_bound(wait) || wait.pending(self).any(|(_, target)| Self::is_unrung(target))
    }

    /// Rings those who are waited for, and whose doorbell failed.
    #[cold]
    fn ring_those_owed(&self, wait: &Wait<'_>) {
        for (cpu, target) in wait.pending(self).filter(|(_, target)| Self::is_unrung(target)) {
            self.ring_again(cpu, &target.mailbox.head);
        }
        self.ring_who_is_bound(wait);
    }

    /// Rings once more for the thread that is bound to the target, and is to run what a flush has left to it: nothing shows that
    /// the ring for it failed.
    fn ring_who_is_bound(&self, wait: &Wait<'_>) {
        if Self::is_left_to_who_is_bound(wait) {
            self.ring_again(wait.target_cpu, &wait.target.mailbox.head);
        }
    }
}
