//! `cargo xtask peers`: what a call costs beside channels, runtimes and Linux's algorithm, in one run on the same two cores.
//!
//! A *block* is one contestant alone on the machine for a moment, set up for it: threads pinned alike, the caller on the first core
//! that the process may use, the target on the second. Blocks of ours and of each that it stands beside take turns; a ratio is the
//! median over the rounds of two blocks that followed each other. Allocations are counted in a sample that is not timed.
//!
//! | module | what it is |
//! |---|---|
//! | [`rows`] | the table of rows: a kind of call, ours, and what it stands beside |
//! | [`block`] | one contestant for a moment |
//! | [`work`] | what the functions do |
//! | [`ours`] | smpcall, and the floors |
//! | [`channels`] | std, crossbeam, kanal, flume, rtrb, with a boxed closure |
//! | [`unpark`] | crossbeam between threads that park |
//! | [`runtimes`] | tokio, compio, smol, rayon; an eventfd |
//! | [`linux`] | Linux's algorithm on host threads |
//! | [`crowd`] | many callers: tails, fairness, the 1,025th thread, CPUs that share cores |
//! | [`counting`] | allocations |
//! | [`machine`] | what it runs on; a file of xtask's |
//! | [`report`] | the tables and the JSON file |

mod block;
mod channels;
mod counting;
mod crowd;
mod linux;
#[path = "../../../xtask/src/machine.rs"]
mod machine;
mod ours;
mod report;
mod rows;
mod runtimes;
mod unpark;
mod work;

use anyhow::{Context, Result, ensure};
use block::{Block, Visit};
use clap::Parser;
use report::{Report, RowReport};
use rows::{ROWS, Row};
use smpcall_measure::pace::Place;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Measures calls beside channels, runtimes and Linux's algorithm, on the same two cores, in one run.
#[derive(Parser)]
#[command(name = "cargo xtask peers")]
struct Args {
    /// For about how long to measure, setting up apart
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// In how many rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only rows with this in their title, such as `peers:`, `linux:`, `crowd:`, `flood` or `waiting call, parked`
    #[arg(long, value_name = "TEXT", default_value = "")]
    rows: String,
    /// Writes the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Blocks of ours and of what it stands beside, that followed each other.
type Pairs = Vec<(Block, Block)>;

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.seconds > 0.0 && args.seconds <= 86_400.0, "seconds are more than 0, and at most a day");
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.title().contains(&args.rows)).collect();
    ensure!(!rows.is_empty(), "no row has {:?} in its title", args.rows);
    let before = machine::load();
    let report = measure(&args, &rows)?;
    let report = Report {
        schema: report::SCHEMA,
        machine: measured_on(&args, &before),
        rounds: args.rounds,
        rows: report,
    };
    if let Some(json) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(json, text).with_context(|| format!("cannot write {}", json.display()))?;
    }
    std::io::stdout().write_all(report.markdown().as_bytes())?;
    Ok(())
}

fn measure(args: &Args, rows: &[&Row]) -> Result<Vec<RowReport>> {
    let place = Place::find();
    let blocks: u32 = rows.iter().map(|row| row.weight() * 2 * row.beside.len() as u32).sum();
    let time = Duration::from_secs_f64(args.seconds) / args.rounds / blocks;
    let mut pairs: Vec<Vec<Pairs>> =
        rows.iter().map(|row| row.beside.iter().map(|_| Pairs::new()).collect()).collect();
    for round in 0..args.rounds {
        for (row, pairs) in rows.iter().zip(&mut pairs) {
            let visit = Visit { place: place.clone(), time: time * row.weight() };
            for (beside, pairs) in row.beside.iter().zip(pairs) {
                let ours = || (row.ours)(&visit).with_context(|| row.title());
                let theirs = || {
                    (beside.measure)(&visit).with_context(|| format!("{}, by {}", row.title(), beside.name))
                };
                // Who comes first has the other's caches, and the other way round in the next round.
                pairs.push(if round % 2 == 0 {
                    (ours()?, theirs()?)
                } else {
                    let theirs = theirs()?;
                    (ours()?, theirs)
                });
            }
        }
    }
    Ok(rows.iter().zip(&pairs).map(|(row, pairs)| RowReport::new(row, pairs)).collect())
}

/// What the figures were measured on, and how.
fn measured_on(args: &Args, load_before: &str) -> String {
    let (machine, rounds, seconds) = (machine::described(), args.rounds, args.seconds);
    format!("{machine}; {rounds} rounds, {seconds} s of blocks. Load of the machine before: {load_before}.")
}
