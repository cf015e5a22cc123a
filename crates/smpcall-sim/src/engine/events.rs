//! What arrives by itself, at a step or at a time.

use super::{Block, Engine, STEP_NS};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is due at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A doorbell arrives.
    Ring(usize),
    /// A device's interrupt arrives at a CPU.
    Irq(usize, usize),
    /// An NMI arrives at a CPU.
    Nmi(usize, usize),
    /// A CPU is taken off.
    Stop(usize),
    /// And goes on.
    Resume(usize),
    /// Faults end.
    Heal,
    /// Who is not stuck should have ended.
    Judge,
}

/// What is to come.
#[derive(Default)]
pub(super) struct Agenda {
    due: RefCell<BinaryHeap<Reverse<(u64, u64, Due)>>>,
    next: Cell<u64>,
    timers: RefCell<BinaryHeap<Reverse<(u64, usize)>>>,
    number: Cell<u64>,
}

impl Agenda {
    pub(super) fn clear(&self) {
        self.due.borrow_mut().clear();
        self.timers.borrow_mut().clear();
        self.next.set(u64::MAX);
        self.number.set(0);
    }

    fn add(&self, step: u64, what: Due) {
        self.number.set(self.number.get() + 1);
        self.due.borrow_mut().push(Reverse((step, self.number.get(), what)));
        self.next.set(self.next.get().min(step));
    }

    fn pop(&self, step: u64) -> Option<Due> {
        let mut due = self.due.borrow_mut();
        let is_due = due.peek().is_some_and(|Reverse((at, ..))| *at <= step);
        let popped = if is_due { due.pop().map(|Reverse((_, _, what))| what) } else { None };
        self.next.set(due.peek().map_or(u64::MAX, |Reverse((at, ..))| *at));
        popped
    }

    /// A time that is centuries away is never: what is left to a limit of `u64::MAX` of a clock that is ahead of the steps'.
    pub(super) fn timer(&self, at_ns: u64, thread: usize) {
        if at_ns < u64::MAX / 2 {
            self.timers.borrow_mut().push(Reverse((at_ns, thread)));
        }
    }
}

impl Engine {
    /// Has something happen that many steps from now.
    pub(crate) fn later(&self, steps: u64, what: Due) {
        self.agenda.add(self.step.get() + steps, what);
    }

    /// Lets arrive what is due.
    pub(super) fn arrivals(&self) {
        while self.agenda.next.get() <= self.step.get()
            && let Some(what) = self.agenda.pop(self.step.get())
        {
            self.arrive(what);
        }
        self.timers_due();
    }

    fn timers_due(&self) {
        loop {
            let mut timers = self.agenda.timers.borrow_mut();
            let Some(Reverse((at_ns, thread))) = timers.peek().copied() else { return };
            if at_ns > self.now_ns.get() {
                return;
            }
            timers.pop();
            drop(timers);
            // Of a sleep that has ended otherwise nothing is left to end.
            if self.block_of(thread) == Block::Asleep(at_ns) || self.block_of(thread) == Block::Parked(at_ns)
            {
                self.unblock(thread);
            }
        }
    }

    fn arrive(&self, what: Due) {
        match what {
            Due::Ring(cpu) => self.rung(cpu),
            Due::Irq(cpu, id) => self.raise(cpu, id, false),
            Due::Nmi(cpu, id) => self.raise(cpu, id, true),
            Due::Stop(thread) => self.set_stopped(thread, true),
            Due::Resume(thread) => self.set_stopped(thread, false),
            Due::Heal => self.call_handlers(|handlers| handlers.heal()),
            Due::Judge => self.call_handlers(|handlers| handlers.judge()),
        }
    }

    /// Nobody is ready: goes on to the next thing that is due, or to the next timer. `false` if there is neither.
    pub(super) fn wait_for_something(&self) -> bool {
        let Some(steps) = self.next_due() else { return false };
        self.pass_time(steps);
        true
    }

    /// All who are ready spin: time passes, faster and faster, until something happens.
    pub(super) fn skip_ahead(&self) {
        const SKIP_STEPS: u64 = 64;
        let times = self.skips.get();
        self.skips.set((times + 1).min(24));
        self.pass_time((SKIP_STEPS << (times / 2)).min(self.next_due().unwrap_or(u64::MAX).max(1)));
    }

    /// In how many steps something is due, or a timer is.
    fn next_due(&self) -> Option<u64> {
        let due_in = match self.agenda.next.get() {
            u64::MAX => None,
            at => Some(at.saturating_sub(self.step.get())),
        };
        let timer = self.agenda.timers.borrow().peek().map(|Reverse((at_ns, _))| *at_ns);
        let timer_in = timer.map(|at_ns| at_ns.saturating_sub(self.now_ns.get()).div_ceil(STEP_NS));
        due_in.into_iter().chain(timer_in).min()
    }

    /// So much time passes in which nobody does anything.
    pub(crate) fn leap(&self, ns: u64) {
        self.pass_time(ns / STEP_NS);
    }

    fn pass_time(&self, steps: u64) {
        self.step.set(self.step.get() + steps);
        self.now_ns.set(self.now_ns.get() + steps * STEP_NS);
        self.arrivals();
    }

    /// Nothing is due any more, and no doorbell is on its way. (Faults have ended.)
    pub(crate) fn cancel_due(&self, keep: impl Fn(Due) -> bool) {
        let mut all: Vec<_> = self.agenda.due.borrow_mut().drain().collect();
        all.retain(|Reverse((_, _, what))| keep(*what));
        self.agenda.next.set(all.iter().map(|Reverse((at, ..))| *at).min().unwrap_or(u64::MAX));
        self.agenda.due.borrow_mut().extend(all);
    }
}
