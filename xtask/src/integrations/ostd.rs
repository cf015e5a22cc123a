//! Asterinas' ostd: `integrations/ostd`. Built without `cargo osdk`: what that does for a kernel is a linker script, which is in
//! the folder, some flags, and two bytes that QEMU's loader looks at.

use super::{compiler, demand, table, watch};
use crate::boot::{Arch, End, Newer, Release, find_newer};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};

/// How to build and boot it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Ostd {
    /// How many CPUs the machine has
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=8))]
    cpus: u32,
    /// What it runs
    #[arg(long, default_value = "conformance")]
    what: What,
    /// Ends a machine that has not ended by then, as failed
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The conformance suite, unchanged
    Conformance,
    /// What ostd's own layer cannot do
    Demo,
    /// ostd's layer and ours side by side, in virtual time; writes the table
    Bench,
    /// Machines that must be diagnosed
    Broken,
}

/// With this QEMU ends when ostd powers off as succeeded.
const PASSING: i32 = 33;
/// And as failed.
const FAILING: i32 = 65;

const THREADS: &str = "-accel tcg,thread=multi";
/// Virtual time. QEMU 10 ends with `Bad icount read`, at the x2APIC's registers it seems, unless each instruction ends a block.
const ICOUNT: &str = "-accel tcg,thread=single,one-insn-per-tb=on -icount shift=3,sleep=off";

/// What was asked for.
pub(super) fn verb(args: &Ostd) -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    println!("  ostd {}", version()?);
    match args.what {
        What::Conformance => passes(args, "conformance"),
        What::Demo => passes(args, "demo"),
        What::Bench => bench(args),
        What::Broken => broken(args),
    }
}

/// Why it cannot be built or booted here.
pub(crate) fn missing() -> Option<String> {
    let no_qemu = || find_newer(Release::Ten).is_none().then(|| NO_QEMU.to_owned());
    super::missing().or_else(compiler::missing).or_else(no_qemu)
}

/// Everything but the bench.
pub(crate) fn step() -> Result<()> {
    for what in [What::Conformance, What::Demo, What::Broken] {
        verb(&Ostd { cpus: 4, what, timeout: 300 })?;
    }
    Ok(())
}

/// Fetches its crates, and those that the language's own are built from.
pub(super) fn fetch() -> Result<()> {
    compiler::cargo("fetch --quiet --locked -Zbuild-std=core,alloc", &folder()).run()
}

const NO_QEMU: &str = "no QEMU that emulates the x2APIC: `cargo xtask setup` fetches one";

/// A QEMU with an x2APIC, a register of which is the doorbell.
fn newer() -> Result<Newer> {
    find_newer(Release::Ten).context(NO_QEMU)
}

fn passes(args: &Ostd, what: &str) -> Result<()> {
    let kernel = build(true)?;
    let (end, log) = start(args, what, Some(&newer()?), THREADS, &kernel)?;
    demand(PASSING, "ostd", what, args.cpus, end, &log)
}

/// Both layers in one guest; the CPUs take turns, and time counts instructions.
fn bench(args: &Ostd) -> Result<()> {
    let kernel = build(false)?;
    let (end, log) = start(args, "bench", Some(&newer()?), ICOUNT, &kernel)?;
    demand(PASSING, "ostd", "bench", args.cpus, end, &log)?;
    table::write(&format!("ostd {}", version()?), [(&log, "ok theirs: "), (&log, "ok ours: ")], "ostd")
}

/// A machine without an x2APIC; and a kernel whose interrupts never come to `flush`.
fn broken(args: &Ostd) -> Result<()> {
    let kernel = build(true)?;
    let xapic = "the doorbell is a register of the x2APIC, and this processor has none";
    let (end, log) = start(args, "xapic", None, THREADS, &kernel)?;
    diagnosed("xapic", end, &log, |line| line.ends_with(xapic))?;
    let (end, log) = start(args, "deaf", Some(&newer()?), THREADS, &kernel)?;
    diagnosed("deaf", end, &log, |line| {
        line.contains("CPU 0 has waited")
            && line.contains("for CPU 1")
            && line.ends_with("the CPU runs no call")
    })
}

/// Demands that the machine ended itself as failed, with such a line.
fn diagnosed(what: &str, end: End, log: &str, is_it: impl Fn(&str) -> bool) -> Result<()> {
    let line =
        log.lines().map(str::trim_end).find(|line| line.starts_with("smpcall kernel: ") && is_it(line));
    match line {
        Some(line) if end == End::Code(FAILING) => {
            println!("  {what}: is diagnosed: {line}");
            Ok(())
        }
        _ => bail!("{what}: was not diagnosed: {end:?}\n{log}"),
    }
}

fn folder() -> PathBuf {
    sh::root().join("integrations/ostd")
}

/// Builds the kernel, and returns what QEMU loads.
fn build(stats: bool) -> Result<PathBuf> {
    let folder = folder();
    let target_dir = sh::target_dir().join("integrations/ostd");
    let flags = format!(
        "-C link-arg=-T{} -C relocation-model=static -C relro-level=off -C force-unwind-tables=yes \
         -C no-redzone=y -C target-feature=+ermsb",
        folder.join("x86_64.ld").display()
    );
    let mut cmd = compiler::cargo("build --release --quiet --locked", &folder)
        .args("-Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem")
        .args("--target x86_64-unknown-none")
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("RUSTC_WRAPPER", folder.join("without-step.sh"))
        .env("RUSTFLAGS", flags);
    if !stats {
        cmd = cmd.arg("--no-default-features");
    }
    cmd.run()?;
    for_qemu(&target_dir.join("x86_64-unknown-none/release/smpcall-ostd"))
}

/// QEMU's multiboot loader takes no 64-bit machine's file, whatever it begins with: e_machine becomes EM_386, as `cargo osdk` does.
fn for_qemu(elf: &Path) -> Result<PathBuf> {
    const E_MACHINE: usize = 18;
    const EM_386: u16 = 3;
    let mut image = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let place = image.get_mut(E_MACHINE..E_MACHINE + 2).context("the kernel is no ELF file")?;
    place.copy_from_slice(&EM_386.to_le_bytes());
    let path = elf.with_extension("multiboot");
    fs::write(&path, image)?;
    Ok(path)
}

fn start(
    args: &Ostd,
    what: &str,
    newer: Option<&Newer>,
    accel: &str,
    kernel: &Path,
) -> Result<(End, String)> {
    let program = newer.map_or_else(|| "qemu-system-x86_64".to_owned(), |newer| newer.program(Arch::X86_64));
    let mut cmd = Cmd::new("timeout", &format!("-k 2 {}", args.timeout)).arg(&program);
    if let Some(newer) = newer {
        cmd = newer.at_home(cmd);
    }
    let machine = "-nodefaults -no-reboot -machine q35 -m 1G -display none -serial stdio \
        -device isa-debug-exit,iobase=0xf4,iosize=0x04";
    let cpu = if newer.is_some() { "-cpu max,+x2apic" } else { "-cpu max,-x2apic" };
    cmd = cmd.args(machine).args(cpu).args(accel).args(&format!("-smp {}", args.cpus));
    let log = sh::target_dir().join(format!("integrations/ostd-{}cpus-{what}.log", args.cpus));
    watch(&program, cmd.arg("-kernel").arg(kernel).arg("-append").arg(format!("what={what}")), &log)
}

/// The version of ostd in the lock file.
fn version() -> Result<String> {
    let lock: toml::Table = fs::read_to_string(folder().join("Cargo.lock"))?.parse()?;
    let packages = lock["package"].as_array().context("a lock file without packages")?;
    let ostd = packages.iter().find(|package| package["name"].as_str() == Some("ostd"));
    let version = ostd.and_then(|ostd| ostd["version"].as_str());
    Ok(version.context("ostd is not in the lock file")?.to_owned())
}
