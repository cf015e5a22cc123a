//! `shards --by smpcall|channel|tokio --loop epoll|uring`: starts a server, says where it listens, and ends with its standard input.
//! For each line that comes there it prints what it has counted. Ends with 69 (`EX_UNAVAILABLE`) if the system has no such loop.

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use shards::counting::Counting;
use shards::{By, Loop, Server};
use std::io::{BufRead, Write};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// How shards reach each other
    #[arg(long, value_enum, default_value = "smpcall")]
    by: Transport,
    /// What a shard sleeps in; tokio's own is on epoll
    #[arg(long = "loop", value_enum, default_value = "epoll")]
    on: Loop,
    /// How many shards; as many as there are cores unless given
    #[arg(long)]
    shards: Option<u32>,
    /// Where to listen, on 127.0.0.1; any port that is free unless given
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// Messages of smpcall
    Smpcall,
    /// A crossbeam channel and an eventfd each
    Channel,
    /// tokio's channels, in a current-thread runtime each
    Tokio,
}

/// The exit code that says that the system has no such loop.
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    let args = Args::parse();
    let by = match (args.by, args.on) {
        (Transport::Smpcall, on) => By::Smpcall(on),
        (Transport::Channel, on) => By::Channel(on),
        (Transport::Tokio, Loop::Epoll) => By::Tokio,
        (Transport::Tokio, Loop::Uring) => {
            let why = "tokio has a loop of its own: no --loop uring with --by tokio";
            Args::command().error(ErrorKind::ArgumentConflict, why).exit()
        }
    };
    let (code, done) = match args.on.is_here() {
        Err(why) => (UNAVAILABLE, Err(why)),
        Ok(()) => (1, serve(by, &args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why:#}");
            code.into()
        }
    }
}

fn serve(by: By, args: &Args) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get() as u32;
    let server = Server::start(by, args.shards.unwrap_or(cores), args.port)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", server.address())?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let (counts, usage) = (server.counts(), getrusage(UsageWho::RUSAGE_SELF)?);
        writeln!(
            out,
            "requests {} foreign {} allocations {} cpu_us {} switches {}",
            counts.requests,
            counts.foreign,
            counts.allocations,
            usage.user_time().num_microseconds() + usage.system_time().num_microseconds(),
            usage.voluntary_context_switches() + usage.involuntary_context_switches(),
        )?;
    }
    server.stop()?;
    Ok(())
}
