//! The target's side: take the list, run it oldest first, and leave so that no doorbell is missed.

mod singly;

use self::singly::Singly;
use super::Smp;
use crate::csd::{Header, Op};
use crate::multicast::Slot;
use crate::percpu::{Batch, PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::{List, Rest, Seen};
use crate::relay::Relay;
use crate::stamp::{Queued, Stamp};
use crate::trace::{EventKind, trace};
use core::num::NonZeroU32;

/// How often a CPU that polls lets posts come together before it runs them.
const GATHERINGS_MAX: u32 = 4;

/// How many functions a flush may run before it lets its CPU do something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(NonZeroU32);

impl Budget {
    /// For an interrupt handler or an event loop: 256 functions.
    pub const DEFAULT: Self = Self::calls(NonZeroU32::new(256).unwrap());

    /// That many functions.
    pub const fn calls(calls: NonZeroU32) -> Self {
        Self(calls)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a flush came to.
#[must_use = "`More` means that a polling loop must flush again"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Everything that was there has run: that many functions.
    All(u32),
    /// The budget, that many functions, is used up, and there is more. A CPU that polls flushes again soon; any other
    /// has rung itself.
    More(u32),
    /// The CPU is in call context already: the flush that is under way will see to it.
    Nested,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs what was posted to the CPU that runs the caller, oldest first, and calls that somebody waits for before the
    /// others (P6).
    ///
    /// To be called from the doorbell's interrupt handler, after it was acknowledged, and from the idle or event loop.
    /// Looks first: on an empty queue it costs two loads and writes nothing. Takes lazy posts along, once; calls that may block
    /// it hands to the CPU's thread, for [`Smp::run_blocking`], and counts them as run.
    ///
    /// Context: thread or interrupt of a CPU of this machine, not an NMI; from call context it returns at once. The
    /// functions run with the irq guard held. Progress: at most `budget` functions.
    ///
    /// # Panics
    ///
    /// If the caller is no CPU of this machine.
    #[inline]
    pub fn flush(&self, budget: Budget) -> Flushed {
        let irq = IrqGuard::new(&self.platform);
        let cpu = self.platform.current_cpu().unwrap_or(u32::MAX);
        // (As an index: for an option LLVM computes the place twice.)
        assert!((cpu as usize) < self.cpus().len(), "flush is for a CPU of this machine");
        let here = &self.cpus()[cpu as usize];
        if here.own.in_call() {
            return Flushed::Nested;
        }
        let mut left = budget.0.get();
        let flushed = self.run_queue(cpu, here, &mut left);
        drop(irq);
        let ran = budget.0.get() - left;
        if flushed { Flushed::All(ran) } else { Flushed::More(ran) }
    }

    /// Runs until the queue is empty (`true`) or the budget is used up (`false`): an interrupt's flush by the short way as long
    /// as that leads on.
    #[inline]
    fn run_queue(&self, cpu: u32, here: &PerCpu, left: &mut u32) -> bool {
        let own = &*here.own;
        if own.polling() || own.has_left_over() {
            return self.run_batches(cpu, here, left, own.take_left_over(), true);
        }
        match self.run_singly(cpu, here, left) {
            Singly::All => true,
            Singly::Further { batch, lazy } => self.run_batches(cpu, here, left, batch, lazy),
        }
    }

    /// As [`Self::run_queue`], from `batch` on. `lazy`: the lazy ones were not taken yet.
    #[inline(never)]
    fn run_batches(&self, cpu: u32, here: &PerCpu, left: &mut u32, mut batch: Batch, mut lazy: bool) -> bool {
        let own = &*here.own;
        let mut flood = false;
        loop {
            if batch.is_empty() {
                let list = self.take_list(here, flood);
                // Not a second time: what came in between would be put in front of what came before (P6).
                batch = self.open(here, list, core::mem::take(&mut lazy));
                // What is there when a batch has just run came while it ran.
                flood = own.polling();
            }
            if batch.is_empty() {
                // Nothing there. A polling CPU stays POLLING; any other must say that it looks no more, and look again
                // if somebody was faster.
                if own.polling() || here.mailbox.head.rest() == Rest::Resting {
                    return true;
                }
                continue;
            }
            if *left == 0 {
                own.leave_over(batch);
                if !own.polling() {
                    // The head stays as it is, POLLING or a list, so nobody else will ring.
                    self.ring_oneself(cpu, here);
                }
                return false;
            }
            batch = self.run_batch(cpu, here, batch, left);
        }
    }

    /// What a flush has taken, in the order in which it is to run; with the lazy ones, if these are wanted.
    #[inline]
    fn open(&self, here: &PerCpu, list: Option<List>, lazy: bool) -> Batch {
        let mut batch = list.map_or(Batch::EMPTY, |list| self.unfold(here, list));
        // With a list that is called, they came out of `unfold`.
        if lazy && !list.is_some_and(List::is_called) {
            self.add_lazy(here, &mut batch);
        }
        batch
    }

    /// Takes what is queued. `flood`: it came while other calls ran, and more may be on its way.
    #[inline]
    fn take_list(&self, here: &PerCpu, flood: bool) -> Option<List> {
        here.mailbox.head.take(|list| {
            self.platform.prefetch_write(list.newest().cast());
            if flood {
                self.gather(here, list);
            }
        })
    }

    /// What a list holds, in the order in which it is to run: oldest first, waiting calls apart from the others; and, if it is
    /// called, the lazy ones.
    #[inline]
    pub(super) fn unfold(&self, here: &PerCpu, list: List) -> Batch {
        let mut batch = self.reverse(list.newest());
        if list.is_called() {
            batch.slots = here.mailbox.callers.take(&here.running.taken);
        }
        self.trace_batch(&batch);
        if list.is_called() {
            self.add_lazy(here, &mut batch);
        }
        batch
    }

    /// Lets a flood of posts come together, on a CPU that polls: as long as each short pause brings another call that nobody
    /// waits for, up to [`GATHERINGS_MAX`]. Else poster and target would pass the head's line to and fro for every post.
    #[inline]
    fn gather(&self, here: &PerCpu, mut list: List) {
        for _ in 0..GATHERINGS_MAX {
            if list.is_awaited() {
                return;
            }
            self.platform.gather();
            match here.mailbox.head.look() {
                Seen::List(newer) if newer != list => list = newer,
                _ => return,
            }
        }
    }

    /// Turns a list round that was taken off a head.
    #[inline]
    pub(super) fn reverse(&self, newest: *const Header) -> Batch {
        let mut batch = Batch::EMPTY;
        let mut at = newest;
        while !at.is_null() {
            // SAFETY: whatever is linked in a queue is alive (I5), and `take` made its fields ours (I2).
            let header = unsafe { &*at };
            // SAFETY: as above.
            let next = unsafe { header.next() };
            let side = if header.state.look_racy().is_sync() { &mut batch.sync } else { &mut batch.r#async };
            if next != *side {
                // SAFETY: as above. Left out where nothing changes: a write takes the line away from its poster.
                unsafe { header.set_next(*side) };
            }
            *side = at;
            at = next;
        }
        batch
    }

    /// Runs a batch, as far as the budget goes, and returns what is left of it.
    #[inline]
    pub(super) fn run_batch(&self, cpu: u32, here: &PerCpu, mut batch: Batch, left: &mut u32) -> Batch {
        here.own.set_in_call(true);
        while *left > 0 {
            *left -= 1;
            if !batch.sync.is_null() {
                let at = batch.sync;
                // SAFETY: the batch's headers are alive and ours (I5, I2).
                batch.sync = unsafe { (*at).next() };
                // SAFETY: as above; it is off the batch, so this is its one run.
                unsafe { self.run_sync(here, at) };
            } else if batch.slots != 0 {
                let at = self.slots.oldest(batch.slots);
                batch.slots &= !(1 << at);
                // SAFETY: we took its bit, which is off the batch now, so this is its one answer (I11).
                unsafe { self.run_slot(cpu, here, at) };
            } else if !batch.r#async.is_null() {
                let at = batch.r#async;
                // SAFETY: as for waiting calls.
                batch.r#async = unsafe { (*at).next() };
                // SAFETY: as above.
                unsafe { self.run_async(cpu, here, at) };
            } else {
                *left += 1;
                break;
            }
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
    unsafe fn run_sync(&self, here: &PerCpu, at: *const Header) {
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

    /// Completes a call that somebody waits for, and wakes its caller if that sleeps. The header is not to be touched afterwards
    /// (I4).
    #[inline(always)]
    pub(super) fn complete(&self, header: &Header) {
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

    /// Runs an asynchronous call: free again before its function starts (P5).
    ///
    /// # Safety
    ///
    /// As for [`Self::run_sync`].
    #[inline(always)]
    unsafe fn run_async(&self, cpu: u32, here: &PerCpu, at: *const Header) {
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

    /// A batch was taken, or nothing. Its length is counted only where somebody listens.
    #[inline(always)]
    pub(super) fn trace_batch(&self, batch: &Batch) {
        if !P::TRACES || batch.is_empty() {
            return;
        }
        let mut len = batch.slots.count_ones();
        for mut at in [batch.sync, batch.r#async] {
            while !at.is_null() {
                len += 1;
                // SAFETY: the batch's headers are alive and ours (I5, I2).
                at = unsafe { (*at).next() };
            }
        }
        trace!(self, EventKind::Batch { len });
    }

    /// A function is about to start, whose csd this CPU has not let go of. Gives back what `exit` wants.
    #[inline(always)]
    pub(super) fn enter(&self, csd: usize, func: usize, stamp: &Stamp) -> Option<Queued> {
        let queued = stamp.read(&self.platform);
        trace!(self, EventKind::Entry { csd, func, queued_ns: queued.map(|queued| queued.ns) });
        queued
    }

    #[inline(always)]
    pub(super) fn exit(&self, csd: usize, func: usize, entered: Option<Queued>) {
        trace!(self, EventKind::Exit { csd, func, ran_ns: self.since(entered) });
    }

    #[inline(always)]
    fn since(&self, entered: Option<Queued>) -> Option<u64> {
        entered.map(|entered| self.platform.now_ns().saturating_sub(entered.now_ns))
    }

    /// Runs a multicast's function, and answers it.
    ///
    /// # Safety
    ///
    /// This CPU owes slot `at` an answer (I11).
    #[inline(always)]
    unsafe fn run_slot(&self, cpu: u32, here: &PerCpu, at: u32) {
        match self.relay(cpu, at) {
            // SAFETY: the caller's promise.
            Some(relay) => unsafe { self.run_slot_of_a_group(cpu, here, at, relay) },
            None => {
                // SAFETY: the caller's promise.
                let slot = unsafe { self.run_function_of(here, at) };
                self.strike(here, at, slot.answer());
            }
        }
    }

    /// As [`Self::run_slot`], after passing it on to those who were left to this CPU.
    ///
    /// # Safety
    ///
    /// As for [`Self::run_slot`].
    #[inline(never)]
    unsafe fn run_slot_of_a_group(&self, cpu: u32, here: &PerCpu, at: u32, relay: &Relay) {
        self.pass_on(relay, cpu, at);
        // SAFETY: the caller's promise.
        let slot = unsafe { self.run_function_of(here, at) };
        let answers_for_all = !relay.is_in_use() || relay.answer();
        self.strike(here, at, if answers_for_all { slot.answer() } else { None });
    }

    /// # Safety
    ///
    /// As for [`Self::run_slot`].
    #[inline(always)]
    unsafe fn run_function_of(&self, here: &PerCpu, at: u32) -> &Slot {
        let slot = self.slots.get(at);
        // SAFETY: the caller's promise.
        let run = unsafe { slot.run() };
        let (csd, func) = (slot.as_header().addr(), run as usize);
        let entered = self.enter(csd, func, slot.stamp());
        here.running.begin(slot.as_header(), run as *const ());
        // SAFETY: by I10 it finds in the slot what it was filled for, until we answer.
        if let Err(panic) = P::catch(|| unsafe { run(slot) }) {
            self.note_panic(panic);
        }
        self.exit(csd, func, entered);
        slot
    }

    /// After an answer to slot `at`, which may be somebody else's by now.
    #[inline(always)]
    fn strike(&self, here: &PerCpu, at: u32, waiter: Option<u16>) {
        here.running.taken.strike(at);
        if let Some(waiter) = waiter {
            self.platform.wake(waiter);
        }
        here.running.end();
    }
}
