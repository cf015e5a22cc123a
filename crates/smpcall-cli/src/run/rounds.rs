//! The rows of `smpcall run` in several rounds, as a report wants them: each round's medians, from which its noise is known, and the
//! quantiles over all.

use super::checks::Checks;
use super::stage::Row;
use super::{cpus_checked, measure};
use crate::pace::Place;
use anyhow::Result;
use smpcall_measure::floor::Against;
use smpcall_measure::samples::Samples;
use smpcall_report::data;
use std::time::Duration;

/// What a report takes over.
pub(crate) struct Rounds {
    pub(crate) floors: Vec<data::Floor>,
    pub(crate) rows: Vec<data::Row>,
    pub(crate) checks: data::Checks,
}

const FLOORS: [Against; 5] =
    [Against::CacheLine, Against::LookedAt, Against::Futex, Against::FetchOr, Against::Pause];

/// A row, and its samples of all rounds so far.
struct Merged {
    row: data::Row,
    samples: Samples,
}

/// Measures every row in each of `rounds` rounds, and checks the contract in each, too.
pub(crate) fn rounds(place: &Place, rounds: u32, each: Duration) -> Result<Rounds> {
    let cpus = cpus_checked(place);
    let mut checks = Checks::default();
    let mut floors = FLOORS.map(|floor| data::Floor { name: floor.name().to_owned(), rounds: Vec::new() });
    let mut merged: Vec<Merged> = Vec::new();
    for round in 1..=rounds {
        let bench = measure(place, cpus, each, &format!("calls, {round} of {rounds}"), &mut checks)?;
        for (floor, against) in floors.iter_mut().zip(FLOORS) {
            floor.rounds.push(bench.floor.ns(against));
        }
        if merged.is_empty() {
            merged = bench.rows.iter().map(Merged::new).collect();
        }
        for (merged, row) in merged.iter_mut().zip(&bench.rows) {
            merged.take(row);
        }
    }
    let total = checks.total();
    let promises = checks.promises().into_iter().map(str::to_owned).collect();
    Ok(Rounds {
        floors: floors.into(),
        rows: merged.into_iter().map(Merged::finish).collect(),
        checks: data::Checks { passed: total.passed, failed: total.failed, promises },
    })
}

impl Merged {
    fn new(row: &Row) -> Self {
        let row = data::Row {
            call: row.plan.call.to_owned(),
            target: row.plan.target.to_owned(),
            floor: row.plan.against.name().to_owned(),
            goal: row.plan.goal,
            calls_per_sample: 0,
            count: 0,
            rounds: Vec::new(),
            ns: data::Quantiles::default(),
        };
        Self { row, samples: Samples::new() }
    }

    fn take(&mut self, row: &Row) {
        self.row.calls_per_sample = row.calls_per_sample;
        self.row.count += row.calls;
        self.row.rounds.push(row.samples.percentile_ns(50.0));
        self.samples.add(&row.samples);
    }

    fn finish(self) -> data::Row {
        let of = |percent| self.samples.percentile_ns(percent);
        let ns = data::Quantiles {
            min: self.samples.min_ns(),
            p5: of(5.0),
            p25: of(25.0),
            p50: of(50.0),
            p75: of(75.0),
            p95: of(95.0),
            p99: of(99.0),
        };
        data::Row { ns, ..self.row }
    }
}
