//! Builds ArceOS as its own build does, and boots it.

use super::{Arceos, Layer};
use crate::boot::{Arch, End};
use crate::integrations::{LINKER, boot, compiler, to_binary};
use crate::sh;
use anyhow::Result;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// How QEMU runs the CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Accel {
    /// A thread for each
    Threads,
    /// In turn, in virtual time that counts instructions: the same figures in every run
    Icount,
}

impl Accel {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Icount => "icount",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Threads => "-accel tcg,thread=multi",
            Self::Icount => "-accel tcg,thread=single -icount shift=3,sleep=off",
        }
    }
}

/// The firmware by which it boots on x86-64, as an application of UEFI: QEMU's own is none.
const UEFI: &str = "/usr/share/ovmf/OVMF.fd";

/// Why that machine is not to be had here.
pub(super) fn missing(arch: Arch) -> Option<String> {
    let file = match arch {
        Arch::X86_64 => UEFI,
        Arch::Riscv64 | Arch::Aarch64 => arch.program(),
        Arch::Loongarch64 => unreachable!("not one of `Which`"),
    };
    (!Path::new("/usr/bin").join(file).exists()).then(|| format!("no {file}: `cargo xtask setup` as root"))
}

/// Builds it, and returns what QEMU loads.
pub(super) fn build(arch: Arch, layer: Layer, stats: bool) -> Result<PathBuf> {
    let (_, program) = layer.names();
    // One for both: only what depends on `ax-ipi` is built twice.
    let target_dir = sh::target_dir().join("integrations/arceos");
    let flags = format!(
        "-C linker={LINKER} -C linker-flavor=ld.lld -C link-arg=-Tlinker.x -C relocation-model=pic -C link-arg=-pie \
         -C link-arg=-znostart-stop-gc"
    );
    let mut cmd = compiler::cargo("build --release --quiet --locked -Zbuild-std=core,alloc", &layer.folder())
        .arg("--target")
        .arg(arch.target())
        .arg("-p")
        .arg(program)
        .env("CARGO_TARGET_DIR", &target_dir)
        // How many CPUs it has room for.
        .env("SMP", "8")
        .env("AX_LOG", "warn")
        .env("RUSTFLAGS", flags);
    if let (Layer::Ours, false) = (layer, stats) {
        cmd = cmd.arg("--no-default-features");
    }
    cmd.run()?;
    to_binary(&target_dir.join(arch.target()).join("release").join(program))
}

/// Boots it; the log is called `name`.
pub(super) fn start(
    arch: Arch,
    args: &Arceos,
    what: &str,
    name: &str,
    kernel: &Path,
) -> Result<(End, String)> {
    let machine = match arch {
        Arch::Riscv64 => "-machine virt -bios default -nographic".to_owned(),
        Arch::Aarch64 => "-machine virt -cpu cortex-a72 -nographic".to_owned(),
        Arch::X86_64 => format!("-machine q35 -cpu max -bios {UEFI} -display none -serial stdio"),
        Arch::Loongarch64 => unreachable!("not one of `Which`"),
    };
    let (cpus, accel) = (args.cpus, args.accel.words());
    let words = format!("{machine} {accel} -smp {cpus} -m 512M -no-reboot -append what={what}");
    let log = format!("integrations/arceos-{}-{cpus}cpus-{name}.log", arch.name());
    boot(arch.program(), &words, kernel, args.timeout, &sh::target_dir().join(log))
}
