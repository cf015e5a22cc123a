//! A soak: every kind of call at once, from everywhere, for as long as one likes, and every promise checked.
//!
//! A superset of Linux's scftorture, which knows three checks (wrong CPU, visibility on the way in and out) and no
//! asynchronous call. One engine for all platforms: [`KINDS`] is the table of calls, [`Check`] what is checked, and the
//! accounts say what must agree at rest. A platform gives a [`Rig`]: its CPUs, how they come and go, random numbers, and
//! where a broken promise is reported.
//!
//! # How it is driven
//!
//! Each thread of the platform is a [`Worker`], a CPU's or one that only calls: it draws kinds of calls and makes them, and
//! between two calls does what its [`Thread`] says. Handlers of interrupts post too ([`Soak::interrupted`]). Whoever
//! drives the run has everything come to rest now and then ([`Soak::next_turn`]): no post is under way, and what is still
//! queued will run. When nothing moves any more, all accounts must agree ([`Soak::compare`]), exactly.
//!
//! No check is a matter of time: a thread that is off its core for a second delays the rest and nothing else.

mod entries;
mod kinds;
mod report;
mod rig;
mod shared_state;
mod tally;
mod words;
mod worker;

pub use kinds::{Came, Ends, KINDS, KINDS_LEN, Kind};
pub use rig::{Rig, Source, Thread};
pub use shared_state::{Cpu, Plan};
pub use tally::{Check, Event};
pub use words::Signal;
pub use worker::Worker;

use crate::memory::Arena;
use crate::once::WriteOnce;
use core::hint::spin_loop;
use shared_state::SharedState;
use smpcall::{Machine, Platform};
use tally::Row;
use words::{Count, Plain};

/// A sender calls its next so many CPUs, itself first. What is kept for each pair of CPUs stays small.
const PARTNERS_MAX: u32 = 64;
/// One function in so many takes a moment.
const DAWDLE_EVERY: usize = 64;

/// One run, on one machine. It is made once, in a `static` or leaked: csds that are posted by reference live for ever.
///
/// ```
/// # use smpcall::{Budget, Cpu, Flushed, Machine, PerCpu, Platform};
/// # use std::cell::Cell;
/// # use std::mem::MaybeUninit;
/// # thread_local! { static ME: Cell<Option<u32>> = const { Cell::new(None) }; static OFF: Cell<u32> = const { Cell::new(0) }; }
/// # struct MyPort(std::sync::OnceLock<std::time::Instant>);
/// # // SAFETY: one CPU, which is one thread, and flushes by itself again and again; nothing unwinds here, and nobody parks.
/// # unsafe impl Platform for MyPort {
/// #     type IrqState = ();
/// #     smpcall::no_unwinding!();
/// #     fn current_cpu(&self) -> Option<u32> { ME.get() }
/// #     fn can_wait(&self) -> bool { OFF.get() == 0 }
/// #     fn ring(&self, _cpu: u32) -> Result<(), smpcall::RingError> { Ok(()) }
/// #     fn irq_save(&self) { OFF.set(OFF.get() + 1) }
/// #     fn irq_restore(&self, (): ()) { OFF.set(OFF.get() - 1) }
/// #     fn relax(&self) { std::thread::yield_now() }
/// #     fn now_ns(&self) -> u64 { self.0.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64 }
/// # }
/// # smpcall::simple_port!(MyPort);
/// # static SMP: Machine<MyPort, [PerCpu; 1]> = Machine::new(MyPort(std::sync::OnceLock::new()), [PerCpu::new()]);
/// use smpcall_conformance::soak::{self, Came, Event, Plan, Soak, Source, Thread, Worker};
/// use smpcall_conformance::{Memory, Report, Rig, memory_bytes};
/// use std::{convert::Infallible, fmt, thread, time::Duration};
///
/// static MEMORY: Memory<{ memory_bytes(1) }> = Memory::new();
/// static SOAK: Soak<MyRig> = Soak::new(MyRig);
///
/// struct MyRig;
/// impl Rig for MyRig {
///     type Platform = MyPort;
///     type Storage = [PerCpu; 1];
///     fn smp(&self) -> &'static Machine<MyPort, [PerCpu; 1]> { &SMP }
///     fn memory(&self) -> &'static mut [MaybeUninit<u8>] { MEMORY.take().expect("one run") }
/// }
/// impl soak::Rig for MyRig {
///     type Thread = MyThread;
///     fn complain(&self, what: fmt::Arguments<'_>) { println!("{what}"); }
///     fn raise(&self, soak: &'static Soak<Self>, _: Source, cpu: u32) -> Came {
///         if ME.get() != Some(cpu) { return Came::NotHere }
///         SMP.platform().irq_save();
///         soak.interrupted(cpu); // what the handler of an interrupt does
///         SMP.platform().irq_restore(());
///         Came::Done
///     }
///     fn dawdle(&self) { thread::yield_now(); }
/// }
///
/// /// The CPU's thread.
/// struct MyThread { cpu: Option<Cpu<'static, MyPort, [PerCpu; 1]>>, drawn: u32 }
/// impl Thread for MyThread {
///     type Error = Infallible;
///     fn below(&mut self, end: u32) -> u32 {
///         self.drawn = self.drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
///         (u64::from(self.drawn) * u64::from(end) >> 32) as u32
///     }
///     fn online(&mut self) -> Result<(), Infallible> {
///         self.cpu = Some(SMP.as_pin().online().expect("it is offline"));
///         Ok(())
///     }
///     fn offline(&mut self) -> Result<(), Infallible> {
///         let _ = self.cpu.take().expect("it is online").offline();
///         Ok(())
///     }
///     fn left(&mut self) {} // a kernel may switch the CPU off
///     fn poll(&mut self, budget: Budget) -> usize {
///         match self.cpu.as_mut().map(|cpu| cpu.flush(budget)) {
///             Some(Flushed::All(ran) | Flushed::More(ran)) => ran as usize,
///             _ => 0,
///         }
///     }
///     fn serve(&mut self) { self.poll(Budget::DEFAULT); }
///     fn rest(&mut self, is_over: &dyn Fn() -> bool) {
///         while !is_over() { self.serve(); thread::yield_now(); }
///     }
/// }
///
/// SOAK.build(Plan { callers: 0, weights: [1; soak::KINDS_LEN], hotplug: false });
/// assert!(SOAK.is_built() && SOAK.threads() == 1);
/// SOAK.cpu(0).wanted.set(1);
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         ME.set(Some(0));
///         let Ok(()) = Worker::new(&SOAK, 0, MyThread { cpu: None, drawn: 1 }).run();
///     });
///     SOAK.next_turn(); // all threads run:
///     assert_eq!(SOAK.turn(), soak::Turn::Run);
///     while SOAK.kinds(0).0 == 0 { thread::sleep(Duration::from_millis(1)); }
///     SOAK.event(SOAK.drivers_row(), Event::Rest, 0); // a driver counts there
///     SOAK.next_turn(); // they come to rest,
///     while SOAK.resting() < SOAK.threads() || SOAK.owing().next().is_some() { thread::yield_now(); }
///     assert!(!SOAK.cpu(0).is_in_function());
///     assert!(SOAK.compare()); // and all accounts agree
///     SOAK.stop();
/// });
/// let _: &MyRig = SOAK.rig();
/// let mut log = String::new();
/// let mut report = Report::announce(&mut log, Soak::<MyRig>::results());
/// SOAK.report(&mut report); // a line for each promise, and for each kind of calls
/// report.end();
/// assert!(log.contains("ok p"));
/// let mut state = String::new();
/// SOAK.write_state(0, &mut state).unwrap(); // for a run that hangs
/// assert!(state.starts_with("CPU 0: online"));
/// assert_eq!((SOAK.errors(), SOAK.events(Event::Rest)), (0, 1));
/// assert!(SOAK.check(SOAK.drivers_row(), soak::Check::Done, true)); // and so may a driver's own checks
/// assert!(SOAK.expect(SOAK.drivers_row(), soak::Check::Done, true, format_args!("it is")));
/// assert!(SOAK.checked(soak::Check::Done).0 >= 2);
/// assert!(SOAK.figures().any(|(_, name, value)| name == "errors" && value == 0));
/// ```
pub struct Soak<R: Rig> {
    rig: R,
    arena: Arena,
    shared_state: WriteOnce<SharedState<R>>,
    /// Even ones are rests, odd ones runs.
    turn: Signal,
    /// How many threads are at rest in this turn.
    resting: Signal,
    complaints: Count,
}

/// What a thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Make calls.
    Run,
    /// Come to rest, and stay so until the turn has another number.
    Rest(usize),
    /// End.
    Stop,
}

const STOP: usize = usize::MAX;

/// Who moves when: all threads run, or all are at rest, or the run is over. What the driver writes before a new turn, the
/// threads see in it; what they wrote before they rest, the driver sees.
impl<R: Rig> Soak<R> {
    /// Makes it, at rest.
    pub const fn new(rig: R) -> Self {
        let (arena, shared_state) = (Arena::new(), WriteOnce::new());
        // One by one: no tuple with a destructor in a constant.
        let turn = Signal::new(0);
        let resting = Signal::new(0);
        let complaints = Count::new();
        Self { rig, arena, shared_state, turn, resting, complaints }
    }

    /// Makes all that the threads share. Called once, by one thread; the others wait until [`Self::is_built`].
    ///
    /// # Panics
    ///
    /// If the rig's memory is too small: [`memory_bytes`](crate::memory_bytes) of the machine's CPUs and the callers will do.
    pub fn build(&'static self, plan: Plan) {
        self.arena.fill(self.rig.memory());
        let shared_state = SharedState::new(self, &self.arena, plan);
        self.shared_state.set(|| shared_state);
    }

    /// Returns whether it was built, so that workers may be made.
    pub fn is_built(&self) -> bool {
        self.shared_state.get().is_some()
    }

    /// Returns what the threads are to do.
    pub fn turn(&self) -> Turn {
        match self.turn.get() {
            STOP => Turn::Stop,
            turn if turn % 2 == 0 => Turn::Rest(turn),
            _ => Turn::Run,
        }
    }

    /// Driver: the next turn. It wakes those that sleep.
    pub fn next_turn(&self) {
        self.resting.set(0);
        self.turn.set(self.turn.get() + 1);
    }

    /// Driver: the run is over.
    pub fn stop(&self) {
        self.turn.set(STOP);
    }

    /// Driver: how many threads have come to rest; they post nothing more in this turn.
    pub fn resting(&self) -> usize {
        self.resting.get()
    }
}

/// A function is under way, until this is dropped; also when it panics.
struct Inside<'s> {
    cpu: Option<&'s Cpu>,
    /// The CPU that runs it; `None` if the thread is none, which is an error that was counted.
    here: Option<u32>,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some(cpu) = self.cpu {
            cpu.depth.take_back(1);
        }
    }
}

/// The machine, and its CPUs as the soak sees them.
impl<R: Rig> Soak<R> {
    /// Returns the rig.
    pub fn rig(&self) -> &R {
        &self.rig
    }

    fn smp(&self) -> &'static Machine<R::Platform, R::Storage> {
        self.rig.smp()
    }

    fn shared_state(&self) -> &SharedState<R> {
        self.shared_state.get().expect("it was built")
    }

    fn rows(&self) -> &'static [Row] {
        self.shared_state().rows
    }

    /// Returns the row in which whoever drives the run counts.
    pub fn drivers_row(&self) -> usize {
        self.rows().len() - 1
    }

    /// Returns how many threads take part.
    pub fn threads(&self) -> usize {
        self.shared_state().posters.len()
    }

    fn cpus_len(&self) -> u32 {
        self.rig.cpus()
    }

    /// Returns what is known of a CPU.
    pub fn cpu(&self, cpu: u32) -> &'static Cpu {
        &self.shared_state().cpus[cpu as usize]
    }

    /// How many CPUs a thread calls.
    fn partners_len(&self) -> u32 {
        self.cpus_len().min(PARTNERS_MAX)
    }

    /// The CPU that is so many after `home`.
    fn partner(&self, home: u32, step: u32) -> u32 {
        (home + step) % self.cpus_len()
    }

    /// A function begins: counts the call, and checks that it runs on `expected`, or on any CPU.
    fn begin(&self, expected: Option<u32>) -> Inside<'static> {
        let here = self.smp().platform().current_cpu();
        let row = here.or(expected).unwrap_or(0) as usize;
        self.event(row, Event::Call, 1);
        let right = here.is_some() && (expected.is_none() || here == expected);
        self.expect(
            row,
            Check::WrongCpu,
            right,
            format_args!("a function for CPU {expected:?} ran on CPU {here:?}"),
        );
        let cpu = here.map(|here| self.cpu(here));
        if let Some(cpu) = cpu {
            cpu.depth.add(1);
        }
        Inside { cpu, here }
    }

    /// What some functions do: take their time. `number` chooses which.
    fn dawdle(&self, number: usize) {
        if number % DAWDLE_EVERY == 0 {
            (0..number / DAWDLE_EVERY % 8 * 40).for_each(|_| spin_loop());
            self.rig.dawdle();
        }
    }
}

/// For each CPU that a sender calls, the last number that ran there (P6).
#[derive(Clone, Copy)]
struct Order {
    home: u32,
    last: &'static [Plain],
}

impl Order {
    fn step<R: Rig>(self, soak: &Soak<R>, target: u32) -> u32 {
        (target + soak.cpus_len() - self.home) % soak.cpus_len()
    }

    /// Whether there is room for what runs on that CPU.
    fn knows<R: Rig>(self, soak: &Soak<R>, target: u32) -> bool {
        self.step(soak, target) < soak.partners_len()
    }

    /// On the target: a call with that number runs. Checks that those before it had smaller ones.
    fn ran<R: Rig>(self, soak: &Soak<R>, target: u32, number: usize) {
        let Some(last) = self.last.get(self.step(soak, target) as usize) else { return };
        let last = last.replace(number);
        soak.expect(
            target as usize,
            Check::Order,
            last < number,
            format_args!(
                "on CPU {target}, call {number} of a sender near CPU {} ran after {last}",
                self.home
            ),
        );
    }
}

impl<R: Rig> core::fmt::Debug for Soak<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Soak").field("turn", &self.turn()).finish_non_exhaustive()
    }
}
