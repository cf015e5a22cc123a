//! Takes each measure of two builds of `bench` in turn, and prints them side by side: `compare THEIRS OURS [ROUNDS]`.
//!
//! System calls are counted by `perf stat` at the kernel's tracepoints, in runs of their own: those of a run of some rounds, less
//! those of a run of none, for each wake. Where perf cannot look they are left out, and that is said.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const MEASURES: [&str; 6] = ["burst", "executor", "flood", "busy", "local", "spawn"];

/// What a figure is called in the table.
const ROWS: [(&str, &str); 9] = [
    ("burst", "1,000 tasks woken by 4 threads, the runtime asleep: until all are polled"),
    ("burst_wakers", "… time of the waking threads, all together"),
    ("executor", "the executor alone: 1,000 tasks woken by 4 threads, then polled; the threads' own time"),
    ("executor_wakes", "… of it the waking threads'"),
    ("executor_ticks", "… of it the executor's"),
    ("flood", "1,000 wakes in a flood by 4 threads, each of which schedules"),
    ("busy", "1,000 wakes of one task by 4 threads at once"),
    ("local", "1,000 wakes and polls on the runtime's own thread"),
    ("spawn", "1,000 tasks spawned, ended, awaited"),
];

/// What system calls are counted of: a measure, rounds, wakes in a round.
const COUNTED: [(&str, u32, u32); 3] = [("burst", 20, 1_000), ("flood", 1, 100_000), ("busy", 1, 200_000)];

/// One build, running.
struct Bench {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    figures: BTreeMap<String, Vec<f64>>,
}

impl Bench {
    fn start(path: &str) -> Self {
        let mut child = Command::new(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("{path}: {why}"));
        let asks = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, asks, answers, figures: BTreeMap::new() }
    }

    /// Takes a measure; keeps it, unless it was to warm up.
    fn take(&mut self, measure: &str, keep: Keep) {
        writeln!(self.asks.as_mut().expect("it is piped"), "{measure}").expect("it listens");
        for line in (&mut self.answers).lines() {
            let line = line.expect("text");
            if line == "end" {
                return;
            }
            let (name, figure) = line.split_once(' ').expect("NAME FIGURE");
            if keep == Keep::Yes {
                self.figures.entry(name.into()).or_default().push(figure.parse().expect("a figure"));
            }
        }
        panic!("a bench ended in the middle of `{measure}`");
    }

    /// What one sample in `parts` is below.
    fn quantile(&self, name: &str, parts: usize) -> f64 {
        let mut all = self.figures[name].clone();
        all.sort_by(f64::total_cmp);
        all[all.len() / parts]
    }

    fn end(mut self) {
        drop(self.asks.take());
        self.child.wait().expect("it ends when its input does");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Yes,
    No,
}

/// What is counted, by the kernel's tracepoints: whatever a run calls but for `sched_yield`, by which threads of the bench wait for
/// others; of it the doorbells, and the loop's own.
const EVENTS: [&str; 4] = [
    "raw_syscalls:sys_enter",
    "syscalls:sys_enter_sched_yield",
    "syscalls:sys_enter_write",
    "syscalls:sys_enter_io_uring_enter",
];

/// The counts of a run, in the order of `EVENTS`; `None` where perf is not there, or may not look.
fn system_calls(path: &str, measure: &str, rounds: u32) -> Option<Vec<f64>> {
    let summary = std::env::temp_dir().join(format!("smpcall-compio-{}.perf", std::process::id()));
    let ran = Command::new("perf")
        .args(["stat", "-x", ",", "-e", &EVENTS.join(","), "-o"])
        .arg(&summary)
        .args([path, measure, &rounds.to_string()])
        .stdout(Stdio::null())
        .status();
    let text = std::fs::read_to_string(&summary);
    let _ = std::fs::remove_file(&summary);
    if !ran.ok()?.success() {
        return None;
    }
    let text = text.ok()?;
    EVENTS
        .map(|event| {
            let line = text.lines().find(|line| line.contains(event))?;
            line.split_once(',')?.0.parse().ok()
        })
        .into_iter()
        .collect()
}

/// For each wake: system calls but for yields, writes, turns of the loop.
fn calls_per_wake(path: &str, (measure, rounds, wakes): (&str, u32, u32)) -> Option<[f64; 3]> {
    let none = system_calls(path, measure, 0)?;
    let some = system_calls(path, measure, rounds)?;
    let each = |event: usize| (some[event] - none[event]) / f64::from(rounds * wakes);
    Some([each(0) - each(1), each(2), each(3)])
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let (theirs, ours, rounds) = match &args[..] {
        [theirs, ours] => (theirs, ours, 15),
        [theirs, ours, rounds] => (theirs, ours, rounds.parse().expect("how many rounds")),
        _ => panic!("compare THEIRS OURS [ROUNDS]"),
    };
    let mut benches = [Bench::start(theirs), Bench::start(ours)];
    for round in 0..=rounds {
        let keep = if round == 0 { Keep::No } else { Keep::Yes };
        for measure in MEASURES {
            // Who comes first changes from round to round.
            for turn in [round % 2, (round + 1) % 2] {
                benches[turn].take(measure, keep);
            }
        }
    }
    println!(
        "| µs, medians | compio-executor 0.2.0-beta.1 | ours | ratio | lowest tenth: theirs | ours | ratio |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, row) in ROWS {
        let [a, b] = [0, 1].map(|which| benches[which].quantile(name, 2));
        let [c, d] = [0, 1].map(|which| benches[which].quantile(name, 10));
        let us = |ns: f64| ns / 1e3;
        println!(
            "| {row} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} | {:.2} |",
            us(a),
            us(b),
            b / a,
            us(c),
            us(d),
            d / c
        );
    }
    let rate = |which: usize| 1e12 / benches[which].quantile("flood", 2);
    println!(
        "| wakes a second in a flood | {:.0} | {:.0} | {:.2} | | | |",
        rate(0),
        rate(1),
        rate(1) / rate(0)
    );
    benches.into_iter().for_each(Bench::end);
    println!();
    println!(
        "| system calls a wake | compio-executor 0.2.0-beta.1: all, doorbells, turns of the loop | ours |"
    );
    println!("|---|---|---|");
    for counted in COUNTED {
        let [Some(theirs), Some(ours)] = [theirs, ours].map(|path| calls_per_wake(path, counted)) else {
            println!("(not counted: perf is not there, or may not look)");
            break;
        };
        let three = |calls: [f64; 3]| calls.map(|calls| format!("{calls:.5}")).join(", ");
        println!("| {} | {} | {} |", counted.0, three(theirs), three(ours));
    }
}
