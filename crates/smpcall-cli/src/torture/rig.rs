//! The engine's rig: threads that attach to a machine and detach from it, signals, and time.

use super::asleep;
use super::interrupt::{self, SignalContext};
use crate::pace::Place;
use anyhow::Result;
use fastrand::Rng;
use smpcall_conformance::soak::{self, Came, Check, Signal, Source, Thread};
use smpcall_conformance::{Rig, memory_bytes};
use smpcall_host::smpcall::{Budget, Flushed, PerCpu, Platform};
use smpcall_host::{Attached, Host, Machine};
use std::any::Any;
use std::fmt::Arguments;
use std::hint::spin_loop;
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Long functions take up at most one part in so many of the time.
const LONG_PART: usize = 10;

pub(super) type Soak = soak::Soak<Threads>;

/// What every thread of a torture shares.
pub(super) struct Threads {
    pub(super) machine: &'static Machine,
    callers: u32,
    pub(super) contexts: Box<[SignalContext]>,
    complaints: Mutex<Vec<String>>,
    longwait_ns: usize,
    /// When the next long function may begin; the largest number: one is under way.
    next_long_ns: Signal,
}

impl Threads {
    pub(super) fn new(machine: &'static Machine, callers: u32, longwait: Duration) -> Self {
        Self {
            machine,
            callers,
            contexts: (0..machine.cpus_len()).map(|_| SignalContext::new()).collect(),
            complaints: Mutex::default(),
            longwait_ns: usize::try_from(longwait.as_nanos()).unwrap_or(usize::MAX),
            next_long_ns: Signal::new(1),
        }
    }

    /// What was said of broken promises.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now_ns(&self) -> usize {
        usize::try_from(self.machine.platform().now_ns()).unwrap_or(usize::MAX)
    }
}

impl Rig for Threads {
    type Platform = Host;
    type Storage = Box<[PerCpu]>;

    fn smp(&self) -> &'static smpcall_host::smpcall::Machine<Host, Box<[PerCpu]>> {
        self.machine.whole()
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        // What is not used of it costs nothing but addresses.
        Box::leak(Box::new_uninit_slice(memory_bytes(self.machine.cpus_len() + self.callers)))
    }

    fn pause(&self) {
        spin_loop();
    }
}

impl soak::Rig for Threads {
    type Thread = Worker;

    const UNWINDS: bool = true;

    fn complain(&self, what: Arguments<'_>) {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_string());
    }

    /// A signal comes between any two instructions; one that a thread sends itself, at once.
    fn raise(&self, _soak: &'static Soak, _source: Source, cpu: u32) -> Came {
        interrupt::send(&self.contexts[cpu as usize])
    }

    fn dawdle(&self) {
        if self.longwait_ns == 0 {
            return;
        }
        let now_ns = self.now_ns();
        // One at a time: whoever takes the date is the one.
        let due_ns = self.next_long_ns.swap(usize::MAX);
        if now_ns < due_ns {
            // Too early, or somebody is at it; put back what was there, unless that one has set the next date.
            if due_ns != usize::MAX {
                self.next_long_ns.set(due_ns);
            }
            return;
        }
        while self.now_ns() - now_ns < self.longwait_ns {
            spin_loop();
        }
        self.next_long_ns.set(self.now_ns().saturating_add(self.longwait_ns.saturating_mul(LONG_PART)));
    }

    fn throw(&self, number: usize) -> ! {
        // Unwinds as a panic does, without the message on standard error.
        resume_unwind(Box::new(number))
    }

    fn thrown(panic: Box<dyn Any + Send>) -> Option<usize> {
        panic.downcast_ref().copied()
    }
}

/// A thread.
pub(super) struct Worker {
    soak: &'static Soak,
    /// Where it counts.
    number: usize,
    cpu: Option<u32>,
    /// The core that it is kept on, if any.
    core: Option<usize>,
    rng: Rng,
    /// The CPU that it is, while it is online.
    attached: Option<Attached<'static>>,
}

impl Worker {
    /// The thread's life.
    pub(super) fn run(soak: &'static Soak, number: usize, rng: Rng, core: Option<usize>) -> Result<()> {
        let cpu = (number < soak.rig().contexts.len()).then_some(number as u32);
        if let Some(cpu) = cpu {
            interrupt::enlist(soak, cpu);
        }
        let thread = Self { soak, number, cpu, core, rng, attached: None };
        let ended = soak::Worker::new(soak, number, thread).run();
        if let Some(cpu) = cpu {
            soak.rig().contexts[cpu as usize].retire();
        }
        ended
    }
}

impl Thread for Worker {
    type Error = anyhow::Error;

    fn below(&mut self, end: u32) -> u32 {
        self.rng.u32(..end)
    }

    fn online(&mut self) -> Result<()> {
        if let Some(cpu) = self.cpu {
            self.attached = Some(Place::attach(self.soak.rig().machine, cpu, self.core)?);
        }
        Ok(())
    }

    fn offline(&mut self) -> Result<()> {
        drop(self.attached.take());
        Ok(())
    }

    fn poll(&mut self, budget: Budget) -> usize {
        match self.attached.as_mut().map(|attached| attached.poll(budget)) {
            Some(Flushed::All(ran) | Flushed::More(ran)) => ran as usize,
            Some(Flushed::Nested | Flushed::NotACpu) => {
                let nested = format_args!("a flush from thread context says that it is in a call");
                self.soak.expect(self.number, Check::Answer, false, nested);
                0
            }
            None => 0,
        }
    }

    fn serve(&mut self) {
        let Some(attached) = &mut self.attached else {
            match self.rng.u8(..) {
                0..16 => thread::sleep(Duration::from_micros(self.rng.u64(50..500))),
                16..64 => thread::yield_now(),
                _ => {}
            }
            return;
        };
        match self.rng.u8(..) {
            // Polls from here on until it sleeps: posts do not ring it.
            0..12 => {
                attached.poll_begin();
                for _ in 0..self.rng.u32(1..200) {
                    self.poll(Budget::DEFAULT);
                    spin_loop();
                }
            }
            12..40 => _ = attached.park(Some(Duration::from_micros(self.rng.u64(10..400)))),
            // Leaves something over, for itself to ring about.
            40..112 => {
                let calls = NonZeroU32::MIN.saturating_add(self.rng.u32(0..4));
                self.poll(Budget::calls(calls));
            }
            112..208 => _ = self.poll(Budget::DEFAULT),
            // Nothing: its queue grows.
            _ => {}
        }
    }

    /// CPUs wait in `park` without an end, so that what is still in their queues, and only that, wakes them.
    fn rest(&mut self, is_over: &dyn Fn() -> bool) {
        while !is_over() {
            match &mut self.attached {
                Some(attached) => {
                    let parked = &self.soak.rig().contexts[self.number].parked;
                    parked.set(1);
                    attached.park(None);
                    parked.set(0);
                }
                None => thread::park(),
            }
        }
    }
}

/// How the CPU's thread is found by the kernel: awake, asleep, or gone.
pub(super) fn sleeps(context: &SignalContext) -> &'static str {
    match asleep::look(context.kernel_thread.get() as u64) {
        Ok(look) if look.is_asleep => "asleep",
        Ok(_) => "awake",
        Err(_) => "gone",
    }
}
