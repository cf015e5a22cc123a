//! What changed since an earlier report.
//!
//! A figure is measured in several rounds; its *spread* is from the least to the most of their medians. It is said to have changed
//! only if the two spreads have nothing in common. A row whose ratio to its floor is within both spreads of ratios has moved with
//! its floor: the machine is another, or laid out otherwise, and not smpcall.

use crate::data::{Report, Row};
use crate::warnings::is_disturbed;

/// The median of some rounds, and their outermost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one, the upper of two.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of the rounds; `None` if there are none.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = *sorted.get(sorted.len() / 2)?;
        Some(Self { median, least: *sorted.first()?, most: *sorted.last()? })
    }

    fn differs(&self, other: &Self) -> bool {
        self.least > other.most || self.most < other.least
    }
}

/// What is to be said of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The spreads meet.
    WithinNoise,
    /// It takes less than in any round before.
    Faster,
    /// It takes more than in any round before.
    Slower,
    /// It takes less or more, and so does its floor.
    WithItsFloor,
    /// There is no such figure in the earlier report.
    New,
}

/// One figure, then and now.
#[derive(Clone, Debug)]
pub struct Change {
    /// What it is of.
    pub name: String,
    /// In the earlier report.
    pub before: Option<Spread>,
    /// In this one.
    pub now: Spread,
    /// What that means.
    pub verdict: Verdict,
}

/// What changed, and what makes the two reports hard to compare.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// When the earlier one was made.
    pub made_at: u64,
    /// Sentences: another processor, kernel, compiler, too few rounds.
    pub notes: Vec<String>,
    /// How many figures of one are named by chance alone, if rounds do not depend on each other; at least, since they do.
    pub by_chance: f64,
    /// Floors first, then rows.
    pub changes: Vec<Change>,
    /// Rows that are in the earlier report only.
    pub gone: Vec<String>,
}

/// With fewer, one figure in ten and more is named by chance.
const ROUNDS_MIN: usize = 4;

/// Holds `now` against `before`.
pub fn compare(before: &Report, now: &Report) -> Comparison {
    let mut changes = Vec::new();
    for floor in &now.floors {
        let earlier = before.floor(&floor.name).and_then(|floor| Spread::of(&floor.rounds));
        if let Some(spread) = Spread::of(&floor.rounds) {
            changes.push(change(format!("floor: {}", floor.name), earlier, spread, || false));
        }
    }
    for row in &now.rows {
        let earlier = before.rows.iter().find(|other| is_same(other, row));
        let spread = earlier.and_then(|row| Spread::of(&row.rounds));
        if let Some(now_spread) = Spread::of(&row.rounds) {
            let with_floor = || {
                let ratios = earlier.and_then(|row| ratios(before, row)).zip(ratios(now, row));
                ratios.is_some_and(|(then, now)| !then.differs(&now))
            };
            changes.push(change(format!("{}, {}", row.call, row.target), spread, now_spread, with_floor));
        }
    }
    let gone = before.rows.iter().filter(|row| !now.rows.iter().any(|other| is_same(other, row)));
    let gone = gone.map(|row| format!("{}, {}", row.call, row.target)).collect();
    let by_chance = by_chance(rounds(before), rounds(now));
    Comparison { made_at: before.made_at, notes: notes(before, now), by_chance, changes, gone }
}

/// The least that a row has.
fn rounds(report: &Report) -> usize {
    report.rows.iter().map(|row| row.rounds.len()).min().unwrap_or(0)
}

/// How likely it is that so many values of one kind all come before, or all behind, so many others of the same kind: two of all the ways
/// to choose the places of the first.
fn by_chance(first: usize, second: usize) -> f64 {
    let ways: f64 = (1..=first).map(|at| (second + at) as f64 / at as f64).product();
    (2.0 / ways).min(1.0)
}

fn is_same(one: &Row, other: &Row) -> bool {
    (&one.call, &one.target) == (&other.call, &other.target)
}

/// What a row takes of its floor, round by round.
fn ratios(report: &Report, row: &Row) -> Option<Spread> {
    let floor = report.floor(&row.floor)?;
    let ratios: Vec<f64> = row.rounds.iter().zip(&floor.rounds).map(|(row, floor)| row / floor).collect();
    Spread::of(&ratios)
}

fn change(name: String, before: Option<Spread>, now: Spread, with_floor: impl Fn() -> bool) -> Change {
    let verdict = match before {
        None => Verdict::New,
        Some(before) if !before.differs(&now) => Verdict::WithinNoise,
        Some(_) if with_floor() => Verdict::WithItsFloor,
        Some(before) if now.median < before.median => Verdict::Faster,
        Some(_) => Verdict::Slower,
    };
    Change { name, before, now, verdict }
}

fn notes(before: &Report, now: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let mut differs = |what: &str, then: &str, now: &str| {
        if then != now {
            notes.push(format!("{what} is another: {then:?} then, {now:?} now."));
        }
    };
    differs("The processor", &before.environment.processor, &now.environment.processor);
    differs("The kernel", &before.environment.kernel, &now.environment.kernel);
    differs("The compiler", &before.build.rustc, &now.build.rustc);
    differs("The version", &before.build.smpcall, &now.build.smpcall);
    let cores = |report: &Report| format!("{:?}", report.environment.timed_between);
    differs("The pair of cores", &cores(before), &cores(now));
    for (report, which) in [(before, "earlier"), (now, "new")] {
        if is_disturbed(&report.environment) {
            notes.push(format!(
                "Other programs or machines were at work while the {which} report was made: its rounds then agree with each other more than \
                 with those of another time, and figures are named that did not change."
            ));
        }
        let rounds = rounds(report);
        if rounds < ROUNDS_MIN {
            notes.push(format!(
                "The {which} report has {rounds} rounds: a spread takes {ROUNDS_MIN} at least, so little can be said."
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::report;

    fn verdict(comparison: &Comparison, name: &str) -> Verdict {
        comparison.changes.iter().find(|change| change.name == name).expect("it is compared").verdict
    }

    #[test]
    fn a_change_is_named_only_outside_both_spreads() {
        let (before, mut now) = (report(), report());
        now.rows[0].rounds = vec![150.0, 160.0, 131.0, 140.0];
        assert_eq!(verdict(&compare(&before, &now), "waiting call, polling"), Verdict::Slower);
        now.rows[0].rounds = vec![150.0, 160.0, 129.0, 140.0];
        assert_eq!(verdict(&compare(&before, &now), "waiting call, polling"), Verdict::WithinNoise);
        now.rows[0].rounds = vec![99.0, 20.0, 30.0, 40.0];
        assert_eq!(verdict(&compare(&before, &now), "waiting call, polling"), Verdict::Faster);
    }

    #[test]
    fn a_row_that_moves_with_its_floor_is_told_from_one_that_does_not() {
        let (before, mut now) = (report(), report());
        now.floors[0].rounds.iter_mut().chain(&mut now.rows[0].rounds).for_each(|ns| *ns *= 6.0);
        let comparison = compare(&before, &now);
        assert_eq!(verdict(&comparison, "floor: cache_line_rtt_ns"), Verdict::Slower);
        assert_eq!(verdict(&comparison, "waiting call, polling"), Verdict::WithItsFloor);
    }

    #[test]
    fn what_is_named_by_chance_gets_rare_with_the_rounds() {
        let rounded = |first, second| (by_chance(first, second) * 1_000.0).round();
        assert_eq!(
            [rounded(3, 3), rounded(5, 5), rounded(1, 1), rounded(0, 5)],
            [100.0, 8.0, 1_000.0, 1_000.0]
        );
    }

    #[test]
    fn rows_that_came_and_went_and_another_machine_are_said() {
        let (before, mut now) = (report(), report());
        now.rows[0].call = "call of another kind".to_owned();
        now.environment.processor = "another".to_owned();
        now.rows[0].rounds.truncate(3);
        now.environment.load_before = 3.0;
        let comparison = compare(&before, &now);
        assert_eq!(verdict(&comparison, "call of another kind, polling"), Verdict::New);
        assert_eq!(comparison.gone, ["waiting call, polling"]);
        assert_eq!(comparison.notes.len(), 3, "{:?}", comparison.notes);
        assert!(compare(&before, &before).notes.is_empty());
    }
}
