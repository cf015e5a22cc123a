//! What is printed, and the JSON file: the same numbers.

use super::Args;
use super::kinds::KINDS;
use super::tally::{Check, Event, Tally};
use super::words::Count;
use super::world::World;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::time::Duration;

pub(super) struct Report {
    world: &'static World,
    seed: u64,
    cpus: u32,
    callers: u32,
    elapsed_ns: Count,
}

impl Report {
    pub(super) fn new(world: &'static World, args: &Args, seed: u64, cpus: u32) -> Self {
        Self { world, seed, cpus, callers: args.callers, elapsed_ns: Count::default() }
    }

    /// Takes note of how long the run has gone on.
    pub(super) fn ran_for(&self, elapsed: Duration) {
        let elapsed_ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_ns.add(elapsed_ns - self.elapsed_ns.get());
    }

    fn tally(&self) -> &Tally {
        &self.world.ground.tally
    }

    fn seconds(&self) -> f64 {
        self.elapsed_ns.get() as f64 / 1e9
    }

    fn calls_per_second(&self) -> u64 {
        (self.tally().events(Event::Call) as f64 / self.seconds().max(1e-3)) as u64
    }

    /// What the machine itself counted.
    fn machine(&self) -> [(&'static str, u64); 3] {
        let counts = self.world.ground.machine.counts();
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
        let mut add = |name: &str, number| _ = write!(line, " {name}={number}");
        for event in Event::ALL {
            add(event.name(), self.tally().events(event));
        }
        for (name, number) in self.machine() {
            add(name, number);
        }
        for (number, kind) in KINDS.iter().enumerate() {
            add(&format!("kind_{}", kind.name), self.tally().kinds(number));
        }
        for check in Check::ALL {
            add(&format!("checked_{}", check.name()), self.tally().checked(check));
            add(&format!("broken_{}", check.name()), self.tally().broken(check));
        }
        add("errors", self.tally().errors());
        line
    }

    pub(super) fn json(&self, repeat: &str) -> Value {
        let tally = self.tally();
        let kinds = KINDS.iter().enumerate().map(|(number, kind)| (kind.name, tally.kinds(number)));
        let checks = Check::ALL.into_iter().map(|check| {
            let counts = json!({"checked": tally.checked(check), "errors": tally.broken(check)});
            (check.name().to_owned(), counts)
        });
        // The number of calls is at the top.
        let events = Event::ALL.into_iter().filter(|event| *event != Event::Call);
        let events = events.map(|event| (event.name(), tally.events(event))).chain(self.machine());
        json!({
            "seed": self.seed,
            "cpus": self.cpus,
            "callers": self.callers,
            "seconds": self.seconds(),
            "calls": tally.events(Event::Call),
            "calls_per_second": self.calls_per_second(),
            "errors": tally.errors(),
            "kinds": counts(kinds),
            "checks": checks.collect::<Map<_, _>>(),
            "events": counts(events),
            "complaints": tally.complaints(),
            "repeat": repeat,
        })
    }
}

fn counts<'n>(of: impl Iterator<Item = (&'n str, u64)>) -> Map<String, Value> {
    of.map(|(name, number)| (name.to_owned(), number.into())).collect()
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
