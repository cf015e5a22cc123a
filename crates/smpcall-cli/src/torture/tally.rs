//! What is counted: calls, their answers, and for each promise how often it was checked and how often it was broken.
//!
//! Each thread counts in a row of its own, its signal handler in the same row; a function counts in the row of the CPU
//! that runs it.

use super::words::Count;
use crate::pace::Line;
use std::sync::Mutex;

/// How many broken promises are described; the rest is only counted.
const COMPLAINTS_MAX: usize = 20;

/// A promise that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// A function runs on the CPU that was named.
    WrongCpu,
    /// P1: as many runs as posts accepted, less those cancelled.
    ExactlyOnce,
    /// P2: a run sees what was written before each post that it answers, also one that was told Busy.
    Seen,
    /// P3: Busy, and other refusals, name the right CPU, and come only where they may.
    Answer,
    /// P4: a waiting call gives back its result and what it wrote.
    Done,
    /// P5: a csd is free again inside its own function.
    Reuse,
    /// P6: in the order posted.
    Order,
    /// P7: a CPU that sleeps is rung.
    Doorbell,
    /// P8: a CPU that goes offline runs what it accepted, and then refuses.
    Hotplug,
    /// P10: a wait that could deadlock is refused, and every other one ends.
    Deadlock,
    /// P11: a panic reaches its caller; a counted csd is freed once, after its last run.
    Memory,
}

impl Check {
    pub(super) const ALL: [Self; 11] = [
        Self::WrongCpu,
        Self::ExactlyOnce,
        Self::Seen,
        Self::Answer,
        Self::Done,
        Self::Reuse,
        Self::Order,
        Self::Doorbell,
        Self::Hotplug,
        Self::Deadlock,
        Self::Memory,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WrongCpu => "p1_cpu",
            Self::ExactlyOnce => "p1_once",
            Self::Seen => "p2_seen",
            Self::Answer => "p3_answer",
            Self::Done => "p4_done",
            Self::Reuse => "p5_reuse",
            Self::Order => "p6_order",
            Self::Doorbell => "p7_doorbell",
            Self::Hotplug => "p8_hotplug",
            Self::Deadlock => "p10_deadlock",
            Self::Memory => "p11_memory",
        }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A function was run.
    Call,
    /// A post was accepted.
    Post,
    /// A post was told Busy.
    Busy,
    /// A post or call was told Offline.
    Offline,
    /// A run was cancelled.
    Cancelled,
    /// A refused poster or a canceller was told that others relied on the run.
    Coalesced,
    /// A signal handler posted.
    Interrupt,
    /// A CPU ran a call of a CPU that it was just calling itself.
    Crossed,
    /// A wait reached its deadline.
    TimedOut,
    /// A CPU went offline or came online.
    Hotplug,
    /// All threads were at rest, and all counts were compared.
    Rest,
}

impl Event {
    pub(super) const ALL: [Self; 11] = [
        Self::Call,
        Self::Post,
        Self::Busy,
        Self::Offline,
        Self::Cancelled,
        Self::Coalesced,
        Self::Interrupt,
        Self::Crossed,
        Self::TimedOut,
        Self::Hotplug,
        Self::Rest,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Call => "calls",
            Self::Post => "posts",
            Self::Busy => "busy",
            Self::Offline => "offline",
            Self::Cancelled => "cancelled",
            Self::Coalesced => "told",
            Self::Interrupt => "interrupts",
            Self::Crossed => "crossed",
            Self::TimedOut => "timed_out",
            Self::Hotplug => "hotplug",
            Self::Rest => "rests",
        }
    }
}

#[derive(Default)]
struct Checked {
    done: Count,
    broken: Count,
}

#[derive(Default)]
struct Row {
    events: [Count; Event::ALL.len()],
    checks: [Checked; Check::ALL.len()],
    /// By number of its row in the table of kinds.
    kinds: Box<[Count]>,
}

/// All that is counted.
pub(super) struct Tally {
    rows: Box<[Line<Row>]>,
    complaints: Mutex<Vec<String>>,
}

impl Tally {
    pub(super) fn new(rows: usize, kinds: usize) -> Self {
        let row = || {
            let kinds = std::iter::repeat_with(Count::default).take(kinds).collect();
            Line(Row { kinds, ..Row::default() })
        };
        Self { rows: std::iter::repeat_with(row).take(rows).collect(), complaints: Mutex::default() }
    }

    pub(super) fn event(&self, row: usize, event: Event, number: u64) {
        self.rows[row].0.events[event as usize].add(number);
    }

    pub(super) fn kind(&self, row: usize, kind: usize) {
        self.rows[row].0.kinds[kind].add(1);
    }

    /// Counts a check, and returns whether it held. Nothing else, so that signal handlers may call it.
    pub(super) fn check(&self, row: usize, check: Check, holds: bool) -> bool {
        let checked = &self.rows[row].0.checks[check as usize];
        checked.done.add(1);
        if !holds {
            checked.broken.add(1);
        }
        holds
    }

    /// Counts a check, and keeps what `why` says if it did not hold. Not for signal handlers.
    pub(super) fn expect(&self, row: usize, check: Check, holds: bool, why: impl FnOnce() -> String) -> bool {
        if !self.check(row, check, holds) {
            self.complain(format!("{}: {}", check.name(), why()));
        }
        holds
    }

    /// Keeps a description of a check that was counted already. Not for signal handlers.
    #[cold]
    pub(super) fn complain(&self, what: String) {
        let mut complaints = self.complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if complaints.len() < COMPLAINTS_MAX {
            complaints.push(what);
        }
    }

    /// What was said of broken promises.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(super) fn events(&self, event: Event) -> u64 {
        self.rows.iter().map(|row| row.0.events[event as usize].get()).sum()
    }

    pub(super) fn kinds(&self, kind: usize) -> u64 {
        self.rows.iter().map(|row| row.0.kinds[kind].get()).sum()
    }

    /// How often it was checked.
    pub(super) fn checked(&self, check: Check) -> u64 {
        self.rows.iter().map(|row| row.0.checks[check as usize].done.get()).sum()
    }

    /// How often it did not hold.
    pub(super) fn broken(&self, check: Check) -> u64 {
        self.rows.iter().map(|row| row.0.checks[check as usize].broken.get()).sum()
    }

    pub(super) fn errors(&self) -> u64 {
        Check::ALL.iter().map(|check| self.broken(*check)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_counted_and_described() {
        let tally = Tally::new(2, 1);
        assert!(tally.check(0, Check::Order, true));
        assert!(!tally.check(1, Check::Order, false));
        for number in 0..100 {
            tally.expect(1, Check::Seen, false, || format!("number {number}"));
        }
        assert_eq!((tally.checked(Check::Order), tally.broken(Check::Order)), (2, 1));
        assert_eq!((tally.errors(), tally.complaints().len()), (101, COMPLAINTS_MAX));
        assert_eq!(tally.complaints()[0], "p2_seen: number 0");
    }

    #[test]
    fn every_name_is_there_once() {
        let checks = Check::ALL.map(Check::name);
        let events = Event::ALL.map(Event::name);
        let mut names: Vec<_> = checks.iter().chain(&events).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Check::ALL.len() + Event::ALL.len());
        for (number, check) in Check::ALL.into_iter().enumerate() {
            assert_eq!(check as usize, number);
        }
        for (number, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, number);
        }
    }
}
