//! The tables and the JSON file, of the same figures.

use crate::block::{Block, Tail};
use crate::rows::{Beside, By, Row};
use serde::Serialize;
use smpcall_measure::floor;
use smpcall_measure::samples::round;
use std::fmt::Write;

/// Which JSON that is: the version goes up when a field goes, or means something else. docs/peers.md has the fields.
pub(crate) const SCHEMA: &str = "smpcall.peers/1";

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    /// [`SCHEMA`].
    pub(crate) schema: &'static str,
    pub(crate) machine: String,
    pub(crate) rounds: u32,
    pub(crate) rows: Vec<RowReport>,
}

#[derive(Serialize)]
pub(crate) struct RowReport {
    group: &'static str,
    call: &'static str,
    target: &'static str,
    /// Of what the ratios are: `median`, `p999` or `rate`.
    by: &'static str,
    ours: Figures,
    beside: Vec<BesideReport>,
}

#[derive(Serialize)]
struct BesideReport {
    name: &'static str,
    floor: bool,
    figures: Figures,
    /// Ours divided by it: the median of blocks that followed each other, and the least and the most of them.
    ratio: f64,
    ratio_least: f64,
    ratio_most: f64,
    goal: Option<f64>,
}

/// Medians over the blocks.
#[derive(Serialize)]
struct Figures {
    ns: f64,
    allocations: Option<f64>,
    tail: Option<TailFigures>,
}

#[derive(Serialize)]
struct TailFigures {
    p99_ns: f64,
    p999_ns: f64,
    fairness: f64,
    calls_per_s: f64,
}

/// The middle one, the upper of two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// To three digits that count, so that what is more than nothing stays so.
fn three_digits(value: f64) -> f64 {
    round(value, 2 - value.abs().log10().floor().clamp(-9.0, 9.0) as i32)
}

impl Figures {
    fn of(blocks: &[Block]) -> Self {
        let tail = |value: fn(&Tail) -> f64| {
            median(blocks.iter().filter_map(|block| block.tail.as_ref().map(value)).collect())
        };
        let has_tail = blocks.iter().any(|block| block.tail.is_some());
        let allocations: Vec<_> = blocks.iter().filter_map(|block| block.allocations).collect();
        Self {
            ns: round(median(blocks.iter().map(|block| block.ns).collect()), 1),
            allocations: (!allocations.is_empty()).then(|| round(median(allocations), 2)),
            tail: has_tail.then(|| TailFigures {
                p99_ns: tail(|tail| tail.p99_ns),
                p999_ns: tail(|tail| tail.p999_ns),
                fairness: three_digits(tail(|tail| tail.fairness)),
                calls_per_s: three_digits(tail(|tail| tail.calls_per_s)),
            }),
        }
    }
}

/// By what a block is compared; less is better.
fn figure(by: By, block: &Block) -> f64 {
    match (by, &block.tail) {
        (By::P999, Some(tail)) => tail.p999_ns,
        (By::Rate, Some(tail)) => 1e9 / tail.calls_per_s,
        (By::Median, _) | (_, None) => block.ns,
    }
}

impl RowReport {
    /// `pairs` are, for each that ours stands beside, blocks of ours and of it.
    pub(crate) fn new(row: &Row, pairs: &[Vec<(Block, Block)>]) -> Self {
        let ours: Vec<_> = pairs.iter().flatten().map(|(ours, _)| *ours).collect();
        let beside = |(beside, pairs): (&Beside, &Vec<(Block, Block)>)| {
            let ratio = |(ours, theirs): &(Block, Block)| figure(row.by, ours) / figure(row.by, theirs);
            let ratios: Vec<_> = pairs.iter().map(ratio).collect();
            let theirs: Vec<_> = pairs.iter().map(|(_, theirs)| *theirs).collect();
            BesideReport {
                name: beside.name,
                floor: beside.is_floor,
                figures: Figures::of(&theirs),
                ratio: three_digits(median(ratios.clone())),
                ratio_least: three_digits(ratios.iter().copied().fold(f64::INFINITY, f64::min)),
                ratio_most: three_digits(ratios.iter().copied().fold(0.0, f64::max)),
                goal: beside.goal,
            }
        };
        let by = match row.by {
            By::Median => "median",
            By::P999 => "p999",
            By::Rate => "rate",
        };
        let beside = row.beside.iter().zip(pairs).map(beside).collect();
        Self { group: row.group, call: row.call, target: row.target, by, ours: Figures::of(&ours), beside }
    }

    fn best_peer(&self) -> Option<&BesideReport> {
        let peers = self.beside.iter().filter(|beside| !beside.floor);
        peers.max_by(|one, other| one.ratio.total_cmp(&other.ratio))
    }
}

impl BesideReport {
    fn goal(&self) -> String {
        match self.goal {
            None => String::new(),
            Some(goal) if self.ratio <= goal => format!("{goal}, reached"),
            Some(goal) => format!("{goal}"),
        }
    }
}

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}\n", self.machine);
        // A `String` takes all that is written to it.
        let _ = writeln!(text, "{}\n", self.distance());
        let has = |of: fn(&RowReport) -> bool| self.rows.iter().any(of);
        let tables = [
            has(|row| row.group == "peers").then(|| self.summary()),
            has(|row| row.by == "median").then(|| self.pairs()),
            has(|row| row.by != "median").then(|| self.tails()),
        ];
        tables.into_iter().flatten().for_each(|table| text += &format!("{table}\n"));
        text
    }

    /// Whether the two cores are near or far.
    fn distance(&self) -> String {
        let floors = self.rows.iter().flat_map(|row| &row.beside).filter(|beside| beside.name == "line");
        let lines: Vec<_> = floors.map(|floor| floor.figures.ns).collect();
        if lines.is_empty() {
            return "Nothing here was held against a cache line's round trip.".to_owned();
        }
        let line = median(lines);
        let place = if floor::is_far(line, floor::fetch_or_ns()) { "far" } else { "near" };
        format!("The two cores are {place}: a cache line goes there and back in {line} ns.")
    }

    fn summary(&self) -> String {
        let mut text =
            "| call | target | ours, ns | floor, ns | ours ÷ floor | goal | best peer | ns | ours ÷ it |\n\
                        |---|---|---|---|---|---|---|---|---|\n"
                .to_owned();
        for row in self.rows.iter().filter(|row| row.group == "peers") {
            let floor = row.beside.iter().find(|beside| beside.floor);
            let floor = floor.map_or("| | ".to_owned(), |floor| {
                format!("{} {} | {} | {}", floor.name, floor.figures.ns, floor.ratio, floor.goal())
            });
            let peer = row.best_peer();
            let peer = peer.map_or("| | ".to_owned(), |peer| {
                format!("{} | {} | {}", peer.name, peer.figures.ns, peer.ratio)
            });
            let _ = writeln!(text, "| {} | {} | {} | {floor} | {peer} |", row.call, row.target, row.ours.ns);
        }
        text
    }

    fn pairs(&self) -> String {
        let mut text = "| call | target | ours, ns | allocations | beside | ns | allocations | ours ÷ it | least, most | goal |\n\
                        |---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
        let count =
            |allocations: Option<f64>| allocations.map_or_else(String::new, |count| count.to_string());
        for row in self.rows.iter().filter(|row| row.by == "median") {
            for beside in &row.beside {
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} | {} | {}, {} | {} |",
                    row.call,
                    row.target,
                    row.ours.ns,
                    count(row.ours.allocations),
                    beside.name,
                    beside.figures.ns,
                    count(beside.figures.allocations),
                    beside.ratio,
                    beside.ratio_least,
                    beside.ratio_most,
                    beside.goal(),
                );
            }
        }
        text
    }

    fn tails(&self) -> String {
        let mut text = "| call | target | by | p50, ns | p99 | p99.9 | most ÷ least served | calls/s | ours ÷ it | least, most | goal |\n\
                        |---|---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
        for row in self.rows.iter().filter(|row| row.by != "median") {
            let columns = |by: &str, figures: &Figures| {
                let tail = figures.tail.as_ref().map_or_else(String::new, |tail| {
                    format!("{} | {} | {} | {}", tail.p99_ns, tail.p999_ns, tail.fairness, tail.calls_per_s)
                });
                format!("| {} | {} | {by} | {} | {tail} |", row.call, row.target, figures.ns)
            };
            let _ = writeln!(text, "{} | | |", columns("smpcall", &row.ours));
            for beside in &row.beside {
                let ratio = format!("{} {}", row.by, beside.ratio);
                let spread = format!("{}, {}", beside.ratio_least, beside.ratio_most);
                let theirs = columns(beside.name, &beside.figures);
                let _ = writeln!(text, "{theirs} {ratio} | {spread} | {} |", beside.goal());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;

    #[test]
    fn three_digits_count() {
        let read = [1234.5, 99.96, 1.0, 0.5004, 0.000_012_345].map(three_digits);
        assert_eq!(read, [1230.0, 100.0, 1.0, 0.5, 0.000_012_3]);
    }

    #[test]
    fn ratios_are_of_blocks_that_followed_each_other() {
        let block = |ns| Block { ns, allocations: Some(1.0), tail: None };
        let row = ROWS.iter().find(|row| row.call == "waiting call, borrowing").expect("there is one");
        // By the medians it would be 30 / 20.
        let pairs = [(10.0, 20.0), (30.0, 60.0), (40.0, 8.0)].map(|(ours, line)| (block(ours), block(line)));
        let report = RowReport::new(row, &[pairs.to_vec()]);
        let line = &report.beside[0];
        assert_eq!((report.ours.ns, line.figures.ns), (30.0, 20.0));
        assert_eq!((line.ratio, line.ratio_least, line.ratio_most), (0.5, 0.5, 5.0));
        assert_eq!(line.goal(), "2, reached");
        assert!(report.best_peer().is_none(), "a floor is no peer");
    }
}
