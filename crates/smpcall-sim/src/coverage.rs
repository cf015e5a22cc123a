//! Which states runs have come to: changes of the core's two words; and kinds of calls, in which context, and what they came to. Printed by
//! `smpcall sim --coverage`; and by it the next runs draw more of the kinds whose runs have shown something new lately
//! ([`Coverage::to_prefer`]).

use crate::history::{Act, Event, EventKind, Level, Urgency};
use crate::kinds::KINDS;
use crate::scenario::Scenario;
use smpcall_instrumented::words;
use smpcall_sim_atomics::Word;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// How many kinds are preferred.
const PREFERRED: usize = 3;

/// How the core's words have changed in a run, each change once, in order. For itself a few dozen numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes(Vec<u32>);

impl Changes {
    pub(crate) fn add(&mut self, word: Word, from: usize, to: usize) {
        let change = match word {
            Word::State => u32::from(words::state(from)) << 16 | u32::from(words::state(to)),
            Word::Head => 1 << 31 | u32::from(words::head(from)) << 16 | u32::from(words::head(to)),
        };
        if let Err(at) = self.0.binary_search(&change) {
            self.0.insert(at, change);
        }
    }
}

/// Something that a run has come to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Change(u32),
    /// Which call, where, and what it came to.
    Call(&'static str, Level, String),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => {
                let (from, to) = ((change >> 16 & 0x7fff) as u16, *change as u16);
                if change >> 31 == 0 {
                    let [from, to] = [from, to].map(|word| joined(words::state_names(word)));
                    write!(f, "state: {from} → {to}")
                } else {
                    let [from, to] = [from, to].map(|word| joined(words::head_names(word)));
                    write!(f, "head: {from} → {to}")
                }
            }
            Self::Call(what, level, came) => {
                let context = match level {
                    Level::Thread => "thread",
                    Level::Irq => "interrupt",
                    Level::Call => "call context",
                    Level::Nmi => "NMI",
                };
                write!(f, "call: {what}, {context} → {came}")
            }
        }
    }
}

/// What a number of runs have come to.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// In how many runs.
    cells: BTreeMap<Cell, u64>,
    /// For each kind, what runs with it in their programs have shown first; the older, the less.
    credit: Vec<f64>,
    /// In how many programs it was.
    drawn: Vec<u64>,
}

impl Coverage {
    /// Takes in one run.
    pub(crate) fn add(&mut self, scenario: &Scenario, history: &[Event], changes: &Changes) {
        self.credit.resize(KINDS.len(), 0.0);
        self.drawn.resize(KINDS.len(), 0);
        let mut cells: Vec<Cell> = changes.0.iter().map(|change| Cell::Change(*change)).collect();
        let mut begun: Vec<(&'static str, Level)> = Vec::new();
        for event in history {
            match &event.kind {
                EventKind::Begin { act, .. } => begun.push((name_of(act), event.level)),
                EventKind::End { op, came } => {
                    if let Some((what, level)) = begun.get(*op) {
                        cells.push(Cell::Call(what, *level, first_word(came)));
                    }
                }
                _ => {}
            }
        }
        cells.sort_unstable();
        cells.dedup();
        let known = self.cells.len();
        cells.into_iter().for_each(|cell| *self.cells.entry(cell).or_default() += 1);
        let news = (self.cells.len() - known) as f64;
        let ops = scenario.programs.iter().flatten().chain(scenario.arrivals.iter().map(|one| &one.op));
        let mut kinds: Vec<usize> = ops.map(|op| op.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            self.drawn[kind] += 1;
            self.credit[kind] += news;
        }
    }

    /// The kinds that the next runs should have more of: those that no run had, and then those whose runs have shown most that was new. What
    /// was new before counts half as much from now on.
    pub fn to_prefer(&mut self) -> Vec<usize> {
        let mut drawable: Vec<usize> = (0..self.drawn.len()).filter(|kind| KINDS[*kind].weight > 0).collect();
        let worth = |kind: usize| {
            let runs = self.drawn[kind];
            if runs == 0 { f64::INFINITY } else { self.credit[kind] / runs as f64 }
        };
        // Of equals the first of the table.
        drawable.sort_by(|a, b| worth(*b).total_cmp(&worth(*a)));
        let best = drawable.into_iter().filter(|kind| worth(*kind) > 0.0).take(PREFERRED).collect();
        self.credit.iter_mut().for_each(|credit| *credit /= 2.0);
        best
    }

    /// Each of them in words, with the number of runs that have come to it.
    pub fn rows(&self) -> impl Iterator<Item = (String, u64)> {
        self.cells.iter().map(|(cell, runs)| (cell.to_string(), *runs))
    }

    /// How many changes of the state word, of the head word, and calls in their contexts there were.
    pub fn counts(&self) -> [usize; 3] {
        let count = |is: fn(&Cell) -> bool| self.cells.keys().filter(|cell| is(cell)).count();
        [
            count(|cell| matches!(cell, Cell::Change(change) if change >> 31 == 0)),
            count(|cell| matches!(cell, Cell::Change(change) if change >> 31 == 1)),
            count(|cell| matches!(cell, Cell::Call(..))),
        ]
    }
}

fn joined(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(" ")
}

fn name_of(act: &Act) -> &'static str {
    match act {
        Act::Post { urgency: Urgency::Now, .. } => "post",
        Act::Post { urgency: Urgency::Lazy, .. } => "lazy post",
        Act::Post { urgency: Urgency::Deferred, .. } => "deferred post",
        Act::Chain { .. } => "chain",
        Act::Counted { .. } => "counted post",
        Act::Detached { .. } => "detached call",
        Act::Cancel { .. } => "cancel",
        Act::Call { .. } => "call",
        Act::Blocking { .. } => "blocking call",
        Act::Nearest { .. } => "nearest",
        Act::Many { waits: false, .. } => "multicast post",
        Act::Many { idle: true, .. } => "multicast to the idle",
        Act::Many { .. } => "multicast",
        Act::Wait { until: false, .. } => "wait",
        Act::Wait { until: true, .. } => "wait until",
        Act::Misuse => "misuse",
        Act::Online => "online",
        Act::Offline => "offline",
        Act::Poll => "poll",
        Act::User => "user space",
        Act::Meet { .. } => "rendezvous",
        Act::Stuck => "stuck",
        Act::Recover => "recover",
        Act::Await { .. } => "await",
        Act::Take { .. } => "take a slot",
        Act::Give { .. } => "give a slot back",
    }
}

/// The name of an enum's variant.
fn first_word(what: &impl fmt::Debug) -> String {
    struct First(String);
    impl Write for First {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            self.0.push_str(word);
            if word.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut first = First(String::new());
    // It stops at the word's end.
    let _ = write!(first, "{what:?}");
    first.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Came;
    use crate::scenario::Options;
    use crate::sim::play_and_cover;

    #[test]
    fn a_variants_name_is_its_first_word() {
        assert_eq!(first_word(&Came::Busy(3)), "Busy");
        assert_eq!(first_word(&Came::Ok), "Ok");
        assert_eq!(first_word(&Came::Reached { ran: 1, offline: 0, busy: 0 }), "Reached");
    }

    #[test]
    fn runs_show_the_marks_and_the_calls_and_say_what_to_draw_next() {
        let mut coverage = Coverage::default();
        for seed in 0..60 {
            _ = play_and_cover(&Scenario::draw(seed, &Options::default()), &mut coverage);
        }
        let rows: Vec<String> = coverage.rows().map(|(row, runs)| format!("{row} {runs}")).collect();
        for part in [
            "head: IDLE → list",
            "head: POLLING → IDLE",
            "head: OFFLINE → IDLE",
            "state: free → async",
            "NMI →",
        ] {
            assert!(rows.iter().any(|row| row.contains(part)), "{part}: {rows:#?}");
        }
        assert!(coverage.counts().iter().all(|count| *count > 8), "{:?}", coverage.counts());
        let prefer = coverage.to_prefer();
        assert!(prefer.len() == PREFERRED, "{prefer:?}");
        assert!(prefer.iter().all(|kind| KINDS[*kind].weight > 0), "{prefer:?}");
    }
}
