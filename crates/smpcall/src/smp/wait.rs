//! How a caller passes the time: look, serve one's own queue, pause, report, sleep.

mod csd;
mod elsewhere;
mod many;
mod report;
mod until;

use self::report::Stalls;

use super::call::CallSetup;
use super::serve::Serve;
use super::unrung::is_unrung;
use super::{Budget, Sleep, Smp};
use crate::csd::Header;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{Backoff, IrqGuard, Pause, Platform};
use crate::queue::Seen;
use crate::stall::CallStall;
use crate::state::Park;

/// The longest nap, for waits in which nobody wakes the caller.
const NAP_NS_MAX: u64 = 1_000_000;
const NAP_NS_MIN: u64 = 20_000;

/// A waiter looks for doorbells that failed after so many pauses, after twice that, and so on.
const RINGS_AGAIN: u32 = 16;

/// In place of the slots that are waited for: any.
const ALL_SLOTS: usize = usize::MAX;

/// What is waited for, and by whom.
struct Wait<'a> {
    here: Option<(u32, &'a PerCpu)>,
    target: &'a PerCpu,
    target_cpu: u32,
    header: *const Header,
    function: &'static str,
    waiter: Option<u16>,
    deadline_ns: Option<u64>,
    /// Multicasts of which an acknowledgement is waited for, one bit for each slot: its own, or all if it is a slot that is waited for. 0:
    /// it is `target` that is waited for, and no other.
    slots: usize,
    serve: Serve,
}

impl<'a> Wait<'a> {
    /// Who is waited for now, by number.
    fn pending<P: Platform, S: Storage>(
        &self,
        smp: &'a Smp<P, S>,
    ) -> impl Iterator<Item = (u32, &'a PerCpu)> {
        let slots = self.slots;
        let one = (slots == 0).then_some((self.target_cpu, self.target));
        let several = if slots == 0 { &[] } else { smp.cpus() };
        one.into_iter().chain((0..).zip(several).filter(move |(_, cpu)| cpu.has_pending_racy(slots)))
    }

    /// One of them, or who was.
    fn target<P: Platform, S: Storage>(&self, smp: &'a Smp<P, S>) -> (u32, &'a PerCpu) {
        self.pending(smp).next().unwrap_or((self.target_cpu, self.target))
    }

    /// The CPU whose queue the caller looks at while it waits.
    fn serves<P: Platform>(&self) -> Option<&'a PerCpu> {
        self.here.filter(|_| P::SERVES_IN_WAITS).map(|(_, here)| here)
    }

    fn is_for_a_slot(&self) -> bool {
        self.slots == ALL_SLOTS
    }

    /// Returns whether it is a csd's run that is waited for, and no slot, nor something of the port's.
    fn is_for_a_run(&self) -> bool {
        self.header != core::ptr::dangling()
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Returns whether the caller may wait (P10): it is in thread context, and its CPU is in no call.
    #[inline]
    pub(super) fn may_wait(&self, here: Option<(u32, &PerCpu)>) -> bool {
        self.platform.can_wait() && !here.is_some_and(|(_, here)| here.own.in_call())
    }

    /// Waits until a queued waiting call is done.
    #[inline]
    pub(super) fn await_call(&self, setup: &CallSetup<'_>, header: &Header, function: &'static str) {
        let CallSetup { here, cpu: target_cpu, target, waiter, serve } = *setup;
        for _ in 0..self.platform.looks_first(target_cpu) {
            // First the pause: an early look would take the line away from the target that fetches it.
            self.platform.relax();
            if header.state.is_done() {
                return;
            }
        }
        let wait =
            Wait { here, target, target_cpu, header, function, waiter, deadline_ns: None, slots: 0, serve };
        let ask = || if waiter.is_some() { Some(header.state.park()) } else { None };
        let done = self.wait_loop(&wait, || header.state.is_done(), ask);
        debug_assert!(done.is_ok(), "there is no deadline");
    }

    /// The long way: until `done`, or the deadline. `ask` is how the caller asks to be woken; `None`: nobody will.
    #[cold]
    #[inline(never)]
    fn wait_loop(
        &self,
        wait: &Wait<'_>,
        done: impl Fn() -> bool,
        ask: impl Fn() -> Option<Park>,
    ) -> Result<(), CallStall> {
        let serves = wait.serves::<P>();
        let polled = serves.is_some_and(|here| here.own.polling());
        self.look_at_own_queue(wait);
        let started_ns = self.platform.now_ns();
        let mut stalls =
            Stalls::new::<P>(started_ns, self.platform.stall_timeout_ns(), self.platform.stall_stop_ns());
        let mut backoff = Backoff { rounds: 0, target: wait.target_cpu, waited_ns: 0 };
        // How long the last sleep was to take.
        let mut slept_ns = 0;
        let passed = loop {
            if done() {
                break Ok(());
            }
            if wait.here.is_none() {
                self.platform.serve_elsewhere(wait.serve);
            }
            if serves.is_some() {
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
                slept_ns = self.sleep(wait, &ask, backoff.rounds, for_ns);
            }
            backoff.rounds = backoff.rounds.saturating_add(1);
        };
        if stalls.reports > 0 {
            let waited_ns = stalls.waited_ns(self.platform.now_ns());
            self.end_of_stall(wait, waited_ns, &stalls, &passed);
        }
        if let Some(here) = serves
            && !polled
        {
            here.own.set_polling(false);
            // On its way out a flush takes the mark back, or runs what came while the mark kept posters from ringing.
            let _ = self.flush(Budget::DEFAULT);
        }
        passed
    }

    /// Sleeps until woken, rung, or `for_ns` have passed; a CPU gives up looking before, and looks again after. Returns how long
    /// it was to sleep.
    fn sleep(&self, wait: &Wait<'_>, ask: &impl Fn() -> Option<Park>, rounds: u32, for_ns: u64) -> u64 {
        if let Some(here) = wait.serves::<P>() {
            let _irq = IrqGuard::new(&self.platform);
            if wait.serve == Serve::Blocking && here.own.has_blocking() {
                return 0;
            }
            if self.stop_polling(here) == Sleep::Work {
                return 0;
            }
            if wait.serve == Serve::Blocking {
                here.own.set_sleeper(wait.waiter);
            }
        }
        self.ring_if_overlooked(wait);
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
        if wait.here.is_none() {
            self.platform.rest_elsewhere(wait.serve, &mut park);
        } else {
            park();
        }
        if wait.serve == Serve::Blocking
            && let Some(here) = wait.serves::<P>()
        {
            here.own.set_sleeper(None);
        }
        self.look_at_own_queue(wait);
        slept_ns
    }

    fn look_at_own_queue(&self, wait: &Wait<'_>) {
        if let Some(here) = wait.serves::<P>() {
            let _irq = IrqGuard::new(&self.platform);
            self.start_polling(here);
        }
    }

    /// Rings a target that has entries and runs none: the poster that owes the ring may be off its CPU (P7 allows it).
    fn ring_if_overlooked(&self, wait: &Wait<'_>) {
        let (cpu, target) = wait.target(self);
        let queued = matches!(target.mailbox.head.look(), Seen::List(_));
        if queued && target.running.func_racy().is_none() {
            self.ring_again(cpu, &target.mailbox.head);
        }
    }

    /// Rings those who are waited for, and whose doorbell failed.
    #[cold]
    fn ring_those_owed(&self, wait: &Wait<'_>) {
        for (cpu, target) in wait.pending(self).filter(|(_, target)| is_unrung(target)) {
            self.ring_again(cpu, &target.mailbox.head);
        }
    }
}
