//! The table and the JSON file: the same numbers, rounded once.

use super::checks::Checks;
use super::stage::{Bench, Row};
use crate::output::{say, table};
use crate::pace::{Pace, Place};
use anyhow::Result;
use comfy_table::Table;
use serde::Serialize;
use smpcall_measure::floor::{Against, FAR, is_far};
use smpcall_measure::samples::round;

const HEADER: [&str; 12] = [
    "call",
    "target",
    "count",
    "calls/sample",
    "ns min",
    "p50",
    "p99",
    "x floor",
    "floor",
    "goal",
    "doorbells/call",
    "busies",
];

/// Everything that was measured.
#[derive(Serialize)]
pub(super) struct Report {
    floor: FloorReport,
    rows: Vec<RowReport>,
    checks: ChecksReport,
}

/// Medians, in ns.
#[derive(Serialize)]
struct FloorReport {
    cores: Cores,
    cache_line_rtt_ns: f64,
    looked_at_line_rtt_ns: f64,
    futex_rtt_ns: f64,
    fetch_or_ns: f64,
    pause_ns: f64,
}

/// How far it is between the two cores, as a cache line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Cores {
    Near,
    Far,
    /// There is one.
    Shared,
    /// The threads are not pinned.
    Unknown,
}

impl Cores {
    fn of(place: &Place, line_ns: f64, fetch_or_ns: f64) -> Self {
        match (place.cores.len(), place.pace()) {
            (0, _) => Self::Unknown,
            (_, Pace::Shared) => Self::Shared,
            (_, Pace::Apart) if is_far(line_ns, fetch_or_ns) => Self::Far,
            (_, Pace::Apart) => Self::Near,
        }
    }

    fn say(self, line_ns: f64, fetch_or_ns: f64) -> String {
        let trip = round(line_ns / fetch_or_ns, 1);
        match self {
            Self::Near => format!(
                "The two cores are near: a line's round trip takes {trip} fetch_or (far: {FAR} and more)."
            ),
            Self::Far => format!(
                "The two cores are far: a line's round trip takes {trip} fetch_or (near: less than {FAR})."
            ),
            Self::Shared => {
                "There is one core: no line moves, and a round trip takes two changes of threads.".to_owned()
            }
            Self::Unknown => "Which cores are used is not known: the threads are not pinned.".to_owned(),
        }
    }
}

#[derive(Serialize)]
struct RowReport {
    call: &'static str,
    target: &'static str,
    count: u64,
    /// A sample is the mean of so many calls back to back.
    calls_per_sample: u32,
    ns_min: f64,
    ns_p50: f64,
    ns_p99: f64,
    /// The key of the floor that the ratio is to.
    floor: &'static str,
    ratio_to_floor: f64,
    /// At most so much was the aim, on any machine.
    goal: Option<f64>,
    doorbells_per_call: f64,
    busy: u64,
}

#[derive(Serialize)]
struct ChecksReport {
    passed: u64,
    failed: u64,
}

impl Report {
    pub(super) fn new(bench: &Bench, place: &Place, checks: &Checks) -> Self {
        let (line_ns, fetch_or_ns) = (bench.floor.ns(Against::CacheLine), bench.floor.ns(Against::FetchOr));
        let floor = FloorReport {
            cores: Cores::of(place, line_ns, fetch_or_ns),
            cache_line_rtt_ns: line_ns,
            looked_at_line_rtt_ns: bench.floor.ns(Against::LookedAt),
            futex_rtt_ns: bench.floor.ns(Against::Futex),
            fetch_or_ns,
            pause_ns: bench.floor.ns(Against::Pause),
        };
        let total = checks.total();
        Self {
            floor,
            rows: bench.rows.iter().map(|row| RowReport::new(row, bench)).collect(),
            checks: ChecksReport { passed: total.passed, failed: total.failed },
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.checks.failed
    }

    pub(super) fn print(&self, place: &Place, checks: &Checks) -> Result<()> {
        say!("{}", self.table())?;
        say!(
            "A sample is the mean of `calls/sample` calls back to back; min, p50 and p99 are over samples."
        )?;
        say!("Floors, medians measured between the rows:")?;
        let floor = &self.floor;
        let between = match (place.cores.len(), place.pace()) {
            (0, _) => "between two threads that are not pinned",
            (_, Pace::Apart) => "between the same two cores",
            (_, Pace::Shared) => "between the same two threads, which share a core: changes of threads too",
        };
        let looks = "the same where each side lets the other look before it swaps";
        for (name, ns, what) in [
            ("line     ", floor.cache_line_rtt_ns, format!("a cache line there and back {between}").as_str()),
            ("looked at", floor.looked_at_line_rtt_ns, looks),
            ("futex    ", floor.futex_rtt_ns, "there and back through the kernel, both sides asleep"),
            ("fetch_or ", floor.fetch_or_ns, "one on a line that nobody else uses"),
            ("pause    ", floor.pause_ns, "between two looks of a waiting caller"),
        ] {
            say!("  {name}{ns:>8} ns  {what}")?;
        }
        say!("{}", floor.cores.say(floor.cache_line_rtt_ns, floor.fetch_or_ns))?;
        let ChecksReport { passed, failed } = self.checks;
        say!("Checks of {}: {passed} passed, {failed} failed", checks.promises().join(", "))?;
        for (promise, what, tally) in checks.failures() {
            say!("  {promise} FAILED {} of {}: {what}", tally.failed, tally.passed + tally.failed)?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let cells = |row: &RowReport| {
            [
                row.call.to_owned(),
                row.target.to_owned(),
                row.count.to_string(),
                row.calls_per_sample.to_string(),
                row.ns_min.to_string(),
                row.ns_p50.to_string(),
                row.ns_p99.to_string(),
                row.ratio_to_floor.to_string(),
                short(row.floor).to_owned(),
                row.goal.map(|goal| goal.to_string()).unwrap_or_default(),
                row.doorbells_per_call.to_string(),
                row.busy.to_string(),
            ]
        };
        table(HEADER, self.rows.iter().map(cells))
    }
}

impl RowReport {
    fn new(row: &Row, bench: &Bench) -> Self {
        let ns_p50 = row.samples.percentile_ns(50.0);
        let calls = row.calls.max(1) as f64;
        Self {
            call: row.plan.call,
            target: row.plan.target,
            count: row.calls,
            calls_per_sample: row.calls_per_sample,
            ns_min: row.samples.min_ns(),
            ns_p50,
            ns_p99: row.samples.percentile_ns(99.0),
            floor: row.plan.against.name(),
            ratio_to_floor: round(ns_p50 / bench.floor.ns(row.plan.against), 3),
            goal: row.plan.goal,
            doorbells_per_call: round(row.rings as f64 / calls, 4),
            busy: row.busy,
        }
    }
}

/// A floor's name in the table.
fn short(floor: &'static str) -> &'static str {
    match floor {
        "cache_line_rtt_ns" => "line",
        "futex_rtt_ns" => "futex",
        _ => "fetch_or",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_near_or_far_by_what_a_line_takes_in_the_same_run() {
        let two = Place { cores: vec![0, 1] };
        let of = |line_ns| Cores::of(&two, line_ns, 3.3);
        assert_eq!([55.0, 160.0, 330.0, 660.0].map(of), [Cores::Near, Cores::Near, Cores::Far, Cores::Far]);
        assert_eq!(Cores::of(&Place { cores: vec![3] }, 330.0, 3.3), Cores::Shared);
        assert_eq!(Cores::of(&Place { cores: vec![] }, 55.0, 3.3), Cores::Unknown);
        assert!(Cores::Far.say(330.0, 3.3).contains("are far: a line's round trip takes 100 fetch_or"));
    }
}
