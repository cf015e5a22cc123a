//! The command: `cargo xtask fuzz` starts it.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use smpcall_fuzz::{HuntArgs, Less};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(name = "smpcall-fuzz", about = "Draws programs from the safe interface, plays them, and judges")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Looks for programs that fail, each in a process that it can take along
    Hunt(HuntArgs),
    /// Prints the program of a seed
    Show {
        /// The seed
        #[arg(long)]
        seed: u64,
        #[command(flatten)]
        less: Less,
    },
    /// Plays programs in this process
    #[command(hide = true)]
    Child {
        #[arg(long)]
        first: u64,
        #[arg(long)]
        count: u64,
        #[arg(long)]
        hang_seconds: u64,
        #[command(flatten)]
        less: Less,
    },
}

fn main() -> ExitCode {
    match Args::parse().verb {
        Verb::Hunt(args) => {
            let done = std::env::current_exe()
                .map_err(anyhow::Error::from)
                .and_then(|program| smpcall_fuzz::hunt(&args, program));
            if let Err(why) = done {
                eprintln!("error: {why:#}");
                return ExitCode::FAILURE;
            }
        }
        Verb::Show { seed, less } => smpcall_fuzz::show(seed, &less),
        Verb::Child { first, count, hang_seconds, less } => {
            smpcall_fuzz::run_child(first, count, &less, Duration::from_secs(hang_seconds));
        }
    }
    ExitCode::SUCCESS
}
