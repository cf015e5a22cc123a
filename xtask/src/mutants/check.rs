//! A check that can catch a mutant: how its name is written, what it builds, how it is run and when it has failed.

use super::switch;
use crate::models;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;
use wait_timeout::ChildExt;

/// A check, parsed from `caught_by`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// `loom:MODEL`: one model of the core.
    Loom(String),
    /// `test:CRATE::NAME`: one test of a crate, unit or integration.
    Test { package: String, name: String },
    /// `litmus`, `litmus:ARGS`, `torture:ARGS`, `sim:ARGS`: a verb of the smpcall command.
    Command(Vec<String>),
}

/// Whether the same is built again with one thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Never,
    Often,
}

/// What came of running a check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Passed { tests: usize },
    Failed,
    Hung,
}

/// A program that a check built, and the folder of its package, in which cargo would run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    path: PathBuf,
    folder: PathBuf,
    /// cargo's flags that build it alone.
    flags: String,
    /// The number of the mutant that it is started as.
    mutant: usize,
}

impl Program {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the mutant that it is started as.
    pub(crate) fn number(&self) -> usize {
        self.mutant
    }

    /// Cargo's flags that build it alone.
    pub(crate) fn flags(&self) -> &str {
        &self.flags
    }

    /// The same program, started as this mutant.
    pub(crate) fn as_mutant(&self, number: usize) -> Program {
        Program { mutant: number, ..self.clone() }
    }
}

impl FromStr for Check {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Check> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("loom", model) if !model.is_empty() => Ok(Check::Loom(model.to_owned())),
            ("test", path) => {
                let (package, name) = path.split_once("::").context("write test:CRATE::NAME")?;
                Ok(Check::Test { package: package.to_owned(), name: name.to_owned() })
            }
            // Enough posts to meet a reordering that the machine allows, few enough to run for each mutant.
            ("litmus", "") => "litmus:--posts 200000".parse(),
            ("litmus" | "torture" | "sim", args) => Ok(Check::Command(
                [kind].into_iter().chain(args.split_whitespace()).map(str::to_owned).collect(),
            )),
            _ => bail!(
                "`{text}` is no check: loom:MODEL, litmus[:ARGS], torture:ARGS, sim:ARGS, test:CRATE::NAME"
            ),
        }
    }
}

impl Check {
    /// Builds what it runs from `sources`; `None` when that does not compile (the log has the reason). `tests`: cargo's flags for the test
    /// programs that are wanted.
    pub(crate) fn build(
        &self,
        tests: &str,
        again: Again,
        sources: &Path,
        target: &Path,
        log: &Path,
    ) -> Result<Option<Vec<Program>>> {
        let cmd = match self {
            // With what the models are built on as `models` has it, and where that is: the step before this one has built it.
            Check::Loom(_) => {
                let cmd = Cmd::cargo("test --no-run --release -p smpcall --all-features --test loom");
                models::with_loom(cmd)
                    .env("CARGO_TARGET_DIR", sh::target_dir().join("loom"))
                    .args("--config profile.release.opt-level=1")
                    .args("--config profile.release.package.\"*\".opt-level=3")
            }
            Check::Test { package, .. } => Cmd::cargo("test --no-run --all-features -p")
                .arg(package)
                .args(tests)
                .env("CARGO_TARGET_DIR", target.join("plain")),
            // Without link-time optimisation, which takes a minute; and what draws tables and plots need not be fast.
            Check::Command(_) => Cmd::cargo("build --release -p smpcall-cli --bins")
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_TARGET_DIR", target.join("plain"))
                .args("--config profile.release.opt-level=1")
                .args("--config profile.release.package.\"*\".opt-level=0"),
        };
        // Each function that has mutants is there many times over, and a run of the check takes less than to optimise all of them: what is built once
        // is hardly optimised. One alone changes one function: incremental, it is built in a few seconds.
        let incremental = if again == Again::Often { "1" } else { "0" };
        let cmd = cmd.env("CARGO_INCREMENTAL", incremental).env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        // Nobody looks at one in a debugger: the command without what that takes is built in 9 s for 19.
        let cmd = cmd.env("CARGO_PROFILE_RELEASE_DEBUG", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
        let said = cmd.args("--message-format=json-render-diagnostics").dir(sources).capture()?;
        fs::write(log, &said.stderr)?;
        Ok(if said.ok { Some(programs(&said.stdout)?) } else { None })
    }

    /// How often it may look: a race of real threads is lost by chance, and one run in which it was not says little. A
    /// model, a simulated seed and a test that drives its CPUs by hand find the same each time.
    pub(crate) fn tries(&self) -> u32 {
        match self {
            Check::Command(args) if args.first().is_some_and(|verb| verb != "sim") => 5,
            _ => 1,
        }
    }

    /// What is built for it: the same for checks that are in the same programs.
    pub(crate) fn built_from(&self) -> &str {
        match self {
            Check::Loom(_) => "models",
            Check::Test { package, .. } => package,
            Check::Command(_) => "command",
        }
    }

    /// Runs a program that was built. What is still running at the limit is killed.
    pub(crate) fn run(&self, program: &Program, limit: Duration, log: &Path) -> Result<Ran> {
        let status = self.start(program, limit, log)?;
        let said = fs::read_to_string(log)?;
        Ok(match status {
            None => Ran::Hung,
            Some(status) if !status.success() => how_it_failed(&said),
            // A command is one test; whether it took its work seriously is its own business.
            Some(_) if matches!(self, Check::Command(_)) => Ran::Passed { tests: 1 },
            Some(_) => Ran::Passed { tests: sh::tests_passed(&said) },
        })
    }

    fn start(&self, program: &Program, limit: Duration, log: &Path) -> Result<Option<ExitStatus>> {
        let mut cmd = Command::new(&program.path);
        match self {
            Check::Loom(name) | Check::Test { name, .. } => cmd.arg("--exact").arg(name),
            // What fails is not made smaller: nobody reads it.
            Check::Command(args) if args.first().is_some_and(|verb| verb == "sim") => {
                cmd.args(args).arg("--brief")
            }
            Check::Command(args) => cmd.args(args),
        };
        let output = File::create(log)?;
        let mut child = cmd
            .current_dir(&program.folder)
            .env("LOOM_MAX_PREEMPTIONS", models::preemptions())
            .env(switch::VARIABLE, program.mutant.to_string())
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.path.display()))?;
        let status = child.wait_timeout(limit)?;
        if status.is_none() {
            child.kill()?;
            child.wait()?;
        }
        Ok(status)
    }
}

/// loom gives up on a loop that never ends with a panic of its own: that is a hang, no assertion has failed.
fn how_it_failed(log: &str) -> Ran {
    if log.contains("Model exceeded maximum number of") { Ran::Hung } else { Ran::Failed }
}

/// The programs in cargo's JSON messages.
fn programs(messages: &str) -> Result<Vec<Program>> {
    let mut found = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: serde_json::Value = serde_json::from_str(line).context("a message of cargo")?;
        if let (Some(path), Some(manifest)) =
            (message["executable"].as_str(), message["manifest_path"].as_str())
        {
            let folder = Path::new(manifest).parent().context("a manifest without a folder")?.to_path_buf();
            let target = &message["target"];
            let flags = match (target["kind"][0].as_str(), target["name"].as_str()) {
                (Some(kind @ ("test" | "bin")), Some(name)) => format!("--{kind} {name}"),
                _ => "--lib".to_owned(),
            };
            found.push(Program { path: path.into(), folder, flags, mutant: 0 });
        }
    }
    if found.is_empty() {
        bail!("cargo built no program for this check");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed() {
        let parse = |text: &str| text.parse::<Check>();
        assert_eq!(parse("loom:queue::two_posts").unwrap(), Check::Loom("queue::two_posts".into()));
        let test = Check::Test { package: "smpcall".into(), name: "csd::tests::busy".into() };
        assert_eq!(parse("test:smpcall::csd::tests::busy").unwrap(), test);
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        assert_eq!(parse("litmus").unwrap(), Check::Command(words("litmus --posts 200000")));
        assert_eq!(parse("torture:--seed 7").unwrap(), Check::Command(words("torture --seed 7")));
        for bad in ["loom", "loom:", "test:smpcall", "miri:x", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_found_by_chance_may_look_again() {
        let tries = |text: &str| text.parse::<Check>().unwrap().tries();
        assert_eq!(["litmus", "torture:--seed 7"].map(tries), [5, 5]);
        assert_eq!(["sim:--seed 7", "loom:queue::two_posts", "test:smpcall::busy"].map(tries), [1, 1, 1]);
    }

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null,\"manifest_path\":\"/a/Cargo.toml\"}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/loom-1\",\"manifest_path\":\"/a/Cargo.toml\",\
             \"target\":{\"kind\":[\"test\"],\"name\":\"loom\"}}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/a-1\",\"manifest_path\":\"/a/Cargo.toml\",\
             \"target\":{\"kind\":[\"rlib\"],\"name\":\"a\"}}\n\
            {\"reason\":\"build-finished\",\"success\":true}";
        let program = |path: &str, flags: &str| Program {
            path: path.into(),
            folder: "/a".into(),
            flags: flags.into(),
            mutant: 0,
        };
        let both = [program("/t/loom-1", "--test loom"), program("/t/a-1", "--lib")];
        assert_eq!(programs(messages).unwrap(), both);
        assert!(programs("{\"reason\":\"build-finished\",\"success\":true}").is_err());
    }

    /// A program that is a shell script stands in for a test binary.
    fn ran(script: &str, limit_ms: u64) -> Ran {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        fs::write(&path, script).unwrap();
        let check = Check::Command(vec![path.to_str().unwrap().to_owned()]);
        let sh =
            Program { path: "/bin/sh".into(), folder: folder.path().into(), flags: String::new(), mutant: 7 };
        check.run(&sh, Duration::from_millis(limit_ms), &folder.path().join("log")).unwrap()
    }

    #[test]
    fn passing_failing_and_hanging_are_told_apart() {
        assert_eq!(ran("exit 0", 10_000), Ran::Passed { tests: 1 });
        assert_eq!(ran("test $SMPCALL_MUTANT = 7", 10_000), Ran::Passed { tests: 1 });
        assert_eq!(ran("exit 101", 10_000), Ran::Failed);
        assert_eq!(ran("kill -SEGV $$", 10_000), Ran::Failed);
        assert_eq!(ran("echo Model exceeded maximum number of branches.; exit 101", 10_000), Ran::Hung);
        assert_eq!(ran("exec sleep 60", 50), Ran::Hung);
    }
}
