//! `smpcall torture`: every kind of call at once, from everywhere, for as long as one likes, and every promise checked.
//!
//! The engine is the conformance crate's ([`smpcall_conformance::soak`]): the kinds of calls, the accounts, what is checked.
//! Here is its [`rig`] on threads, and who drives it.
//!
//! # How it is driven
//!
//! The CPUs are threads of the torture that attach to a machine and detach from it ([`rig`]): between two calls a
//! thread serves its queue, polls, sleeps, or lets it grow. Other threads are no CPUs and only call. Signal handlers
//! post too ([`interrupt`]). Every few dozen milliseconds everything comes to rest ([`control`]): no post is
//! under way and every CPU sleeps on its doorbell. Then all accounts must agree, exactly.
//!
//! # What makes it sound on a loaded machine
//!
//! No check is a matter of time. A thread that is off its core for a second delays the rest and nothing else. That a
//! doorbell was lost is said only when the kernel says that everybody sleeps ([`asleep`]). Only a run in which *nothing*
//! has moved for `--hang-seconds` is ended as one that hangs.
//!
//! A seed repeats what the threads draw, not how the machine interleaves them.
//!
//! Not here: how fast a single call is ([`crate::run`]), and proof (loom's models).

mod asleep;
mod control;
mod interrupt;
mod report;
mod rig;
mod weights;

use crate::output::{ClosedPipe, JsonFile, complain, count_of, progress, say};
use crate::pace::Place;
use crate::run::seconds;
use anyhow::{Context, Result, bail, ensure};
use control::{Control, LastStall, millis};
use report::Report;
use rig::{Soak, Threads};
use smpcall_conformance::soak::Plan;
use smpcall_host::Machine;
use smpcall_host::smpcall::CPUS_MAX;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use weights::Weights;

const HANG_SECONDS: u64 = 30;
/// After how long the library reports a silent target.
const STALL_TIMEOUT: Duration = Duration::from_secs(2);

/// For the help.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("smpcall torture --seconds 60 --cpus 16 --onoff-interval 20", "a minute, while CPUs go and come"),
    ("smpcall torture --seed 7 --json torture.json", "what was drawn with that seed, and all counts"),
];

/// What to torture, and for how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how long.
    #[arg(long, default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// How many CPUs, each a thread [default: as many as the process has cores, two at least].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=CPUS_MAX as i64))]
    cpus: Option<u32>,
    /// How many threads that are no CPUs and only call.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=1000))]
    callers: u32,
    /// Sends a CPU offline, or brings one back, every so many milliseconds; 0: never.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    onoff_interval: u64,
    /// Runs for so many seconds, rests for as many, and so on; 0: runs all the time.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds_or_none, allow_negative_numbers = true)]
    stutter: Duration,
    /// Now and then a function runs for so many milliseconds; 0: none does.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    longwait: u64,
    /// Ends the run, with an error, when nothing has moved for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = HANG_SECONDS, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    hang_seconds: u64,
    /// Repeats what was drawn with that seed [default: drawn].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Writes all counts to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    weights: Weights,
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    if text.parse() == Ok(0.0) { Ok(Duration::ZERO) } else { seconds(text) }
}

/// Tortures, prints, and fails if any promise was broken.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        args.longwait < args.hang_seconds.saturating_mul(500),
        "--longwait must be less than half of --hang-seconds, or a long function looks like a hang"
    );
    let json = JsonFile::open(args.json.as_deref())?;
    let cpus = args.cpus.unwrap_or(Place::find().cores.len().clamp(2, CPUS_MAX) as u32);
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let last_stall = LastStall::default();
    let soak = soak(args, cpus, Arc::clone(&last_stall))?;
    let report = Report::new(soak, args, seed, cpus);
    let repeat = report::repeat(args, seed, cpus);
    // At once: whoever ends this before it does wants to know.
    say!("seed {seed}; to make the same draws again: {repeat}")?;
    let bar = progress(millis(args.seconds), "torture");
    let mut control = Control::new(soak, args, seed, &bar, last_stall);
    let outcome = match control.start() {
        Ok(()) => control.run(&report),
        // Nothing has been tortured: there is nothing to say but why.
        Err(error) if soak.errors() == 0 => return Err(error),
        Err(error) => Err(error),
    };
    bar.finish_and_clear();
    if let Some(json) = json {
        json.write_results("smpcall.torture/1", &report.json(&repeat))?;
    }
    let printed = say!("{}", report.status_line());
    for complaint in soak.rig().complaints() {
        complain!("{complaint}");
    }
    let again = || format!("to make the same draws again: {repeat}");
    match (soak.errors(), outcome) {
        (0, Ok(())) => printed,
        (0, Err(error)) if error.is::<ClosedPipe>() => Err(error),
        (0, Err(error)) => Err(error).with_context(|| format!("the run ended early ({})", again())),
        (errors, outcome) => {
            if let Err(error) = outcome {
                complain!("the run ended early: {error:#}");
            }
            bail!("{}; {}", count_of(errors as u64, "error"), again())
        }
    }
}

/// Makes all that the threads share. It is never freed: nor are the csds, which point to it.
fn soak(args: &Args, cpus: u32, last_stall: LastStall) -> Result<&'static Soak> {
    let machine = Machine::builder()
        .attachable(cpus as usize)
        .stall_timeout(STALL_TIMEOUT)
        .on_call_stall(move |stall| {
            *last_stall.lock().unwrap_or_else(PoisonError::into_inner) = Some(*stall);
        })
        .build()?;
    let longwait = Duration::from_millis(args.longwait);
    let rig = Threads::new(Box::leak(Box::new(machine)), args.callers, longwait);
    let soak: &'static Soak = Box::leak(Box::new(Soak::new(rig)));
    soak.build(Plan { callers: args.callers, weights: args.weights.0, hotplug: args.onoff_interval > 0 });
    Ok(soak)
}
