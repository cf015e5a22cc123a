//! The engine: virtual CPUs as coroutines of one OS thread, and everything that happens between two steps.
//!
//! A *step* is an access of the instrumented core, or a call of its port. At each one ([`Engine::point`]) the clock moves on,
//! what is due arrives (doorbells that were late, interrupts, a CPU that was stopped), a late store may reach memory, the
//! scheduler may let another virtual CPU go on, and then interrupts come in, on the stack of the virtual CPU that they hit,
//! as on a real one. So one seed gives one run: there is one OS thread, no clock but the step, and no choice but a draw.
//!
//! # Invariants
//!
//! - **V1** A coroutine is resumed only by [`Engine::run`], and suspends only itself. So its yielder is alive whenever its own
//!   code runs.
//! - **V2** No reference into a `RefCell` of the engine is held over a suspension.

mod alone;
mod events;
mod hook;
mod interrupt;
mod migration;
mod record;
mod threads;

pub(crate) use self::events::Due;
pub(crate) use self::threads::{Block, Thread};
pub(crate) use crate::coverage::Changes;

use crate::history::{EventKind, History};
use crate::rng::Rng;
use crate::strategy::{Chooser, Strategy};
use alone::Alone;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use events::Agenda;
use smpcall_sim_atomics as memory;
use smpcall_sim_atomics::{Kind, Memory};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How far the clock goes in a step.
const STEP_NS: u64 = 20;
/// Address space; what is not touched takes no memory.
const STACK_BYTES: usize = 512 * 1024;

/// What a run of the engine is given.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) cpus: usize,
    pub(crate) threads: usize,
    pub(crate) strategy: Strategy,
    /// A late store reaches memory at one point in so many.
    pub(crate) drain_every: u32,
    pub(crate) memory: Memory,
    pub(crate) old: Old,
    /// Doorbells interrupt, and their handler flushes; else they only end sleeps.
    pub(crate) interrupts: bool,
    pub(crate) steps_max: u64,
}

/// What a load may read where memory is weak: an old value, one time in so many, of those in which there is one; and how many steps after it
/// was replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Old {
    /// One load in so many; 0: none.
    pub every: u32,
    /// How many steps.
    pub steps: u64,
}

/// How a run of the engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All virtual CPUs have ended.
    Done,
    /// Nobody can go on.
    Quiet,
    /// The limit of steps was reached.
    StepLimit,
    /// Somebody has given up ([`Engine::give_up`]).
    GivenUp,
}

/// What interrupts call.
pub(crate) trait Handlers {
    /// The doorbell's interrupt.
    fn doorbell(&self);
    /// An interrupt of a device, or an NMI: number `id` of the scenario.
    fn device(&self, id: usize);
    /// Faults end here.
    fn heal(&self) {}
    /// Whoever is not stuck should have ended.
    fn judge(&self) {}
}

#[derive(Default)]
pub(crate) struct Engine {
    pub(crate) rng: Rng,
    setup: RefCell<Option<Setup>>,
    chooser: Chooser,
    threads: RefCell<Vec<Thread>>,
    ready: RefCell<Vec<usize>>,
    current: Cell<usize>,
    next: Cell<Option<usize>>,
    /// The time, in steps; it also passes when nobody does anything.
    step: Cell<u64>,
    /// How many of them were made by somebody.
    points: Cell<u64>,
    now_ns: Cell<u64>,
    steps_max: Cell<u64>,
    drain_every: Cell<u32>,
    /// Draws of which value a load reads.
    reads: Rng,
    old: Cell<Old>,
    /// What was replaced until then is too old to be read.
    settled: Cell<u64>,
    /// How the core's words have changed, if anybody asks.
    changes: RefCell<Option<Changes>>,
    hash: Cell<u64>,
    rings: Cell<u64>,
    /// No points: the simulator's own looks.
    quiet: Cell<u32>,
    gave_up: Cell<bool>,
    /// Spins since anybody wrote anything.
    spins: Cell<u32>,
    skips: Cell<u32>,
    alone: Cell<Option<Alone>>,
    /// How often threads were moved.
    moves: Cell<u32>,
    agenda: Agenda,
    handlers: RefCell<Option<Rc<dyn Handlers>>>,
    stacks: RefCell<Vec<DefaultStack>>,
    history: RefCell<History>,
}

thread_local! {
    static ENGINE: &'static Engine = Box::leak(Box::default());
}

/// The engine of the calling OS thread. One for its life: what points to it needs no proof.
pub(crate) fn engine() -> &'static Engine {
    ENGINE.with(|engine| *engine)
}

/// The body of a virtual CPU.
pub(crate) type Body = Box<dyn FnOnce()>;
type Virtual = Coroutine<(), (), (), DefaultStack>;

impl Engine {
    /// Makes ready for a run.
    pub(crate) fn reset(&self, setup: &Setup, handlers: Rc<dyn Handlers>) {
        self.rng.begin(setup.seed, 1);
        self.reads.begin(setup.seed, 10);
        self.old.set(setup.old);
        self.chooser.reset(&setup.strategy, setup.threads, &self.rng);
        memory::reset(setup.threads);
        let mut threads = self.threads.borrow_mut();
        threads.clear();
        threads.extend((0..setup.threads).map(|number| Thread::new(number, number < setup.cpus)));
        self.ready.replace((0..setup.threads).collect());
        self.agenda.clear();
        self.history.borrow_mut().clear();
        self.handlers.replace(Some(handlers));
        for cell in [&self.step, &self.points, &self.now_ns, &self.hash, &self.rings, &self.settled] {
            cell.set(0);
        }
        for cell in [&self.quiet, &self.spins, &self.skips, &self.moves] {
            cell.set(0);
        }
        self.gave_up.set(false);
        self.next.set(None);
        self.alone.set(None);
        self.current.set(0);
        self.steps_max.set(setup.steps_max);
        self.drain_every.set(setup.drain_every);
        self.setup.replace(Some(setup.clone()));
    }

    /// Runs the bodies until all have ended, or none can go on and `at_quiet` has nothing to offer either.
    pub(crate) fn run(&'static self, bodies: Vec<Body>, mut at_quiet: impl FnMut() -> bool) -> End {
        let mut virtuals: Vec<Option<Virtual>> =
            bodies.into_iter().map(|body| Some(self.make(body))).collect();
        let memory = self.setup.borrow().as_ref().map_or_else(Memory::default, |setup| setup.memory);
        // SAFETY: what the core and the scenario store to without a read-modify-write to follow lies in the machine and in the
        // scenario's ground, which outlive the run; `memory::reset` empties the buffers before the next. (A waiting call's
        // frame is left after a read-modify-write of its caller, and after its completion, which comes last.)
        let simulating = unsafe { memory::enter(self, memory) };
        let end = loop {
            if self.gave_up.get() {
                break if self.points.get() >= self.steps_max.get() { End::StepLimit } else { End::GivenUp };
            }
            let Some(next) = self.next.take().or_else(|| self.next_ready()) else {
                if virtuals.iter().all(Option::is_none) {
                    (0..virtuals.len()).for_each(memory::drain_all);
                    break End::Done;
                }
                if at_quiet() {
                    continue;
                }
                break End::Quiet;
            };
            self.current.set(next);
            memory::set_current(next);
            let one = virtuals[next].as_mut().expect("who is ready has not ended");
            if let CoroutineResult::Return(()) = one.resume(()) {
                let ended = virtuals[next].take().expect("it was there");
                self.stacks.borrow_mut().push(ended.into_stack());
                self.block(next, Block::Done);
            }
        };
        drop(simulating);
        memory::reset(0);
        // Who was never begun is dropped with its body.
        for mut left in virtuals.into_iter().flatten().filter(Virtual::started) {
            // SAFETY: what is on its stack is never touched again: the buffers are empty, nobody is resumed any more, and the
            // caller leaks the machine and the ground, as it must after any end but `Done`.
            unsafe { left.force_reset() };
            self.stacks.borrow_mut().push(left.into_stack());
        }
        self.handlers.take();
        end
    }

    fn make(&self, body: Body) -> Virtual {
        let pooled = self.stacks.borrow_mut().pop();
        let stack = pooled.unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("memory for a stack"));
        Coroutine::with_stack(stack, move |yielder, ()| {
            let engine = engine();
            engine.here(|here| here.yielder.set(yielder));
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            if let Err(panic) = ended {
                engine.log(EventKind::Panicked { message: record::message_of(&*panic) });
                engine.give_up();
            }
        })
    }

    /// Ends the run: nobody goes on. Does not return.
    fn stop(&self) -> ! {
        self.gave_up.set(true);
        loop {
            self.suspend();
        }
    }

    /// Ends the run at the next look of [`Self::run`].
    pub(crate) fn give_up(&self) {
        self.gave_up.set(true);
    }

    fn suspend(&self) {
        let yielder = self.here(|here| here.yielder.get());
        // SAFETY: by V1 this is the running coroutine's own yielder, and alive.
        unsafe { (*yielder).suspend(()) }
    }

    /// A step: everything that can happen between two of a virtual CPU's does.
    pub(crate) fn point(&self, kind: u8) {
        if self.quiet.get() > 0 || std::thread::panicking() {
            return;
        }
        let me = self.current.get();
        self.pass(me, kind);
        if self.is_alone() {
            return;
        }
        let next = self.chooser.at_point(me, self.step.get(), &self.ready.borrow(), &self.rng);
        if next != me {
            self.switch_to(next);
        }
        self.turn();
        self.let_interrupts_in();
        self.move_on();
    }

    /// The clock moves on, and what is due arrives.
    fn pass(&self, me: usize, kind: u8) {
        let step = self.step.get() + 1;
        self.step.set(step);
        self.now_ns.set(self.now_ns.get() + STEP_NS);
        self.mix((me as u64) << 8 | u64::from(kind));
        self.points.set(self.points.get() + 1);
        if self.points.get() >= self.steps_max.get() || self.gave_up.get() {
            self.stop();
        }
        if kind != Kind::Load as u8 && kind != SPIN {
            self.spins.set(0);
            self.skips.set(0);
        }
        self.count_alone(me);
        self.arrivals();
        if !memory::is_empty() {
            self.drain_somebody();
        }
        self.go_on_if_ready(me);
    }

    /// What has arrived may have stopped us.
    fn go_on_if_ready(&self, me: usize) {
        if !self.here(Thread::is_ready) {
            self.go_on_elsewhere(me);
        }
    }

    /// Perhaps brings a late store to memory.
    fn drain_somebody(&self) {
        let threads = self.threads.borrow().len();
        if let Some(one) =
            self.chooser.drains(self.drain_every.get(), threads, |one| memory::len(one) > 0, &self.rng)
        {
            self.mix(0xd000 | one as u64);
            memory::drain_one(one);
        }
    }

    /// Everything is in memory, and nothing that was there before is read any more.
    fn settle(&self) {
        (0..self.threads.borrow().len()).for_each(memory::drain_all);
        self.settled.set(self.step.get());
    }

    /// A step of a spin: somebody else goes on, if anybody can. When all spin, time passes faster.
    pub(crate) fn relax(&self) {
        if self.quiet.get() > 0 || std::thread::panicking() {
            return;
        }
        let me = self.current.get();
        self.pass(me, SPIN);
        if self.is_alone() {
            return;
        }
        self.spins.set(self.spins.get() + 1);
        let ready = self.ready.borrow().len();
        if self.spins.get() as usize > 4 * ready + 8 {
            self.spins.set(0);
            self.settle();
            self.skip_ahead();
            self.go_on_if_ready(me);
        }
        let next = self.chooser.instead_of(me, &self.ready.borrow(), &self.rng);
        if next != me {
            self.switch_to(next);
        }
        self.turn();
        self.let_interrupts_in();
    }

    /// A step of somebody who has something to do, but lets others go first.
    pub(crate) fn step_aside(&self) {
        let me = self.current.get();
        self.pass(me, PORT);
        if self.is_alone() {
            return;
        }
        let next = self.chooser.instead_of(me, &self.ready.borrow(), &self.rng);
        if next != me {
            self.switch_to(next);
        }
        self.turn();
        self.let_interrupts_in();
    }

    fn switch_to(&self, next: usize) {
        self.mix(0x5000 | next as u64);
        self.next.set(Some(next));
        self.suspend();
    }

    /// The current virtual CPU is not ready any more: somebody else goes on, and it comes back when it is ready again.
    fn go_on_elsewhere(&self, me: usize) {
        self.alone_sleeps();
        if !self.ready.borrow().is_empty() {
            let next = self.chooser.instead_of(me, &self.ready.borrow(), &self.rng);
            self.next.set(Some(next));
        }
        self.suspend();
    }

    /// Who goes on when nobody was chosen: whoever is ready, or will be when time has passed.
    fn next_ready(&self) -> Option<usize> {
        loop {
            if let Some(first) = self.ready.borrow().first().copied() {
                return Some(if self.ready.borrow().len() == 1 {
                    first
                } else {
                    self.chooser.instead_of(self.current.get(), &self.ready.borrow(), &self.rng)
                });
            }
            // Nobody: what is late is in memory by the time that anybody looks again.
            self.settle();
            if !self.wait_for_something() {
                return None;
            }
        }
    }
}

/// The kinds of steps beside those of the atomics.
pub(crate) const SPIN: u8 = 16;
pub(crate) const PORT: u8 = 17;
