//! Everything is at rest: do all accounts agree? And what is said of a run.

use super::kinds::KINDS;
use super::shared_state::Poster;
use super::tally::{Check, Event};
use super::{Rig, Soak};
use crate::report::Report;
use core::fmt;

impl<R: Rig> Soak<R> {
    /// Returns the CPUs that still have runs to do, some of them more than once; `None` stands for some CPU, of which only that
    /// is known. Exact at rest.
    pub fn owing(&self) -> impl Iterator<Item = Option<u32>> {
        let is_owing = |(due, ended, is_pending): (usize, usize, bool)| ended < due || is_pending;
        let entries = self.shared_state().entries();
        entries
            .filter(move |entry| is_owing((*entry.runs().0.start(), entry.runs().1, entry.is_pending())))
            .map(|entry| entry.target())
    }

    /// Compares all accounts, at rest, and counts the checks; returns whether nothing was lost.
    pub fn compare(&self) -> bool {
        let (row, shared_state) = (self.drivers_row(), self.shared_state());
        self.event(row, Event::Rest, 1);
        let mut sound = true;
        for entry in shared_state.entries() {
            let ((due, ended), is_pending) = (entry.runs(), entry.is_pending());
            let (what, target, owed, seen) =
                (entry.what, entry.target(), entry.owed.read(), entry.seen.read());
            // What a CPU leaves behind that is offline now, it lost when it went.
            let is_owing = ended < *due.start() || is_pending;
            let check = match target {
                Some(target) if is_owing && !self.cpu(target).online.is_set() => Check::Hotplug,
                _ => Check::ExactlyOnce,
            };
            let once = due.contains(&ended) && !is_pending;
            let still = if is_pending { ", and it is still pending" } else { "" };
            sound &= self.expect(
                row,
                check,
                once,
                format_args!(
                    "a csd ({what}), last for CPU {target:?}, ran {ended} times where {due:?} were due{still}"
                ),
            );
            self.expect(
                row,
                Check::Seen,
                seen >= owed || !once,
                format_args!(
                    "the last run of a csd ({what}) for {target:?} saw {seen} where {owed} was written"
                ),
            );
        }
        let sum = |of: fn(&Poster<R>) -> usize| shared_state.posters.iter().map(of).sum::<usize>();
        let (made, freed) = (sum(|poster| poster.made.get()), sum(|poster| poster.freed.get()));
        self.expect(
            row,
            Check::Memory,
            made == freed || !sound,
            format_args!("{made} counted csds were made, and {freed} freed"),
        );
        sound
    }

    /// Writes the state of a thread, for the report on a run that hangs.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn write_state(&self, thread: usize, to: &mut dyn fmt::Write) -> fmt::Result {
        let poster = &self.shared_state().posters[thread];
        match poster.cpu {
            None => to.write_str("a thread that only calls")?,
            Some(cpu) => {
                let online = if self.smp().is_online_racy(cpu) { "online" } else { "offline" };
                let inside = if self.cpu(cpu).is_in_function() { ", in a function" } else { "" };
                write!(to, "CPU {cpu}: {online}{inside}")?;
            }
        }
        let doing = poster.doing.get().checked_sub(1).map_or("nothing", |kind| KINDS[kind].name);
        write!(to, ", doing {doing}")?;
        poster.with.get().checked_sub(1).map_or(Ok(()), |cpu| write!(to, ", waiting for CPU {cpu}"))
    }

    /// Returns how many results [`Self::report`] gives.
    pub fn results() -> u32 {
        (Check::ALL.len() + KINDS.len()) as u32
    }

    /// Reports on each promise and on each kind of calls. One that was never made, nor refused, is skipped.
    pub fn report<W: fmt::Write>(&self, report: &mut Report<W>) {
        for check in Check::ALL {
            let (checked, broken) = self.checked(*check);
            match checked {
                0 => report.skip(check.name(), "there was nothing to check here"),
                _ => report.check(
                    check.name(),
                    broken == 0,
                    format_args!("{checked} checked, {broken} broken"),
                ),
            }
        }
        for (kind, row) in KINDS.iter().enumerate() {
            match self.kinds(kind) {
                (0, 0) => report.skip(row.name, "this machine, or this command, has it not"),
                (done, refused) => {
                    report.check(row.name, done > 0, format_args!("{done} done, {refused} refused"));
                }
            }
        }
    }
}
