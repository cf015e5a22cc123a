//! `herd`: the core's races as litmus tests (xtask/litmus), judged by herd7 under the model of C11 that Rust's memory model comes from,
//! as it was repaired in 2017 (`rc11.cat`). Exhaustive: herd7 looks at every execution that the model allows. Beside them P2's race in
//! Linux's terms, under Linux's own model, where its sources are at hand: as Linux does it, and as we do.
//!
//! A test is the race of two to four threads, by the orderings that the sources have; its outcome must be one that *never* comes about,
//! and no plain access may race. Each mutant of an ordering that it has a row for must make the outcome come about, or a plain access
//! race: else the test says nothing of that ordering.

mod compiled;
pub(crate) mod here;
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

/// Where Debian puts the sources of Linux, which have its memory model.
const LINUX: &str = "/usr/src/linux-source-6.12.tar.xz";

/// What a test is judged by, and the folder of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    C11,
    Linux,
}

impl Model {
    fn folder(self) -> &'static str {
        match self {
            Self::C11 => FOLDER,
            Self::Linux => "xtask/litmus/linux",
        }
    }
}

/// Orderings whose mutants no litmus test here catches, and why.
const NOT_HERE: [(&str, &str); 1] = [(
    "running-begin-release",
    "rc11.cat lets later stores of the same thread continue a release sequence, as C11 did; C++20 and Rust do not: loom's",
)];

/// Why it cannot run, if it cannot.
pub(crate) fn missing() -> Option<String> {
    (!program().exists()).then(|| "no herd7: `cargo xtask setup` fetches it from Debian".to_owned())
}

/// Fetches herd7, and takes Linux's model out of its sources if they are there; once.
pub(crate) fn fetch() -> Result<()> {
    HERD.fetch()?;
    let model = linux_model();
    if model.exists() || !Path::new(LINUX).exists() {
        return Ok(());
    }
    // Into place at once, when it is complete.
    let unpacked = model.with_extension("unpacked");
    fs::create_dir_all(&unpacked)?;
    let tar =
        Cmd::new("tar", "-xJf").arg(LINUX).arg("-C").arg(&unpacked).args("--strip-components=3 --wildcards");
    tar.args("*/tools/memory-model/linux-kernel.* */tools/memory-model/lock.cat").read()?;
    fs::rename(&unpacked, &model).with_context(|| format!("cannot move to {}", model.display()))
}

fn linux_model() -> PathBuf {
    HERD.root().with_file_name("linux-model")
}

fn program() -> PathBuf {
    HERD.root().join("usr/bin/herd7")
}

/// Runs every test, as it is and with each of its mutants.
pub(crate) fn run() -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    println!("{}", herd("-version").read()?.lines().next().unwrap_or_default());
    run_all(Model::C11)?;
    if linux_model().exists() {
        run_all(Model::Linux)?;
    } else {
        println!("without Linux's own model: no {LINUX} when `cargo xtask setup` ran");
    }
    match compiled::missing() {
        None => compiled::run(),
        Some(why) => {
            println!("without the compiled code: {why}");
            Ok(())
        }
    }
}

/// The compiled code alone.
pub(crate) fn compiled() -> Result<()> {
    match missing().or_else(compiled::missing) {
        None => compiled::run(),
        Some(why) => bail!("{why}"),
    }
}

fn run_all(model: Model) -> Result<()> {
    let tests = read(&sh::root(), model)?;
    let mut mutants = 0;
    for test in &tests {
        let start = Instant::now();
        let seen = judge(&test.text, model).with_context(|| format!("{}: herd7", test.name))?;
        match test.expects {
            Expects::Never => ensure!(seen == Verdict::Never, "{}: {seen:?}, and never is right", test.name),
            Expects::Sometimes => ensure!(seen == Verdict::Sometimes, "{}: {seen:?}: a control", test.name),
        }
        for mutant in &test.mutants {
            let ids = mutant.ids.join(", ");
            let seen = judge(&test.with(mutant)?, model).with_context(|| format!("{}: {ids}", test.name))?;
            ensure!(seen != Verdict::Never, "{}: {ids} survives: the test says nothing of it", test.name);
            mutants += mutant.ids.len();
        }
        println!(
            "  {:<24} {seen:?}, {} mutants  {:.2} s",
            test.name,
            test.mutants.len(),
            start.elapsed().as_secs_f64()
        );
    }
    println!("{model:?}: {} litmus tests, {mutants} mutants, each caught", tests.len());
    Ok(())
}

/// The tests of the repository; an error when they do not fit the table of mutants.
fn read(root: &Path, model: Model) -> Result<Vec<Litmus>> {
    let folder = model.folder();
    let mut tests = Vec::new();
    for file in fs::read_dir(root.join(folder)).context(folder)? {
        let file = file?.path();
        if file.is_dir() {
            continue;
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        tests.push(
            Litmus::parse(&name, &fs::read_to_string(&file)?).with_context(|| format!("{folder}/{name}"))?,
        );
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    if model == Model::C11 {
        let faults = faults(&Table::read(root)?, &tests);
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
    }
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

fn judge(text: &str, model: Model) -> Result<Verdict> {
    let scratch = HERD.root().with_file_name("tests");
    fs::create_dir_all(&scratch)?;
    let file = scratch.join("test.litmus");
    fs::write(&file, text)?;
    let herd = match model {
        Model::C11 => herd("-model rc11.cat"),
        Model::Linux => {
            let folder = linux_model();
            herd("-I").arg(&folder).arg("-conf").arg(folder.join("linux-kernel.cfg"))
        }
    };
    let said = herd.arg(&file).capture()?;
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

fn herd(args: &str) -> Cmd {
    herd_tool("herd7", "herd").args(args)
}

/// One of the package's programs, by the libraries that it was built for, with its own folder of what it reads.
fn herd_tool(program: &str, library: &str) -> Cmd {
    let root = HERD.root();
    Cmd::new(root.join("usr/lib64/ld-linux-x86-64.so.2"), "--library-path")
        .arg(root.join("usr/lib/x86_64-linux-gnu"))
        .arg(root.join("usr/bin").join(program))
        .arg("-set-libdir")
        .arg(root.join("usr/share/herdtools7").join(library))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_fit_the_table_of_mutants() {
        for model in [Model::C11, Model::Linux] {
            let tests = read(&sh::root(), model).unwrap();
            assert!(tests.iter().any(|test| test.expects == Expects::Sometimes), "{model:?}: a control");
        }
    }

    #[test]
    fn an_ordering_without_a_test_and_a_test_without_a_mutant_are_faults() {
        let table = Table::read(&sh::root()).unwrap();
        let text = "C a\n(*\n P1: a.\n never: b\n mutant no-such: 5 => 6\n*)\n{ }\nP0 () { int r = 5; }\nexists (0:r=1)\n";
        let faults = faults(&table, &[Litmus::parse("a", text).unwrap()]);
        assert!(faults.iter().any(|fault| fault.ends_with("no mutant `no-such`")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.contains("`state-claim-acquire`")), "{faults:?}");
    }

    /// Both tools demand of each mutant that it is seen: here it is only looked at that there are two for each.
    #[test]
    fn each_weakened_ordering_is_seen_by_a_litmus_test_and_by_another_tool_but_two() {
        let table = Table::read(&sh::root()).unwrap();
        let tests = read(&sh::root(), Model::C11).unwrap();
        let here = |id: &str| {
            tests.iter().flat_map(|test| &test.mutants).any(|mutant| mutant.ids.iter().any(|one| one == id))
        };
        let mut by_one: Vec<&str> = table
            .mutants
            .iter()
            .filter(|mutant| mutant.weakens_only_an_ordering())
            .filter(|mutant| mutant.caught_by().is_none() || !here(&mutant.id))
            .map(|mutant| mutant.id.as_str())
            .collect();
        by_one.sort_unstable();
        assert_eq!(by_one, ["running-begin-release", "wake-rely-release"]);
        let caveats = fs::read_to_string(sh::root().join("CAVEATS.md")).unwrap();
        assert!(by_one.iter().all(|id| caveats.contains(id)), "they stand in CAVEATS.md");
    }

    #[test]
    fn verdicts_are_read() {
        assert_eq!(verdict("No\nObservation busy Never 0 3\n").unwrap(), Verdict::Never);
        assert_eq!(verdict("Ok\nObservation busy Sometimes 1 3\n").unwrap(), Verdict::Sometimes);
        assert_eq!(verdict("Flag *undef*\nObservation busy Never 0 3\n").unwrap(), Verdict::Undefined);
        verdict("Warning: unexpected 'lock' (in prog) (User error)").unwrap_err();
    }
}
