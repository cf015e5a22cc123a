//! `peers`: builds benches/peers, which no other command does, and runs it.

use crate::sh::Cmd;
use anyhow::Result;
use std::path::PathBuf;

/// What to measure, and for how long.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// For about how long to measure, setting up apart
    #[arg(long, default_value = "60")]
    seconds: String,
    /// In how many rounds
    #[arg(long, default_value = "5")]
    rounds: String,
    /// Only rows with this in their title, such as `peers:`, `linux:`, `crowd:`, `flood` or `waiting call, parked`
    #[arg(long, value_name = "TEXT", default_value = "")]
    rows: String,
    /// Writes the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut peers = Cmd::cargo("run --release --package peers -- --seconds").arg(&args.seconds);
    peers = peers.arg("--rounds").arg(&args.rounds).arg("--rows").arg(&args.rows);
    if let Some(json) = &args.json {
        peers = peers.arg("--json").arg(std::path::absolute(json)?);
    }
    peers.run()
}
