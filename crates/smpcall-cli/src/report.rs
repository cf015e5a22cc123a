//! `smpcall report`: this machine, measured, as one page that needs no network: what it costs between its cores, how long each kind of
//! call takes beside its floor, how that grows by the model, what the litmus race showed, and what to doubt.
//!
//! | module | what it does |
//! |---|---|
//! | [`gather`] | measures everything, one after the other |
//! | [`pairs`] | what it costs between each two cores |
//!
//! The crate `smpcall-report` has the data, the comparison with an earlier report, the warnings and the page. So `--from` makes a page
//! of what was measured before, and measures nothing.

mod gather;
mod pairs;

use crate::output::{JsonFile, count_of, say};
use crate::run::seconds;
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use smpcall_report::compare::{Comparison, Verdict, compare};
use smpcall_report::data::{Peers, Report};
use smpcall_report::page::page;
use smpcall_report::warnings::warnings;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For the help.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("smpcall report --out report.html --json report.json", "the page, and what was measured"),
    ("smpcall report --out after.html --against report.json", "the same later, and what changed"),
    ("smpcall report --out again.html --from report.json", "the page again, without measuring"),
];

/// What to measure, and where to write.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The page: one HTML file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Writes what was measured to this file, as JSON (schema smpcall.report/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Says what changed since an earlier report: what its --json wrote
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Shows what `cargo xtask peers --json FILE` wrote, too
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
    /// For about how long to measure calls, over all rounds
    #[arg(long, default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// In how many rounds: their medians are the noise that a change is held against
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// How many posts to race, under each protocol
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    posts: u64,
    /// Measures nothing, and makes the page of what an earlier --json wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "rounds", "posts"])]
    from: Option<PathBuf>,
}

/// Measures, writes, and fails if a check did.
pub(crate) fn run(args: &Args) -> Result<()> {
    let out = JsonFile::open(Some(&args.out))?;
    let json = JsonFile::open(args.json.as_deref())?;
    let against = args.against.as_deref().map(read_report).transpose()?;
    let peers = args.peers.as_deref().map(read_peers).transpose()?;
    let mut report = match &args.from {
        Some(path) => read_report(path)?,
        None => gather::gather(args.seconds / args.rounds, args.rounds, args.posts)?,
    };
    report.peers = peers.or(report.peers);
    let since = against.as_ref().map(|before| compare(before, &report));
    if let Some(json) = json {
        json.write(&report)?;
    }
    if let Some(out) = out {
        out.write_text(page(&report, since.as_ref()))?;
    }
    let printed = print(&report, since.as_ref(), &args.out);
    match (report.checks.failed, report.litmus.smpcall.lost) {
        (0, 0) => printed,
        (failed, 0) => bail!("{} failed", count_of(failed, "check")),
        (_, lost) => bail!("P2 is broken: smpcall lost {} that had been told Busy", count_of(lost, "post")),
    }
}

fn print(report: &Report, since: Option<&Comparison>, out: &Path) -> Result<()> {
    for warning in warnings(report) {
        say!("warning: {warning}")?;
    }
    if let Some(since) = since {
        let mut within = 0;
        for change in &since.changes {
            match (change.verdict, change.before) {
                (Verdict::Faster | Verdict::Slower | Verdict::WithItsFloor, Some(before)) => say!(
                    "changed: {}: {:.1} ns ({:.1} to {:.1}) then, {:.1} ns ({:.1} to {:.1}) now{}",
                    change.name,
                    before.median,
                    before.least,
                    before.most,
                    change.now.median,
                    change.now.least,
                    change.now.most,
                    if change.verdict == Verdict::WithItsFloor { ", as its floor did" } else { "" }
                )?,
                _ => within += 1,
            }
        }
        say!("{within} of {} within the noise", count_of(since.changes.len() as u64, "figure"))?;
    }
    say!("Open {} in a browser.", out.display())
}

fn read_report(path: &Path) -> Result<Report> {
    let report: Report = read(path, "what `smpcall report --json` writes")?;
    report.check().map_err(anyhow::Error::msg).with_context(|| format!("cannot use {}", path.display()))?;
    Ok(report)
}

fn read_peers(path: &Path) -> Result<Peers> {
    read(path, "what `cargo xtask peers --json` writes")
}

fn read<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not {what}", path.display()))
}
