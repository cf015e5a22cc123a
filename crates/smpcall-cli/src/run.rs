//! `smpcall run`: what every kind of call costs here, beside a floor measured in the same run, and whether each result
//! is what the contract says.
//!
//! # What is measured
//!
//! Times are in nanoseconds, between a thread that calls, pinned to the first core that the process may use, and a CPU
//! that is called, pinned to the second. A *sample* is a number of calls back to back (the table says how many, since
//! reading the clock takes a good part of a call's time); its value is its time divided by that number; `min`, `p50` and
//! `p99` are over samples. So `p99` is not that of single calls, except where a sample is one call.
//!
//! Samples are interleaved: the floor, then each row, the floor again, so that all of them see the same machine, with
//! the same neighbours and the same clock frequency. [`smpcall_measure::floor`] says what the floors are, [`rows`] what each row is.
//!
//! # What is checked
//!
//! Every call that is timed; and, with all CPUs of the machine, the promises that no timing exercises ([`contract`]).
//! `--cpus` is about those: timing is between two.
//!
//! Not here: throughput with several callers, a comparison with other libraries (`cargo xtask peers`), and latency under a foreign load. A
//! neighbour on the cores shows in `p99`, seldom in `min`.

mod checks;
mod contract;
mod report;
mod rounds;
mod rows;
mod stage;

use crate::output::{JsonFile, count_of, progress, say};
use crate::pace::{Pace, Place};
use anyhow::{Result, bail};
use checks::Checks;
use report::Report;
pub(crate) use rounds::{Rounds, rounds};
use smpcall_host::smpcall::CPUS_MAX;
use stage::Bench;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a stage (one machine with targets in one state) lasts before the next one is set up.
const STAGE: Duration = Duration::from_millis(60);
/// The contract is checked with all CPUs as long as that took less than this part of the time.
const CONTRACT_PART: u32 = 4;

/// For the help.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("smpcall run", "five seconds, the table"),
    ("smpcall run --seconds 30 --json run.json", "longer, and its numbers as JSON"),
    ("smpcall run --cpus 64", "the contract checked with 64 CPUs; timing is always between two"),
];

/// What to run, and for how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// For about how long.
    #[arg(long, default_value = "5", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// How many CPUs the machine has whose contract is checked [default: as many as the process has cores, two at
    /// least].
    /// Timing is always between two.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=CPUS_MAX as i64))]
    cpus: Option<u32>,
    /// Writes the numbers of the table to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Reads a length of time for a run.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match seconds {
        _ if !(seconds > 0.0 && seconds <= 86_400.0) => Err("more than 0, and at most a day".to_owned()),
        _ => Ok(Duration::from_secs_f64(seconds)),
    }
}

/// Runs, prints, and fails if a check did.
pub(crate) fn run(args: &Args) -> Result<()> {
    let json = JsonFile::open(args.json.as_deref())?;
    let place = Place::find();
    let cpus = args.cpus.unwrap_or_else(|| cpus_checked(&place));
    let mut checks = Checks::default();
    let bench = measure(&place, cpus, args.seconds, "every kind of call", &mut checks)?;
    let report = Report::new(&bench, &place, &checks);
    if let Some(json) = json {
        json.write_results("smpcall.run/1", &report)?;
    }
    let printed = say!("{}", heading(&place, cpus)).and_then(|()| report.print(&place, &checks));
    match report.failed() {
        0 => printed,
        failed => bail!("{} failed", count_of(failed, "check")),
    }
}

/// How many CPUs the machine has whose contract is checked, unless somebody says.
fn cpus_checked(place: &Place) -> u32 {
    place.cores.len().clamp(2, CPUS_MAX) as u32
}

/// Measures for so long; the bar is called `what`.
fn measure(place: &Place, cpus: u32, time: Duration, what: &str, checks: &mut Checks) -> Result<Bench> {
    let bar = progress(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), what);
    let started = Instant::now();
    let mut bench = Bench::new(place.clone());
    let mut on_contract = Duration::ZERO;
    let mut round = 0;
    loop {
        let since = Instant::now();
        if on_contract * CONTRACT_PART <= started.elapsed() {
            contract::check(place, cpus, round, checks)?;
            round += 1;
            on_contract += since.elapsed();
        }
        bench.round(STAGE.min(time / 4), checks)?;
        let elapsed = started.elapsed();
        bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        if elapsed >= time {
            bar.finish_and_clear();
            return Ok(bench);
        }
    }
}

fn heading(place: &Place, cpus: u32) -> String {
    let (caller, target) = (place.caller().unwrap_or_default(), place.target().unwrap_or_default());
    let timed = match (place.cores.len(), place.pace()) {
        (0, _) => "timed between two threads that are not pinned".to_owned(),
        (_, Pace::Apart) => format!("timed from core {caller} to core {target}"),
        (_, Pace::Shared) => format!("timed between two threads that share core {caller}"),
    };
    format!("{} checked; {timed}; ns per call", count_of(cpus, "CPU"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_more_than_none_and_at_most_a_day() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "nan", "inf", "1e300", "x", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
