//! ArceOS by its names of 2026: `integrations/ax`. Its `ax-ipi` is replaced; what is built beside it for the bench is the original.

use super::{boot, compiler, demand, table};
use crate::boot::{Arch, End};
use crate::sh;
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// How to boot it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Ax {
    /// How many CPUs the machine has
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=8))]
    cpus: u32,
    /// What it runs
    #[arg(long, default_value = "conformance")]
    what: What,
    /// Ends a machine that has not ended by then, as failed
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The conformance suite, unchanged
    Conformance,
    /// The crate's own surface, a target that is slow for two seconds, ten thousand calls at once
    Calls,
    /// The original layer and ours side by side, in virtual time; writes the table
    Bench,
    /// A CPU that never answers, which must be named
    Broken,
}

/// With this QEMU ends when ArceOS powers off.
const PASSING: i32 = 0;

const THREADS: &str = "-accel tcg,thread=multi";
const ICOUNT: &str = "-accel tcg,thread=single -icount shift=3,sleep=off";

/// Whose `ax-ipi`: a workspace in `integrations/`, and its program.
#[derive(Clone, Copy)]
enum Layer {
    Ours,
    Theirs,
}

impl Layer {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Ours => ("ax", "smpcall-ax"),
            Self::Theirs => ("ax/theirs", "smpcall-ax-theirs"),
        }
    }

    fn folder(self) -> PathBuf {
        sh::root().join("integrations").join(self.names().0)
    }
}

/// Why it cannot be built or booted here.
pub(crate) fn missing() -> Option<String> {
    super::missing().or_else(compiler::missing)
}

/// What was asked for.
pub(super) fn verb(args: &Ax) -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    match args.what {
        What::Conformance => passes(args, "conformance"),
        What::Calls => passes(args, "calls"),
        What::Bench => bench(args),
        What::Broken => broken(args),
    }
}

/// Everything but the bench.
pub(crate) fn step() -> Result<()> {
    for what in [What::Conformance, What::Calls, What::Broken] {
        verb(&Ax { cpus: 4, what, timeout: 120 })?;
    }
    Ok(())
}

/// Fetches the crates of both workspaces, and those that the language's own are built from.
pub(super) fn fetch() -> Result<()> {
    for layer in [Layer::Ours, Layer::Theirs] {
        compiler::cargo("fetch --quiet --locked -Zbuild-std=core,alloc", &layer.folder()).run()?;
    }
    Ok(())
}

fn passes(args: &Ax, what: &str) -> Result<()> {
    let kernel = build(Layer::Ours, true)?;
    let (end, log) = start(args, what, what, THREADS, &kernel)?;
    demand(PASSING, "ArceOS", what, args.cpus, end, &log)
}

/// Both layers, each in a guest of its own; the CPUs take turns, and time counts instructions.
fn bench(args: &Ax) -> Result<()> {
    let mut logs = Vec::new();
    for (layer, name) in [(Layer::Theirs, "bench-theirs"), (Layer::Ours, "bench")] {
        let kernel = build(layer, false)?;
        let (end, log) = start(args, "bench", name, ICOUNT, &kernel)?;
        demand(PASSING, &format!("ArceOS, {name}"), "bench", args.cpus, end, &log)?;
        logs.push(log);
    }
    table::write("ax-ipi 0.6.5", [(&logs[0], "ok "), (&logs[1], "ok ")], "ax")
}

/// A CPU whose interrupts stay off, which the stall report must name.
fn broken(args: &Ax) -> Result<()> {
    let kernel = build(Layer::Ours, true)?;
    let short = Ax { timeout: 20, ..args.clone() };
    let (end, log) = start(&short, "deaf", "deaf", THREADS, &kernel)?;
    let is_it = |line: &&str| line.contains("ax-ipi: CPU 0 has waited") && line.contains("for CPU 1");
    match log.lines().find(is_it) {
        Some(line) if end == End::TimedOut && line.contains("is queued, and the CPU runs no call") => {
            println!("  deaf: is diagnosed: {}", line.trim());
            Ok(())
        }
        _ => bail!("a CPU that never answers was not diagnosed: {end:?}\n{log}"),
    }
}

/// Builds it as ArceOS' own build does, and returns what QEMU loads.
fn build(layer: Layer, stats: bool) -> Result<PathBuf> {
    const TARGET: &str = "aarch64-unknown-none-softfloat";
    let (_, program) = layer.names();
    // One for both: only what depends on `ax-ipi` is built twice.
    let target_dir = sh::target_dir().join("integrations/ax");
    let flags = format!(
        "-C linker={} -C linker-flavor=ld.lld -C link-arg=-Tlinker.x -C relocation-model=pic -C link-arg=-pie \
         -C link-arg=-znostart-stop-gc",
        super::LINKER
    );
    let mut cmd = compiler::cargo("build --release --quiet --locked -Zbuild-std=core,alloc", &layer.folder())
        .args("--target")
        .args(TARGET)
        .args("-p")
        .args(program)
        .env("CARGO_TARGET_DIR", &target_dir)
        // How many CPUs it has room for.
        .env("SMP", "8")
        .env("AX_LOG", "warn")
        .env("RUSTFLAGS", flags);
    if let (Layer::Ours, false) = (layer, stats) {
        cmd = cmd.arg("--no-default-features");
    }
    cmd.run()?;
    super::to_binary(&target_dir.join(TARGET).join("release").join(program))
}

fn start(args: &Ax, what: &str, name: &str, accel: &str, kernel: &Path) -> Result<(End, String)> {
    let cpus = args.cpus;
    let log = sh::target_dir().join(format!("integrations/ax-{cpus}cpus-{name}.log"));
    let words = format!(
        "-machine virt -cpu cortex-a72 -nographic {accel} -smp {cpus} -m 512M -no-reboot -append what={what}"
    );
    boot(Arch::Aarch64.program(), &words, kernel, args.timeout, &log)
}
