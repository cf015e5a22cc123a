//! compio: `integrations/compio-executor`.
//!
//! No kernel, and no other compiler than ours: its runtime, on this machine, with its executor replaced.

use crate::sh::{self, Cmd};
use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;

/// Its workspaces: ours, and the original that ours is measured against.
const WORKSPACES: [&str; 2] = ["compio-executor", "compio-executor/theirs"];

/// The compiler's minor version that compio's driver asks for.
const RUSTC_MIN: u32 = 95;

/// What to do with it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Compio {
    /// What it runs
    #[arg(long, default_value = "tests")]
    what: What,
    /// How often the bench takes each measure of each
    #[arg(long, default_value_t = 15)]
    rounds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Its runtime on our executor
    Tests,
    /// Both executors, taken in turn; prints the table
    Bench,
}

/// What was asked for.
pub(super) fn verb(args: &Compio) -> Result<()> {
    match args.what {
        What::Tests => step(),
        What::Bench => bench(args.rounds),
    }
}

/// What `test --full` runs.
pub(crate) fn step() -> Result<()> {
    cargo("test --locked", WORKSPACES[0]).run()
}

/// Why it cannot be built here.
pub(crate) fn missing() -> Option<String> {
    let said = Cmd::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()), "--version").read();
    match said.ok().as_deref().and_then(minor) {
        Some(minor) if minor >= RUSTC_MIN => None,
        _ => Some(format!("compio's driver wants rustc 1.{RUSTC_MIN}")),
    }
}

/// Fetches its crates.
pub(super) fn fetch() -> Result<()> {
    WORKSPACES.into_iter().try_for_each(|workspace| cargo("fetch --quiet --locked", workspace).run())
}

fn bench(rounds: u32) -> Result<()> {
    for workspace in WORKSPACES {
        cargo("build --quiet --locked --release --bins", workspace).run()?;
    }
    let [ours, theirs] = WORKSPACES.map(|workspace| target(workspace).join("release"));
    Cmd::new(ours.join("compare"), "")
        .arg(theirs.join("bench"))
        .arg(ours.join("bench"))
        .arg(rounds.to_string())
        .run()
}

fn cargo(verb: &str, workspace: &str) -> Cmd {
    Cmd::cargo(verb)
        .dir(&sh::root().join("integrations").join(workspace))
        .env("CARGO_TARGET_DIR", target(workspace))
}

fn target(workspace: &str) -> PathBuf {
    sh::target_dir().join("integrations").join(workspace)
}

/// Of `rustc 1.95.0 (…)`: 95.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("rustc 1.")?.split_once('.')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilers_version_is_read() {
        assert_eq!(minor("rustc 1.95.0 (59807616e 2026-04-14)"), Some(95));
        assert_eq!([minor("rustc 2.0.0"), minor("")], [None, None]);
    }
}
