//! The machine of the model: virtual CPUs, each with a clock of its own, and the one whose clock is least goes on.
//!
//! Each access of the instrumented core is priced ([`super::lines`]) and moves its CPU's clock; then, before the access is
//! made, whoever is earlier has his turn. So accesses are made in the order of their times, and a run is a function of what
//! runs and of the constants: nothing is drawn.
//!
//! A CPU that spins costs the model nothing: if since its last pause it has only looked at lines that it had, nothing can
//! change until somebody takes one of them away, or an interrupt comes; so it sleeps until then, and until its loop would have
//! come round to its next look.
//!
//! # Invariants
//!
//! - **T1** A coroutine is resumed only by [`Machine::run`], and suspends only itself: its yielder is alive while its own code
//!   runs.
//! - **T2** No reference into a `RefCell` of the machine is held over a suspension.

use super::cost::{Cost, Ps, ps};
use super::lines::{Lines, Watcher};
use super::vcpu::Vcpu;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use smpcall_sim_atomics::{self as memory, Access, Hook, Kind, Memory};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Address space; what is not touched takes no memory.
const STACK_BYTES: usize = 64 * 1024;

/// How often a CPU that rests takes interrupts.
const REST_STEP: Ps = 50_000;

/// What an idle CPU's interrupt does.
pub(super) type Handler = std::rc::Rc<dyn Fn()>;
/// What a virtual CPU runs in its thread.
pub(super) type Body = Box<dyn FnOnce()>;
type Virtual = Coroutine<(), (), (), DefaultStack>;

/// The machine of the calling OS thread. One for its life: what points to it needs no proof.
pub(super) struct Machine {
    cost: Cell<Cost>,
    cpus: RefCell<Vec<Vcpu>>,
    lines: RefCell<Lines>,
    ready: RefCell<BinaryHeap<Reverse<(Ps, u32)>>>,
    current: Cell<u32>,
    running: Cell<bool>,
    doorbells: Cell<u64>,
    /// Bodies that have come to their end.
    ended: Cell<usize>,
    handler: RefCell<Option<Handler>>,
    stacks: RefCell<Vec<DefaultStack>>,
}

thread_local! {
    static MACHINE: &'static Machine = Box::leak(Box::new(Machine {
        cost: Cell::new(Cost::default()),
        cpus: RefCell::default(),
        lines: RefCell::new(Lines::new(0)),
        ready: RefCell::default(),
        current: Cell::new(0),
        running: Cell::new(false),
        doorbells: Cell::new(0),
        ended: Cell::new(0),
        handler: RefCell::default(),
        stacks: RefCell::default(),
    }));
}

pub(super) fn machine() -> &'static Machine {
    MACHINE.with(|machine| *machine)
}

/// What is counted of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) transfers: u64,
    pub(super) doorbells: u64,
}

impl Machine {
    /// Runs a body on each virtual CPU, until none can go on. One that has come to its end sleeps, and takes interrupts.
    ///
    /// # Panics
    ///
    /// If a body does not come to its end: that would be a deadlock.
    pub(super) fn run(&'static self, cost: &Cost, bodies: Vec<Body>, handler: Handler) {
        let cpus = bodies.len();
        self.cost.set(*cost);
        self.doorbells.set(0);
        self.ended.set(0);
        *self.lines.borrow_mut() = Lines::new(cpus);
        *self.cpus.borrow_mut() = bodies.iter().map(|_| Vcpu::new()).collect();
        self.handler.replace(Some(handler));
        // Without virtual CPUs the store buffers let everything through at once.
        memory::reset(0);
        let mut virtuals: Vec<Virtual> = bodies.into_iter().map(|body| self.make(body)).collect();
        *self.ready.borrow_mut() = (0..cpus as u32).map(|cpu| Reverse((0, cpu))).collect();
        // SAFETY: no store is ever buffered.
        let simulating = unsafe { memory::enter(self, Memory::Tso) };
        self.running.set(true);
        loop {
            let next = self.ready.borrow_mut().pop();
            let Some(Reverse((_, cpu))) = next else { break };
            self.current.set(cpu);
            let CoroutineResult::Yield(()) = virtuals[cpu as usize].resume(()) else {
                unreachable!("a body's end is a sleep");
            };
        }
        self.running.set(false);
        drop(simulating);
        self.handler.take();
        for mut sleeper in virtuals {
            // SAFETY: a sleeper's stack holds nothing that anybody would miss, and nobody resumes it. One that is not asleep
            // fails the assertion below, and its machine is leaked with it.
            unsafe { sleeper.force_reset() };
            self.stacks.borrow_mut().push(sleeper.into_stack());
        }
        assert_eq!(self.ended.get(), cpus, "all virtual CPUs have come to their end");
    }

    fn make(&'static self, body: Body) -> Virtual {
        let pooled = self.stacks.borrow_mut().pop();
        let stack = pooled.unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("memory for a stack"));
        Coroutine::with_stack(stack, move |yielder, ()| {
            self.here(|cpu| cpu.yielder.set(yielder));
            body();
            self.ended.set(self.ended.get() + 1);
            self.sleep_for_ever()
        })
    }

    fn here<R>(&self, f: impl FnOnce(&Vcpu) -> R) -> R {
        f(&self.cpus.borrow()[self.current.get() as usize])
    }

    fn suspend(&self) {
        let yielder = self.here(|cpu| cpu.yielder.get());
        // SAFETY: by T1 this is the running coroutine's own yielder, and alive.
        unsafe { (*yielder).suspend(()) }
    }

    pub(super) fn current_cpu(&self) -> u32 {
        self.current.get()
    }

    /// The clock of the virtual CPU that runs.
    pub(super) fn now(&self) -> Ps {
        self.here(|cpu| cpu.clock.get())
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { transfers: self.lines.borrow().transfers, doorbells: self.doorbells.get() }
    }

    pub(super) fn irq_save(&self) {
        self.here(|cpu| cpu.irq_off.set(cpu.irq_off.get() + 1));
    }

    pub(super) fn irq_restore(&self) {
        self.here(|cpu| cpu.irq_off.set(cpu.irq_off.get() - 1));
    }

    pub(super) fn may_wait(&self) -> bool {
        self.here(Vcpu::takes_interrupts)
    }

    /// Lets time pass on the virtual CPU that runs.
    pub(super) fn work(&self, time: Ps) {
        self.here(|cpu| {
            cpu.spend(time);
            cpu.changed.set(true);
        });
    }

    /// Interrupts the CPUs `first + n` for each bit `n`.
    pub(super) fn interrupt(&self, first: u32, cpus: usize) {
        let cost = self.cost.get();
        self.here(Vcpu::await_stores);
        let mut rest = cpus;
        while rest != 0 {
            let mut now = cost.ipi_reaches(first, rest);
            rest &= !now;
            self.work(cost.ipi_write());
            while now != 0 {
                self.interrupt_one(first + now.trailing_zeros(), self.now() + ps(cost.flight_ns));
                now &= now - 1;
            }
        }
        self.let_others_in();
    }

    fn interrupt_one(&self, cpu: u32, at: Ps) {
        self.doorbells.set(self.doorbells.get() + 1);
        let cpus = self.cpus.borrow();
        let target = &cpus[cpu as usize];
        // One that is under way already is the same interrupt.
        target.interrupt_at.set(Some(target.interrupt_at.get().map_or(at, |earlier| earlier.min(at))));
        if target.blocked.get() && target.takes_interrupts() {
            self.wake(cpu, target, at);
        }
    }

    fn wake(&self, number: u32, cpu: &Vcpu, at: Ps) {
        cpu.blocked.set(false);
        cpu.clock.set(cpu.clock.get().max(at));
        self.ready.borrow_mut().push(Reverse((cpu.clock.get(), number)));
    }

    /// Whoever spins on a line that was taken away looks again, when its loop has come round to it.
    fn wake_watchers(&self, watchers: Vec<Watcher>, at: Ps) {
        let cpus = self.cpus.borrow();
        for (number, spin) in watchers {
            let cpu = &cpus[number as usize];
            if cpu.blocked.get() && cpu.spin.get() == spin {
                self.wake(number, cpu, cpu.next_look(at));
            }
        }
    }

    /// A waiting caller's pause between two looks.
    pub(super) fn relax(&self) {
        self.pause(1);
    }

    /// A spin's pause: so great a part of a waiting caller's.
    pub(super) fn pause(&self, part: u64) {
        let me = self.current.get();
        self.work_unchanged(ps(self.cost.get().pause_ns) / part);
        let (changed, looked_at, spin) = self.here(|cpu| {
            cpu.begin_spin();
            (cpu.changed.replace(false), std::mem::take(&mut *cpu.looked_at.borrow_mut()), cpu.spin.get())
        });
        let due = self.here(|cpu| cpu.interrupt_at.get().is_some() && cpu.takes_interrupts());
        let still = || {
            let mut lines = self.lines.borrow_mut();
            looked_at.iter().all(|line| lines.watch(*line, (me, spin)))
        };
        if !changed && !due && !looked_at.is_empty() && still() {
            self.block();
        } else {
            self.let_others_in();
        }
        self.take_interrupts();
    }

    /// Does nothing until `at`.
    pub(super) fn idle_until(&self, at: Ps) {
        self.here(|cpu| cpu.clock.set(cpu.clock.get().max(at)));
        self.let_others_in();
    }

    /// Runs something else for a time, with interrupts on.
    pub(super) fn rest(&self, time: Ps) {
        let until = self.now() + time;
        while self.now() < until {
            self.work(REST_STEP);
            self.take_interrupts();
            self.let_others_in();
        }
    }

    fn work_unchanged(&self, time: Ps) {
        self.here(|cpu| cpu.spend(time));
    }

    fn block(&self) {
        self.here(|cpu| cpu.blocked.set(true));
        self.suspend();
        self.here(|cpu| cpu.changed.set(true));
    }

    /// An idle CPU: sleeps, and takes interrupts.
    fn sleep_for_ever(&self) -> ! {
        loop {
            if self.here(|cpu| cpu.interrupt_at.get().is_none()) {
                self.block();
            }
            let at = self.here(|cpu| cpu.interrupt_at.get().unwrap_or(0).max(cpu.clock.get()));
            self.here(|cpu| cpu.clock.set(at));
            self.take_interrupts();
        }
    }

    /// Runs the handler of an interrupt that has arrived.
    fn take_interrupts(&self) {
        let due = |cpu: &Vcpu| {
            cpu.takes_interrupts() && cpu.interrupt_at.get().is_some_and(|at| at <= cpu.clock.get())
        };
        while self.here(due) {
            self.here(|cpu| {
                cpu.interrupt_at.set(None);
                cpu.in_interrupt.set(true);
            });
            self.work(ps(self.cost.get().entry_ns));
            let handler = self.handler.borrow().clone().expect("there is one while it runs");
            handler();
            self.work(ps(self.cost.get().exit_ns));
            self.here(|cpu| cpu.in_interrupt.set(false));
        }
    }

    /// Whoever is earlier goes on first.
    fn let_others_in(&self) {
        let (me, now) = (self.current.get(), self.now());
        let earlier = self.ready.borrow().peek().is_some_and(|Reverse(next)| *next < (now, me));
        if earlier {
            self.ready.borrow_mut().push(Reverse((now, me)));
            self.suspend();
        }
    }

    /// The virtual CPU that runs asks for the line of `at`, to write it later.
    pub(super) fn prefetch(&self, at: *const ()) {
        let (me, cost) = (self.current.get(), self.cost.get());
        let asked = self.lines.borrow_mut().access(&cost, me, self.now(), at.addr() / 64, Kind::Write);
        self.work_unchanged(ps(cost.hit_ns));
        if !asked.wake.is_empty() {
            self.wake_watchers(asked.wake, asked.lost_at);
        }
    }

    /// Prices an access in the order of time: whoever is earlier goes first, before it is priced and before it is made. So nobody
    /// takes the line away in between.
    fn price(&self, access: Access) {
        if access.kind == Kind::Rmw {
            self.here(Vcpu::await_stores);
        }
        self.let_others_in();
        self.price_now(access);
        self.let_others_in();
    }

    fn price_now(&self, access: Access) {
        let me = self.current.get();
        let cost = self.cost.get();
        let now = self.now();
        let asks_at = self.here(|cpu| cpu.asks_at(access.kind));
        let accessed = self.lines.borrow_mut().access(&cost, me, asks_at, access.line, access.kind);
        self.here(|cpu| {
            cpu.goes_on(access.kind, accessed.at, ps(cost.hit_ns));
            if accessed.changed {
                cpu.changed.set(true);
            }
            if access.kind == Kind::Load {
                cpu.looked_at.borrow_mut().push(access.line);
            }
        });
        if !accessed.wake.is_empty() {
            // Not in the past of those who have gone on meanwhile.
            self.wake_watchers(accessed.wake, accessed.lost_at.max(now));
        }
    }
}

impl Hook for Machine {
    fn before(&self, access: Access) {
        if !self.running.get() {
            return;
        }
        match access.kind {
            Kind::Own | Kind::Fence => self.work_unchanged(ps(self.cost.get().hit_ns)),
            // Memory that is no atomic: a price, and no place for an interrupt.
            Kind::Read | Kind::Write => self.price(access),
            Kind::Load | Kind::Store | Kind::Rmw => {
                self.take_interrupts();
                self.price(access);
            }
        }
    }
}
