//! What a case is given: its CPU, its machine, checks that record instead of panicking, and waits that end.

use crate::idle::{Idle, Idled};
use crate::memory::Full;
use crate::rig::Rig;
use crate::suite::{Suite, Verdict, fail};
use core::fmt::{Debug, Display};
use smpcall::{Csd, Machine, Platform, Post, Posted, WaitError};

/// The case is over for this CPU: it failed, here or elsewhere, or it is skipped. What and why is on record.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Over(());

/// What a case comes to on one CPU.
pub(crate) type Done = Result<(), Over>;

/// Which pairs of CPUs take part in [`Ctx::held`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// Each CPU has a part, with its neighbour or by itself.
    All,
    /// Only the first two, so that doorbells can be counted.
    First,
}

/// One case on one CPU. Small, and copied into the functions that a case posts: there, `cpu` is the CPU that runs them.
pub(crate) struct Ctx<R: Rig> {
    suite: &'static Suite<R>,
    case: usize,
}

impl<R: Rig> Clone for Ctx<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Rig> Copy for Ctx<R> {}

/// Where a CPU is, and what there is beside it.
impl<R: Rig> Ctx<R> {
    pub(crate) fn new(suite: &'static Suite<R>, case: usize) -> Self {
        Self { suite, case }
    }

    /// The machine under test.
    pub(crate) fn smp(self) -> &'static Machine<R::Platform, R::Storage> {
        self.suite.rig.smp()
    }

    pub(crate) fn rig(self) -> &'static R {
        &self.suite.rig
    }

    pub(crate) fn suite(self) -> &'static Suite<R> {
        self.suite
    }

    pub(crate) fn case(self) -> usize {
        self.case
    }

    /// The CPU that runs the caller; a number that no CPU has, for a thread that is none.
    pub(crate) fn cpu(self) -> u32 {
        self.smp().platform().current_cpu().unwrap_or(u32::MAX)
    }

    /// How many CPUs take part.
    pub(crate) fn cpus(self) -> u32 {
        self.rig().cpus()
    }

    /// The next CPU, round the ring. On a machine of one: itself.
    pub(crate) fn next(self) -> u32 {
        (self.cpu() + 1) % self.cpus()
    }

    /// How often to repeat what is worth repeating; at least once.
    pub(crate) fn rounds(self) -> u32 {
        self.rig().rounds().max(1)
    }

    fn verdict(self) -> &'static Verdict {
        self.suite.verdict(self.case)
    }
}

/// Checks.
impl<R: Rig> Ctx<R> {
    /// Ends the case where it is over elsewhere, so that what cannot succeed any more is not waited for.
    pub(crate) fn unless_over(self) -> Done {
        if self.verdict().is_over() { Err(Over(())) } else { Ok(()) }
    }

    /// Records a failure unless `holds`, and goes on: for functions that run on other CPUs.
    #[track_caller]
    pub(crate) fn note(self, holds: bool, what: &'static str) {
        self.verdict().checks.add(1);
        if !holds {
            fail(self.verdict(), self.smp().platform().current_cpu(), what, format_args!(""));
        }
    }

    /// As `note`, for two values that ought to be the same.
    #[track_caller]
    pub(crate) fn note_same<T: PartialEq + Debug>(self, got: T, want: T, what: &'static str) {
        self.verdict().checks.add(1);
        if got != want {
            let cpu = self.smp().platform().current_cpu();
            fail(self.verdict(), cpu, what, format_args!("got {got:?}, want {want:?}"));
        }
    }

    /// Ends the case unless `holds`.
    #[track_caller]
    pub(crate) fn check(self, holds: bool, what: &'static str) -> Done {
        self.note(holds, what);
        if holds { Ok(()) } else { Err(Over(())) }
    }

    /// Ends the case unless the two are the same.
    #[track_caller]
    pub(crate) fn same<T: PartialEq + Debug>(self, got: T, want: T, what: &'static str) -> Done {
        let holds = got == want;
        self.note_same(got, want, what);
        if holds { Ok(()) } else { Err(Over(())) }
    }

    /// Ends the case with a failure that has more to say.
    #[track_caller]
    pub(crate) fn fail(self, what: &'static str, detail: &dyn Display) -> Over {
        fail(self.verdict(), self.smp().platform().current_cpu(), what, format_args!("{detail}"));
        Over(())
    }

    /// Ends the case as skipped, on every CPU.
    pub(crate) fn skip(self, why: &'static str) -> Over {
        self.verdict().skipped.set(|| why);
        Over(())
    }

    /// Skips the case on a machine with fewer CPUs.
    pub(crate) fn needs_two(self) -> Done {
        if self.cpus() < 2 { Err(self.skip("needs 2 CPUs")) } else { Ok(()) }
    }

    /// The doorbells sent so far.
    pub(crate) fn rings(self) -> Result<u64, Over> {
        self.rig().rings().ok_or_else(|| self.skip("doorbells are not counted here"))
    }

    #[track_caller]
    pub(crate) fn doorbell_lost(self) {
        self.note(false, "a doorbell was lost: there is work, and nobody rang");
    }
}

/// Memory that other CPUs reach.
impl<R: Rig> Ctx<R> {
    #[track_caller]
    fn placed<T>(self, placed: Result<T, Full>) -> Result<T, Over> {
        placed.map_err(|Full| self.fail("the rig's memory is too small", &"see memory_bytes"))
    }

    /// Puts a value where it stays.
    #[track_caller]
    pub(crate) fn place<T: Sync + 'static>(self, value: T) -> Result<&'static T, Over> {
        self.placed(self.suite.arena.place(value))
    }

    /// Makes a csd.
    #[track_caller]
    pub(crate) fn csd<F: Fn() + Sync + 'static>(self, function: F) -> Result<&'static Csd<F>, Over> {
        self.place(Csd::new(function))
    }

    /// Has CPU 0 make something, and gives it to all. Every CPU calls it; they wait for one another.
    #[track_caller]
    pub(crate) fn share<T: Sync + 'static>(self, make: impl FnOnce() -> T) -> Result<&'static T, Over> {
        self.share_made(|| Ok(make()))
    }

    /// As `share`, one for each CPU, by number.
    #[track_caller]
    pub(crate) fn share_each<T: Sync + 'static>(
        self,
        make: impl FnMut(u32) -> T,
    ) -> Result<&'static [T], Over> {
        self.share_made(|| self.suite.arena.row(self.cpus(), make)).copied()
    }

    #[track_caller]
    fn share_made<T: Sync + 'static>(
        self,
        make: impl FnOnce() -> Result<T, Full>,
    ) -> Result<&'static T, Over> {
        let suite = self.suite;
        if self.cpu() == 0 {
            self.placed(make().and_then(|made| suite.desk.leave(&suite.arena, made)))?;
        }
        self.barrier()?;
        let found = suite.desk.find::<T>();
        // Nobody leaves the next thing before all have found this one.
        self.barrier()?;
        found.ok_or_else(|| self.fail("the CPUs share different things", &"a defect of the case"))
    }
}

/// Waits. Each ends: by what was waited for, by the platform's patience, or because the case is over.
impl<R: Rig> Ctx<R> {
    /// Waits for all CPUs, and serves the queue meanwhile.
    #[track_caller]
    pub(crate) fn barrier(self) -> Done {
        self.unless_over()?;
        let Some(turn) = self.suite.middle.arrive(self.cpus()) else { return Ok(()) };
        self.wait_idle(|| self.suite.middle.is_open(turn), "a CPU did not come", Idle::step)
    }

    /// Serves the queue until `done`.
    #[track_caller]
    pub(crate) fn until(self, done: impl FnMut() -> bool, what: &'static str) -> Done {
        self.verdict().checks.add(1);
        self.wait_idle(done, what, Idle::step)
    }

    /// Sleeps until `done` by a function on this CPU: each sleep must be ended by a doorbell.
    #[track_caller]
    pub(crate) fn until_rung(self, done: impl FnMut() -> bool, what: &'static str) -> Done {
        self.verdict().checks.add(1);
        self.wait_idle(done, what, Idle::step_asleep)
    }

    /// As `until`, of a CPU that may not look at its queue before it is rung.
    #[track_caller]
    pub(crate) fn until_rung_at_rest(self, done: impl FnMut() -> bool, what: &'static str) -> Done {
        self.verdict().checks.add(1);
        self.wait_as(Idle::at_rest(self.rig()), done, what, Idle::step)
    }

    #[track_caller]
    fn wait_idle(
        self,
        done: impl FnMut() -> bool,
        what: &'static str,
        step: fn(&mut Idle, &R) -> Idled,
    ) -> Done {
        self.wait_as(Idle::new(self.rig()), done, what, step)
    }

    #[track_caller]
    fn wait_as(
        self,
        mut idle: Idle,
        mut done: impl FnMut() -> bool,
        what: &'static str,
        step: fn(&mut Idle, &R) -> Idled,
    ) -> Done {
        while !done() {
            self.unless_over()?;
            if idle.is_over(self.rig(), 1) {
                return Err(self.fail(what, &"waited in vain"));
            }
            if step(&mut idle, self.rig()) == Idled::DoorbellLost {
                self.doorbell_lost();
            }
        }
        Ok(())
    }

    /// Waits until `done` and serves nothing: with interrupts off, in a function, or as one who is busy.
    #[track_caller]
    pub(crate) fn spin(self, mut done: impl FnMut() -> bool, what: &'static str) -> Done {
        let idle = Idle::new(self.rig());
        while !done() {
            self.unless_over()?;
            if idle.is_over(self.rig(), 1) {
                return Err(self.fail(what, &"waited in vain"));
            }
            self.rig().pause();
        }
        Ok(())
    }

    /// Lets the others go on a few times: `times` different in each round makes each round a different race.
    pub(crate) fn pause(self, times: u32) {
        for _ in 0..times {
            self.rig().pause();
        }
    }

    /// Waits for a run, as a user would, but not for ever.
    #[track_caller]
    pub(crate) fn wait<T: Post>(self, csd: T) -> Done {
        self.verdict().checks.add(1);
        let patience_ns = self.rig().patience_ns();
        let waited = match patience_ns {
            0 => self.smp().wait(csd),
            _ => {
                let deadline_ns = self.smp().platform().now_ns().saturating_add(patience_ns);
                self.smp().wait_until(csd, deadline_ns)
            }
        };
        match waited {
            Ok(()) => Ok(()),
            Err(WaitError::TimedOut(stall)) => {
                Err(self.fail("a run that was waited for did not come", &stall))
            }
            Err(other) => Err(self.fail("a wait in thread context is allowed", &other)),
        }
    }

    /// Posts a csd that ought to be free, to a CPU that is online.
    #[track_caller]
    pub(crate) fn post<T: Post>(self, cpu: u32, csd: T) -> Done {
        self.unless_over()?;
        self.same(self.smp().post(cpu, csd), Ok(Posted::Queued), "a post of a free csd")
    }

    /// Calls a CPU that is online.
    #[track_caller]
    pub(crate) fn call<T: Send>(self, cpu: u32, function: impl FnOnce() -> T + Send) -> Result<T, Over> {
        self.unless_over()?;
        self.verdict().checks.add(1);
        self.smp().call(cpu, function).map_err(|error| self.fail("a waiting call", &error))
    }
}
