//! Running other programs: [`Cmd`] echoes what it runs, never gives it a terminal to wait at, and turns a bad exit
//! into an error that names the command.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// A command that is about to run, in the root of the repository unless [`Cmd::dir`] says otherwise.
pub(crate) struct Cmd {
    inner: Command,
    line: String,
}

/// What a captured command said.
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Debian's compiler, and not one that rustup has put before it.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

impl Cmd {
    /// A program and its arguments; the arguments are split at spaces, which none of ours contain.
    pub(crate) fn new(program: impl AsRef<OsStr>, args: &str) -> Cmd {
        let mut inner = Command::new(program.as_ref());
        inner.current_dir(root()).stdin(Stdio::null());
        Cmd { line: program.as_ref().to_string_lossy().into_owned(), inner }.args(args)
    }

    /// The cargo that runs this xtask.
    pub(crate) fn cargo(args: &str) -> Cmd {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Cmd { line: "cargo".into(), ..Cmd::new(cargo, "") }.args(args)
    }

    /// A rustup toolchain's cargo or rustc. The variables through which `cargo run` ties its children to its own
    /// toolchain are dropped.
    pub(crate) fn toolchain(toolchain: &str, program: &str, args: &str) -> Cmd {
        Cmd::new("rustup", &format!("run {toolchain} {program} {args}")).untied()
    }

    /// Debian's cargo and compiler, with the sources that the language's own crates are built from (`-Zbuild-std`).
    pub(crate) fn debian_cargo(verb: &str) -> Cmd {
        Cmd::new("/usr/bin/cargo", verb).untied().env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC)
    }

    /// The compiler of it.
    pub(crate) fn debian_rustc(args: &str) -> Cmd {
        Cmd::new(DEBIAN_RUSTC, args).untied().env("RUSTC_BOOTSTRAP", "1")
    }

    /// Drops what `cargo run` and rustup put into the environment to hold children to one toolchain.
    pub(crate) fn untied(mut self) -> Cmd {
        for name in ["RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH", "CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS"] {
            self.inner.env_remove(name);
        }
        self
    }

    /// Adds arguments, split at spaces.
    pub(crate) fn args(mut self, args: &str) -> Cmd {
        for arg in args.split_whitespace() {
            self = self.arg(arg);
        }
        self
    }

    /// Adds one argument as it is.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.line.push(' ');
        self.line.push_str(&arg.as_ref().to_string_lossy());
        self.inner.arg(arg);
        self
    }

    /// Sets a variable of the command's environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Cmd {
        self.inner.env(name, value);
        self
    }

    /// Runs it in another directory.
    pub(crate) fn dir(mut self, dir: &Path) -> Cmd {
        self.inner.current_dir(dir);
        self
    }

    /// Runs it with our own output; an error when it fails.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("  $ {}", self.line);
        let status = self.inner.status().with_context(|| format!("cannot start `{}`", self.line))?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.line);
        }
        Ok(())
    }

    /// Runs it with its output, and its errors, in a file; how it ended is the caller's to judge.
    pub(crate) fn into_file(mut self, file: File) -> Result<ExitStatus> {
        println!("  $ {}", self.line);
        self.inner.stdout(file.try_clone()?).stderr(file);
        self.inner.status().with_context(|| format!("cannot start `{}`", self.line))
    }

    /// Runs it quietly and hands back what it said; an error only when it could not be started.
    pub(crate) fn capture(mut self) -> Result<Said> {
        let out = self.inner.output().with_context(|| format!("cannot start `{}`", self.line))?;
        Ok(Said {
            ok: out.status.success(),
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        })
    }

    /// Runs it quietly; what it wrote to stdout, trimmed, or an error when it fails.
    pub(crate) fn read(self) -> Result<String> {
        let line = self.line.clone();
        let said = self.capture()?;
        if !said.ok {
            bail!("`{line}` failed: {}", said.stderr.trim());
        }
        Ok(said.stdout.trim().to_owned())
    }

    /// Runs it, shows its stdout as it comes and hands it back too; an error when it fails.
    pub(crate) fn tee(mut self) -> Result<String> {
        println!("  $ {}", self.line);
        let mut child = self
            .inner
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.line))?;
        let stdout = child.stdout.take().context("a child without the pipe that was asked for")?;
        let mut text = String::new();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            text.push_str(&line);
            text.push('\n');
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.line);
        }
        Ok(text)
    }
}

/// The repository's root: the folder above xtask.
pub(crate) fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// Where build products go; each tool below has a folder of its own in it, so that none undoes another's build.
pub(crate) fn target_dir() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A path as it is shown: from the repository's root, if it is in there.
pub(crate) fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}

/// Shows the end of a log, for an error that follows.
pub(crate) fn show_tail(log: &str) {
    let tail: Vec<_> = log.lines().rev().take(25).collect();
    tail.iter().rev().for_each(|line| println!("    {line}"));
}

/// How many tests the `test result:` lines of libtest say have passed.
pub(crate) fn tests_passed(text: &str) -> usize {
    text.lines()
        .filter_map(|line| {
            line.trim().strip_prefix("test result: ")?.split_once(". ")?.1.split_once(" passed")
        })
        .filter_map(|(count, _)| count.parse::<usize>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_summed_over_binaries() {
        let text = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\n\
                    test result: ok. 0 passed; 0 failed; 9 filtered out\ntest result: FAILED. 3 passed; 1 failed;";
        assert_eq!(tests_passed(text), 5);
        assert_eq!(tests_passed("nothing ran"), 0);
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let why = Cmd::new("false", "--anything").run().unwrap_err().to_string();
        assert!(why.contains("false --anything"), "{why}");
        assert!(Cmd::new("true", "").run().is_ok());
        assert_eq!(Cmd::new("echo", "a b").tee().unwrap(), "a b\n");
    }
}
