//! `shards`: the key-value server of examples/shards and its rivals, driven by redis-benchmark over loopback, and the table for
//! docs/shards.md.
//!
//! Servers take turns, each run on one that was just started; the figures are medians over the rounds. System calls are counted
//! by perf in a run of their own, since that counting slows those who make many.

mod figures;
mod server;

use crate::machine;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use figures::{Figures, Runs};
use server::Server;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The Debian package that has the client.
pub(crate) const DEBIAN: [&str; 1] = ["redis-tools"];

/// A server, and how it is started.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    args: &'static str,
}

/// All servers. Each is compared to the one by channels.
const SERVERS: [Kind; 5] = [
    Kind { name: "smpcall", args: "--by smpcall" },
    Kind { name: "smpcall, io_uring", args: "--by smpcall --loop uring" },
    Kind { name: CHANNEL, args: "--by channel" },
    Kind { name: "channel, io_uring", args: "--by channel --loop uring" },
    Kind { name: "tokio", args: "--by tokio" },
];
const CHANNEL: &str = "channel";
/// The exit code of a server that says that the system has no such loop.
const UNAVAILABLE: i32 = 69;
/// `mget` is of ten keys, so that shards ask each other more than clients ask them.
const COMMANDS: [&str; 3] = ["get", "set", "mget"];
const MGET_LEN: usize = 10;
const PIPELINES: [u32; 2] = [1, 16];
/// Keys, all of which are set before.
const KEYS: &str = "10000";

/// What came of one command, with so many in the pipeline.
struct Measured {
    command: &'static str,
    pipeline: u32,
    servers: Vec<(Kind, Runs)>,
}

/// How long to measure.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Rounds, in each of which every server runs once
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Requests in a run with one in the pipeline; with 16, twelve times as many
    #[arg(long, default_value_t = 40_000)]
    requests: u32,
    /// Shards of each server
    #[arg(long, default_value_t = 2)]
    shards: u32,
    /// One command alone: get, set, or mget
    #[arg(long, value_parser = COMMANDS)]
    only: Option<String>,
}

/// Why it cannot run here.
pub(crate) fn missing() -> Option<String> {
    let there = Cmd::new("redis-benchmark", "--version").read().is_ok();
    (!there).then(|| {
        "no redis-benchmark: `cargo xtask setup` as root, or `apt-get install redis-tools`".to_owned()
    })
}

/// A short run, whose figures are worth nothing: of the command that asks other shards for most.
pub(crate) fn step() -> Result<()> {
    run(&Args { rounds: 1, requests: 2_000, shards: 2, only: Some("mget".to_owned()) })
}

/// Measures, and prints the table.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    Cmd::cargo("build --release -p shards").run()?;
    let before = machine::load();
    let mut servers = Vec::new();
    for server in SERVERS {
        if server.is_here()? {
            servers.push(server);
        }
    }
    let mut all = Vec::new();
    for (command, pipeline) in
        COMMANDS.iter().flat_map(|command| PIPELINES.map(|pipeline| (*command, pipeline)))
    {
        if args.only.as_ref().is_some_and(|only| only != command) {
            continue;
        }
        let mut runs: Vec<_> = servers.iter().map(|server| (*server, Runs::default())).collect();
        for round in 0..args.rounds as usize {
            for turn in 0..runs.len() {
                let which = (round + turn) % servers.len();
                let (server, runs) = &mut runs[which];
                runs.add(one(args, *server, command, pipeline)?);
            }
        }
        for (server, runs) in &mut runs {
            runs.system_calls = system_calls(args, *server, command, pipeline)?;
            println!("  {command}, {pipeline} in the pipeline, {}: {runs}", server.name);
        }
        all.push(Measured { command, pipeline, servers: runs });
    }
    println!("\n{}\n", measured_on(args, &before));
    print!("{}", table(&all));
    Ok(())
}

impl Kind {
    /// `false`, said aloud: the system has not what it needs.
    fn is_here(&self) -> Result<bool> {
        // It ends with its input.
        let mut server = Command::new(program());
        let ended = server.args(self.args.split(' ')).stdin(Stdio::null()).output()?;
        let why = String::from_utf8_lossy(&ended.stderr);
        match ended.status.code() {
            Some(0) => Ok(true),
            Some(UNAVAILABLE) => {
                println!("  {}: skipped: {}", self.name, why.trim_end());
                Ok(false)
            }
            _ => bail!("{} ends with {}: {}", self.name, ended.status, why.trim_end()),
        }
    }
}

fn program() -> PathBuf {
    sh::target_dir().join("release/shards")
}

/// How much a run sends.
fn requests(args: &Args, command: &str, pipeline: u32) -> u32 {
    let keys = if command == "mget" { 4 } else { 1 };
    args.requests.saturating_mul(if pipeline == 1 { 1 } else { 12 }) / keys
}

/// Arguments of redis-benchmark.
fn client(port: u16, command: &str, pipeline: u32, requests: u32) -> String {
    let run = format!("-h 127.0.0.1 -p {port} -n {requests} -r {KEYS} -c 50 -P {pipeline} --precision 3");
    match command {
        "mget" => format!("{run} MGET {}", "key:__rand_int__ ".repeat(MGET_LEN)),
        _ => format!("{run} -t {command}"),
    }
}

/// Starts a server, drives it, and ends it.
fn one(args: &Args, server: Kind, command: &str, pipeline: u32) -> Result<Figures> {
    let mut server = start(args, server)?;
    let before = server.counts()?;
    let client = client(server.port(), command, pipeline, requests(args, command, pipeline));
    // As long as a server that hangs may take; `timeout` outlives us.
    let said = Cmd::new("timeout", "-k 2 120 redis-benchmark").args(&client).read()?;
    let after = server.counts()?;
    server.end()?;
    Figures::read(&said, &before, &after).with_context(|| format!("redis-benchmark said:\n{said}"))
}

/// A server that has all keys.
fn start(args: &Args, server: Kind) -> Result<Server> {
    let server = Server::start(&program(), server.args, args.shards)?;
    let fill = client(server.port(), "set", 16, 100_000);
    Cmd::new("timeout", "-k 2 120 redis-benchmark").args(&fill).read()?;
    Ok(server)
}

/// System calls a request; none where perf does not count them.
fn system_calls(args: &Args, server: Kind, command: &str, pipeline: u32) -> Result<Option<f64>> {
    let mut server = start(args, server)?;
    let before = server.counts()?;
    let perf = format!("-k 2 120 perf stat -x, -e raw_syscalls:sys_enter -p {}", server.id());
    let client = client(server.port(), command, pipeline, requests(args, command, pipeline));
    let said = Cmd::new("timeout", &perf).args("redis-benchmark").args(&client).capture();
    let after = server.counts()?;
    server.end()?;
    let Ok(said) = said else { return Ok(None) };
    let count = said.stderr.lines().find(|line| line.contains("raw_syscalls:sys_enter"));
    let count = count.and_then(|line| line.split(',').next()?.parse::<f64>().ok());
    Ok(count.map(|count| count / (after.requests - before.requests) as f64))
}

/// What the figures were measured on, and how.
fn measured_on(args: &Args, load_before: &str) -> String {
    let client = Cmd::new("redis-benchmark", "--version").read().unwrap_or_default();
    format!(
        "{}; {client}, 50 connections, {KEYS} keys, {} shards; \
         {} rounds of {} requests (with 16 in the pipeline {}; of mget, of {MGET_LEN} keys each, a quarter). Load of the machine before: {load_before}, after: {}.",
        machine::described(),
        args.shards,
        args.rounds,
        requests(args, "get", 1),
        requests(args, "get", 16),
        machine::load(),
    )
}

/// The table, as it stands in docs/shards.md.
fn table(all: &[Measured]) -> String {
    let mut text = "| command, pipeline | server | requests/s | p50 ms | p99 ms | p99.9 ms | CPU µs | system calls | \
                    allocations | requests/s ÷ channel | p99.9 ÷ channel |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for Measured { command, pipeline, servers } in all {
        let channel = servers.iter().find(|(server, _)| server.name == CHANNEL);
        for (server, runs) in servers {
            let against = channel
                .filter(|_| server.name != CHANNEL)
                .map_or("| | |".to_owned(), |(_, channel)| runs.against(channel));
            text += &format!("| {command}, {pipeline} | {} {}{against}\n", server.name, runs.columns());
        }
    }
    text
}
