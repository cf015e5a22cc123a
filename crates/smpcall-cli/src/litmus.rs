//! P2 on the real machine: is whoever was told Busy also seen?
//!
//! One race, again and again, under two protocols. The csd is posted; when its target is just about to unlock it, the
//! caller writes a message and posts it again: that is the *raced post*. If it is told Busy, then the run that was
//! pending is all that will come, and must have seen the message. The caller waits until every run has ended, and looks
//! at what the last one saw. A raced post that was told Busy and not seen is *lost*.
//!
//! - Linux's protocol ([`linux`]), as a model: a plain load decides about Busy, a release store unlocks.
//! - Ours ([`ours`]), the real thing: a `Csd`, posted to a `Machine`.
//!
//! Both are raced alike: the moment of the raced post is steered so that about half of them come too late to be told
//! Busy, and the message has several cache lines, so that its last word takes its time to become visible.
//!
//! Not here: proof. Zero lost is what this machine, its memory model and this number of races showed; that no race can
//! lose is for the models to say.

mod linux;
mod ours;
mod race;

use crate::output::{JsonFile, count_of, progress, say};
use crate::pace::{Pace, Place};
use anyhow::{Result, bail};
pub(crate) use race::Outcome;
use serde::Serialize;
use std::path::PathBuf;

/// For the help.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("smpcall litmus", "two million races under each protocol"),
    ("smpcall litmus --posts 100000 --json litmus.json", "fewer, and the counts as JSON"),
];

/// What to race.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many raced posts, under each protocol.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    posts: u64,
    /// Writes the numbers to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the JSON file holds.
#[derive(Serialize)]
struct Report {
    posts: u64,
    linux_protocol: Outcome,
    smpcall: Outcome,
}

/// Races so many posts under each protocol: what came of Linux's, and of ours.
pub(crate) fn race_both(place: &Place, posts: u64) -> Result<[Outcome; 2]> {
    let bar = progress(posts, "Linux's protocol");
    let linux_protocol = linux::race(place, posts, &bar)?;
    bar.finish_and_clear();
    let bar = progress(posts, "smpcall");
    let smpcall = ours::race(place, posts, &bar)?;
    bar.finish_and_clear();
    Ok([linux_protocol, smpcall])
}

/// Races both protocols; an error if ours ever lost.
pub(crate) fn run(args: &Args) -> Result<()> {
    let json = JsonFile::open(args.json.as_deref())?;
    let place = Place::find();
    let [linux_protocol, smpcall] = race_both(&place, args.posts)?;
    let report = Report { posts: args.posts, linux_protocol, smpcall };
    if let Some(json) = json {
        json.write_results("smpcall.litmus/1", &report)?;
    }
    let printed = print(&report, place.pace());
    match report.smpcall.lost {
        0 => printed,
        lost => bail!("P2 is broken: smpcall lost {} that had been told Busy", count_of(lost, "post")),
    }
}

fn print(report: &Report, pace: Pace) -> Result<()> {
    say!("{} under each protocol", count_of(report.posts, "raced post"))?;
    if pace == Pace::Shared {
        say!("Both threads share the one core that this process may use, so next to nothing races here.")?;
    }
    line("Linux's protocol (plain load, release store):", &report.linux_protocol)?;
    match report.linux_protocol.lost {
        0 => say!(
            "  None was lost here and now. The memory model of this machine allows it all the same; more posts may \
             show it."
        ),
        _ => say!(
            "  Each of these callers was told that a run was still to come, and that run did not see what the caller \
             had written: the update is lost, and nobody knows."
        ),
    }?;
    line("smpcall (both sides read-modify-write one word):", &report.smpcall)?;
    match report.smpcall.lost {
        0 => say!("  Whoever was told Busy was seen by the run that was still to come, every time."),
        _ => {
            say!("  P2 IS BROKEN: callers were told Busy, and the run that they relied on did not see them.")
        }
    }
}

fn line(name: &str, outcome: &Outcome) -> Result<()> {
    let percent = 100.0 * outcome.lost as f64 / (outcome.busy.max(1)) as f64;
    say!("{name}")?;
    say!("  {} told Busy, {} of those not seen ({percent:.3} %)", outcome.busy, outcome.lost)
}
