//! What is counted: calls, their answers, and for each promise how often it was checked and how often it was broken.
//!
//! Each thread counts in a row of its own, its handlers in the same row; a function counts in the row of the CPU that runs
//! it, and whoever brings all to rest in a row behind those.

use super::kinds::{Came, KINDS, KINDS_LEN};
use super::words::Count;
use super::{Rig, Soak};
use core::fmt::Arguments;

/// How many broken promises are described; the rest is only counted.
const COMPLAINTS_MAX: usize = 20;

macro_rules! named {
    ($(#[$doc:meta])* $Name:ident { $($(#[$about:meta])* $variant:ident $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $($(#[$about])* $variant),+ }

        impl $Name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns its name in a report.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

named! {
    /// A promise that is checked.
    Check {
        /// A function runs on the CPU that was named.
        WrongCpu "p1_cpu",
        /// P1: as many runs as posts accepted, less those cancelled.
        ExactlyOnce "p1_once",
        /// P2: a run sees what was written before each post that it answers, also one that was told Busy.
        Seen "p2_seen",
        /// P3: Busy, and other refusals, name the right CPU, and come only where they may.
        Answer "p3_answer",
        /// P4: a waiting call gives back its result and what it wrote.
        Done "p4_done",
        /// P5: a csd is free again inside its own function.
        Reuse "p5_reuse",
        /// P6: in the order posted.
        Order "p6_order",
        /// P7: a CPU that sleeps is rung.
        Doorbell "p7_doorbell",
        /// P8: a CPU that goes offline runs what it accepted, and then refuses.
        Hotplug "p8_hotplug",
        /// P10: a wait that could deadlock is refused, and every other one ends.
        Deadlock "p10_deadlock",
        /// P11: a panic reaches its caller; a counted csd is freed once, after its last run.
        Memory "p11_memory",
    }
}

named! {
    /// Something that happened.
    Event {
        /// A function was run.
        Call "calls",
        /// A post was accepted.
        Post "posts",
        /// A post was told Busy.
        Busy "busy",
        /// A post or call was told Offline.
        Offline "offline",
        /// A run was cancelled.
        Cancelled "cancelled",
        /// A refused poster or a canceller was told that others relied on the run.
        Coalesced "told",
        /// An interrupt's handler posted.
        Interrupt "interrupts",
        /// A CPU ran a call of a CPU that it was just calling itself.
        Crossed "crossed",
        /// A wait reached its deadline.
        TimedOut "timed_out",
        /// A CPU went offline or came online.
        Hotplug "hotplug",
        /// All threads were at rest, and all accounts were compared.
        Rest "rests",
    }
}

/// How often something was done, and how often not: a check and what it broke, a kind and what was refused.
struct Pair([Count; 2]);

impl Pair {
    const fn new() -> Self {
        Self([const { Count::new() }; 2])
    }
}

/// One counter's numbers, on lines of its own.
#[repr(align(128))]
pub(super) struct Row {
    events: [Count; Event::ALL.len()],
    checks: [Pair; Check::ALL.len()],
    kinds: [Pair; KINDS_LEN],
}

impl Row {
    pub(super) const fn new() -> Self {
        Self {
            events: [const { Count::new() }; Event::ALL.len()],
            checks: [const { Pair::new() }; Check::ALL.len()],
            kinds: [const { Pair::new() }; KINDS_LEN],
        }
    }
}

/// Counting.
impl<R: Rig> Soak<R> {
    /// Counts something that happened.
    pub fn event(&self, row: usize, event: Event, number: usize) {
        self.rows()[row].events[event as usize].add(number);
    }

    pub(super) fn kind(&self, row: usize, kind: usize, came: Came) {
        let counts = &self.rows()[row].kinds[kind].0;
        match came {
            Came::Done => _ = counts[0].add(1),
            Came::Refused => _ = counts[1].add(1),
            Came::NotHere => {}
        }
    }

    /// Counts a check, and returns whether it held. Nothing else, so that an interrupt's handler may call it.
    pub fn check(&self, row: usize, check: Check, holds: bool) -> bool {
        let counts = &self.rows()[row].checks[check as usize].0;
        counts[0].add(1);
        if !holds {
            counts[1].add(1);
        }
        holds
    }

    /// Counts a check, and has the rig told of one that did not hold. Not for handlers of interrupts.
    pub fn expect(&self, row: usize, check: Check, holds: bool, why: Arguments<'_>) -> bool {
        if !self.check(row, check, holds) {
            self.complain(check, why);
        }
        holds
    }

    /// Has the rig told of a check that was counted already. Not for handlers of interrupts.
    #[cold]
    pub(super) fn complain(&self, check: Check, why: Arguments<'_>) {
        if self.complaints.add(1) < COMPLAINTS_MAX {
            self.rig.complain(format_args!("{}: {why}", check.name()));
        }
    }
}

/// What was counted so far.
impl<R: Rig> Soak<R> {
    fn sum(&self, of: impl Fn(&Row) -> &Count) -> usize {
        self.rows().iter().map(|row| of(row).get()).sum()
    }

    /// Returns how often it happened.
    pub fn events(&self, event: Event) -> usize {
        self.sum(|row| &row.events[event as usize])
    }

    /// Returns how many calls of that row of [`KINDS`] were done, and how many refused.
    pub fn kinds(&self, kind: usize) -> (usize, usize) {
        let count = |at: usize| self.sum(|row| &row.kinds[kind].0[at]);
        (count(0), count(1))
    }

    /// Returns how often it was checked, and how often it did not hold.
    pub fn checked(&self, check: Check) -> (usize, usize) {
        let count = |at: usize| self.sum(|row| &row.checks[check as usize].0[at]);
        (count(0), count(1))
    }

    /// Returns how many checks did not hold.
    pub fn errors(&self) -> usize {
        Check::ALL.iter().map(|check| self.checked(*check).1).sum()
    }

    /// Returns the numbers of a report, each with its name.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, &'static str, usize)> {
        let events = Event::ALL.iter().map(|event| ("", event.name(), self.events(*event)));
        let kinds = KINDS.iter().enumerate().map(|(at, kind)| ("kind_", kind.name, self.kinds(at).0));
        let checks = Check::ALL.iter().flat_map(|check| {
            let (checked, broken) = self.checked(*check);
            [("checked_", check.name(), checked), ("broken_", check.name(), broken)]
        });
        events.chain(kinds).chain(checks).chain([("", "errors", self.errors())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let checks = Check::ALL.iter().map(|check| check.name());
        let mut names: Vec<_> = checks.chain(Event::ALL.iter().map(|event| event.name())).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Check::ALL.len() + Event::ALL.len());
    }
}
