//! What redis-benchmark says, and what comes of several runs.

use super::server::Counts;
use anyhow::{Context, Result};
use std::fmt;

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    cpu_us: f64,
    allocations: f64,
}

impl Figures {
    /// From what the client said, and the server's counts before and after.
    pub(super) fn read(said: &str, before: &Counts, after: &Counts) -> Result<Self> {
        // It shows its progress in lines that end by a return.
        let lines: Vec<&str> = said.split(['\n', '\r']).map(str::trim).collect();
        let per_second =
            lines.iter().find_map(|line| line.strip_prefix("throughput summary: ")?.split(' ').next());
        let per_second = per_second.context("no throughput")?.parse()?;
        let summary = lines.iter().position(|line| line.starts_with("latency summary"));
        let summary = summary
            .and_then(|at| lines[at..].iter().find(|line| line.starts_with(|c: char| c.is_ascii_digit())));
        // avg, min, p50, p95, p99, max
        let columns: Vec<f64> =
            summary.context("no latency")?.split_whitespace().flat_map(str::parse).collect();
        let [_, _, p50_ms, _, p99_ms, _] = columns[..] else { anyhow::bail!("other columns: {columns:?}") };
        let p999_ms = lines.iter().find_map(|line| {
            let (part, rest) = line.split_once("% <= ")?;
            (part.parse::<f64>().ok()? >= 99.9).then(|| rest.split(' ').next()?.parse().ok())?
        });
        let requests = (after.requests - before.requests) as f64;
        Ok(Self {
            per_second,
            p50_ms,
            p99_ms,
            p999_ms: p999_ms.context("no percentiles")?,
            cpu_us: (after.cpu_us - before.cpu_us) as f64 / requests,
            allocations: (after.allocations - before.allocations) as f64 / requests,
        })
    }
}

/// All runs of one server with one command and one pipeline.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Figures>,
    pub(super) system_calls: Option<f64>,
}

impl Runs {
    pub(super) fn add(&mut self, figures: Figures) {
        self.runs.push(figures);
    }

    fn median(&self, of: impl Fn(&Figures) -> f64) -> f64 {
        median(self.runs.iter().map(of))
    }

    /// The table's columns from requests a second to allocations.
    pub(super) fn columns(&self) -> String {
        let calls = self.system_calls.map_or("?".to_owned(), |calls| format!("{calls:.3}"));
        format!(
            "| {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {calls} | {:.3} ",
            self.median(|run| run.per_second),
            self.median(|run| run.p50_ms),
            self.median(|run| run.p99_ms),
            self.median(|run| run.p999_ms),
            self.median(|run| run.cpu_us),
            self.median(|run| run.allocations),
        )
    }

    /// The last two columns: medians of the ratios of runs that followed each other.
    pub(super) fn against(&self, rival: &Self) -> String {
        let ratio =
            |of: fn(&Figures) -> f64| median(self.runs.iter().zip(&rival.runs).map(|(a, b)| of(a) / of(b)));
        format!("| {:.2} | {:.2} |", ratio(|run| run.per_second), ratio(|run| run.p999_ms))
    }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = self.runs.iter().map(|run| format!("{:.0}", run.per_second)).collect();
        write!(f, "{} requests/s", each.join(" "))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => (values[len / 2 - 1] + values[len / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "GET: rps=0.0 (overall: 0.0) avg_msec=nan\rGET: rps=1.0\r====== GET ======\n  \
        40000 requests completed in 0.87 seconds\n\nLatency by percentile distribution:\n\
        0.000% <= 0.103 milliseconds (cumulative count 1)\n99.805% <= 7.5 milliseconds (cumulative count 39930)\n\
        99.902% <= 9.087 milliseconds (cumulative count 39961)\n100.000% <= 9.2 milliseconds (cumulative count 40000)\n\n\
        Cumulative distribution of latencies:\n0.000% <= 0.103 milliseconds (cumulative count 1)\n\nSummary:\n  \
        throughput summary: 45871.56 requests per second\n  latency summary (msec):\n          \
        avg       min       p50       p95       p99       max\n        0.715     0.096     0.591     1.303     4.375     9.231\n";

    fn counts(requests: u64, allocations: u64, cpu_us: u64) -> Counts {
        Counts { requests, allocations, cpu_us }
    }

    #[test]
    fn what_the_client_says_is_read() {
        let run = Figures::read(SAID, &counts(100, 5, 0), &counts(200, 55, 1_000)).unwrap();
        let read = [run.per_second, run.p50_ms, run.p99_ms, run.p999_ms, run.cpu_us, run.allocations];
        assert_eq!(read, [45871.56, 0.591, 4.375, 9.087, 10.0, 0.5]);
        assert!(Figures::read("Could not connect", &counts(0, 0, 0), &counts(1, 0, 0)).is_err());
    }

    #[test]
    fn ratios_are_medians_of_pairs() {
        let run = |per_second| Figures {
            per_second,
            ..Figures::read(SAID, &counts(0, 0, 0), &counts(1, 0, 0)).unwrap()
        };
        let runs = |all: [f64; 3]| Runs { runs: all.map(run).to_vec(), system_calls: Some(0.5) };
        let (ours, rival) = (runs([2.0, 9.0, 6.0]), runs([1.0, 3.0, 6.0]));
        assert_eq!(ours.against(&rival), "| 2.00 | 1.00 |");
        assert_eq!(ours.columns(), "| 6 | 0.59 | 4.38 | 9.09 | 0.00 | 0.500 | 0.000 ");
        assert_eq!(median([4.0, 1.0].into_iter()), 2.5);
    }
}
