//! `herd --on-this-machine`: the same tests on the machine that runs this, by litmus7, which comes with herd7. It makes a program of each, with
//! the compiler's own atomics, and counts outcomes over some hundred thousand runs.
//!
//! It shows less than herd7 does: outcomes that came about, not those that could. So a test passes if what must never come about did not;
//! of each mutant, which the model allows more, it is only counted whether this machine has shown it. That runs do race is shown by a
//! control: Linux's protocol must lose a Busy (a store that waits in its buffer while a later load goes ahead: every machine here does that).

use super::litmus::{Expects, Litmus};
use super::{HERD, Model, Verdict, herd_tool, read, verdict};
use crate::mutants::table::Table;
use crate::parallel::cores;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use std::fs;

/// Ten times this many races of each test.
const SIZE: &str = "10k";
/// The control may be unlucky so many times.
const TRIES: usize = 20;
const CONTROL: &str = "busy-as-linux";

/// Why it cannot run, if it cannot.
pub(crate) fn missing() -> Option<String> {
    if !HERD.root().join("usr/bin/litmus7").exists() {
        return Some("no litmus7: `cargo xtask setup` fetches it from Debian, with herd7".to_owned());
    }
    if Cmd::new("gcc", "--version").read().is_err() {
        return Some("no gcc: `cargo xtask setup` installs it, or your distribution does".to_owned());
    }
    if architecture().is_none() {
        return Some(format!("litmus7 is not set up here for {}", std::env::consts::ARCH));
    }
    (cores() < 2).then(|| "one core: nothing races".to_owned())
}

/// As litmus7 calls it.
fn architecture() -> Option<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Some("X86_64"),
        "aarch64" => Some("AArch64"),
        "riscv64" => Some("RISCV"),
        _ => None,
    }
}

/// Every test that has no more threads than there are cores, as it is and with each of its mutants.
pub(crate) fn run() -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    let tests = read(&sh::root(), Model::C11)?;
    ensure!(tests.iter().any(|test| test.name == CONTROL), "no test `{CONTROL}`");
    let table = Table::read(&sh::root())?;
    let is_ordering = |ids: &[String]| {
        table.mutants.iter().any(|mutant| ids.contains(&mutant.id) && mutant.weakens_only_an_ordering())
    };
    // Of mutants that weaken an ordering, and of those that break a read-modify-write: how many, and how many were seen.
    let (mut orderings, mut others) = ([0; 2], [0; 2]);
    let (mut ran, mut without) = (0, Vec::new());
    for test in &tests {
        if threads(&test.text) > cores() {
            without.push(test.name.as_str());
            continue;
        }
        let seen = play(test, &test.text)?;
        ensure!(
            test.expects == Expects::Sometimes || seen == Verdict::Never,
            "{}: came about here, and never is right",
            test.name
        );
        if test.name == CONTROL {
            let mut again = (1..TRIES).map(|_| play(test, &test.text));
            let is_seen =
                seen == Verdict::Sometimes || again.any(|seen| matches!(seen, Ok(Verdict::Sometimes)));
            ensure!(is_seen, "{CONTROL} was never seen: nothing raced here");
        }
        let mut by = Vec::new();
        for mutant in &test.mutants {
            let seen = play(test, &test.with(mutant)?)?;
            let of = if is_ordering(&mutant.ids) { &mut orderings } else { &mut others };
            of[0] += 1;
            if seen == Verdict::Sometimes {
                of[1] += 1;
                by.push(mutant.ids.join(", "));
            }
        }
        println!("  {:<24} herd7 {:?}, here {seen:?}; mutants seen: {by:?}", test.name, test.expects);
        ran += 1;
    }
    println!(
        "on this machine ({}): {ran} litmus tests as they must be; of what C11 allows it has shown {} of {} mutants that weaken an ordering, \
         and {} of {} that break a read-modify-write; with more threads than cores: {without:?}",
        std::env::consts::ARCH,
        orderings[1],
        orderings[0],
        others[1],
        others[0]
    );
    Ok(())
}

fn threads(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with('P') && line.contains(" (")).count()
}

fn play(test: &Litmus, text: &str) -> Result<Verdict> {
    let scratch = HERD.root().with_file_name("tests");
    fs::create_dir_all(&scratch)?;
    let file = scratch.join("here.litmus");
    fs::write(&file, text)?;
    let said = herd_tool("litmus7", "litmus")
        .args("-c11 true -barrier userfence -affinity incr1 -r 10 -s")
        .args(SIZE)
        .arg("-carch")
        .arg(architecture().context("an architecture of litmus7's")?)
        .arg(&file)
        .capture()?;
    ensure!(said.ok, "{}: {}", test.name, said.stderr.trim());
    verdict(&said.stdout).with_context(|| test.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_and_the_control_is_one() {
        let tests = read(&sh::root(), Model::C11).unwrap();
        assert!(tests.iter().all(|test| (2..=4).contains(&threads(&test.text))));
        let control = tests.iter().find(|test| test.name == CONTROL).expect("the control");
        assert_eq!((control.expects, threads(&control.text)), (Expects::Sometimes, 2));
    }
}
