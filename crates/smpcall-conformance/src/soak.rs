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
