//! Builds the probes among the core's sources, for each machine.

use super::arm::Arm;
use super::asm::Code;
use super::litmus::Machine;
use super::probe::Probe;
use super::riscv::RiscV;
use super::x86::X86;
use crate::files;
use crate::mutants::table::Mutant;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// The sources of `core`, which Debian has beside its compiler.
const SOURCES: &str = "/usr/lib/rustlib/src/rust/library/core/src/lib.rs";
const COMPILER: &str = "/usr/bin/rustc";

/// All that a compiled probe could want of `compiler_builtins` is a call, and that a path does not follow.
const BUILTINS: &str = "#![feature(compiler_builtins, no_core)] #![no_core] #![compiler_builtins]";

/// A machine for which the core is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Read-modify-writes in one instruction.
    ArmLse,
    /// Of two that are tried until nobody came between.
    Arm,
    RiscV,
    X86,
}

impl Target {
    /// Those of one architecture not side by side: the second finds what the first was compiled with.
    pub(super) const ALL: [Target; 4] = [Self::ArmLse, Self::RiscV, Self::Arm, Self::X86];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ArmLse => "aarch64-lse",
            Self::Arm => "aarch64",
            Self::RiscV => "riscv64",
            Self::X86 => "x86-64",
        }
    }

    pub(super) fn machine(self) -> &'static dyn Machine {
        match self {
            Self::ArmLse | Self::Arm => &Arm,
            Self::RiscV => &RiscV,
            Self::X86 => &X86,
        }
    }

    /// Whether a mutant is this machine's code as it was: there no ordering is weaker than Acquire and Release are.
    pub(super) fn is_as_strong(self, mutant: &Mutant) -> bool {
        self == Self::X86 && mutant.weakens_only_an_ordering()
    }

    fn triple(self) -> &'static str {
        match self {
            Self::ArmLse | Self::Arm => "aarch64-unknown-none",
            Self::RiscV => "riscv64gc-unknown-none-elf",
            Self::X86 => "x86_64-unknown-none",
        }
    }

    fn flags(self) -> &'static str {
        match self {
            Self::ArmLse => "-Ctarget-feature=+lse",
            Self::Arm => "-Ctarget-feature=-lse",
            Self::RiscV => "",
            // Calls by name and branches, not by way of tables.
            Self::X86 => "-Crelocation-model=static -Cjump-tables=no",
        }
    }
}

/// Why nothing can be built, if so.
pub(super) fn missing() -> Option<String> {
    [COMPILER, SOURCES]
        .into_iter()
        .find(|path| !Path::new(path).exists())
        .map(|path| format!("no {path}: `cargo xtask setup` as root installs Debian's compiler"))
}

/// Where everything goes.
pub(super) fn folder() -> PathBuf {
    let folder = sh::target_dir().join("herd/compiled");
    std::path::absolute(&folder).unwrap_or(folder)
}

/// The copy of the sources for one machine.
pub(super) struct Build {
    target: Target,
    folder: PathBuf,
    core: PathBuf,
}

impl Build {
    /// Copies the sources, and the probes into them.
    pub(super) fn new(target: Target, probes: &[Probe]) -> Result<Build> {
        let folder = folder().join(target.name());
        let sources = folder.join("src");
        let root = sh::root();
        files::sync(&root.join("crates/smpcall/src"), &sources)?;
        let prelude = fs::read_to_string(root.join(super::FOLDER).join("prelude.rs"))?;
        let mut modules = String::new();
        for probe in probes {
            let module = format!("probe_{}", probe.name.replace('-', "_"));
            fs::write(
                sources.join(format!("{module}.rs")),
                format!("{}\nuse crate::prelude::*;\n", probe.text),
            )?;
            modules += &format!("mod {module};\n");
        }
        fs::write(sources.join("prelude.rs"), prelude)?;
        let lib = fs::read_to_string(sources.join("lib.rs"))?;
        fs::write(sources.join("lib.rs"), format!("{lib}\nmod prelude;\n{modules}"))?;
        let core = core(target)?;
        Ok(Build { target, folder, core })
    }

    /// The code of the sources as they are, compiled as a user's release build is.
    pub(super) fn sound(&self) -> Result<Code> {
        self.compile("sound.s", "")
    }

    /// The code with this mutant in it. Only what it changes is compiled anew.
    pub(super) fn with(&self, mutant: &Mutant) -> Result<Code> {
        let inside = mutant.file.strip_prefix("crates/smpcall/src/").context("it is not the core's")?;
        let path = self.folder.join("src").join(inside);
        let text = fs::read_to_string(&path)?;
        fs::write(&path, mutant.apply(&text)?)?;
        let code = self.compile("mutant.s", "-Cincremental=incremental");
        fs::write(&path, text)?;
        code
    }

    fn compile(&self, output: &str, flags: &str) -> Result<Code> {
        // What only the probes reach is compiled: that of a library for C.
        compiler("smpcall", self.target)
            .args("--crate-type=staticlib --emit=asm -Cpanic=abort -Copt-level=3 -Ccodegen-units=1 -Cdebuginfo=0")
            .args("--cfg smpcall_untraced src/lib.rs -Zunstable-options")
            .args(self.target.flags())
            .args(flags)
            .arg("--extern")
            .arg(format!("noprelude:core={}", self.core.join("libcore.rmeta").display()))
            .arg("--extern")
            .arg(format!("noprelude:compiler_builtins={}", self.core.join("libcompiler_builtins.rmeta").display()))
            .arg("-o")
            .arg(self.folder.join(output))
            .dir(&self.folder)
            .read()?;
        let text = fs::read_to_string(self.folder.join(output))?;
        let code = Code::of(&text);
        ensure!(!code.instrs.is_empty(), "the compiler left no code");
        Ok(code)
    }
}

fn compiler(name: &str, target: Target) -> Cmd {
    Cmd::new(COMPILER, "--edition=2024 --cap-lints=allow --crate-name")
        .untied()
        .env("RUSTC_BOOTSTRAP", "1")
        .arg(name)
        .arg("--target")
        .arg(target.triple())
}

/// What is known of `core` for a machine without an operating system: enough to compile from it what others inline, in a fifth of the
/// time that all of it takes. Once for each version of the compiler.
fn core(target: Target) -> Result<PathBuf> {
    let version = Cmd::new(COMPILER, "--version").untied().read()?;
    let version: String = version.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let done = folder().join(format!("core-{}-{version}", target.triple()));
    if done.exists() {
        return Ok(done);
    }
    // Into place at once, when it is complete. Both kinds of Arm may be at it at a time.
    let unfinished = folder().join(format!("core-{}", target.name()));
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished)?;
    let known = |name: &str| {
        let cmd =
            compiler(name, target).args("--crate-type=lib --emit=metadata -Zforce-unstable-if-unmarked");
        cmd.args("-Zalways-encode-mir -Copt-level=3 --out-dir").arg(&unfinished)
    };
    known("core").arg(SOURCES).read()?;
    let builtins = unfinished.join("builtins.rs");
    fs::write(&builtins, BUILTINS)?;
    known("compiler_builtins").arg(&builtins).read()?;
    if fs::rename(&unfinished, &done).is_err() {
        ensure!(done.exists(), "cannot move to {}", done.display());
    }
    Ok(done)
}
