//! `smpcall trace`: a short mix of calls, recorded, as a file that Perfetto (<https://ui.perfetto.dev>) and Chrome's
//! tracing page show: a track for each CPU and each thread that calls, a slice for each function and each call, and an
//! arrow from each post to its run.
//!
//! | module | what it does |
//! |---|---|
//! | [`recorder`] | listens to the tracepoints: a bounded ring of events for each track |
//! | [`workload`] | the mix: waiting calls, posts, chains, multicasts, refusals, both ways at once |
//! | [`chrome`] | the events as a trace: slices and arrows paired, what was lost left out |
//!
//! Reading the clock and keeping the event takes a few ten ns each time, so distances are longer than in `smpcall run`.

mod chrome;
mod recorder;
mod workload;

use crate::output::{JsonFile, count_of, say};
use anyhow::Result;
use recorder::Recorder;
use smpcall_host::smpcall::CPUS_MAX;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// For the help.
pub(crate) const EXAMPLES: &[(&str, &str)] =
    &[("smpcall trace --out calls.json", "a twentieth of a second, for https://ui.perfetto.dev to show")];

/// What to record, and where to.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file that the trace is written to, as JSON.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// For about how long the calls go on.
    #[arg(long, default_value = "0.05", value_parser = crate::run::seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// How many CPUs the machine has of its own; one more attaches.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u32).range(1..CPUS_MAX as i64))]
    cpus: u32,
    /// How many events are kept of each CPU and each thread: the last ones.
    #[arg(long, default_value = "4096", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    events: u32,
}

/// Records, and writes.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(file) = JsonFile::open(Some(&args.out))? else { return Ok(()) };
    // And the one that attaches.
    let cpus = args.cpus as usize + 1;
    let recorder = Arc::new(Recorder::new(args.events as usize, cpus, workload::LANES));
    workload::run(&recorder, args.cpus, args.seconds)?;
    let trace = chrome::trace(recorder.tracks());
    let (slices, arrows, lost) = trace.counts();
    file.write_compact(&trace)?;
    say!(
        "{}, {} from post to run, {} lost",
        count_of(slices, "slice"),
        count_of(arrows, "arrow"),
        count_of(lost, "event")
    )?;
    say!("Open {} in https://ui.perfetto.dev, or in a browser's chrome://tracing.", args.out.display())
}
