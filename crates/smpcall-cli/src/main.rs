//! The `smpcall` command: what a call costs on this machine, and whether its contract holds.
//!
//! | module | what it does |
//! |---|---|
//! | [`run`] | every kind of call: its price beside a floor measured in the same run, its results checked |
//! | [`torture`] | every kind of call at once, with hotplug and signals, and every promise checked |
//! | [`sim`] | simulated machines, seed after seed, with faults; every failure repeats |
//! | [`litmus`] | P2 raced: how often Busy is not kept by Linux's protocol, and by ours |
//! | [`trace`] | a short mix of calls, as a file that Perfetto shows |
//! | [`report`] | all of that about this machine, as a page |
//! | [`top`] | a running program's machine, live |
//! | [`shell`] | completions for shells, and manual pages |
//! | [`threads`] | threads that may fail to start |
//! | [`output`] | what is printed, files, and the progress bar |
//!
//! Cores, samples and floors come from [`smpcall_measure`]. Exit codes are in [`EXIT_CODES`], which the help shows.

#![deny(unsafe_code)]
// They panic where nobody reads; `output` has what does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod litmus;
mod output;
mod report;
mod run;
mod shell;
mod sim;
mod threads;
mod top;
mod torture;
mod trace;

use clap::{Parser, Subcommand};
use output::{ClosedPipe, complain};
use smpcall_measure::pace;
use std::process::ExitCode;

/// A check failed, or the run could not be made or told of. `clap` itself ends with 2.
const FAILURE: u8 = 1;
/// Nobody reads standard output any more: what a shell says of a program that SIGPIPE has ended.
const CLOSED_PIPE: u8 = 141;

/// The end of every help text, behind the examples.
const EXIT_CODES: &str = "\
Exit codes:
  0    every check passed
  1    a check failed, or the run could not be made or its results not be written; the last line says why
  2    the flags make no sense
  141  standard output was closed before the end, as by `| head`, and nothing had failed by then
Ctrl-C ends a run at once, as SIGINT does: 130 in a shell. A file that is written at the end is then as it was before.
Nothing is coloured where NO_COLOR is set, or standard output is no terminal.";

/// What stands behind the flags of a subcommand: a line of each example, and what it does.
fn help(examples: &[(&str, &str)]) -> String {
    let width = examples.iter().map(|(line, _)| line.len()).max().unwrap_or_default();
    let lines: String = examples.iter().map(|(line, what)| format!("  {line:width$}  # {what}\n")).collect();
    format!("Examples:\n{lines}\n{EXIT_CODES}")
}

const EXAMPLES: &[(&str, &str)] = &[
    ("smpcall", "what calls cost here, in five seconds, and whether every result is right"),
    ("smpcall torture --seconds 60", "everything at once, every promise checked"),
    ("smpcall completions bash", "for your shell"),
];

/// Runs functions on other CPUs, and shows what that costs and that its promises hold.
#[derive(Parser)]
#[command(name = "smpcall", version, args_conflicts_with_subcommands = true, after_help = help(EXAMPLES))]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every kind of call, checks each result, and prints what it cost (the default).
    #[command(after_help = help(run::EXAMPLES))]
    Run(run::Args),
    /// Makes every kind of call at once, from everywhere, while CPUs come and go, and checks every promise.
    #[command(after_help = help(torture::EXAMPLES))]
    Torture(torture::Args),
    /// Runs the core on simulated machines, seed after seed, on good hardware and bad.
    #[command(after_help = help(sim::EXAMPLES))]
    Sim(Box<sim::Args>),
    /// Races posts against the unlock: is whoever was told Busy also seen?
    #[command(after_help = help(litmus::EXAMPLES))]
    Litmus(litmus::Args),
    /// Records a short mix of calls, for Perfetto or Chrome to show.
    #[command(after_help = help(trace::EXAMPLES))]
    Trace(trace::Args),
    /// Measures this machine, and writes a page: cores, calls, growth, what to doubt, and what changed since an earlier one.
    #[command(after_help = help(report::EXAMPLES))]
    Report(report::Args),
    /// Shows what the CPUs of a running program do, live.
    #[command(after_help = help(top::EXAMPLES))]
    Top(top::Args),
    /// Prints what a shell needs to complete the command's flags.
    #[command(after_help = help(shell::COMPLETIONS))]
    Completions(shell::Completions),
    /// Writes a manual page for the command and for each subcommand.
    #[command(after_help = help(shell::MAN))]
    Man(shell::Man),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => return ended(show(&message).map(|()| message.exit_code())),
    };
    let outcome = match cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Torture(args)) => torture::run(&args),
        Some(Command::Sim(args)) => sim::run(&args),
        Some(Command::Litmus(args)) => litmus::run(&args),
        Some(Command::Trace(args)) => trace::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Top(args)) => top::run(&args),
        Some(Command::Completions(args)) => shell::completions(&args),
        Some(Command::Man(args)) => shell::man(&args),
    };
    ended(outcome.map(|()| 0))
}

/// Prints what `clap` has to say: help, a version, or what is wrong with the flags.
fn show(message: &clap::Error) -> anyhow::Result<()> {
    let printed = output::printed(message.print());
    // The code says what standard error could not.
    if message.use_stderr() { Ok(()) } else { printed }
}

/// Says what went wrong, and with which code the command ends.
fn ended(outcome: anyhow::Result<i32>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(FAILURE)),
        Err(error) if error.is::<ClosedPipe>() => ExitCode::from(CLOSED_PIPE),
        Err(error) => {
            complain!("error: {error:#}");
            ExitCode::from(FAILURE)
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

    #[test]
    fn each_subcommand_has_examples_that_parse() {
        let command = Cli::command();
        let below = command.get_subcommands().flat_map(clap::Command::get_subcommands);
        for command in [&command].into_iter().chain(command.get_subcommands()).chain(below) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples =
                help.split("\n\n").find_map(|part| part.strip_prefix("Examples:\n")).unwrap_or_default();
            assert_ne!(examples, "", "{}", command.get_name());
            for example in examples.lines() {
                let (line, what) = example.split_once(" # ").expect("each says what it does");
                let parsed = Cli::try_parse_from(line.split_whitespace());
                assert!(parsed.is_ok() && !what.is_empty(), "{example}: {:?}", parsed.err());
                assert!(line.contains(command.get_name()), "{example} is of {}", command.get_name());
            }
        }
    }
}
