//! `integrations`: builds kernels that others wrote, with smpcall in them, boots them in QEMU, and reads what they say. A file
//! for each kernel; what they share is here. And a runtime that others wrote, which needs none of that.
//!
//! The kernels are built by compilers of Debian's, from the lock files in `integrations/`; the language's own crates, from their
//! sources.

mod arceos;
mod compiler;
mod compio;
mod hermit;
mod ostd;
mod table;

use crate::boot::verdict::{self, Verdict};
use crate::boot::{End, make_parent};
use crate::sanitize;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub(crate) use arceos::{missing as arceos_missing, step as arceos_step};
pub(crate) use compiler::{fetch as fetch_compiler, missing as compiler_missing};
pub(crate) use compio::{missing as compio_missing, step as compio_step};
pub(crate) use hermit::step as hermit_step;
pub(crate) use ostd::{missing as ostd_missing, step as ostd_step};

/// The Debian packages that these need beside those of the kernel.
pub(crate) const DEBIAN: [&str; 3] = ["llvm-22", "ovmf", "patch"];

/// Which kernel, or runtime.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    kernel: Option<Kernel>,
}

#[derive(Subcommand, Clone, Debug)]
enum Kernel {
    /// ArceOS (ax-runtime 0.13), with its inter-processor crate on smpcall
    Arceos(arceos::Arceos),
    /// compio's runtime, whose executor is replaced
    Compio(compio::Compio),
    /// Hermit's kernel, whose TLB shootdown and wake-ups are replaced
    Hermit(hermit::Hermit),
    /// Asterinas' ostd, an interrupt line of which is the doorbell
    Ostd(ostd::Ostd),
}

/// What was asked for; all of them, if none was named.
pub(crate) fn verb(args: &Args) -> Result<()> {
    // A runtime is built by the compiler that is there.
    if !matches!(args.kernel, Some(Kernel::Compio(_))) {
        compiler::fetch()?;
    }
    match &args.kernel {
        Some(Kernel::Arceos(arceos)) => arceos::verb(arceos),
        Some(Kernel::Compio(compio)) => compio::verb(compio),
        Some(Kernel::Hermit(hermit)) => hermit::verb(hermit),
        Some(Kernel::Ostd(ostd)) => ostd::verb(ostd),
        None => {
            compio::step()?;
            arceos::step()?;
            ostd::step()?;
            if let Some(why) = hermit::step()? {
                println!("  hermit: skipped: {why}");
            }
            Ok(())
        }
    }
}

/// Why no kernel can be built or booted here.
pub(crate) fn missing() -> Option<String> {
    let part = sanitize::debian_part_missing().or_else(|| {
        let tools = [LINKER, OBJCOPY, "/usr/bin/qemu-system-aarch64"];
        tools.into_iter().find(|tool| !Path::new(tool).exists()).map(str::to_owned)
    });
    part.map(|part| format!("no {part}: `cargo xtask setup` as root"))
}

/// Fetches the crates of all the workspaces, and those that the language's own are built from.
pub(crate) fn fetch() -> Result<()> {
    if compiler::missing().is_none() {
        ostd::fetch()?;
        arceos::fetch()?;
    }
    compio::fetch()?;
    // Last: a monitor that does not build keeps nobody else from theirs.
    if hermit::missing().is_none() {
        hermit::fetch()?;
    }
    Ok(())
}

/// lld under a name that rustc takes for a linker's.
const LINKER: &str = "/usr/bin/ld.lld-22";
const OBJCOPY: &str = "/usr/bin/llvm-objcopy-22";

/// The memory's contents of a linked kernel, for loaders that do not read ELF.
fn to_binary(elf: &Path) -> Result<PathBuf> {
    let binary = elf.with_extension("bin");
    Cmd::new(OBJCOPY, "-O binary").arg(elf).arg(&binary).run()?;
    Ok(binary)
}

/// Runs a QEMU under `timeout`, which outlives us; its serial log goes to `log`, and comes back too.
fn boot(qemu: &str, args: &str, kernel: &Path, timeout: u32, log: &Path) -> Result<(End, String)> {
    let cmd = Cmd::new("timeout", &format!("-k 2 {timeout} {qemu} {args}"));
    watch(qemu, cmd.arg("-kernel").arg(kernel), log)
}

/// Runs that command, which is the QEMU at `qemu` under `timeout`.
fn watch(qemu: &str, cmd: Cmd, log: &Path) -> Result<(End, String)> {
    make_parent(log)?;
    let to = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let said = Cmd::new(qemu, "--version").read()?;
    println!("  {}", said.lines().next().unwrap_or_default());
    let end = End::of(cmd.into_file(to)?);
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    println!("  log: {}", sh::shown(log));
    Ok((end, text))
}

/// Demands a success: QEMU ended by itself, with the code `passing`, the last line says so, and as many results came as were
/// announced.
fn demand(passing: i32, name: &str, what: &str, cpus: u32, end: End, log: &str) -> Result<()> {
    let verdict: Verdict = verdict::read(passing, what, cpus, end, log);
    match verdict {
        Ok(said) => println!("  {name} with {cpus} CPUs: {said}"),
        Err(why) => {
            sh::show_tail(log);
            bail!("{name} with {cpus} CPUs, {what}: {why}");
        }
    }
    Ok(())
}
