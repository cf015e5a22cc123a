//! The virtual CPUs, and the threads that are none: who is ready, who sleeps until when, who was stopped.

use super::Engine;
use crate::history::Level;
use corosensei::Yielder;
use smpcall_sim_atomics::Channel;
use std::cell::Cell;

/// Why a virtual CPU does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// It does.
    Ready,
    /// It sleeps on its doorbell, at most until then.
    Asleep(u64),
    /// Its waiting call parks, at most until then.
    Parked(u64),
    /// It waits for the scenario.
    Gate,
    /// It has ended.
    Done,
}

/// How far a CPU's own ring is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnRing {
    None,
    /// It was sent.
    Sent,
    /// And the CPU's thread has begun a step since.
    Turn,
}

/// A virtual CPU, or a thread that is none.
pub(crate) struct Thread {
    /// A CPU's own thread, which is bound to it.
    pub(super) is_cpu: bool,
    /// The CPU that it is on.
    pub(super) on: Cell<Option<usize>>,
    /// How deep it keeps others off that CPU.
    pub(super) holds: Cell<u32>,
    /// At one in so many steps it is moved; 0: never.
    pub(super) wanders: Cell<u32>,
    /// Where it goes on after its next pause in a wait.
    pub(super) goes_to: Cell<Option<usize>>,
    /// Of the CPU of this number: who keeps others off it, and who did so last.
    pub(super) holder: Cell<Option<usize>>,
    pub(super) last_holder: Cell<usize>,
    pub(super) yielder: Cell<*const Yielder<(), ()>>,
    pub(super) block: Cell<Block>,
    /// The hypervisor has taken it off, or the scenario has stuck it.
    pub(super) stopped: Cell<bool>,
    /// How deep interrupts are off.
    pub(super) irq_off: Cell<u32>,
    pub(super) in_irq: Cell<bool>,
    pub(super) in_nmi: Cell<bool>,
    /// How deep it runs functions of the core's.
    pub(super) in_run: Cell<u32>,
    /// The doorbell's latch.
    pub(super) rung: Cell<bool>,
    /// A ring of its own that waits until it has had a turn ([`Engine::rung_by_itself`]).
    pub(super) own_ring: Cell<OwnRing>,
    /// The waiting caller's latch.
    pub(super) woken: Cell<bool>,
    /// What those knew who set the one latch, and the other.
    pub(super) rung_by: Channel,
    pub(super) woken_by: Channel,
    /// Interrupts of devices and NMIs that have arrived: a bit mask would not say which, so the first of each.
    pub(super) irq: Cell<Option<usize>>,
    pub(super) nmi: Cell<Option<usize>>,
}

impl Thread {
    pub(super) fn new(number: usize, is_cpu: bool) -> Self {
        Self {
            is_cpu,
            on: Cell::new(is_cpu.then_some(number)),
            holds: Cell::new(0),
            wanders: Cell::new(0),
            goes_to: Cell::new(None),
            holder: Cell::new(None),
            last_holder: Cell::new(number),
            yielder: Cell::new(std::ptr::null()),
            block: Cell::new(Block::Ready),
            stopped: Cell::new(false),
            irq_off: Cell::new(0),
            in_irq: Cell::new(false),
            in_nmi: Cell::new(false),
            in_run: Cell::new(0),
            rung: Cell::new(false),
            own_ring: Cell::new(OwnRing::None),
            woken: Cell::new(false),
            rung_by: Channel::default(),
            woken_by: Channel::default(),
            irq: Cell::new(None),
            nmi: Cell::new(None),
        }
    }

    /// Whether the thread itself goes on, and no handler on its stack.
    pub(super) fn has_its_turn(&self) -> bool {
        !self.in_irq.get() && !self.in_nmi.get()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.block.get() == Block::Ready && !self.stopped.get()
    }

    fn level(&self) -> Level {
        match () {
            () if self.in_nmi.get() => Level::Nmi,
            () if self.in_run.get() > 0 => Level::Call,
            () if self.in_irq.get() => Level::Irq,
            () => Level::Thread,
        }
    }
}

impl Engine {
    /// Reads something of the running virtual CPU.
    #[inline]
    pub(super) fn here<R>(&self, f: impl FnOnce(&Thread) -> R) -> R {
        f(&self.threads.borrow()[self.current.get()])
    }

    #[inline]
    pub(super) fn of<R>(&self, thread: usize, f: impl FnOnce(&Thread) -> R) -> R {
        f(&self.threads.borrow()[thread])
    }

    /// The number of the running virtual CPU, or thread that is none.
    pub(crate) fn me(&self) -> usize {
        self.current.get()
    }

    /// As the port says it: `None` for a thread that is no CPU.
    #[inline]
    pub(crate) fn cpu(&self) -> Option<u32> {
        self.here(|here| here.on.get().map(|cpu| cpu as u32))
    }

    pub(crate) fn level(&self) -> Level {
        self.here(Thread::level)
    }

    pub(crate) fn can_wait(&self) -> bool {
        self.here(|here| here.irq_off.get() == 0 && !here.in_irq.get() && !here.in_nmi.get())
    }

    /// Runs a function of the core's: call context.
    pub(crate) fn in_run<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave(usize);
        impl Drop for Leave {
            fn drop(&mut self) {
                super::engine().of(self.0, |thread| thread.in_run.set(thread.in_run.get() - 1));
            }
        }
        self.here(|here| here.in_run.set(here.in_run.get() + 1));
        let _leave = Leave(self.me());
        f()
    }

    /// Whether interrupts of the running virtual CPU are off.
    pub(crate) fn irqs_are_off(&self) -> bool {
        self.here(|here| here.irq_off.get() > 0 || here.in_irq.get() || here.in_nmi.get())
    }

    /// Whether a thread has ended, sleeps on its doorbell, or is otherwise at rest.
    pub(crate) fn block_of(&self, thread: usize) -> Block {
        self.of(thread, |thread| thread.block.get())
    }

    pub(crate) fn is_stopped(&self, thread: usize) -> bool {
        self.of(thread, |thread| thread.stopped.get())
    }

    pub(super) fn block(&self, thread: usize, block: Block) {
        self.of(thread, |one| one.block.set(block));
        self.list(thread);
    }

    /// Takes a CPU off, or lets it go on.
    pub(crate) fn set_stopped(&self, thread: usize, stopped: bool) {
        self.of(thread, |one| one.stopped.set(stopped));
        self.list(thread);
    }

    /// Stops the running virtual CPU until somebody else lets it go on.
    pub(crate) fn stick(&self) {
        let me = self.me();
        self.set_stopped(me, true);
        self.go_on_elsewhere(me);
    }

    /// Puts a thread on the list of those that are ready, or takes it off.
    fn list(&self, thread: usize) {
        let is_ready = self.of(thread, Thread::is_ready);
        let mut ready = self.ready.borrow_mut();
        match (ready.iter().position(|one| *one == thread), is_ready) {
            (Some(at), false) => _ = ready.swap_remove(at),
            (None, true) => ready.push(thread),
            (Some(_), true) | (None, false) => {}
        }
    }

    /// Lets a thread go on that sleeps or parks.
    pub(super) fn unblock(&self, thread: usize) {
        if !matches!(self.block_of(thread), Block::Ready | Block::Done) {
            self.block(thread, Block::Ready);
        }
    }

    /// The running virtual CPU sleeps until its doorbell rings, or until then. Returns whether it rang.
    pub(crate) fn sleep(&self, until_ns: u64) -> bool {
        self.point(super::PORT);
        let me = self.me();
        self.deliver_own_ring();
        // With interrupts off they may be there already, and end the sleep.
        if !self.here(|here| here.rung.get() || here.irq.get().is_some() || here.nmi.get().is_some()) {
            self.block_until(me, Block::Asleep(until_ns), until_ns);
        }
        let rung = self.here(|here| here.rung.get());
        if rung && !self.has_interrupts() {
            self.acknowledge();
        }
        self.let_interrupts_in();
        rung
    }

    /// A waiting caller sleeps until it is woken, or rung, or until then.
    pub(crate) fn park(&self, until_ns: u64) {
        self.point(super::PORT);
        let me = self.me();
        self.deliver_own_ring();
        let awake = |here: &Thread| here.woken.get() || (here.is_cpu && here.rung.get());
        if !self.here(awake) {
            self.block_until(me, Block::Parked(until_ns), until_ns);
        }
        self.here(|here| here.woken.set(false));
        if !self.has_interrupts() && self.here(|here| here.rung.get()) {
            self.acknowledge();
        }
        self.here(|here| here.woken_by.receive());
        self.let_interrupts_in();
    }

    fn block_until(&self, me: usize, block: Block, until_ns: u64) {
        self.without_cpu(|| {
            self.agenda.timer(until_ns, me);
            self.block(me, block);
            self.go_on_elsewhere(me);
        });
    }

    /// The running thread waits for [`Self::open`].
    pub(crate) fn gate(&self) {
        let me = self.me();
        self.block(me, Block::Gate);
        self.go_on_elsewhere(me);
    }

    /// Lets a thread go on that waits at its gate.
    pub(crate) fn open(&self, thread: usize) {
        if self.block_of(thread) == Block::Gate {
            self.block(thread, Block::Ready);
        }
    }

    /// Wakes a waiting caller.
    pub(crate) fn wake(&self, thread: usize) {
        self.of(thread, |thread| thread.woken.set(true));
        if matches!(self.block_of(thread), Block::Parked(_)) {
            self.unblock(thread);
        }
    }

    /// The sender's half of a doorbell: what it has written is visible to the handler, whenever that comes.
    pub(crate) fn send_ring(&self, cpu: usize) {
        self.of(cpu, |thread| thread.rung_by.send());
    }

    /// The same of a wake-up.
    pub(crate) fn send_wake(&self, thread: usize) {
        self.of(thread, |thread| thread.woken_by.send());
    }

    /// The running thread has been woken, and has not slept: it looks at what it was woken for.
    pub(crate) fn receive_wakes(&self) {
        self.here(|here| {
            here.woken_by.receive();
            here.rung_by.receive();
        });
    }

    /// The doorbell of a CPU has arrived there.
    pub(crate) fn rung(&self, cpu: usize) {
        self.mix(0xb000 | cpu as u64);
        self.of(cpu, |thread| thread.rung.set(true));
        if matches!(self.block_of(cpu), Block::Asleep(_) | Block::Parked(_)) {
            self.unblock(cpu);
        }
    }

    /// The doorbell that a CPU has rung itself, since its flush has stopped at its budget: it arrives when the CPU's thread has had a
    /// step, or at once if that does not go on by itself just now.
    pub(crate) fn rung_by_itself(&self, cpu: usize) {
        if cpu == self.me() {
            self.mix(0xe000 | cpu as u64);
            self.here(|here| here.own_ring.set(OwnRing::Sent));
        } else {
            self.rung(cpu);
        }
    }

    /// The running thread is about to take a step. The first one that it begins after its own ring is its turn.
    pub(super) fn turn(&self) {
        let own_ring =
            self.here(|here| if here.has_its_turn() { here.own_ring.get() } else { OwnRing::None });
        match own_ring {
            OwnRing::None => {}
            OwnRing::Sent => self.here(|here| here.own_ring.set(OwnRing::Turn)),
            OwnRing::Turn => self.deliver_own_ring(),
        }
    }

    /// It has had its turn, or goes to sleep.
    fn deliver_own_ring(&self) {
        if self.here(|here| here.own_ring.replace(OwnRing::None)) != OwnRing::None {
            self.rung(self.me());
        }
    }

    /// Ends a CPU's sleep without a doorbell.
    pub(crate) fn rouse(&self, cpu: usize) {
        if matches!(self.block_of(cpu), Block::Asleep(_)) {
            self.unblock(cpu);
        }
    }
}
