//! What every thread of a torture shares: the machine, its CPUs as the torture sees them, the counts.

use super::stage::Stage;
use super::tally::{Check, Event, Tally};
use super::words::{Count, Plain, Signal};
use crate::pace::Line;
use smpcall_host::Machine;
use smpcall_host::smpcall::Platform;
use std::hint::spin_loop;
use std::time::Duration;

/// A thread calls its next so many CPUs, itself first. What is kept for each pair of CPUs stays small.
const PARTNERS_MAX: u32 = 64;
/// One function in so many takes a moment.
const DAWDLE_EVERY: u64 = 64;
/// Long functions take up at most one part in so many of the time.
const LONG_PART: u64 = 10;

/// What is never freed, since csds that are posted by reference live for ever.
pub(super) struct Ground {
    pub(super) machine: Machine,
    pub(super) tally: Tally,
    pub(super) stage: Stage,
    pub(super) cpus: Box<[Line<Cpu>]>,
    pub(super) counted: CountedCsds,
    longwait_ns: u64,
    /// When the next long function may begin; 0: one is under way.
    next_long_ns: Signal,
}

/// A CPU's thread, and what control wants of it.
#[derive(Default)]
pub(super) struct Cpu {
    /// Control: it is to be online.
    pub(super) wanted: Signal,
    /// Its thread: it is online.
    pub(super) online: Signal,
    /// Its thread: it is inside a `park` that has no end but a ring.
    pub(super) parked: Signal,
    /// Functions that it is inside of.
    depth: Count,
    /// A racer asks it to look at its queue all the time.
    pub(super) held: Signal,
    /// Whom it is calling, plus 1.
    pub(super) calling: Signal,
}

/// Counted csds, all of them: none is there for long.
#[derive(Default)]
pub(super) struct CountedCsds {
    pub(super) made: Count,
    pub(super) freed: Count,
    pub(super) due: Count,
    pub(super) ended: Count,
}

/// A function is under way, until this is dropped; also when it panics.
pub(super) struct Inside<'g> {
    cpu: Option<&'g Cpu>,
    /// The CPU that runs it; `None` if the thread is none, which is an error that was counted.
    pub(super) here: Option<u32>,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some(cpu) = self.cpu {
            cpu.depth.take_back(1);
        }
    }
}

impl Ground {
    pub(super) fn new(machine: Machine, tally: Tally, longwait: Duration) -> Self {
        let cpus = (0..machine.cpus_len()).map(|_| Line(Cpu::default())).collect();
        Self {
            machine,
            tally,
            stage: Stage::new(),
            cpus,
            counted: CountedCsds::default(),
            longwait_ns: u64::try_from(longwait.as_nanos()).unwrap_or(u64::MAX),
            next_long_ns: Signal::new(1),
        }
    }

    pub(super) fn cpu(&self, cpu: u32) -> &Cpu {
        &self.cpus[cpu as usize].0
    }

    pub(super) fn cpus_len(&self) -> u32 {
        self.machine.cpus_len()
    }

    /// How many CPUs a thread calls.
    pub(super) fn partners_len(&self) -> u32 {
        self.cpus_len().min(PARTNERS_MAX)
    }

    /// The CPU that is so many after `home`.
    pub(super) fn partner(&self, home: u32, step: u32) -> u32 {
        (home + step) % self.cpus_len()
    }

    /// A function begins: counts the call, and checks that it runs on `expected`, or on any CPU.
    pub(super) fn begin(&self, expected: Option<u32>) -> Inside<'_> {
        let here = self.machine.platform().current_cpu();
        let row = here.or(expected).unwrap_or(0) as usize;
        self.tally.event(row, Event::Call, 1);
        let right = here.is_some() && (expected.is_none() || here == expected);
        self.tally.expect(row, Check::WrongCpu, right, || {
            format!("a function for CPU {expected:?} ran on CPU {here:?}")
        });
        let cpu = here.map(|here| self.cpu(here));
        if let Some(cpu) = cpu {
            cpu.depth.add(1);
        }
        Inside { cpu, here }
    }

    /// Whether the CPU is inside a function.
    pub(super) fn is_in_function(&self, cpu: u32) -> bool {
        self.cpu(cpu).depth.get() != 0
    }

    /// What some functions do: take their time. `number` chooses which.
    pub(super) fn dawdle(&self, number: u64) {
        if number.is_multiple_of(DAWDLE_EVERY) {
            for _ in 0..number / DAWDLE_EVERY % 8 * 40 {
                spin_loop();
            }
            if self.longwait_ns > 0 {
                self.dawdle_long();
            }
        }
    }

    #[cold]
    fn dawdle_long(&self) {
        let host = self.machine.platform();
        let now_ns = host.now_ns();
        // One at a time: whoever takes the date is the one.
        let due_ns = self.next_long_ns.swap(u64::MAX);
        if now_ns < due_ns {
            // Too early, or somebody is at it; put back what was there, unless that one has set the next date.
            if due_ns != u64::MAX {
                self.next_long_ns.set(due_ns);
            }
            return;
        }
        while host.now_ns() - now_ns < self.longwait_ns {
            spin_loop();
        }
        self.next_long_ns.set(host.now_ns().saturating_add(self.longwait_ns.saturating_mul(LONG_PART)));
    }
}

/// For each CPU that a sender calls, the last number that ran there (P6).
pub(super) struct Order {
    home: u32,
    last: Box<[Plain]>,
}

impl Order {
    pub(super) fn new(ground: &Ground, home: u32) -> Self {
        let last = (0..ground.partners_len()).map(|_| Plain::default()).collect();
        Self { home, last }
    }

    /// Whether there is room for what runs on that CPU.
    pub(super) fn knows(&self, ground: &Ground, target: u32) -> bool {
        (target + ground.cpus_len() - self.home) % ground.cpus_len() < ground.partners_len()
    }

    /// On the target: a call with that number runs. Checks that those before it had smaller ones.
    pub(super) fn ran(&self, ground: &Ground, target: u32, number: u64) {
        let step = (target + ground.cpus_len() - self.home) % ground.cpus_len();
        let last = self.last[step as usize].replace(number);
        ground.tally.expect(target as usize, Check::Order, last < number, || {
            format!("on CPU {target}, call {number} of a sender near CPU {} ran after call {last}", self.home)
        });
    }
}
