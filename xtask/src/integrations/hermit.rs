//! Hermit: `integrations/hermit`. Its kernel's newest sources on the registry are 0.11.0's; later versions there are empty. They are copied
//! into the target folder and patched, since the language has changed since, and to let another inter-processor layer in.
//!
//! It boots in uhyve, on KVM: Hermit's loader for other machines is not on the registry.

use super::{compiler, demand, table, watch};
use crate::boot::End;
use crate::kvm;
use crate::metadata;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// How to boot it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Hermit {
    /// How many CPUs the guest has
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(3..=8))]
    cpus: u32,
    /// What it runs
    #[arg(long, default_value = "conformance")]
    what: What,
    /// Ends a guest that has not ended by then, as failed
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The conformance suite, unchanged
    Conformance,
    /// Hermit's TLB shootdown and wake-ups: what theirs does is shown, what ours must do is checked
    Demo,
    /// The same without counters; writes the table
    Bench,
    /// A CPU that never answers, which must be named
    Broken,
}

/// The kernel's version, and uhyve's.
const KERNEL: &str = "0.11.0";
const UHYVE: &str = "0.10.0";

/// With this uhyve ends when the guest does so as succeeded, and as failed.
const PASSING: i32 = 0;
const FAILING: i32 = 1;

const TARGET: &str = "x86_64-unknown-none";

fn folder() -> PathBuf {
    sh::root().join("integrations/hermit")
}

fn target_dir() -> PathBuf {
    // Absolute: cargo is told of it in another folder.
    let folder = sh::target_dir().join("integrations/hermit");
    std::path::absolute(&folder).unwrap_or(folder)
}

fn uhyve_root() -> PathBuf {
    target_dir().join(format!("uhyve-{UHYVE}"))
}

fn uhyve() -> PathBuf {
    uhyve_root().join("bin/uhyve")
}

/// The kernel's sources, patched; and what they were patched with.
fn kernel() -> PathBuf {
    target_dir().join("kernel")
}

fn patch() -> PathBuf {
    folder().join("hermit-kernel.patch")
}

/// Why it cannot be built or booted here.
pub(super) fn missing() -> Option<String> {
    super::missing().or_else(compiler::missing).or_else(kvm::missing)
}

/// Builds uhyve, and fetches the kernel and its crates, once.
pub(super) fn fetch() -> Result<()> {
    if !uhyve().exists() {
        let install = format!("install uhyve --version ={UHYVE} --locked --debug --quiet --root");
        Cmd::cargo(&install).arg(uhyve_root()).run()?;
    }
    if !is_patched() {
        patch_kernel()?;
    }
    with_kernel("fetch --quiet --locked -Zbuild-std=core,alloc").run()
}

/// Debian's cargo in the folder, for which the kernel is the patched one.
fn with_kernel(verb: &str) -> Cmd {
    let config = format!("patch.crates-io.hermit-kernel.path={:?}", kernel().display().to_string());
    compiler::cargo(verb, &folder()).arg("--config").arg(config)
}

fn is_fetched() -> bool {
    uhyve().exists() && is_patched()
}

fn is_patched() -> bool {
    let with = fs::read(kernel().join("patched-with")).ok();
    with.is_some() && with == fs::read(patch()).ok()
}

/// Copies the sources, and patches them; into place at once, when that is complete.
fn patch_kernel() -> Result<()> {
    let made = target_dir().join("kernel-made");
    for old in [&made, &kernel()] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    fs::create_dir_all(target_dir())?;
    Cmd::new("cp", "-r").arg(unpacked()?).arg(&made).run()?;
    Cmd::new("patch", "--strip=1 --fuzz=0 --quiet --batch --input").arg(patch()).dir(&made).run()?;
    fs::copy(patch(), made.join("patched-with"))?;
    fs::rename(&made, kernel()).with_context(|| format!("cannot move to {}", kernel().display()))
}

/// Where cargo has unpacked them: a package that wants them says so.
fn unpacked() -> Result<PathBuf> {
    let probe = target_dir().join("fetch");
    fs::create_dir_all(probe.join("src"))?;
    fs::write(probe.join("src/lib.rs"), "")?;
    fs::write(
        probe.join("Cargo.toml"),
        format!(
            "[workspace]\n[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\nhermit-kernel = {{ version = \"={KERNEL}\", default-features = false }}\n"
        ),
    )?;
    let said = Cmd::debian_cargo("metadata --quiet --format-version 1").dir(&probe).read()?;
    let packages: Vec<Package> = metadata::packages_of(&said)?;
    let kernel = packages.into_iter().find(|package| package.name == "hermit-kernel");
    let folder = kernel.and_then(|kernel| kernel.manifest_path.parent().map(Path::to_path_buf));
    folder.with_context(|| format!("cargo does not say where hermit-kernel {KERNEL} is"))
}

/// What is looked at of what cargo says.
#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// What was asked for.
pub(super) fn verb(args: &Hermit) -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    // The patch may have changed.
    if !is_fetched() {
        fetch()?;
    }
    println!("  hermit-kernel {KERNEL}, uhyve {UHYVE}");
    match args.what {
        What::Conformance => passes(args, "conformance"),
        What::Demo => passes(args, "bench"),
        What::Bench => bench(args),
        What::Broken => broken(args),
    }
}

/// Everything but the table. Returns why it was skipped, where a machine has no KVM, or one that does not run such a guest, or uhyve cannot be had.
pub(crate) fn step() -> Result<Option<String>> {
    if let Some(why) = missing() {
        return Ok(Some(why));
    }
    if !is_fetched()
        && let Err(why) = fetch()
    {
        return Ok(Some(format!("it cannot be had: {why:#}")));
    }
    let args = Hermit { cpus: 4, what: What::Conformance, timeout: 300 };
    let (end, log) = start(&args, "conformance", true)?;
    if let Some(last) = not_begun(&log) {
        return Ok(Some(format!("KVM here does not run Hermit: {end:?}; the last that it said: {last}")));
    }
    demand(PASSING, "hermit", "conformance", args.cpus, end, &log)?;
    passes(&args, "bench")?;
    broken(&args)?;
    Ok(None)
}

/// Of a guest that came not so far as our program: what it said last.
fn not_begun(log: &str) -> Option<&str> {
    let begun = log.lines().any(|line| line.starts_with("smpcall kernel: "));
    let last = log.lines().rfind(|line| !line.trim().is_empty());
    (!begun).then(|| last.unwrap_or("nothing").trim())
}

fn passes(args: &Hermit, what: &str) -> Result<()> {
    let (end, log) = start(args, what, true)?;
    demand(PASSING, "hermit", what, args.cpus, end, &log)
}

/// Both layers in one guest.
fn bench(args: &Hermit) -> Result<()> {
    let (end, log) = start(args, "bench", false)?;
    demand(PASSING, "hermit", "bench", args.cpus, end, &log)?;
    table::write(&format!("hermit-kernel {KERNEL}"), [(&log, "ok theirs: "), (&log, "ok ours: ")], "hermit")
}

/// A guest whose interrupts never come to `flush`.
fn broken(args: &Hermit) -> Result<()> {
    let (end, log) = start(args, "deaf", true)?;
    let is_it = |line: &&str| {
        line.starts_with("smpcall kernel: CPU 0 has waited")
            && line.contains("for CPU 1")
            && line.trim_end().ends_with("the CPU runs no call")
    };
    match log.lines().find(is_it) {
        Some(line) if end == End::Code(FAILING) => {
            println!("  deaf: is diagnosed: {}", line.trim_end());
            Ok(())
        }
        _ => bail!("a CPU that never answers was not diagnosed: {end:?}\n{log}"),
    }
}

fn start(args: &Hermit, what: &str, stats: bool) -> Result<(End, String)> {
    let program = build(stats)?;
    let log = target_dir().join(format!("{}cpus-{what}.log", args.cpus));
    let cmd = Cmd::new("timeout", &format!("-k 2 {}", args.timeout))
        .arg(uhyve())
        .args(&format!("--cpu-count {} --memory-size 256MiB", args.cpus))
        .arg(program)
        // The first ends uhyve's own words, the second the kernel's.
        .args("-- --")
        .arg(format!("what={what}"));
    watch(&uhyve().display().to_string(), cmd, &log)
}

/// Builds the program with the kernel in it.
fn build(stats: bool) -> Result<PathBuf> {
    let mut cmd = with_kernel("build --release --quiet --locked -Zbuild-std=core,alloc,compiler_builtins")
        .args("-Zbuild-std-features=compiler-builtins-mem --target")
        .args(TARGET)
        .env("CARGO_TARGET_DIR", target_dir())
        .env("HERMIT_LOG_LEVEL_FILTER", "warn");
    if !stats {
        cmd = cmd.arg("--no-default-features");
    }
    cmd.run()?;
    Ok(target_dir().join(TARGET).join("release/smpcall-hermit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guest_that_never_ran_our_program_is_skipped() {
        assert_eq!(not_begun(""), Some("nothing"));
        assert_eq!(not_begun("[WARN] a kernel\nKVM: unhandled exit\n\n"), Some("KVM: unhandled exit"));
        assert_eq!(not_begun("[WARN] a kernel\nsmpcall kernel: hermit, x2APIC\nPANIC\n"), None);
    }
}
