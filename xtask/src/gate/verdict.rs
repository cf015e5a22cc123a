//! What runs of two builds say of each row.
//!
//! A pair of runs gives each row two quotients, new by old: of its time, and of its time by the floor of its own run. The first is
//! wrong where the machine changed between the two runs, the second where a floor was disturbed. What counts is the one nearer to
//! 1, and 1 where they disagree. A row is slower where the median of its pairs says so and all but a quarter of them agree.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// By how much a row may be slower.
const BOUND: f64 = 0.15;
/// The same where the time is mostly the kernel's, or depends on when two sides meet: rows in whose name one of [`VARYING`] is.
const BOUND_VARYING: f64 = 0.4;
const VARYING: [&str; 5] = [", parked", ", shared cores", ", calling", "flood of posts", "latencies on"];

/// What one run said, in the order of its table.
#[derive(Clone, Debug)]
pub(super) struct Run(Vec<(Row, Measured)>);

/// The call, and the state of its target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    call: String,
    target: String,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    ns: f64,
    /// The time by its floor.
    ratio: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Slower,
    Faster,
    /// Only the base has the row.
    Gone,
    /// The base has no such row.
    New,
}

/// What is said of a row. Without pairs there is no quotient.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) row: Row,
    old: f64,
    new: f64,
    pub(super) quotient: f64,
    quartiles: [f64; 2],
    pub(super) verdict: Verdict,
}

impl Run {
    /// From the file that `smpcall run --json` writes.
    pub(super) fn read(text: &str) -> Result<Run> {
        #[derive(Deserialize)]
        struct Report {
            /// Times in ns, and what they say of the cores.
            floor: BTreeMap<String, serde_json::Value>,
            rows: Vec<Figures>,
        }
        #[derive(Deserialize)]
        struct Figures {
            call: String,
            target: String,
            ns_p50: f64,
            floor: String,
        }
        let Report { floor, rows } = serde_json::from_str(text)?;
        let read = |row: Figures| {
            let floor = floor.get(&row.floor).and_then(|floor| floor.as_f64());
            let floor = floor.with_context(|| format!("no floor {}", row.floor))?;
            let measured = Measured { ns: row.ns_p50, ratio: row.ns_p50 / floor };
            ensure!(measured.ns > 0.0 && measured.ratio.is_normal(), "{} took no time", row.call);
            Ok((Row { call: row.call, target: row.target }, measured))
        };
        let rows = rows.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        ensure!(!rows.is_empty(), "a run without rows");
        Ok(Run(rows))
    }

    fn get(&self, row: &Row) -> Option<Measured> {
        self.0.iter().find(|(name, _)| name == row).map(|(_, measured)| *measured)
    }
}

impl Row {
    fn bound(&self) -> f64 {
        let name = self.to_string();
        if VARYING.iter().any(|part| name.contains(part)) { BOUND_VARYING } else { BOUND }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}, {}", self.call, self.target))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.quartiles;
        let Self { row, old, new, quotient, verdict, .. } = self;
        let word = match verdict {
            Verdict::Same => "same",
            Verdict::Slower => "SLOWER",
            Verdict::Faster => "faster",
            Verdict::Gone => "only in the base",
            Verdict::New => "new",
        };
        write!(f, "{row:<40} {old:>9.4} {new:>9.4} {quotient:>9.2}   {low:.2} {high:.2}   {word}")
    }
}

/// The rows of both builds; the runs at the same place of the two are a pair.
pub(super) fn judge(olds: &[Run], news: &[Run]) -> Vec<Line> {
    let mut rows: Vec<&Row> = Vec::new();
    for (row, _) in news.iter().chain(olds).flat_map(|run| &run.0) {
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows.into_iter().map(|row| line(row, olds, news)).collect()
}

fn line(row: &Row, olds: &[Run], news: &[Run]) -> Line {
    let ratio = |runs: &[Run]| quantile(runs.iter().filter_map(|run| run.get(row)).map(|at| at.ratio), 0.5);
    let (old, new) = (ratio(olds), ratio(news));
    let pairs = olds.iter().zip(news).filter_map(|(old, new)| Some(quotient(old.get(row)?, new.get(row)?)));
    let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(pairs.clone(), part));
    let (bound, half) = (1.0 + row.bound(), 1.0 + row.bound() / 2.0);
    let verdict = match () {
        () if old.is_nan() => Verdict::New,
        () if new.is_nan() => Verdict::Gone,
        () if median > bound && low > half => Verdict::Slower,
        () if median < 1.0 / bound && high < 1.0 / half => Verdict::Faster,
        () => Verdict::Same,
    };
    Line { row: row.clone(), old, new, quotient: median, quartiles: [low, high], verdict }
}

/// Of a pair: the quotient that is nearer to 1.
fn quotient(old: Measured, new: Measured) -> f64 {
    let (ns, ratio) = (new.ns / old.ns, new.ratio / old.ratio);
    match (ns > 1.0, ratio > 1.0) {
        (true, true) => ns.min(ratio),
        (false, false) => ns.max(ratio),
        _ => 1.0,
    }
}

/// Between two values where it falls between them; of nothing it is not a number.
fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let at = part * last as f64;
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: [f64; 9] = [1.0, 1.3, 0.8, 1.1, 0.7, 1.25, 0.9, 1.02, 0.97];

    /// Runs with one row, of these ratios to a floor of so many ns.
    fn runs(target: &str, floor: f64, ratios: impl IntoIterator<Item = f64>) -> Vec<Run> {
        let row = Row { call: "call".into(), target: target.into() };
        ratios
            .into_iter()
            .map(|ratio| Run(vec![(row.clone(), Measured { ns: ratio * floor, ratio })]))
            .collect()
    }

    fn verdict(olds: &[Run], news: &[Run]) -> Verdict {
        let lines = judge(olds, news);
        assert_eq!(lines.len(), 1);
        lines[0].verdict
    }

    /// Of nine pairs whose quotients are these.
    fn of(target: &str, quotients: [f64; 9]) -> Verdict {
        verdict(&runs(target, 50.0, [2.0; 9]), &runs(target, 50.0, quotients.map(|times| 2.0 * times)))
    }

    #[test]
    fn noise_is_no_slowdown() {
        assert_eq!(of("polling", NOISE), Verdict::Same);
        assert_eq!(of("polling", [1.0; 9]), Verdict::Same);
        // More than half of the pairs, but a third says no.
        assert_eq!(of("polling", [1.3, 1.2, 1.4, 1.2, 1.3, 1.2, 0.9, 1.0, 1.0]), Verdict::Same);
        let mut one = [1.0; 9];
        one[4] = 5.0;
        assert_eq!(of("polling", one), Verdict::Same);
    }

    #[test]
    fn a_third_more_is_a_slowdown_in_spite_of_noise() {
        assert_eq!(of("polling", [1.3; 9]), Verdict::Slower);
        assert_eq!(of("polling", NOISE.map(|noise| 1.3 * (1.0 + (noise - 1.0) / 2.0))), Verdict::Slower);
        assert_eq!(of("polling", [1.0 / 1.3; 9]), Verdict::Faster);
        assert_eq!(of("parked", [1.3; 9]), Verdict::Same);
        assert_eq!(of("parked", [1.5; 9]), Verdict::Slower);
    }

    #[test]
    fn neither_a_disturbed_floor_nor_another_clock_is_a_slowdown() {
        let old = runs("polling", 50.0, [2.0; 9]);
        let mut floor_fell = old.clone();
        floor_fell.iter_mut().for_each(|run| run.0[0].1.ratio *= 3.0);
        assert_eq!(verdict(&old, &floor_fell), Verdict::Same);
        assert_eq!(verdict(&old, &runs("polling", 150.0, [2.0; 9])), Verdict::Same);
        assert_eq!(verdict(&old, &runs("polling", 150.0, [2.6; 9])), Verdict::Slower);
    }

    #[test]
    fn what_one_build_has_is_listed_and_not_compared() {
        let (polling, parked) = (runs("polling", 50.0, [2.0; 9]), runs("parked", 50.0, [9.0; 9]));
        let lines = judge(&polling, &parked);
        let said: Vec<_> = lines.iter().map(|line| (line.row.target.as_str(), line.verdict)).collect();
        assert_eq!(said, [("parked", Verdict::New), ("polling", Verdict::Gone)]);
    }

    #[test]
    fn a_report_is_read_and_one_that_says_nothing_is_refused() {
        let report = |ns: &str| {
            format!(
                r#"{{"floor": {{"cores": "near", "line": 50.0}}, "rows": [{{"call": "call", "target": "polling", "count": 3,
                "ns_p50": {ns}, "floor": "line"}}], "checks": {{}}}}"#
            )
        };
        let run = Run::read(&report("75.0")).unwrap();
        let measured = run.get(&run.0[0].0).unwrap();
        assert_eq!(
            (run.0[0].0.to_string(), measured.ns, measured.ratio),
            ("call, polling".into(), 75.0, 1.5)
        );
        assert!(Run::read(&report("0.0")).is_err());
        assert!(Run::read(r#"{"floor": {}, "rows": []}"#).is_err());
    }

    #[test]
    fn quantiles_lie_between_values() {
        let of = |part| quantile([4.0, 1.0, 3.0, 2.0].into_iter(), part);
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(of), [1.0, 1.75, 2.5, 4.0]);
        assert!(quantile(std::iter::empty(), 0.5).is_nan());
    }
}
