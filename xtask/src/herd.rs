//! `herd`: the core's races as litmus tests (xtask/litmus), judged by herd7 under the model of C11 that Rust's memory model comes from,
//! as it was repaired in 2017 (`rc11.cat`). Exhaustive: herd7 looks at every execution that the model allows.
//!
//! A test is the race of two to four threads, by the orderings that the sources have; its outcome must be one that *never* comes about,
//! and no plain access may race. Each mutant of an ordering that it has a row for must make the outcome come about, or a plain access
//! race: else the test says nothing of that ordering.

mod litmus;

use self::litmus::{Expects, Litmus};
use crate::debian::Unpacked;
use crate::mutants::table::Table;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// herd7 is not in the Debian that is stable; its libraries are newer, too.
const HERD: Unpacked = Unpacked { folder: "herd", suite: "forky", packages: "herdtools7 libc6 libgmp10" };

const FOLDER: &str = "xtask/litmus";

/// Orderings whose mutants no litmus test here catches, and why.
const NOT_HERE: [(&str, &str); 1] = [(
    "running-begin-release",
    "rc11.cat lets later stores of the same thread continue a release sequence, as C11 did; C++20 and Rust do not: loom's",
)];

/// Why it cannot run, if it cannot.
pub(crate) fn missing() -> Option<String> {
    (!program().exists()).then(|| "no herd7: `cargo xtask setup` fetches it from Debian".to_owned())
}

/// Fetches herd7, once.
pub(crate) fn fetch() -> Result<()> {
    HERD.fetch()
}

fn program() -> PathBuf {
    HERD.root().join("usr/bin/herd7")
}

/// Runs every test, as it is and with each of its mutants.
pub(crate) fn run() -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    let tests = read(&sh::root())?;
    println!("{}", herd("-version").read()?.lines().next().unwrap_or_default());
    let scratch = sh::target_dir().join("herd/tests");
    fs::create_dir_all(&scratch)?;
    let mut mutants = 0;
    for test in &tests {
        let start = Instant::now();
        let seen = judge(&test.text, &scratch).with_context(|| format!("{}: herd7", test.name))?;
        match test.expects {
            Expects::Never => ensure!(seen == Verdict::Never, "{}: {seen:?}, and never is right", test.name),
            Expects::Sometimes => ensure!(seen == Verdict::Sometimes, "{}: {seen:?}: a control", test.name),
        }
        for mutant in &test.mutants {
            let ids = mutant.ids.join(", ");
            let seen =
                judge(&test.with(mutant)?, &scratch).with_context(|| format!("{}: {ids}", test.name))?;
            ensure!(seen != Verdict::Never, "{}: {ids} survives: the test says nothing of it", test.name);
            mutants += mutant.ids.len();
        }
        println!(
            "  {:<24} {:>2} mutants  {:>5.2} s",
            test.name,
            test.mutants.len(),
            start.elapsed().as_secs_f64()
        );
    }
    println!("{} litmus tests, {mutants} mutants, each caught", tests.len());
    Ok(())
}

/// The tests of the repository; an error when they do not fit the table of mutants.
fn read(root: &Path) -> Result<Vec<Litmus>> {
    let mut tests = Vec::new();
    for file in fs::read_dir(root.join(FOLDER)).context(FOLDER)? {
        let file = file?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        tests.push(
            Litmus::parse(&name, &fs::read_to_string(&file)?).with_context(|| format!("{FOLDER}/{name}"))?,
        );
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    let faults = faults(&Table::read(root)?, &tests);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(tests)
}

/// Mutants that are not in the table, and those of orderings alone that no test has and nothing excuses.
fn faults(table: &Table, tests: &[Litmus]) -> Vec<String> {
    let here: BTreeSet<&str> = tests
        .iter()
        .flat_map(|test| &test.mutants)
        .flat_map(|mutant| &mutant.ids)
        .map(String::as_str)
        .collect();
    let known: BTreeSet<&str> = table.mutants.iter().map(|mutant| mutant.id.as_str()).collect();
    let excused: BTreeSet<&str> = NOT_HERE.iter().map(|(id, _)| *id).collect();
    let mut faults: Vec<_> = here
        .union(&excused)
        .filter(|id| !known.contains(*id))
        .map(|id| format!("{FOLDER}: no mutant `{id}`"))
        .collect();
    let orderings = table.mutants.iter().filter(|mutant| mutant.weakens_only_an_ordering());
    faults.extend(
        orderings
            .map(|mutant| mutant.id.as_str())
            .filter(|id| !here.contains(id) && !excused.contains(id))
            .map(|id| format!("{FOLDER}: no litmus test has the ordering of mutant `{id}`")),
    );
    faults.extend(excused.intersection(&here).map(|id| format!("{FOLDER}: `{id}` is excused, and there")));
    faults
}

/// What herd7 says of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Never,
    Sometimes,
    /// A plain access races.
    Undefined,
}

fn judge(text: &str, scratch: &Path) -> Result<Verdict> {
    let file = scratch.join("test.litmus");
    fs::write(&file, text)?;
    let said = herd("-model rc11.cat").arg(&file).capture()?;
    ensure!(said.ok, "{}", said.stderr.trim());
    verdict(&said.stdout)
}

fn verdict(said: &str) -> Result<Verdict> {
    let observed = said.lines().find_map(|line| line.strip_prefix("Observation ")?.split(' ').nth(1));
    match observed {
        _ if said.lines().any(|line| line == "Flag *undef*") => Ok(Verdict::Undefined),
        Some("Never") => Ok(Verdict::Never),
        Some("Sometimes" | "Always") => Ok(Verdict::Sometimes),
        _ => bail!("no verdict: {said}"),
    }
}

/// By the libraries that it was built for.
fn herd(args: &str) -> Cmd {
    let root = HERD.root();
    Cmd::new(root.join("usr/lib64/ld-linux-x86-64.so.2"), "--library-path")
        .arg(root.join("usr/lib/x86_64-linux-gnu"))
        .arg(program())
        .arg("-set-libdir")
        .arg(root.join("usr/share/herdtools7/herd"))
        .args(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_fit_the_table_of_mutants() {
        let tests = read(&sh::root()).unwrap();
        assert!(tests.iter().any(|test| test.expects == Expects::Sometimes), "a control");
    }

    #[test]
    fn an_ordering_without_a_test_and_a_test_without_a_mutant_are_faults() {
        let table = Table::read(&sh::root()).unwrap();
        let text =
            "C a\n(*\n P1: a.\n never: b\n mutant no-such: 5 => 6\n*)\n{ }\nP0 () { int r = 5; }\nexists (0:r=1)\n";
        let faults = faults(&table, &[Litmus::parse("a", text).unwrap()]);
        assert!(faults.iter().any(|fault| fault.ends_with("no mutant `no-such`")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.contains("`state-claim-acquire`")), "{faults:?}");
    }

    #[test]
    fn verdicts_are_read() {
        assert_eq!(verdict("No\nObservation busy Never 0 3\n").unwrap(), Verdict::Never);
        assert_eq!(verdict("Ok\nObservation busy Sometimes 1 3\n").unwrap(), Verdict::Sometimes);
        assert_eq!(verdict("Flag *undef*\nObservation busy Never 0 3\n").unwrap(), Verdict::Undefined);
        verdict("Warning: unexpected 'lock' (in prog) (User error)").unwrap_err();
    }
}
