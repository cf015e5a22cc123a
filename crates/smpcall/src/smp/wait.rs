//! How a caller passes the time: look, serve one's own queue, pause, report, sleep.

mod many;
mod report;
mod until;

use self::report::Stalls;

use super::call::Trip;
use super::{Budget, Sleep, Smp};
use crate::csd::{Header, Post};
use crate::error::WaitError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{Backoff, IrqGuard, Pause, Platform};
use crate::queue::Seen;
use crate::stall::Stall;
use crate::state::Park;

/// The longest nap, for waits in which nobody wakes the caller.
const NAP_NS_MAX: u64 = 1_000_000;
const NAP_NS_MIN: u64 = 20_000;

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
    /// Multicasts of which an answer is waited for, one bit for each slot: its own, or all if it is a slot that is waited for. 0:
    /// it is `target` that is waited for, and no other.
    slots: usize,
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
    /// Who is waited for now, by number.
    fn owing<P: Platform, S: Storage>(&self, smp: &'a Smp<P, S>) -> impl Iterator<Item = (u32, &'a PerCpu)> {
        let slots = self.slots;
        let one = (slots == 0).then_some((self.target_cpu, self.target));
        let several = if slots == 0 { &[] } else { smp.cpus() };
        one.into_iter().chain((0..).zip(several).filter(move |(_, cpu)| cpu.owes_racy(slots)))
    }

    /// One of them, or who was.
    fn target<P: Platform, S: Storage>(&self, smp: &'a Smp<P, S>) -> (u32, &'a PerCpu) {
        self.owing(smp).next().unwrap_or((self.target_cpu, self.target))
    }

    /// The CPU whose queue the caller looks at while it waits.
    fn serves<P: Platform>(&self) -> Option<&'a PerCpu> {
        self.here.filter(|_| P::SERVES_IN_WAITS).map(|(_, here)| here)
    }

    fn is_for_a_slot(&self) -> bool {
        self.slots == ALL_SLOTS
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
        let wait =
            Wait { here, target, target_cpu, header, function, waiter, deadline_ns: None, slots: 0, serve };
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
        let (waiter, slots, serve) = (None, 0, Serve::Queue);
        let wait = Wait { here, target, target_cpu, header, function, waiter, deadline_ns, slots, serve };
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
        let serves = wait.serves::<P>();
        let polled = serves.is_some_and(|here| here.own.0.polling());
        self.look_at_own_queue(wait);
        let started_ns = self.platform.now_ns();
        let mut stalls =
            Stalls::new(started_ns, self.platform.stall_timeout_ns(), self.platform.stall_stop_ns());
        let mut backoff = Backoff { rounds: 0, target: wait.target_cpu, waited_ns: 0 };
        let passed = loop {
            if done() {
                break Ok(());
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
            if wait.deadline_ns.is_some_and(|deadline_ns| now_ns >= deadline_ns) {
                break Err(self.stall(wait, wait.target(self), backoff.waited_ns, stalls.reports));
            }
            if stalls.due(now_ns) {
                self.report(wait, backoff.waited_ns, &mut stalls);
            }
            if self.platform.pause(&backoff) == Pause::Park {
                let until_ns = stalls.next_ns.min(stalls.stop_ns).min(wait.deadline_ns.unwrap_or(u64::MAX));
                self.sleep(wait, &ask, backoff.rounds, until_ns.saturating_sub(now_ns));
            }
            backoff.rounds = backoff.rounds.saturating_add(1);
        };
        if stalls.reports > 0 {
            let waited_ns = self.platform.now_ns().saturating_sub(started_ns);
            self.end_of_stall(wait, waited_ns, &stalls, &passed);
        }
        if let Some(here) = serves
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
        if let Some(here) = wait.serves::<P>() {
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
            && let Some(here) = wait.serves::<P>()
        {
            here.own.0.set_sleeper(None);
        }
        self.look_at_own_queue(wait);
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
        let queued = matches!(target.door.0.head.look(), Seen::List(_));
        if queued && target.running.0.func_racy().is_none() {
            let _irq = IrqGuard::new(&self.platform);
            self.ring(cpu);
        }
    }
}
