//! The `smpcall` command: what a call costs on this machine, and whether its contract holds.
//!
//! | module | what it does |
//! |---|---|
//! | [`run`] | every kind of call: its price beside a floor measured in the same run, its results checked |
//! | [`torture`] | every kind of call at once, with hotplug and signals, and every promise checked |
//! | [`sim`] | simulated machines, seed after seed, with faults; every failure repeats |
//! | [`litmus`] | P2 raced: how often Busy is not kept by Linux's protocol, and by ours |
//! | [`trace`] | a short mix of calls, as a file that Perfetto shows |
//! | [`pace`] | which cores, and how to wait where threads share one |
//! | [`output`] | the JSON file, opened before the work, and the progress bar |
//!
//! Exit codes: 0, all is well; 1, a check failed or the run could not be made; 2, the flags make no sense.

#![deny(unsafe_code)]

mod litmus;
mod output;
mod pace;
mod run;
mod sim;
mod torture;
mod trace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Runs functions on other CPUs, and shows what that costs and that its promises hold.
#[derive(Parser)]
#[command(name = "smpcall", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every kind of call, checks each result, and prints what it cost (the default).
    Run(run::Args),
    /// Makes every kind of call at once, from everywhere, while CPUs come and go, and checks every promise.
    Torture(torture::Args),
    /// Runs the core on simulated machines, seed after seed, on good hardware and bad.
    Sim(Box<sim::Args>),
    /// Races posts against the unlock: is whoever was told Busy also seen?
    Litmus(litmus::Args),
    /// Records a short mix of calls, for Perfetto or Chrome to show.
    Trace(trace::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Torture(args)) => torture::run(&args),
        Some(Command::Sim(args)) => sim::run(&args),
        Some(Command::Litmus(args)) => litmus::run(&args),
        Some(Command::Trace(args)) => trace::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }
}
