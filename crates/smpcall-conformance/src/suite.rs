//! The run: every CPU walks the same list of cases, with a barrier after each.

use crate::cases::{self, Case};
use crate::ctx::Ctx;
use crate::idle::{Barrier, Idle, Idled};
use crate::memory::{Arena, Desk};
use crate::once::WriteOnce;
use crate::report::{Failure, Outcome, Reporter, Summary};
use crate::rig::Rig;
use crate::text::Text;
use crate::words::Count;
use core::fmt;
use core::panic::Location;
use smpcall::{Budget, Cpu, Platform};

/// How many times its patience a CPU waits for the others at the end of a case: each of their waits may take one.
const PATIENCES_AT_THE_END: u64 = 4;

/// The contract as test bodies, for one run on one machine.
///
/// It is made once, in a `static` or leaked; then every CPU calls [`run`](Self::run).
pub struct Suite<R> {
    pub(crate) rig: R,
    pub(crate) arena: Arena,
    pub(crate) desk: Desk,
    /// Where the CPUs meet in the middle of a case; those who have given the case up do not come.
    pub(crate) middle: Barrier,
    /// Where they meet after it; everybody comes.
    end: Barrier,
    verdicts: [Verdict; cases::COUNT],
    /// Set once: a CPU did not come to the end of a case.
    aborted: Count,
}

/// What is known of one case.
pub(crate) struct Verdict {
    pub(crate) failure: WriteOnce<Failure>,
    pub(crate) skipped: WriteOnce<&'static str>,
    /// How many checks were made.
    pub(crate) checks: Count,
    reported_passed: Count,
}

impl Verdict {
    const fn new() -> Self {
        Self {
            failure: WriteOnce::new(),
            skipped: WriteOnce::new(),
            checks: Count::new(),
            reported_passed: Count::new(),
        }
    }

    /// Returns whether there is nothing more to find out.
    pub(crate) fn is_over(&self) -> bool {
        self.failure.is_claimed() || self.skipped.is_claimed()
    }

    fn outcome(&self) -> Outcome<'_> {
        match (self.failure.get(), self.skipped.get()) {
            (Some(failure), _) => Outcome::Failed(failure),
            (None, Some(why)) => Outcome::Skipped(why),
            (None, None) => Outcome::Passed,
        }
    }
}

/// A run that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run was given up: a CPU did not come to the end of a case")
    }
}

impl core::error::Error for Aborted {}

impl<R: Rig> Suite<R> {
    const CASES: &'static [Case<R>; cases::COUNT] = &cases::list();

    /// Makes the suite for one run.
    pub const fn new(rig: R) -> Self {
        Self {
            rig,
            arena: Arena::new(),
            desk: Desk::new(),
            middle: Barrier::new(),
            end: Barrier::new(),
            verdicts: [const { Verdict::new() }; cases::COUNT],
            aborted: Count::new(),
        }
    }

    /// Returns the rig.
    ///
    /// Example: [`Suite::memory_used`].
    pub fn rig(&self) -> &R {
        &self.rig
    }

    /// Returns how many bytes of the rig's memory are in use.
    ///
    /// ```
    /// use smpcall_conformance::{Rig, Suite};
    ///
    /// /// After a run: is what the rig handed in enough, and by how much?
    /// fn room<R: Rig>(suite: &Suite<R>, handed_in: usize) -> usize {
    ///     println!("{} CPUs", suite.rig().cpus());
    ///     handed_in - suite.memory_used()
    /// }
    /// ```
    pub fn memory_used(&self) -> usize {
        self.arena.used()
    }

    /// Runs all cases, together with the other CPUs: each calls this once, from its thread, and comes back when all are
    /// through. A CPU that is offline is brought online, and all are left online, or all offline if the run is given up. CPU 0 tells its reporter; the others'
    /// are not used.
    ///
    /// Context: thread of a CPU, interrupts on. Progress: waits for the other CPUs.
    ///
    /// # Errors
    ///
    /// [`Aborted`]: a CPU did not come out of a case, and the others do not wait for ever.
    ///
    /// # Panics
    ///
    /// If the caller is no CPU that takes part.
    pub fn run(&'static self, reporter: &mut dyn Reporter) -> Result<Summary, Aborted> {
        let cpu = self.rig.smp().platform().current_cpu().filter(|cpu| *cpu < self.rig.cpus());
        let leads = cpu.expect("run is for a CPU that takes part") == 0;
        if leads {
            self.arena.fill(self.rig.memory());
            reporter.announce(self.selected().count() as u32);
        }
        self.come_online();
        for (number, case) in self.selected() {
            let ctx = Ctx::new(self, number);
            if leads {
                reporter.begin(case.name);
            }
            let ran = self.run_case(ctx, case);
            if leads {
                self.report(ctx, case.name, ran, reporter);
            }
            self.unless_aborted(ran)?;
        }
        // Once more: what comes late is still counted, and then the figures are at odds with the lines, as they should.
        self.unless_aborted(self.meet(Ctx::new(self, cases::COUNT - 1)))?;
        let mut summary = Summary::default();
        for (number, _) in self.selected() {
            summary.count(self.verdict(number).outcome());
        }
        if leads {
            reporter.end(summary);
        }
        Ok(summary)
    }

    fn selected(&self) -> impl Iterator<Item = (usize, &'static Case<R>)> {
        Self::CASES.iter().enumerate().filter(|(_, case)| self.rig.selects(case.name))
    }

    fn run_case(&self, ctx: Ctx<R>, case: &Case<R>) -> Result<(), Aborted> {
        // The whole machine is there, and nobody is in the case before any more.
        self.meet(ctx)?;
        // What it came to is in the verdict.
        let _ = (case.body)(ctx);
        self.tidy_up();
        self.meet(ctx)
    }

    /// CPU 0, when all have left the case.
    fn report(&self, ctx: Ctx<R>, name: &'static str, ran: Result<(), Aborted>, reporter: &mut dyn Reporter) {
        self.middle.reset();
        let verdict = self.verdict(ctx.case());
        if ran.is_ok() && !verdict.is_over() && verdict.checks.get() == 0 {
            ctx.note(false, "the case checked nothing");
        }
        if ran.is_err() {
            // Who gave the run up may have been at the end of the case before; a failure of this one comes first.
            ctx.note(false, "the run was given up before this case began");
        }
        match (ran, verdict.failure.get()) {
            (Err(Aborted), Some(failure)) => reporter.aborted(name, failure),
            _ => {
                let outcome = verdict.outcome();
                verdict.reported_passed.set(matches!(outcome, Outcome::Passed).into());
                reporter.case(name, outcome);
            }
        }
    }

    pub(crate) fn verdict(&self, number: usize) -> &Verdict {
        &self.verdicts[number]
    }

    /// Returns the first case before this one that has failed since it was reported as passed.
    pub(crate) fn late_failure(&self, number: usize) -> Option<&'static str> {
        let before = Self::CASES[..number].iter().zip(&self.verdicts);
        let late = |(case, verdict): (&Case<R>, &Verdict)| {
            (verdict.reported_passed.get() == 1 && verdict.failure.is_claimed()).then_some(case.name)
        };
        before.map(late).find_map(|name| name)
    }

    /// Undoes what a case that ended early has left of this CPU: it neither polls nor is offline.
    fn tidy_up(&self) {
        const LOOKS_MAX: u32 = 100;
        if let Ok(mut cpu) = self.rig.smp().as_pin().this_cpu() {
            for _ in 0..LOOKS_MAX {
                if cpu.begin_sleep().map(|guard| _ = guard.commit()).is_ok() {
                    break;
                }
                let _ = cpu.flush(Budget::DEFAULT);
            }
        }
        self.come_online();
    }

    fn come_online(&self) {
        // An error is that it is online already.
        let _ = self.rig.smp().as_pin().online();
    }

    /// A CPU that gives the run up serves nobody any more, so it goes offline: that answers those who wait for it.
    fn unless_aborted(&self, ran: Result<(), Aborted>) -> Result<(), Aborted> {
        if ran.is_err() {
            // An error is that it is offline already.
            let _ = self.rig.smp().as_pin().this_cpu().map(Cpu::offline);
        }
        ran
    }

    /// Waits for all CPUs.
    fn meet(&self, ctx: Ctx<R>) -> Result<(), Aborted> {
        let Some(turn) = self.end.arrive(self.rig.cpus()) else { return Ok(()) };
        let mut idle = Idle::new(&self.rig);
        while !self.end.is_open(turn) {
            if idle.is_over(&self.rig, PATIENCES_AT_THE_END) {
                ctx.note(false, "a CPU did not come to the end of the case");
                self.aborted.set(1);
            }
            if self.aborted.get() != 0 {
                return Err(Aborted);
            }
            if idle.step(&self.rig) == Idled::DoorbellLost {
                ctx.doorbell_lost();
            }
        }
        Ok(())
    }
}

/// Records a failure, if it is the first of its case.
#[track_caller]
pub(crate) fn fail(verdict: &Verdict, cpu: Option<u32>, message: &'static str, detail: fmt::Arguments<'_>) {
    let at = Location::caller();
    verdict.failure.set(|| Failure { message, detail: Text::of(detail), at, cpu });
}

impl<R> fmt::Debug for Suite<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("cases", &cases::COUNT).finish_non_exhaustive()
    }
}
