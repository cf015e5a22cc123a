//! ArceOS: `integrations/arceos`. Its `ax-ipi` is replaced; what is built beside it for the bench is the original.

mod bench;
mod machine;

use super::{compiler, demand};
use crate::boot::{Arch, End};
use crate::sh;
use anyhow::{Result, bail};
use clap::ValueEnum;
use machine::Accel;
use std::path::PathBuf;

/// How to boot it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Arceos {
    /// The architecture
    #[arg(long, default_value = "x86_64")]
    arch: Which,
    /// How many CPUs the machine has
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=8))]
    cpus: u32,
    /// What it runs
    #[arg(long, default_value = "conformance")]
    what: What,
    /// How the machine's CPUs run
    #[arg(long, default_value = "threads")]
    accel: Accel,
    /// How often the bench boots either layer, in turn: the table has the medians
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Ends a machine that has not ended by then, as failed
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    #[value(name = "riscv64")]
    Riscv64,
    #[value(name = "aarch64")]
    Aarch64,
    #[value(name = "x86_64")]
    X86_64,
    /// One after the other
    All,
}

impl Which {
    fn all(self) -> Vec<Arch> {
        match self {
            Self::Riscv64 => vec![Arch::Riscv64],
            Self::Aarch64 => vec![Arch::Aarch64],
            Self::X86_64 => vec![Arch::X86_64],
            Self::All => vec![Arch::X86_64, Arch::Riscv64, Arch::Aarch64],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The conformance suite, unchanged
    Conformance,
    /// The crate's own surface, a target that is slow for two seconds, ten thousand calls at once
    Calls,
    /// What a kernel calls for: shootdown, wake-up, text patching
    Demo,
    /// The original layer and ours side by side; writes the table
    Bench,
    /// A CPU that never answers, which must be named
    Broken,
}

/// With this QEMU ends when ArceOS powers off.
const PASSING: i32 = 0;

/// Whose `ax-ipi`: a workspace in `integrations/`, and its program.
#[derive(Clone, Copy)]
enum Layer {
    Ours,
    Theirs,
}

impl Layer {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Ours => ("arceos", "smpcall-arceos"),
            Self::Theirs => ("arceos/theirs", "smpcall-arceos-theirs"),
        }
    }

    fn folder(self) -> PathBuf {
        sh::root().join("integrations").join(self.names().0)
    }
}

/// Why the step cannot be built or booted here.
pub(crate) fn missing() -> Option<String> {
    missing_for(&[Arch::X86_64])
}

fn missing_for(archs: &[Arch]) -> Option<String> {
    let machine = || archs.iter().copied().find_map(machine::missing);
    super::missing().or_else(compiler::missing).or_else(machine)
}

/// What was asked for.
pub(super) fn verb(args: &Arceos) -> Result<()> {
    let archs = args.arch.all();
    if let Some(why) = missing_for(&archs) {
        bail!("{why}");
    }
    for arch in archs {
        match args.what {
            What::Conformance => passes(arch, args, "conformance")?,
            What::Calls => passes(arch, args, "calls")?,
            What::Demo => passes(arch, args, "demo")?,
            What::Bench => bench::run(arch, args)?,
            What::Broken => broken(arch, args)?,
        }
    }
    Ok(())
}

/// What `test --full` runs: everything but the bench, on one architecture.
pub(crate) fn step() -> Result<()> {
    for what in [What::Conformance, What::Calls, What::Demo, What::Broken] {
        verb(&Arceos { what, ..defaults() })?;
    }
    Ok(())
}

fn defaults() -> Arceos {
    Arceos {
        arch: Which::X86_64,
        cpus: 4,
        what: What::Conformance,
        accel: Accel::Threads,
        runs: 1,
        timeout: 120,
    }
}

/// Fetches the crates of both workspaces, and those that the language's own are built from.
pub(super) fn fetch() -> Result<()> {
    for layer in [Layer::Ours, Layer::Theirs] {
        compiler::cargo("fetch --quiet --locked -Zbuild-std=core,alloc", &layer.folder()).run()?;
    }
    Ok(())
}

fn passes(arch: Arch, args: &Arceos, what: &str) -> Result<()> {
    let kernel = machine::build(arch, Layer::Ours, true)?;
    let (end, log) = machine::start(arch, args, what, what, &kernel)?;
    demand(PASSING, &format!("ArceOS, {}", arch.name()), what, args.cpus, end, &log)
}

/// A CPU whose interrupts stay off, which the stall report must name.
fn broken(arch: Arch, args: &Arceos) -> Result<()> {
    let kernel = machine::build(arch, Layer::Ours, true)?;
    let short = Arceos { timeout: 30, ..args.clone() };
    let (end, log) = machine::start(arch, &short, "deaf", "deaf", &kernel)?;
    let is_it = |line: &&str| line.contains("ax-ipi: CPU 0 has waited") && line.contains("for CPU 1");
    match log.lines().find(is_it) {
        Some(line) if end == End::TimedOut && line.contains("is queued, and the CPU runs no call") => {
            println!("  deaf: is diagnosed: {}", line.trim());
            Ok(())
        }
        _ => bail!("a CPU that never answers was not diagnosed: {end:?}\n{log}"),
    }
}
