//! `shards --by smpcall|channel|tokio`: starts a server, says where it listens, and ends with its standard input. For each line that
//! comes there it prints what it has counted.

use anyhow::Result;
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use shards::counting::Counting;
use shards::{By, Server};
use std::io::{BufRead, Write};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// How shards reach each other
    #[arg(long, value_enum, default_value = "smpcall")]
    by: By,
    /// How many shards; as many as there are cores unless given
    #[arg(long)]
    shards: Option<u32>,
    /// Where to listen, on 127.0.0.1; any port that is free unless given
    #[arg(long, default_value_t = 0)]
    port: u16,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cores = std::thread::available_parallelism()?.get() as u32;
    let server = Server::start(args.by, args.shards.unwrap_or(cores), args.port)?;
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
