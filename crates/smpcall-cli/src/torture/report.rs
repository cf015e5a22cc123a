//! What is printed, and the JSON file: the same numbers.

use super::Args;
use super::rig::Soak;
use serde_json::{Map, Value, json};
use smpcall_conformance::soak::Event;
use std::cell::Cell;
use std::fmt::Write;
use std::time::Duration;

pub(super) struct Report {
    soak: &'static Soak,
    seed: u64,
    cpus: u32,
    callers: u32,
    elapsed: Cell<Duration>,
}

impl Report {
    pub(super) fn new(soak: &'static Soak, args: &Args, seed: u64, cpus: u32) -> Self {
        Self { soak, seed, cpus, callers: args.callers, elapsed: Cell::default() }
    }

    /// Takes note of how long the run has gone on.
    pub(super) fn ran_for(&self, elapsed: Duration) {
        self.elapsed.set(elapsed);
    }

    fn seconds(&self) -> f64 {
        self.elapsed.get().as_secs_f64()
    }

    fn calls_per_second(&self) -> u64 {
        (self.soak.events(Event::Call) as f64 / self.seconds().max(1e-3)) as u64
    }

    /// What the machine itself counted.
    fn machine(&self) -> [(&'static str, u64); 3] {
        let counts = self.soak.rig().machine.counts();
        [("rings", counts.rings), ("wakes", counts.wakes), ("stalls", counts.stalls)]
    }

    /// One line, all numbers, each as `name=number`.
    pub(super) fn status_line(&self) -> String {
        let mut line = format!(
            "smpcall torture: seed={} cpus={} callers={} seconds={:.1} calls_per_second={}",
            self.seed,
            self.cpus,
            self.callers,
            self.seconds(),
            self.calls_per_second()
        );
        for (name, number) in self.machine() {
            _ = write!(line, " {name}={number}");
        }
        for (group, name, number) in self.soak.figures() {
            _ = write!(line, " {group}{name}={number}");
        }
        line
    }

    pub(super) fn json(&self, repeat: &str) -> Value {
        let (mut kinds, mut checks, mut events) = (Map::new(), Map::new(), Map::new());
        for (name, number) in self.machine() {
            events.insert(name.to_owned(), number.into());
        }
        for (group, name, number) in self.soak.figures() {
            match group {
                "kind_" => _ = kinds.insert(name.to_owned(), number.into()),
                "checked_" => _ = checks.insert(name.to_owned(), json!({"checked": number})),
                "broken_" => checks[name]["errors"] = number.into(),
                // Those are at the top.
                _ if ["calls", "errors"].contains(&name) => {}
                _ => _ = events.insert(name.to_owned(), number.into()),
            }
        }
        json!({
            "seed": self.seed,
            "cpus": self.cpus,
            "callers": self.callers,
            "seconds": self.seconds(),
            "calls": self.soak.events(Event::Call),
            "calls_per_second": self.calls_per_second(),
            "errors": self.soak.errors(),
            "kinds": kinds,
            "checks": checks,
            "events": events,
            "complaints": self.soak.rig().complaints(),
            "repeat": repeat,
        })
    }
}

/// The command line that makes the same draws again.
pub(super) fn repeat(args: &Args, seed: u64, cpus: u32) -> String {
    let mut line = format!(
        "smpcall torture --seed {seed} --cpus {cpus} --callers {} --seconds {}",
        args.callers,
        args.seconds.as_secs_f64()
    );
    let mut add = |flag: &str, value: String| _ = write!(line, " {flag} {value}");
    if args.onoff_interval > 0 {
        add("--onoff-interval", args.onoff_interval.to_string());
    }
    if !args.stutter.is_zero() {
        add("--stutter", args.stutter.as_secs_f64().to_string());
    }
    if args.longwait > 0 {
        add("--longwait", args.longwait.to_string());
    }
    if args.hang_seconds != super::HANG_SECONDS {
        add("--hang-seconds", args.hang_seconds.to_string());
    }
    for flag in args.weights.flags() {
        line.push(' ');
        line.push_str(&flag);
    }
    line
}
