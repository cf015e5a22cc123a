//! How the run of an asynchronous csd is waited for. Its completion tells nobody (P5), so that the waiter looks; one
//! that sleeps is woken by way of the target's queue ([`crate::wake`]), or naps.

use super::awaited::Wait;
use crate::csd::Post;
use crate::error::WaitError;
use crate::percpu::Storage;
use crate::platform::{IrqGuard, Platform};
use crate::queue::Seen;
use crate::smp::{Serve, Smp};
use crate::state::Park;
use core::cell::Cell;
use core::time::Duration;

/// Until when a csd is waited for.
enum Until {
    /// Its run has ended.
    Ended,
    /// Or the port's clock shows so much.
    Clock(u64),
    /// Or so much time has passed.
    After(Duration),
}

impl Until {
    fn deadline_ns<P: Platform>(&self, platform: &P) -> Option<u64> {
        match self {
            Self::Ended => None,
            Self::Clock(deadline_ns) => Some(*deadline_ns),
            Self::After(time) => {
                let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                Some(platform.now_ns().saturating_add(ns))
            }
        }
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Waits until the run of `csd` that was pending has finished, and makes what it wrote visible to the caller. If
    /// none is pending, waits for the run that began last, on the CPU that the csd was last posted to.
    ///
    /// While it waits, a CPU serves its own queue, as for [`Smp::call`]: hold no lock here that a function in it could want. A run that
    /// has panicked has finished too: [`Reporting::caught`](crate::Reporting::caught) is told, and a [`Message`](crate::Message) tells whoever receives. Where the port lets callers sleep, the target wakes this caller when
    /// the run has ended, as it does that of a [`call`](Smp::call); beyond a few that wait for csds of one CPU, it naps
    /// for up to 1 ms at a time.
    ///
    /// The run may be waited for only on the machine that it was posted to. Nothing in a csd says which that is:
    /// another machine cannot see the run's end, and the wait may be over when the run has only begun.
    ///
    /// Context: thread, interrupts on; from any context if there is nothing to wait for. Progress: waits for the
    /// target.
    ///
    /// # Errors
    ///
    /// [`WaitError`]; never `TimedOut`. [`Cancelled`](WaitError::Cancelled) if the wait saw that the run was taken
    /// away; a run that was cancelled, and skipped by its target's flush before the wait looked, is over: `Ok`.
    ///
    /// ```
    /// use smpcall::{Csd, Platform, Smp, Storage};
    ///
    /// static SYNC: Csd<fn()> = Csd::new(|| println!("synced"));
    ///
    /// fn sync<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<(), Box<dyn std::error::Error>> {
    ///     smp.post(1, &SYNC)?; // queued or busy, it is the same:
    ///     smp.wait(&SYNC)?; // the run that sees what we wrote is over
    ///     Ok(())
    /// }
    /// ```
    pub fn wait<T: Post>(&self, csd: T) -> Result<(), WaitError> {
        self.wait_for(csd, &Until::Ended)
    }

    /// As [`Smp::wait`], for as long as `timeout` at most. The csd outlives the wait, so giving up leaves nothing
    /// dangling: its run is still to come, unless [`cancel`](crate::Csd::cancel) takes it away.
    ///
    /// # Errors
    ///
    /// [`WaitError`]; a time-out says which CPU, which function, queued or running, for how long.
    ///
    /// ```
    /// use core::time::Duration;
    /// use smpcall::{Csd, Platform, Smp, Storage, WaitError};
    ///
    /// static SYNC: Csd<fn()> = Csd::new(|| println!("synced"));
    ///
    /// fn sync<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<(), WaitError> {
    ///     match smp.wait_timeout(&SYNC, Duration::from_millis(1)) {
    ///         Err(WaitError::TimedOut(stall)) => Ok(println!("not in 1 ms: {stall}")),
    ///         other => other,
    ///     }
    /// }
    /// ```
    pub fn wait_timeout<T: Post>(&self, csd: T, timeout: Duration) -> Result<(), WaitError> {
        self.wait_for(csd, &Until::After(timeout))
    }

    /// As [`Smp::wait_timeout`], until the port's clock ([`Platform::now_ns`]) shows `deadline_ns`: a point in time, not a
    /// duration. One that has passed is one look.
    ///
    /// # Errors
    ///
    /// As for [`Smp::wait_timeout`].
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// use smpcall::{Csd, Platform, Smp, Storage, WaitError};
    ///
    /// static SYNC: Csd<fn()> = Csd::new(|| ());
    /// static FLUSH: Csd<fn()> = Csd::new(|| ());
    ///
    /// /// Both, within the same millisecond.
    /// fn both<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<(), WaitError> {
    ///     let deadline_ns = smp.platform().now_ns() + 1_000_000;
    ///     smp.wait_until(&SYNC, deadline_ns)?;
    ///     smp.wait_until(&FLUSH, deadline_ns)
    /// }
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// # smp.post(0, &SYNC).unwrap();
    /// # assert_eq!(both(&smp), Ok(()));
    /// ```
    pub fn wait_until<T: Post>(&self, csd: T, deadline_ns: u64) -> Result<(), WaitError> {
        self.wait_for(csd, &Until::Clock(deadline_ns))
    }

    fn wait_for<T: Post>(&self, csd: T, until: &Until) -> Result<(), WaitError> {
        let header = csd.header();
        let seen = header.state.look();
        let Some(target_cpu) = seen.cpu() else { return Ok(()) };
        let target = self.cpu(target_cpu).ok_or(WaitError::NoSuchCpu)?;
        let cancelled = Cell::new(false);
        let begun = || {
            let now = header.state.look();
            // Free: it has begun, however often the count has come round while we did not look.
            let begun = !seen.is_pending() || now.is_free() || now.runs() != seen.runs();
            // A post to the same CPU may have given it its run back by the time of the next look.
            cancelled.set(!begun && now.is_cancelled());
            begun || cancelled.get()
        };
        if begun() {
            if cancelled.get() {
                return Err(WaitError::Cancelled);
            }
            if !target.running.runs(header) {
                return Ok(());
            }
        }
        if !self.may_wait(self.here()) {
            return Err(WaitError::WouldDeadlock);
        }
        if seen.is_lazy() {
            if let Some(cpu) = header.state.expedite() {
                self.notify_for_lazy(cpu);
            }
        }
        let wait = Wait {
            target,
            target_cpu,
            header,
            function: csd.function_name(),
            waiter: self.waiter(),
            deadline_ns: until.deadline_ns(&self.platform),
            slots: 0,
            gathers: false,
            serve: Serve::Queue,
        };
        self.pass_time_for_csd(&wait, &begun)?;
        if cancelled.get() {
            return Err(WaitError::Cancelled);
        }
        // The target published the run before it unlocked the csd: if it does not show now, the run has ended. If it
        // does, it may be a later run of the same csd by now; either way ours has ended when this one has.
        let ended = target.running.ended();
        let finished = || !target.running.runs(header) || target.running.ended() != ended;
        self.pass_time_for_csd(&wait, &finished)
    }

    fn pass_time_for_csd(&self, wait: &Wait<'_>, done: &dyn Fn() -> bool) -> Result<(), WaitError> {
        let asked = Cell::new(false);
        let ask = || if done() { Some(Park::Done) } else { self.ask_for_wake(wait, &asked) };
        self.wait_loop(wait, done, &ask).map_err(WaitError::TimedOut)
    }

    /// Asks the target to wake this waiter after what is queued there; `None`: it naps. Rings nobody. `asked`: whether
    /// it has just been woken to no end: then it naps once, so that a poster that is slow to push is not waited for in
    /// a circle.
    fn ask_for_wake(&self, wait: &Wait<'_>, asked: &Cell<bool>) -> Option<Park> {
        let waiter = wait.waiter?;
        let _irq = IrqGuard::new(&self.platform);
        let wakes = &wait.target.wakes;
        if wakes.is_under_way(waiter) {
            return Some(Park::Sleep);
        }
        let head = &wait.target.mailbox.head;
        if asked.replace(false) || matches!(head.look(), Seen::Idle | Seen::Offline) {
            return None;
        }
        let header = wakes.claim(waiter)?;
        // SAFETY: the claim is ours (I25); it is part of the CPU's memory, which stays where it is (I13).
        if unsafe { head.push_unless_idle(header) } {
            asked.set(true);
            return Some(Park::Sleep);
        }
        let _ = header.state.unlock(wait.target_cpu);
        None
    }
}
