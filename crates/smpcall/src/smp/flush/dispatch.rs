//! Runs what was taken off a queue, each kind in its own way: this is the only place that calls a function out of a batch.
//!
//! | kind | free again | completes |
//! |---|---|---|
//! | a waiting call | – | after its function (P4) |
//! | a [multicast](slot) | – | after its function: an acknowledgement |
//! | an asynchronous csd, [another language's](foreign), a detached call | before its function (P5) | – |
//! | a blocking call | – | not here: it is handed to the CPU's thread |
//! | a wake, an [entry](foreign) that is no csd | before it is handed over | – |

mod foreign;
mod slot;

use crate::csd::{Header, Op};
use crate::detached::unpack;
use crate::percpu::{Batch, PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::Smp;
use crate::smp::flush::Left;
use crate::stamp::{Queued, Stamp};
use crate::state::Snapshot;
use crate::trace::{EventKind, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// As [`Self::run_batch`], where nothing depends on its being here.
    #[inline(never)]
    pub(in crate::smp) fn run_some(&self, cpu: u32, here: &PerCpu, batch: Batch, left: &mut Left) -> Batch {
        self.run_batch(cpu, here, batch, left)
    }

    /// Runs a batch, as far as the budget goes, and returns what is left of it.
    #[inline(always)]
    pub(super) fn run_batch(&self, cpu: u32, here: &PerCpu, mut batch: Batch, left: &mut Left) -> Batch {
        here.own.set_in_call(true);
        while batch.is_awaited() && (left.take_awaited() || !P::LEAVES_OVER) {
            if !batch.sync.is_null() {
                let at = batch.sync;
                // SAFETY: the batch's headers are alive and ours (I5, I2).
                batch.sync = unsafe { (*at).next() };
                // SAFETY: as above; it is off the batch, so this is its one run.
                unsafe { self.run_sync(here, at) };
            } else {
                let at = self.slots.oldest(batch.slots);
                batch.slots &= !(1 << at);
                // SAFETY: we took its bit, which is off the batch now, so this is its one acknowledgement (I11).
                unsafe { self.run_slot(cpu, here, at) };
            }
        }
        while !batch.r#async.is_null() && (left.posts > 0 || !P::LEAVES_OVER) {
            left.posts -= u32::from(left.posts > 0);
            let at = batch.r#async;
            // SAFETY: as for waiting calls.
            batch.r#async = unsafe { (*at).next() };
            // SAFETY: as above.
            unsafe { self.run_async(cpu, here, at) };
        }
        here.own.set_in_call(false);
        batch
    }

    /// Runs a call that somebody waits for, and completes it after its function (P4).
    ///
    /// # Safety
    ///
    /// `at` is alive, was taken off this CPU's queue, and is run once.
    #[inline]
    pub(super) unsafe fn run_sync(&self, here: &PerCpu, at: *const Header) {
        // SAFETY: the caller's promise. The reference is not used after the completion (I4).
        let header = unsafe { &*at };
        // SAFETY: the fields are ours (I2).
        let work = unsafe { header.work() };
        let entered = self.enter(at.addr(), work.func as usize, &header.stamp);
        here.running.begin(at, work.func as *const ());
        // SAFETY: by I6. A waiting call's function catches its own panics.
        unsafe { (work.func)(work.arg, Op::RUN) };
        self.exit(at.addr(), work.func as usize, entered);
        self.complete(header);
        here.running.end();
    }

    /// Runs an asynchronous call: free again before its function starts (P5).
    ///
    /// # Safety
    ///
    /// As for [`Self::run_sync`].
    #[inline(always)]
    pub(super) unsafe fn run_async(&self, cpu: u32, here: &PerCpu, at: *const Header) {
        // SAFETY: the caller's promise. The reference is not used after the unlock, when the csd may be queued anew.
        let header = unsafe { &*at };
        let seen = header.state.look_racy();
        if seen.is_foreign() {
            // SAFETY: the caller's promise.
            return unsafe { self.run_foreign(cpu, here, header, seen) };
        }
        if !seen.is_async() {
            // SAFETY: the caller's promise.
            return unsafe { self.run_uncommon(cpu, here, header, seen) };
        }
        // SAFETY: the fields are ours until the unlock (I2).
        let work = unsafe { header.work() };
        let entered = self.enter(at.addr(), work.func as usize, &header.stamp);
        here.running.begin(at, work.func as *const ());
        let op = Op::of(header.state.unlock_seen(cpu, seen));
        // SAFETY: by I6, this claim's one call.
        if let Err(panic) = P::catch(|| unsafe { (work.func)(work.arg, op) }) {
            self.note_panic(panic);
        }
        self.exit(at.addr(), work.func as usize, entered);
        here.running.end();
    }

    /// Does with a call what is not done with an asynchronous csd: runs a detached one, moves a blocking one to its list.
    ///
    /// # Safety
    ///
    /// `header`, whose word is `seen`, was taken off this CPU's queue, and is let go of once.
    #[cold]
    unsafe fn run_uncommon(&self, cpu: u32, here: &PerCpu, header: &Header, seen: Snapshot) {
        if P::BLOCKING_CALLS && seen.is_blocking() {
            header.state.set_dequeued();
            // SAFETY: the caller's promise; its caller waits until it is completed (I5); a flush holds the guard.
            unsafe { here.own.add_blocking(header) };
            let sleeper = if P::PARKS { here.own.sleeper() } else { None };
            match sleeper {
                Some(waiter) => self.platform.wake(waiter),
                // Any thread may have flushed; the doorbell's handler is who tells the one that is bound here.
                None if P::MIGRATES => _ = self.ring(cpu),
                None => {}
            }
        } else if seen.is_no_csd() {
            // SAFETY: the caller's promise.
            unsafe { self.take_entry(here, header) };
        } else if P::PARKS && seen.is_wake() {
            self.run_wake(cpu, here, header, seen);
        } else {
            // SAFETY: the caller's promise; there is no other kind.
            unsafe { self.run_detached(cpu, here, header) };
        }
    }

    /// Runs a detached call: its slot is free again before its function starts (P5).
    ///
    /// # Safety
    ///
    /// `header` is that of a detached call, was taken off this CPU's queue, and is run once.
    #[cold]
    unsafe fn run_detached(&self, cpu: u32, here: &PerCpu, header: &Header) {
        // SAFETY: the fields are ours until the unlock (I2).
        let work = unsafe { header.work() };
        // SAFETY: as above (I12).
        let payload = unsafe { unpack(&work) };
        let (csd, func) = (header.name(), work.func as usize);
        let entered = self.enter(csd, func, &header.stamp);
        here.running.begin(header, work.func as *const ());
        let _ = header.state.unlock(cpu);
        // SAFETY: by I6; it takes the copy for what it is.
        if let Err(panic) = P::catch(|| unsafe { (work.func)(payload.as_ptr().cast(), Op::RUN) }) {
            self.note_panic(panic);
        }
        self.exit(csd, func, entered);
        here.running.end();
    }

    /// Target: lets go of a wake that it took off its queue, and then wakes (I25). It is no run: nobody posted it, and
    /// nothing is traced.
    fn run_wake(&self, cpu: u32, here: &PerCpu, header: &Header, seen: Snapshot) {
        let _ = header.state.unlock_seen(cpu, seen);
        // For the watchdog: the queue moves.
        here.running.end();
        self.platform.wake(seen.waiter());
    }

    /// Completes a call that somebody waits for, and wakes its caller if that sleeps. The header is not to be touched afterwards
    /// (I4).
    #[inline(always)]
    pub(in crate::smp) fn complete(&self, header: &Header) {
        if P::PARKS {
            // The word names the waiter: afterwards the frame may be gone.
            let before = header.state.complete();
            if before.is_parked() {
                self.platform.wake(before.waiter());
            }
        } else {
            header.state.complete_spinning();
        }
    }

    /// A function is about to start, whose csd this CPU has not let go of. Gives back what `exit` wants.
    #[inline(always)]
    pub(in crate::smp) fn enter(&self, csd: usize, func: usize, stamp: &Stamp) -> Option<Queued> {
        let queued = P::STAMPS.then(|| stamp.read(self.platform.now_ns()));
        trace!(self, EventKind::Entry { csd, func, queued_ns: queued.map(|queued| queued.ns) });
        queued
    }

    #[inline(always)]
    pub(in crate::smp) fn exit(&self, csd: usize, func: usize, entered: Option<Queued>) {
        trace!(self, EventKind::Exit { csd, func, ran_ns: self.since(entered) });
    }

    #[inline(always)]
    fn since(&self, entered: Option<Queued>) -> Option<u64> {
        entered.map(|entered| self.platform.now_ns().saturating_sub(entered.now_ns))
    }
}
