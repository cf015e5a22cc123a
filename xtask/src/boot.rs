//! `boot`: builds the kernel in `kernel/`, boots it in QEMU, and reads what it says.
//!
//! A run has passed only if QEMU ended by itself with the code that the kernel ends it with ([`qemu`]), *and* the last line says
//! so, *and* as many results came as were announced ([`verdict`]). The serial log is kept beside the kernel.

mod build;
mod firmware;
mod icount;
mod newer;
mod qemu;
pub(crate) mod verdict;

pub(crate) use firmware::{NEWEST as NEWEST_OPENSBI, fetch as fetch_opensbi};
pub(crate) use icount::gate;
pub(crate) use newer::{Newer, Release, fetch as fetch_newer, find as find_newer};
pub(crate) use qemu::{DEBIAN, End};

use crate::parallel::in_parallel;
use crate::sh;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use qemu::{Accel, Qemu};
use std::fs;
use std::path::{Path, PathBuf};
use verdict::Verdict;

/// An architecture that the kernel is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "riscv64")]
    Riscv64,
    #[value(name = "aarch64")]
    Aarch64,
    #[value(name = "loongarch64")]
    Loongarch64,
}

impl Arch {
    pub(crate) const ALL: [Self; 4] = [Self::X86_64, Self::Riscv64, Self::Aarch64, Self::Loongarch64];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Riscv64 => "riscv64",
            Self::Aarch64 => "aarch64",
            Self::Loongarch64 => "loongarch64",
        }
    }
}

/// What to boot, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct Boot {
    /// The architecture
    #[arg(long)]
    pub(crate) arch: Arch,
    /// How many CPUs the machine has
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub(crate) cpus: u32,
    /// What the kernel runs: conformance, checks, demo, torture, bench; `broken`: kernels that must fail, `gate`: the bench in
    /// virtual time, held against xtask/icount.toml; another word, and it says which it knows
    #[arg(long, default_value = "conformance")]
    pub(crate) what: String,
    /// How long, in seconds, where that can be chosen (torture)
    #[arg(long)]
    pub(crate) seconds: Option<u32>,
    /// Further words of its command line, such as rounds=30, seed=7 or apic=xapic
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) word: Vec<String>,
    /// Virtual time that counts instructions: one interleaving, the same figures in every run
    #[arg(long)]
    pub(crate) icount: bool,
    /// How QEMU runs the CPUs: threads unless given
    #[arg(long, conflicts_with = "icount")]
    pub(crate) accel: Option<Accel>,
    /// A machine whose interrupts go by the x2APIC (x86-64): by QEMU 10, unless --qemu names another
    #[arg(long)]
    pub(crate) x2apic: bool,
    /// Further properties of the machine, such as aia=aplic-imsic or virtualization=on
    #[arg(long, value_name = "NAME=VALUE,…")]
    pub(crate) machine: Option<String>,
    /// Sockets that its CPUs and its memory are in (riscv64): with an IMSIC, so many groups of interrupt files
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub(crate) sockets: u32,
    /// How many CPUs it could have, where that is more than it has
    #[arg(long)]
    pub(crate) maxcpus: Option<u32>,
    /// Another QEMU than the one on the path: 10 or 11 is one that `setup` fetches
    #[arg(long, value_name = "NUMBER|PROGRAM")]
    pub(crate) qemu: Option<String>,
    /// Another firmware than QEMU's own; opensbi-1.9 is one that `setup` fetches
    #[arg(long, value_name = "FILE")]
    pub(crate) bios: Option<String>,
    /// Ends a machine that has not ended by then, as failed
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub(crate) timeout: u32,
}

impl Boot {
    pub(crate) fn new(arch: Arch, cpus: u32, what: &str) -> Self {
        Self {
            arch,
            cpus,
            what: what.to_owned(),
            seconds: None,
            word: Vec::new(),
            icount: false,
            accel: None,
            x2apic: false,
            machine: None,
            sockets: 1,
            maxcpus: None,
            qemu: None,
            bios: None,
            timeout: 300,
        }
    }
}

/// Why nothing can be booted here, in a line that says how to get what is missing.
pub(crate) fn missing(boot: &Boot) -> Option<String> {
    let bios = || boot.bios.as_deref().map(firmware::file).transpose();
    let all = build::Toolchain::find(boot.arch).and(Qemu::find(boot)).and_then(|_| bios());
    all.err().map(|why| format!("{why:#}"))
}

/// Fetches the crates of the kernel, and those that the language's own are built from.
pub(crate) fn fetch() -> Result<()> {
    build::Toolchain::find(Arch::Riscv64)?.fetch()
}

/// Builds the kernels of all architectures that can be booted here, two at once, since most of each build is one link, which has one thread.
/// Returns why, if none can be booted.
pub(crate) fn build() -> Result<Option<String>> {
    let missing = |arch: Arch| missing(&Boot::new(arch, 1, ""));
    let archs: Vec<_> = Arch::ALL.into_iter().filter(|arch| missing(*arch).is_none()).collect();
    if archs.is_empty() {
        return Ok(missing(Arch::X86_64));
    }
    in_parallel(2, archs, |arch| build::Toolchain::find(arch)?.build())?;
    Ok(None)
}

/// What was asked for.
pub(crate) fn verb(boot: &Boot) -> Result<()> {
    match boot.what.as_str() {
        "broken" => broken(boot.arch),
        "gate" => gate(boot.arch),
        _ => run(boot).map(drop),
    }
}

/// Boots it, and returns the log of a run that has passed.
pub(crate) fn run(boot: &Boot) -> Result<String> {
    let (verdict, log) = watch(boot)?;
    if let Err(why) = &verdict {
        sh::show_tail(&log);
        bail!("{} with {} CPUs, {}: {why}", boot.arch.name(), boot.cpus, boot.what);
    }
    Ok(log)
}

/// Kernels that do not work must fail, each for its reason. They mostly wait, so they do it together.
pub(crate) fn broken(arch: Arch) -> Result<()> {
    /// For those that end by themselves. (65 CPUs of riscv64 took a minute on two busy cores, and said nothing before.)
    const LONG: u32 = 300;
    let kernels = [
        ("loses-a-cpu", 2, 20, "CPU 0 has waited"),
        ("hangs", 2, 8, "did not end"),
        ("panics", 2, LONG, "meant: CPU 1 panics"),
        ("faults", 2, LONG, "panicked at src/traps.rs"),
        ("vanishes", 2, LONG, if arch == Arch::X86_64 { "ended with Code(0)" } else { "does not end with" }),
        ("never-up", 2, LONG, "CPU 1: was started and never came up"),
        ("broadcasts-to-itself", 2, LONG, "of 2 CPUs faulted"),
        ("nonsense", 1, LONG, "cannot run `nonsense`"),
        ("conformance", 65, LONG, "the machine has 65 CPUs"),
    ];
    let boot = |what, cpus, timeout| Boot { timeout, ..Boot::new(arch, cpus, what) };
    let mut kernels: Vec<_> = kernels
        .into_iter()
        .map(|(what, cpus, timeout, because)| (boot(what, cpus, timeout), because))
        .collect();
    match arch {
        Arch::Aarch64 => {
            let machine = Some("virtualization=on".to_owned());
            kernels.push((Boot { machine, ..boot("demo", 2, LONG) }, "the machine starts in EL2"));
        }
        Arch::Riscv64 => {
            let bios = Some(firmware::write_old()?.display().to_string());
            kernels.push((Boot { bios, ..boot("demo", 2, LONG) }, "the firmware's SBI is older than 0.2"));
        }
        Arch::X86_64 | Arch::Loongarch64 => {}
    }
    in_parallel(4, kernels, |(boot, because)| {
        let (verdict, log) = watch(&boot)?;
        let what = &boot.what;
        let Err(why) = verdict else { bail!("{what} was taken for a success") };
        if !format!("{why}\n{log}").contains(because) {
            bail!("{what} failed, but not because of `{because}`: {why}\n{log}");
        }
        println!("  {what}: fails as it should: {why}");
        Ok(())
    })
    .map(drop)
}

fn watch(boot: &Boot) -> Result<(Verdict, String)> {
    let qemu = Qemu::find(boot)?;
    let kernel = build::Toolchain::find(boot.arch)?.build()?;
    println!("  {}", qemu.version());
    let log = log_path(boot);
    let end = qemu.boot(boot, &kernel, &log)?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let verdict = verdict::read(boot.arch.passing_code(), &boot.what, boot.cpus, end, &text);
    if let Ok(what) = &verdict {
        println!("  {} with {} CPUs: {what}", boot.arch.name(), boot.cpus);
    }
    println!("  log: {}", sh::shown(&log));
    Ok((verdict, text))
}

fn log_path(boot: &Boot) -> PathBuf {
    let how = match (boot.icount, boot.accel) {
        (true, _) => "-icount".to_owned(),
        (false, None) => String::new(),
        (false, Some(accel)) => format!("-{}", accel.name()),
    };
    let how = if boot.x2apic { how + "-x2apic" } else { how };
    let how = boot.qemu.iter().fold(how, |how, qemu| format!("{how}-qemu{}", qemu.replace('/', "_")));
    let how = if boot.sockets > 1 { format!("{how}-{}sockets", boot.sockets) } else { how };
    let how = boot.bios.iter().fold(how, |how, bios| format!("{how}-{}", bios.replace('/', "_")));
    let how = boot.machine.iter().fold(how, |how, machine| format!("{how}-{machine}"));
    let name = format!("{}-{}cpus-{}{how}.log", boot.arch.name(), boot.cpus, boot.what.replace('/', "_"));
    sh::target_dir().join("boot").join(name)
}

/// Makes the folder that a file is to be in.
pub(crate) fn make_parent(file: &Path) -> Result<()> {
    let parent = file.parent().context("a file in no folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))
}
