//! The thread that runs the others: it starts them, sends CPUs offline and back, brings everything to rest to compare the
//! accounts, and ends the run, also when it hangs.

mod rest;

use self::rest::Watch;
use super::report::Report;
use super::rig::{Soak, Worker};
use super::{Args, interrupt, rig};
use crate::output::say;
use crate::pace::Place;
use anyhow::{Context, Result, anyhow, bail};
use fastrand::Rng;
use indicatif::ProgressBar;
use smpcall_conformance::soak::Check;
use smpcall_host::smpcall::{CallStall, Platform};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often everything comes to rest, at the most often.
const REST_EVERY: Duration = Duration::from_millis(50);
/// Rests take up at most one part in so many of the time.
const REST_PART: u32 = 5;
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// The longest sleep between two looks.
const TICK: Duration = Duration::from_millis(2);
/// What a thread of the torture needs; there may be thousands.
const STACK_SIZE: usize = 512 << 10;

/// The last that the library said of a silent target. A suspect, not an error: the target may be off its core.
pub(super) type LastStall = Arc<Mutex<Option<CallStall>>>;

pub(super) struct Control<'a> {
    soak: &'static Soak,
    args: &'a Args,
    bar: &'a ProgressBar,
    last_stall: LastStall,
    threads: Vec<JoinHandle<Result<()>>>,
    rng: Rng,
    started: Instant,
    rested: Instant,
    rest_every: Duration,
}

/// When something is to be done next, again and again.
struct Every {
    gap: Option<Duration>,
    due: Instant,
}

impl Every {
    /// Never, if `gap` is zero.
    fn new(gap: Duration) -> Self {
        Self { gap: (gap > Duration::ZERO).then_some(gap), due: Instant::now() + gap }
    }

    fn is_due(&mut self) -> bool {
        let Some(gap) = self.gap else { return false };
        let now = Instant::now();
        let due = now >= self.due;
        if due {
            self.due = now + gap;
        }
        due
    }
}

impl<'a> Control<'a> {
    pub(super) fn new(
        soak: &'static Soak,
        args: &'a Args,
        seed: u64,
        bar: &'a ProgressBar,
        last_stall: LastStall,
    ) -> Self {
        let (threads, rng, now) = (Vec::new(), Rng::with_seed(seed), Instant::now());
        Self { soak, args, bar, last_stall, threads, rng, started: now, rested: now, rest_every: REST_EVERY }
    }

    /// The whole run, of threads that are at rest. What was found is in the tally; an error means that it had to end early.
    pub(super) fn run(&mut self, report: &Report) -> Result<()> {
        self.started = Instant::now();
        let outcome = self.drive(report);
        report.ran_for(self.started.elapsed());
        outcome.and_then(|()| self.end())
    }

    /// Starts the threads, and waits until all are at rest, the CPUs online. After an error some threads are there, and do
    /// nothing: who cannot start them all ends the process.
    pub(super) fn start(&mut self) -> Result<()> {
        interrupt::install()?;
        let cores = Place::find().cores;
        let (soak, cpus) = (self.soak, self.soak.rig().contexts.len());
        let threads = soak.threads();
        for number in 0..threads {
            // Every other CPU is kept on a core, the others run where the scheduler wants them.
            let pinned = number < cpus && number % 2 == 0 && !cores.is_empty();
            let core = pinned.then(|| cores[number / 2 % cores.len()]);
            if number < cpus {
                soak.cpu(number as u32).wanted.set(1);
            }
            let rng = self.rng.fork();
            let body = move || Worker::run(soak, number, rng, core);
            let builder = thread::Builder::new().name(format!("torture-{number}")).stack_size(STACK_SIZE);
            let started = builder.spawn(body);
            let why = || format!("cannot start thread {} of {threads}", number + 1);
            self.threads.push(started.with_context(why)?);
        }
        self.come_to_rest()
    }

    fn drive(&mut self, report: &Report) -> Result<()> {
        let mut hotplug = Every::new(Duration::from_millis(self.args.onoff_interval));
        let mut status = Every::new(STATUS_EVERY);
        let mut stutter = Every::new(self.args.stutter);
        self.compare()?;
        self.go_on();
        while self.started.elapsed() < self.args.seconds {
            thread::sleep(TICK);
            self.bar.set_position(millis(self.started.elapsed()));
            if hotplug.is_due() {
                self.switch_a_cpu();
            }
            if status.is_due() {
                report.ran_for(self.started.elapsed());
                self.bar.suspend(|| say!("{}", report.status_line()))?;
            }
            let pause = stutter.is_due();
            if pause || self.rested.elapsed() >= self.rest_every {
                self.rest(if pause { self.args.stutter } else { Duration::ZERO })?;
                if pause {
                    stutter = Every::new(self.args.stutter);
                }
            }
        }
        self.soak.next_turn();
        self.wake_all();
        self.come_to_rest()?;
        self.compare()
    }

    /// Brings everything to rest, compares, and goes on after `pause`.
    fn rest(&mut self, pause: Duration) -> Result<()> {
        let since = Instant::now();
        self.soak.next_turn();
        self.wake_all();
        self.come_to_rest()?;
        self.compare()?;
        self.rest_every = REST_EVERY.max(since.elapsed() * (REST_PART - 1));
        let paused = Instant::now();
        while paused.elapsed() < pause && self.started.elapsed() < self.args.seconds {
            thread::sleep(TICK);
            self.bar.set_position(millis(self.started.elapsed()));
        }
        self.go_on();
        Ok(())
    }

    fn go_on(&mut self) {
        self.soak.next_turn();
        self.wake_all();
        self.rested = Instant::now();
    }

    /// Wakes the threads, so that they look at what they are to do.
    fn wake_all(&self) {
        self.ring_all();
        self.threads.iter().for_each(|thread| thread.thread().unpark());
    }

    fn ring_all(&self) {
        let machine = self.soak.rig().machine;
        (0..machine.cpus_len())
            .for_each(|cpu| machine.platform().ring(cpu).expect("the host's doorbells never fail"));
    }

    /// Wants some CPU offline, or back. At least one stays online: one that is, and is to be.
    fn switch_a_cpu(&mut self) {
        let (soak, machine) = (self.soak, self.soak.rig().machine);
        let cpu = self.rng.u32(..machine.cpus_len());
        let stays = |cpu: u32| soak.cpu(cpu).wanted.is_set() && soak.cpu(cpu).online.is_set();
        let wanted = &soak.cpu(cpu).wanted;
        if !wanted.is_set() {
            wanted.set(1);
        } else if (0..machine.cpus_len()).any(|other| other != cpu && stays(other)) {
            wanted.set(0);
        }
        machine.platform().ring(cpu).expect("the host's doorbells never fail");
    }

    /// Ends the threads, which are at rest.
    fn end(&mut self) -> Result<()> {
        self.soak.stop();
        self.wake_all();
        let mut watch = Watch::new(self.args.hang_seconds);
        while !self.threads.iter().all(JoinHandle::is_finished) {
            if watch
                .has_nothing_moved(self.threads.iter().filter(|thread| thread.is_finished()).count() as u64)
            {
                bail!(self.hangs("the threads do not end"));
            }
        }
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        Ok(())
    }

    /// What is said when nothing moves any more; counted as a call that never ended.
    fn hangs(&self, what: &str) -> anyhow::Error {
        self.soak.check(self.soak.drivers_row(), Check::Deadlock, false);
        let mut text = format!("nothing has moved for {} s: {what}", self.args.hang_seconds);
        let mut add = |write: &dyn Fn(&mut String) -> std::fmt::Result| {
            text.push_str("\n  ");
            _ = write(&mut text);
        };
        for thread in 0..self.soak.threads() {
            add(&|text| {
                self.soak.write_state(thread, text)?;
                let Some(context) = self.soak.rig().contexts.get(thread) else { return Ok(()) };
                let parked = if context.parked.is_set() { ", parked" } else { "" };
                write!(text, "{parked}, its thread is {}", rig::sleeps(context))
            });
        }
        for cpu in self.soak.owing().collect::<BTreeSet<_>>() {
            let which = cpu.map_or_else(|| "some CPU".to_owned(), |cpu| format!("CPU {cpu}"));
            add(&|text| write!(text, "{which} still has csds to run"));
        }
        if let Some(stall) = *self.last_stall.lock().unwrap_or_else(PoisonError::into_inner) {
            text.push_str(&format!("\n  the last stall report: {stall}"));
        }
        anyhow!(text)
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
