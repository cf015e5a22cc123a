//! The table: what each CPU does, and what happened between two snapshots.

use super::names::Names;
use super::snapshot::{Counts, Cpu, Snapshot};
use crate::output::{count_of, table};
use std::fmt;

const HEADER: [&str; 12] = [
    "CPU",
    "state",
    "ran/s",
    "queued/s",
    "busy/s",
    "doorbells/s",
    "saved/s",
    "wakes/s",
    "left over",
    "queued ns p50, p99",
    "ran ns p50, p99",
    "runs",
];

/// Lines: two about the machine, the header, and one for each CPU.
pub(super) struct View {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<String>,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.head.iter().chain(&self.rows).map(|line| line.trim_end()).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl View {
    /// Since the program's start.
    pub(super) fn since_start(now: &Snapshot, names: &Names) -> Self {
        Self::new(None, now, names)
    }

    /// Between two.
    pub(super) fn between(before: &Snapshot, now: &Snapshot, names: &Names) -> Self {
        Self::new(Some(before), now, names)
    }

    fn new(before: Option<&Snapshot>, now: &Snapshot, names: &Names) -> Self {
        let since_ns = now.at_ns.saturating_sub(before.map_or(0, |before| before.at_ns)).max(1);
        let seconds = since_ns as f64 / 1e9;
        let mut cells = Vec::new();
        let zero = Counts::default();
        for cpu in &now.cpus {
            let then = before.and_then(|before| before.cpus.get(cpu.cpu as usize));
            let since = Since { then: then.map_or(&zero, |cpu| &cpu.counts), now: &cpu.counts, seconds };
            let wakes = cpu.wakes.saturating_sub(then.map_or(0, |cpu| cpu.wakes)) as f64 / seconds;
            let running = cpu.running.map(|address| names.name(address)).unwrap_or_default();
            let left_over = if cpu.left_over > 0 { cpu.left_over.to_string() } else { String::new() };
            let what = (cpu.cpu.to_string(), state(cpu).to_owned());
            cells.push(since.cells(what, rate(wakes), left_over, running));
        }
        // They run nothing.
        let others = Since { then: before.map_or(&zero, |before| &before.others), now: &now.others, seconds };
        cells.push(others.cells(
            ("others".to_owned(), String::new()),
            String::new(),
            String::new(),
            String::new(),
        ));
        let text = table(HEADER, cells.into_iter()).to_string();
        let mut lines = text.lines().map(str::to_owned);
        let mut head = about(before.is_some(), now, seconds);
        head.extend(lines.next());
        Self { head, rows: lines.collect() }
    }
}

/// Two lines about the machine.
fn about(is_interval: bool, now: &Snapshot, seconds: f64) -> Vec<String> {
    let all = || now.cpus.iter().map(|cpu| &cpu.counts).chain([&now.others]);
    let sum = |of: fn(&Counts) -> u64| all().map(of).sum::<u64>();
    let (queued, ran) = (sum(|counts| counts.queued), sum(|counts| counts.ran));
    let online = now.cpus.iter().filter(|cpu| cpu.online).count();
    let over = if is_interval {
        format!("the last {seconds:.1} s")
    } else {
        format!("all {seconds:.0} s since its start")
    };
    let mut second = format!(
        "{ran} calls run, {} under way, {} refused, {}",
        // Counts are read one after the other.
        queued.saturating_sub(ran),
        sum(|counts| counts.refused),
        count_of(sum(|counts| counts.stalls), "stall report")
    );
    match sum(|counts| counts.unrung) {
        0 => {}
        unrung => second.push_str(&format!(", {unrung} doorbells FAILED")),
    }
    if !now.stamps {
        second.push_str("; latencies are not taken (`Latencies`, not `Counters`)");
    }
    vec![
        format!(
            "{}, process {}: {online} of {} online; rates over {over}",
            now.program_name(),
            now.pid,
            count_of(now.cpus.len() as u64, "CPU")
        ),
        second,
    ]
}

fn state(cpu: &Cpu) -> &'static str {
    match cpu {
        Cpu { online: false, .. } => "offline",
        Cpu { running: Some(_), .. } => "runs",
        Cpu { pending: true, .. } => "pending",
        Cpu { left_over: 1.., .. } => "behind",
        _ => "idle",
    }
}

/// Counts, then and now.
struct Since<'a> {
    then: &'a Counts,
    now: &'a Counts,
    seconds: f64,
}

impl Since<'_> {
    fn cells(
        &self,
        (cpu, state): (String, String),
        wakes: String,
        left_over: String,
        running: String,
    ) -> [String; 12] {
        let each =
            |of: fn(&Counts) -> u64| rate(of(self.now).saturating_sub(of(self.then)) as f64 / self.seconds);
        [
            cpu,
            state,
            each(|counts| counts.ran),
            each(|counts| counts.queued),
            each(|counts| counts.busy),
            each(|counts| counts.rings),
            each(|counts| counts.saved),
            wakes,
            left_over,
            self.latency(|counts| &counts.queued_ns),
            self.latency(|counts| &counts.ran_ns),
            running,
        ]
    }

    /// Powers of two below which half, and 99 in a hundred, of what came in between are.
    fn latency(&self, of: fn(&Counts) -> &Vec<u64>) -> String {
        let (then, now) = (of(self.then), of(self.now));
        let came: Vec<u64> = now
            .iter()
            .enumerate()
            .map(|(at, now)| now.saturating_sub(then.get(at).copied().unwrap_or(0)))
            .collect();
        match (below(&came, 500), below(&came, 990)) {
            (Some(p50), Some(p99)) => format!("<{p50}, <{p99}"),
            _ => String::new(),
        }
    }
}

/// A power of two below which so many of 1,000 are.
fn below(buckets: &[u64], per_mille: u64) -> Option<u64> {
    let all: u64 = buckets.iter().sum();
    let wanted = (all * per_mille).div_ceil(1000).max(1);
    let mut seen = 0;
    let reaches = |count: &u64| {
        seen += count;
        seen >= wanted
    };
    buckets.iter().position(reaches).map(|at| 2 << at)
}

fn rate(rate: f64) -> String {
    match rate {
        0.0 => String::new(),
        _ if rate < 9.95 => format!("{rate:.1}"),
        _ => format!("{rate:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::snapshot;
    use super::*;

    #[test]
    fn rates_are_of_what_came_in_between() {
        let (before, now) = (snapshot(1_000_000_000, 10), snapshot(3_000_000_000, 50));
        let view = View::between(&before, &now, &Names::default());
        assert!(view.head[0].starts_with("server, process 7: 2 of 2 CPUs online; rates over the last 2.0 s"));
        assert_eq!(view.rows.len(), 3);
        let words: Vec<_> = view.rows[0].split_whitespace().collect();
        assert_eq!(words, ["0", "runs", "20", "<128,", "<128", "0x1000"], "{view}");
        assert!(view.rows[1].contains("idle"), "{view}");
        assert!(View::since_start(&now, &Names::default()).head[0].contains("all 3 s since its start"));
    }

    #[test]
    fn a_power_of_two_is_below_which_values_are() {
        assert_eq!(below(&[], 500), None);
        assert_eq!(
            (below(&[0, 50, 49, 1], 500), below(&[0, 50, 49, 1], 990), below(&[0, 50, 49, 1], 999)),
            (Some(4), Some(8), Some(16))
        );
        assert_eq!([0.0, 1.04, 12.3].map(rate), ["", "1.0", "12"]);
    }

    #[test]
    fn what_a_cpu_does_is_one_word() {
        let cpu = snapshot(1, 1).cpus.remove(1);
        assert_eq!(state(&cpu), "idle");
        assert_eq!(state(&Cpu { left_over: 3, ..cpu.clone() }), "behind");
        assert_eq!(state(&Cpu { left_over: 3, pending: true, ..cpu.clone() }), "pending");
        assert_eq!(state(&Cpu { online: false, pending: true, ..cpu }), "offline");
    }
}
