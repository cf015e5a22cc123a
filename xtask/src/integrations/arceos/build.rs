//! Builds it, as its own build does: a configuration made of the platform's, and a linker script that its `axhal` writes.

use super::WORKSPACES;
use crate::boot::Arch;
use crate::integrations::{LINKER, cargo, to_binary};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Whose layer the kernel calls by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// smpcall: the workspace with the `[patch]`.
    Ours,
    /// The registry's own: the workspace without.
    Theirs,
}

impl Layer {
    fn workspace(self) -> &'static str {
        match self {
            Self::Ours => WORKSPACES[0],
            Self::Theirs => WORKSPACES[1],
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Ours => "smpcall-arceos",
            Self::Theirs => "smpcall-arceos-theirs",
        }
    }
}

/// One kernel.
pub(super) struct Build<'a> {
    pub(super) arch: Arch,
    pub(super) cpus: u32,
    pub(super) what: &'a str,
    pub(super) layer: Layer,
}

/// ArceOS' name of the machine.
fn platform(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86-pc",
        Arch::Riscv64 => "riscv64-qemu-virt",
        Arch::Aarch64 => "aarch64-qemu-virt",
        Arch::Loongarch64 => unreachable!("not one of `Which`"),
    }
}

impl Build<'_> {
    /// Builds it, and returns what QEMU loads.
    pub(super) fn build(&self) -> Result<PathBuf> {
        let mut cmd = self.cargo("build --release --quiet --locked")?.arg("-p").arg(self.layer.program());
        if self.what == "bench" && self.layer == Layer::Ours {
            cmd = cmd.arg("--no-default-features");
        }
        cmd.run()?;
        let elf = self.target_dir().join(self.arch.target()).join("release").join(self.layer.program());
        // QEMU loads x86-64 kernels by their multiboot header, the others as they are in memory.
        if self.arch == Arch::X86_64 { Ok(elf) } else { to_binary(&elf) }
    }

    /// Debian's cargo, with all that ArceOS' build takes from its environment.
    pub(super) fn cargo(&self, verb: &str) -> Result<Cmd> {
        let target_dir = self.target_dir();
        fs::create_dir_all(&target_dir)?;
        let script = format!("{}/release/linker_{}.lds", self.arch.target(), platform(self.arch));
        let flags = format!(
            "-C linker={LINKER} -C linker-flavor=ld.lld -C link-arg=-T{} -C link-arg=-no-pie -C link-arg=-znostart-stop-gc",
            target_dir.join(script).display()
        );
        let config = self.config(&target_dir)?;
        Ok(cargo(verb, self.layer.workspace())
            .args("-Zbuild-std=core,alloc --target")
            .arg(self.arch.target())
            .env("CARGO_TARGET_DIR", &target_dir)
            .env("AX_CONFIG_PATH", config)
            .env("AX_LOG", "warn")
            .env("SMPCALL_WHAT", self.what)
            .env("RUSTFLAGS", flags))
    }

    fn target_dir(&self) -> PathBuf {
        let name = match self.layer {
            Layer::Ours => "integrations/arceos",
            Layer::Theirs => "integrations/arceos-theirs",
        };
        sh::target_dir().join(name)
    }

    /// The platform's own configuration, with our number of CPUs, and the two values that it leaves to the kernel.
    fn config(&self, target_dir: &Path) -> Result<PathBuf> {
        let package = format!("axplat-{}", platform(self.arch));
        let text = fs::read_to_string(self.folder_of(&package)?.join("axconfig.toml"))?;
        let mut found = 0;
        // Where CPUs take turns, those that spin while it boots take so long that a CPU which ticks more often gets no further.
        let ticks = if self.what == "bench" { 10 } else { 100 };
        let mut lines = vec!["task-stack-size = 0x40000".to_owned(), format!("ticks-per-sec = {ticks}")];
        for line in text.lines() {
            if line.starts_with("max-cpu-num") {
                found += 1;
                lines.push(format!("max-cpu-num = {}", self.cpus));
            } else {
                lines.push(line.to_owned());
            }
        }
        if found != 1 {
            bail!("{package}'s axconfig.toml has {found} lines for the number of CPUs");
        }
        let path = target_dir.join(format!("{}-{}cpus-{ticks}.toml", platform(self.arch), self.cpus));
        let text = lines.join("\n") + "\n";
        // Only if it changed: the build looks at its time.
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            fs::write(&path, text)?;
        }
        Ok(path)
    }

    /// Where cargo has unpacked a package of the lock file.
    fn folder_of(&self, package: &str) -> Result<PathBuf> {
        let said = cargo("metadata --locked --format-version 1", self.layer.workspace()).read()?;
        let metadata: serde_json::Value = serde_json::from_str(&said)?;
        let packages = metadata["packages"].as_array().context("cargo metadata without packages")?;
        let manifest = packages
            .iter()
            .find(|found| found["name"] == package)
            .and_then(|found| found["manifest_path"].as_str())
            .with_context(|| format!("{package} is not in the lock file"))?;
        Ok(Path::new(manifest).parent().context("a manifest in no folder")?.to_path_buf())
    }
}
