//! One virtual CPU of the model: its clock, and what of it is under way.
//!
//! Loads one after another are under way at the same time, since real cores do not wait for one before they begin the next. That
//! holds for atomics only, whose addresses are known beforehand; a look into an entry of a list ([`Kind::Read`]) waits for the
//! one before. A store waits for nothing: it is in the store buffer until its line has come, and only a read-modify-write, or an
//! interrupt that is sent, waits for that. Nobody sees it earlier: whoever looks has to wait for the line.

use super::cost::Ps;
use corosensei::Yielder;
use smpcall_sim_atomics::Kind;
use std::cell::{Cell, RefCell};

/// One virtual CPU.
pub(super) struct Vcpu {
    pub(super) clock: Cell<Ps>,
    /// When an interrupt that was sent to it arrives.
    pub(super) interrupt_at: Cell<Option<Ps>>,
    pub(super) irq_off: Cell<u32>,
    pub(super) in_interrupt: Cell<bool>,
    /// It sleeps, or spins on lines that nobody has touched.
    pub(super) blocked: Cell<bool>,
    /// Which of its spins it is in, when that began, and how long one takes.
    pub(super) spin: Cell<u64>,
    pub(super) spins_since: Cell<Ps>,
    pub(super) spin_time: Cell<Ps>,
    /// Lines that it has looked at since its last pause.
    pub(super) looked_at: RefCell<Vec<usize>>,
    /// It has done more than to look at what it had.
    pub(super) changed: Cell<bool>,
    /// Since when it has done nothing but loads of different lines, which are under way at the same time.
    pub(super) loads_since: Cell<Option<Ps>>,
    /// When all that it has stored has got to where it is to be.
    pub(super) stored_at: Cell<Ps>,
    pub(super) yielder: Cell<*const Yielder<(), ()>>,
}

impl Vcpu {
    pub(super) fn new() -> Self {
        Self {
            clock: Cell::new(0),
            interrupt_at: Cell::new(None),
            irq_off: Cell::new(0),
            in_interrupt: Cell::new(false),
            blocked: Cell::new(false),
            spin: Cell::new(0),
            spins_since: Cell::new(0),
            spin_time: Cell::new(0),
            looked_at: RefCell::default(),
            changed: Cell::new(true),
            loads_since: Cell::new(None),
            stored_at: Cell::new(0),
            yielder: Cell::new(std::ptr::null()),
        }
    }

    pub(super) fn takes_interrupts(&self) -> bool {
        self.irq_off.get() == 0 && !self.in_interrupt.get()
    }

    /// Lets time pass that it spends on instructions.
    pub(super) fn spend(&self, time: Ps) {
        self.clock.set(self.clock.get() + time);
        self.loads_since.set(None);
    }

    /// Until all that it has stored is where it is to be.
    pub(super) fn await_stores(&self) {
        self.clock.set(self.clock.get().max(self.stored_at.get()));
    }

    /// A spin has ended, and the next begins.
    pub(super) fn begin_spin(&self) {
        let now = self.clock.get();
        self.spin.set(self.spin.get() + 1);
        self.spin_time.set(now - self.spins_since.replace(now));
    }

    /// When its loop comes round to its next look, at `at` or later.
    pub(super) fn next_look(&self, at: Ps) -> Ps {
        let (since, each) = (self.spins_since.get(), self.spin_time.get().max(1));
        since + at.saturating_sub(since).div_ceil(each) * each
    }

    /// When an access asks for its line: a load when the first of the loads before it did, since they are under way together.
    pub(super) fn asks_at(&self, kind: Kind) -> Ps {
        let now = self.clock.get();
        match (kind, self.loads_since.take()) {
            (Kind::Load, since) => {
                self.loads_since.set(since.or(Some(now)));
                since.unwrap_or(now)
            }
            _ => now,
        }
    }

    /// Goes on after an access that is done at `done`, and takes its instruction `hit`.
    pub(super) fn goes_on(&self, kind: Kind, done: Ps, hit: Ps) {
        let next = self.clock.get() + hit;
        if matches!(kind, Kind::Store | Kind::Write) {
            self.clock.set(next);
            self.stored_at.set(self.stored_at.get().max(done));
        } else {
            self.clock.set(done.max(next));
        }
    }
}
