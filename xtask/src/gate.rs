//! `gate`: the calls of the present sources, held against those of a base, an earlier commit (`xtask/gate.toml`). The command
//! `smpcall` of both is built alike, and the two run in turns, so that both see the same machine; compared are not times but
//! quotients of two runs that followed each other ([`verdict`]). Rows that seem slower are measured again, and only what is slower
//! twice fails: others may use the machine.
//!
//! What is not measured is built without optimisation. What the measured rows consist of is in four packages, or generic and so in the last of
//! them; these are built as they are for users. (With more units of code, and without link-time optimisation, which function is inlined
//! where depends on what else is in its unit: a row was a quarter slower that was not.)

mod base;
mod verdict;

use crate::parallel::cores;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, anyhow, bail, ensure};
use base::Base;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use verdict::{Line, Run, Verdict};

/// Settings of the release profile, for both builds.
const PROFILE: [&str; 6] = [
    "debug=0",
    "package.\"*\".opt-level=0",
    "package.smpcall-conformance.opt-level=0",
    "package.smpcall-instrumented.opt-level=0",
    "package.smpcall-sim.opt-level=0",
    "package.smpcall-sim-atomics.opt-level=0",
];

/// For how long each run measures.
const SECONDS: &str = "1";

/// What to compare with, and how thoroughly.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// In so many pairs of runs, a second each
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(5..=100))]
    pairs: u32,
    /// Hold the sources against this commit, not the accepted one
    #[arg(long, value_name = "COMMIT", conflicts_with = "accept")]
    base: Option<String>,
    /// Make the last commit the base, for this reason; what is slower is written to xtask/gate.toml
    #[arg(long, value_name = "WHY")]
    accept: Option<String>,
}

pub(crate) fn verb(args: &Args) -> Result<()> {
    if let Some(why) = &args.accept {
        return accept(why, args.pairs);
    }
    let commit = match &args.base {
        Some(commit) => commit.clone(),
        None => Base::accepted()?.commit,
    };
    fail_if_slower(&compare(&base::commit(&commit)?, args.pairs)?)
}

/// What CI runs.
pub(crate) fn step() -> Result<()> {
    verb(&Args { pairs: 9, base: None, accept: None })
}

/// Why the step would compare nothing.
pub(crate) fn missing() -> Option<String> {
    if cores() < 2 {
        return Some("two cores are needed, for a caller and a target".to_owned());
    }
    match Base::accepted() {
        // The step itself says what is wrong.
        Err(_) => None,
        Ok(base) => base::commit(&base.commit).err().map(|why| format!("{why:#}")).or_else(|| {
            base::is_unchanged(&base.commit)
                .then(|| "nothing that is measured differs from the base".to_owned())
        }),
    }
}

fn accept(why: &str, pairs: u32) -> Result<()> {
    ensure!(base::is_clean()?, "commit first: the base is to be what was measured");
    let commit = base::commit("HEAD")?;
    let last = Base::accepted()?.commit;
    let slower = match base::commit(&last) {
        Ok(_) => compare(&last, pairs)?,
        Err(why) => {
            println!("  not compared: {why:#}");
            Vec::new()
        }
    };
    let slower = slower.iter().map(|line| format!("{}: {:.2}", line.row, line.quotient)).collect();
    Base { commit, why: why.to_owned(), slower }.append()
}

fn fail_if_slower(slower: &[Line]) -> Result<()> {
    if slower.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = slower.iter().map(|line| format!("{} ({:.2})", line.row, line.quotient)).collect();
    bail!(
        "slower than the base, twice: {}; where that is its price, `cargo xtask gate --accept WHY`",
        rows.join("; ")
    )
}

/// Builds both, prints what they take, and hands back the rows that were slower twice.
fn compare(commit: &str, pairs: u32) -> Result<Vec<Line>> {
    let folder = sh::target_dir().join("gate");
    let base = base::export(commit, &folder.join("base"))?;
    // Both at once: half of each is one link, which has one thread.
    let (old, new) = thread::scope(|scope| {
        let old = scope.spawn(|| build(&base, &folder.join("base-target")));
        let new = build(&sh::root(), &folder.join("target"));
        (old.join().unwrap_or_else(|_| Err(anyhow!("a build panicked"))), new)
    });
    let (old, new) = (old?, new?);
    let measure = || -> Result<Vec<Line>> {
        let (olds, news) = alternate(&old, &new, pairs, &folder.join("run.json"))?;
        Ok(verdict::judge(&olds, &news))
    };
    let first = measure()?;
    print(&first);
    let suspects: Vec<_> = first.into_iter().filter(|line| line.verdict == Verdict::Slower).collect();
    if suspects.is_empty() {
        return Ok(suspects);
    }
    println!("  slower rows are measured again:");
    let mut second = measure()?;
    second.retain(|line| suspects.iter().any(|suspect| suspect.row == line.row));
    print(&second);
    second.retain(|line| line.verdict == Verdict::Slower);
    Ok(second)
}

/// The command, of the sources in this folder.
fn build(sources: &Path, target: &Path) -> Result<PathBuf> {
    let mut cargo =
        Cmd::cargo("build --release --locked --package smpcall-cli --target-dir").arg(target).dir(sources);
    for setting in PROFILE {
        cargo = cargo.arg("--config").arg(format!("profile.release.{setting}"));
    }
    cargo.run()?;
    Ok(target.join("release/smpcall"))
}

/// Old, new, new, old, old, new ...: neither always comes first, or after a pause.
fn alternate(old: &Path, new: &Path, pairs: u32, json: &Path) -> Result<(Vec<Run>, Vec<Run>)> {
    let (mut olds, mut news) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        if pair % 2 == 0 {
            olds.push(run(old, json)?);
            news.push(run(new, json)?);
        } else {
            news.push(run(new, json)?);
            olds.push(run(old, json)?);
        }
    }
    Ok((olds, news))
}

fn run(program: &Path, json: &Path) -> Result<Run> {
    Cmd::new(program, "run --seconds").arg(SECONDS).arg("--json").arg(json).read()?;
    let text = fs::read_to_string(json).with_context(|| format!("cannot read {}", json.display()))?;
    Run::read(&text)
}

fn print(lines: &[Line]) {
    println!("  {:<40} {:>9} {:>9} {:>9}   quartiles   verdict", "call, target", "base", "now", "now/base");
    lines.iter().for_each(|line| println!("  {line}"));
    println!("  base and now: medians of p50 ÷ floor; now/base: the median over pairs of runs");
}
