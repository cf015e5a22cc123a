//! Builds the kernel: with the target's libraries where rustup has them, else from their sources.

use super::Arch;
use crate::sanitize;
use crate::sh::{self, Cmd};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

impl Arch {
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-none",
            Self::Riscv64 => "riscv64gc-unknown-none-elf",
            Self::Aarch64 => "aarch64-unknown-none-softfloat",
            Self::Loongarch64 => "loongarch64-unknown-none-softfloat",
        }
    }
}

/// A compiler that can build for a machine without an operating system.
pub(super) struct Toolchain {
    arch: Arch,
    from: From,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// The target is installed beside the toolchain in use.
    Rustup,
    /// Debian's compiler, which comes with the sources of `core`.
    Debian,
}

impl Toolchain {
    /// Finds one.
    pub(super) fn find(arch: Arch) -> Result<Self> {
        if has_target(arch.target()) {
            return Ok(Self { arch, from: From::Rustup });
        }
        if let Some(part) = sanitize::debian_part_missing() {
            bail!(
                "no compiler for {}: `rustup target add {0}`, or `cargo xtask setup` as root for Debian's (no {part})",
                arch.target()
            );
        }
        Ok(Self { arch, from: From::Debian })
    }

    /// Builds it, and returns where it is.
    pub(super) fn build(&self) -> Result<PathBuf> {
        // One for each: builds for two architectures wait for each other in one folder.
        let target_dir = sh::target_dir().join("kernel").join(self.arch.name());
        let cmd = self.cargo("build --release --quiet --locked").arg("--target").arg(self.arch.target());
        cmd.env("CARGO_TARGET_DIR", &target_dir).run()?;
        Ok(target_dir.join(self.arch.target()).join("release/smpcall-kernel"))
    }

    pub(super) fn fetch(&self) -> Result<()> {
        self.cargo("fetch --quiet --locked").run()
    }

    fn cargo(&self, verb: &str) -> Cmd {
        let cmd = match self.from {
            From::Rustup => Cmd::cargo(verb),
            From::Debian => Cmd::debian_cargo(verb)
                .args("-Zbuild-std=core,compiler_builtins -Zbuild-std-features=compiler-builtins-mem"),
        };
        // Its folder has the linker's flags.
        cmd.dir(&sh::root().join("kernel"))
    }
}

fn has_target(target: &str) -> bool {
    let libdir = Cmd::new("rustc", "--print target-libdir --target").arg(target).read();
    libdir.is_ok_and(|libdir| Path::new(&libdir).exists())
}
