//! ArceOS: `integrations/arceos`.

mod build;
mod refused;

use super::{boot, demand, table};
use crate::boot::Arch;
use crate::boot::End;
use crate::sh;
use anyhow::{Result, bail};
use build::{Build, Layer};
use clap::ValueEnum;

/// With this QEMU ends when ArceOS powers off.
const PASSING: i32 = 0;

/// Its workspaces: ours, and the original that ours is measured against.
pub(super) const WORKSPACES: [&str; 2] = ["arceos", "arceos/theirs"];

/// How to build and boot it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Arceos {
    /// The architecture
    #[arg(long, default_value = "aarch64")]
    arch: Which,
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
    /// What a kernel calls for: shootdown, wake-up, text patching
    Demo,
    /// The original layer and ours side by side, in virtual time; writes the table
    Bench,
    /// A kernel that must be diagnosed, and code that must not compile
    Broken,
}

/// What was asked for.
pub(super) fn verb(args: &Arceos) -> Result<()> {
    for arch in args.arch.all() {
        match args.what {
            What::Conformance => run(arch, args, "conformance")?,
            What::Demo => run(arch, args, "demo")?,
            What::Bench => bench(arch, args)?,
            What::Broken => broken(arch, args)?,
        }
    }
    Ok(())
}

/// What `test --full` runs: one architecture, the suite, the demo, and what must fail. Not riscv64: the OpenSBI of QEMU 7.2 may
/// start a CPU at the boot CPU's entry when the host is busy, and ArceOS then boots twice (CAVEATS O28).
pub(crate) fn step() -> Result<()> {
    let args = |what| Arceos { arch: Which::Aarch64, cpus: 4, what, timeout: 120 };
    for what in [What::Conformance, What::Demo, What::Broken] {
        verb(&args(what))?;
    }
    Ok(())
}

fn run(arch: Arch, args: &Arceos, what: &str) -> Result<()> {
    let kernel = Build { arch, cpus: args.cpus, what, layer: Layer::Ours }.build()?;
    let (end, log) = start(arch, args, what, "-accel tcg,thread=multi", &kernel)?;
    demand(PASSING, &format!("ArceOS, {}", arch.name()), what, args.cpus, end, &log)
}

/// Both layers, each in a guest of its own; the CPUs take turns, and time counts instructions.
fn bench(arch: Arch, args: &Arceos) -> Result<()> {
    let mut logs = Vec::new();
    for (layer, name) in [(Layer::Theirs, "bench-theirs"), (Layer::Ours, "bench")] {
        let kernel = Build { arch, cpus: args.cpus, what: "bench", layer }.build()?;
        let icount = "-accel tcg,thread=single -icount shift=3,sleep=off";
        let (end, log) = start(arch, args, name, icount, &kernel)?;
        demand(PASSING, &format!("ArceOS, {}, {name}", arch.name()), "bench", args.cpus, end, &log)?;
        logs.push(log);
    }
    let columns = [(logs[0].as_str(), "ok "), (logs[1].as_str(), "ok ")];
    table::write("axipi 0.3.0-preview.3", columns, &format!("arceos-{}", arch.name()))
}

/// A kernel whose handler never reaches ours, which the stall report must name; and closures that must not cross.
fn broken(arch: Arch, args: &Arceos) -> Result<()> {
    refused::check(arch, args.cpus)?;
    let kernel = Build { arch, cpus: args.cpus, what: "deaf", layer: Layer::Ours }.build()?;
    let short = Arceos { timeout: 20, ..args.clone() };
    let (end, log) = start(arch, &short, "deaf", "-accel tcg,thread=multi", &kernel)?;
    let because = "axipi: CPU 0 has waited";
    let reported = log.lines().find(|line| line.starts_with(because) && line.contains("for CPU 1"));
    match reported {
        Some(line) if end == End::TimedOut && line.contains("is queued, and the CPU runs no call") => {
            println!("  deaf: is diagnosed: {}", line.trim());
            Ok(())
        }
        _ => bail!("a kernel that never calls the interrupt's entry was not diagnosed: {end:?}\n{log}"),
    }
}

fn start(
    arch: Arch,
    args: &Arceos,
    what: &str,
    accel: &str,
    kernel: &std::path::Path,
) -> Result<(End, String)> {
    let machine = match arch {
        Arch::Riscv64 => "-machine virt -bios default -nographic",
        Arch::Aarch64 => "-machine virt -cpu cortex-a72 -nographic",
        Arch::X86_64 => "-machine q35 -cpu max -display none -serial stdio",
        Arch::Loongarch64 => unreachable!("not one of `Which`"),
    };
    let (name, cpus) = (arch.name(), args.cpus);
    let log = sh::target_dir().join(format!("integrations/arceos-{name}-{cpus}cpus-{what}.log"));
    let words = format!("{machine} {accel} -smp {cpus} -m 128M -no-reboot");
    boot(arch.program(), &words, kernel, args.timeout, &log)
}
