//! A rendezvous of all CPUs: a multicast whose function holds each of them until the caller has run one of its own. What keeps it sound is
//! in [`crate::meeting`].

use super::sending::Multicast;
use super::to::To;
use crate::error::RendezvousError;
use crate::mask::CpuMask;
use crate::meeting::Meeting;
use crate::multicast::{Keep, Slot};
use crate::payload::{copied, copy_of};
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform, demand_shared_stacks};
use crate::queue::Seen;
use crate::smp::Smp;
use crate::smp::context::InCall;
use core::time::Duration;

/// Whom a rendezvous holds, beside the caller's CPU, which runs the function.
#[derive(Clone, Copy, Debug)]
pub enum Hold<'a> {
    /// All that are online.
    All,
    /// Those of a mask that are online.
    Mask(&'a CpuMask),
}

impl Hold<'_> {
    fn means(&self, cpu: u32) -> bool {
        match self {
            Self::All => true,
            Self::Mask(mask) => mask.contains(cpu),
        }
    }
}

/// What the CPUs that are held run.
struct Held<'f, P> {
    meeting: &'f Meeting,
    platform: &'f P,
}

impl<P> Clone for Held<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Held<'_, P> {}

/// # Safety
///
/// The slot was filled with this, has a `Held<P>` for its payload, and the caller has to acknowledge it (I10).
unsafe fn run_held<P: Platform>(slot: &Slot) {
    // SAFETY: the caller's promise; nobody writes the payload meanwhile.
    let Held { meeting, platform } = slot.payload().with(|room| unsafe { copy_of::<Held<'_, P>>(room) });
    meeting.arrive();
    let mut rounds = 0_u32;
    while !meeting.is_over() {
        platform.hold(rounds);
        rounds = rounds.saturating_add(1);
    }
}

/// Ends a meeting, whatever else happens: those who are held, and those who are late, go on.
struct Ends<'a>(&'a Meeting);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The machine's gate, claimed.
struct Claimed<'a, P: Platform, S: Storage>(&'a Smp<P, S>);

impl<P: Platform, S: Storage> Drop for Claimed<'_, P, S> {
    fn drop(&mut self) {
        self.0.gate.let_go();
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Calls CPUs together, and runs `function` on the caller's while the others wait in call context: none of those that are held runs
    /// anything else meanwhile but NMIs. What they did before is behind the function, and what that wrote is behind them afterwards. Linux's
    /// `stop_machine`.
    ///
    /// A CPU that is offline is not held, and does not come online meanwhile ([`HotplugError::Held`](crate::HotplugError::Held)). The function runs
    /// in call context, with interrupts off: it may post, and waits for nobody. It should be short: the whole machine stands.
    ///
    /// While it waits for the others to arrive, the caller's CPU serves its own queue, as for [`Smp::call`]. A second caller waits
    /// likewise until the first is through, and is held by that one like any other CPU (P10).
    ///
    /// # Where it deadlocks
    ///
    /// A CPU is held wherever its doorbell finds it, also in the middle of a section that other CPUs wait for. If one of those waits
    /// *with interrupts off* for such a section, as for a spin lock that is taken elsewhere with interrupts on, it never arrives, and
    /// the one that it waits for is never let go. A plain call would pass: its target answers and goes on. So either whoever takes such a lock takes
    /// it with interrupts off everywhere, or the rendezvous has a time limit: [`Smp::rendezvous_timeout`] lets all go
    /// again if they do not come together in time. Without one, who is missing is
    /// [reported](crate::Reporting::call_stalled).
    ///
    /// Context: thread of a CPU that is online, interrupts on; where threads [migrate](crate::Waiting::MIGRATES), the one that is bound there. Progress: waits
    /// for the others.
    ///
    /// # Errors
    ///
    /// [`RendezvousError`]; the function was then dropped without being run. Never `TimedOut`.
    ///
    /// # Panics
    ///
    /// With the function's own panic, when all go on again; where there is unwinding (P11).
    ///
    /// ```
    /// use smpcall::{Hold, Platform, RendezvousError, Smp, Storage};
    ///
    /// fn patch<P: Platform, S: Storage>(smp: &Smp<P, S>, code: &mut [u8], with: &[u8]) -> Result<(), RendezvousError> {
    ///     smp.rendezvous(Hold::All, || code.copy_from_slice(with)) // nobody runs it meanwhile
    /// }
    /// ```
    pub fn rendezvous<R>(&self, who: Hold<'_>, function: impl FnOnce() -> R) -> Result<R, RendezvousError> {
        self.meet(who, None, function)
    }

    /// As [`Smp::rendezvous`], if they come together within `limit`; else those who are held go on at once, those who are late pass by when
    /// they come, and the function is not run. It returns when all have: what ends in time is that anybody is held.
    ///
    /// # Errors
    ///
    /// [`RendezvousError`]; a time-out names one that did not come.
    ///
    /// ```
    /// use core::time::Duration;
    /// use smpcall::{Hold, Platform, RendezvousError, Smp, Storage};
    ///
    /// fn try_once<P: Platform, S: Storage>(smp: &Smp<P, S>, work: impl FnOnce()) -> Result<(), RendezvousError> {
    ///     let met = smp.rendezvous_timeout(Hold::All, Duration::from_millis(10), work);
    ///     if let Err(RendezvousError::TimedOut(stall)) = &met {
    ///         println!("not now: {stall}");
    ///     }
    ///     met
    /// }
    /// ```
    pub fn rendezvous_timeout<R>(
        &self,
        who: Hold<'_>,
        limit: Duration,
        function: impl FnOnce() -> R,
    ) -> Result<R, RendezvousError> {
        let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.meet(who, Some(self.platform.now_ns().saturating_add(limit_ns)), function)
    }

    fn meet<F: FnOnce() -> R, R>(
        &self,
        who: Hold<'_>,
        deadline_ns: Option<u64>,
        function: F,
    ) -> Result<R, RendezvousError> {
        const { demand_shared_stacks::<P>() };
        if matches!(who, Hold::Mask(mask) if mask.has_from(self.cpus_len())) {
            return Err(RendezvousError::NoSuchCpu);
        }
        let (own, here) = self.here().filter(|_| self.is_at_home()).ok_or(RendezvousError::NotACpu)?;
        if !self.may_wait(Some((own, here))) {
            return Err(RendezvousError::WouldDeadlock);
        }
        if here.mailbox.head.look() == Seen::Offline {
            return Err(RendezvousError::Offline);
        }
        let name = core::any::type_name::<F>();
        self.await_gate(own, name, deadline_ns).map_err(RendezvousError::TimedOut)?;
        let _gate = Claimed(self);
        let (waiter, at) = (self.waiter(), self.claim_slot(Some((own, here)), name));
        let meeting = Meeting::new();
        let held = copied(Held { meeting: &meeting, platform: &self.platform });
        let slot = self.slots.get(at);
        // SAFETY: claimed, and no bit is set yet.
        slot.payload().with_mut(|room| unsafe { *room = held });
        // SAFETY: as above; the meeting is left only after all have acknowledged, which `sending` sees to, however this ends.
        unsafe { slot.fill(run_held::<P>, waiter.unwrap_or(0), self.slots.ticket()) };
        let mut sending = Multicast::new(self, Some((own, here)), at, waiter, Keep::Yes, name);
        // After `sending`, so that it goes before: whoever is held has to go on before he acknowledges.
        let ends = Ends(&meeting);
        sending.send(To::If(&mut |cpu| cpu != own && who.means(cpu)), None);
        let (meant, last) = sending.reached_so_far();
        // In this order: who has arrived has counted before whom it found offline.
        let all_are_here = || meeting.arrived() + slot.offline_racy() == meant;
        let met = self.await_arrivals(at, last, name, deadline_ns, &all_are_here);
        let outcome = met.map(|()| self.lead(here, function));
        drop(ends);
        sending.finish();
        match outcome {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => P::resume(panic),
            Err(stall) => Err(RendezvousError::TimedOut(stall)),
        }
    }

    /// The caller's part, while all others are held.
    fn lead<R>(&self, here: &PerCpu, function: impl FnOnce() -> R) -> Result<R, P::Panic> {
        let _irq = IrqGuard::new(&self.platform);
        let _call = InCall::enter(here);
        P::catch(function)
    }
}
