//! `smpcall top PATH`: a running machine, as its program publishes it (`Machine::publish`): for each CPU what it runs, how many calls it
//! queues and runs in a second, doorbells sent and saved, what its flushes left over, and latencies where the program takes them.
//!
//! | module | what it is |
//! |---|---|
//! | [`snapshot`] | one line of the program's, read and checked |
//! | [`view`] | the table: what happened between two of them |
//! | [`names`] | functions: addresses as offsets into the program |
//! | [`screen`] | the terminal: keys, signals, and all put back at the end |
//!
//! On a terminal it is drawn anew each interval, until q, Ctrl-C, or the program's end. Elsewhere, and on a terminal that cannot move its
//! cursor, tables are printed one after the other.

mod names;
mod screen;
mod snapshot;
mod view;

use crate::output::say;
use crate::run::seconds;
use anyhow::Result;
use names::Names;
use screen::{Key, Screen};
use snapshot::{Read, Snapshot};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use view::View;

/// For the help.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("smpcall top /run/server/counters", "live, until q"),
    ("smpcall top /run/server/counters --once", "a table of all since the program's start"),
    ("smpcall top /run/server/counters --json --interval 10", "a line of JSON each 10 seconds"),
];

/// Whose machine, and how to show it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The socket that the program publishes its counters at (`Machine::publish`)
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Prints once what was counted since the program's start, and ends
    #[arg(long)]
    once: bool,
    /// Prints what the program sends, a line of JSON each time: schema smpcall.counters/1
    #[arg(long)]
    json: bool,
    /// How many seconds are between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, allow_negative_numbers = true)]
    interval: Duration,
}

/// Looks again and again, until it is told to end or the program has ended.
pub(crate) fn run(args: &Args) -> Result<()> {
    let first = snapshot::first(&args.path)?;
    if args.json {
        return lines(args, first);
    }
    let names = Names::of(first.snapshot.pid);
    if args.once {
        return say!("{}", View::since_start(&first.snapshot, &names));
    }
    match Screen::open()? {
        Some(screen) => live(args, first, &names, screen),
        None => tables(args, first, &names),
    }
}

/// The lines themselves.
fn lines(args: &Args, mut read: Read) -> Result<()> {
    loop {
        say!("{}", read.line.trim_end())?;
        if args.once {
            return Ok(());
        }
        sleep(args.interval);
        match snapshot::next(&args.path, read.snapshot.pid)? {
            Some(next) => read = next,
            None => return Ok(()),
        }
    }
}

/// One table after the other: the first since the program's start.
fn tables(args: &Args, first: Read, names: &Names) -> Result<()> {
    say!("{}", View::since_start(&first.snapshot, names))?;
    let mut before = first.snapshot;
    loop {
        sleep(args.interval);
        let Some(Read { snapshot, .. }) = snapshot::next(&args.path, before.pid)? else {
            return ended(&before);
        };
        say!("\n{}", View::between(&before, &snapshot, names))?;
        before = snapshot;
    }
}

fn ended(last: &Snapshot) -> Result<()> {
    say!("{} (process {}) has ended, or publishes no more.", last.program_name(), last.pid)
}

fn live(args: &Args, first: Read, names: &Names, mut screen: Screen) -> Result<()> {
    let mut before = first.snapshot;
    let mut view = View::since_start(&before, names);
    let mut next_look = Instant::now() + args.interval;
    loop {
        screen.draw(&view)?;
        match screen.wait(next_look.saturating_duration_since(Instant::now()))? {
            Some(Key::Quit) => return Ok(()),
            Some(Key::Redraw) => {}
            None => {
                let Some(Read { snapshot, .. }) = snapshot::next(&args.path, before.pid)? else {
                    drop(screen);
                    return ended(&before);
                };
                view = View::between(&before, &snapshot, names);
                before = snapshot;
                next_look = Instant::now() + args.interval;
            }
        }
    }
}
