//! `spin`: liveness. The Promela models in `xtask/spin`, each of a part of the core or of its host as it sleeps, rings, comes and goes;
//! spin makes a checker of each, which looks at *every* state: no assertion fails, nobody is stuck where he must not be, and under weak
//! fairness (who can always go on does so some time) what the model calls its property comes about, on each execution, however long.
//!
//! Memory is as one would wish: orders are what the litmus tests and loom's models are for. Each atomic step names the function that it
//! stands for, which must be there. Each mutant of a model, chosen by a `-D`, must fail as it says; each step must be reached.

mod model;

use self::model::{Model, Mutant, STATES};
use crate::parallel::{cores, in_parallel};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// What it needs of Debian's.
pub(crate) const DEBIAN: [&str; 3] = ["spin", "gcc", "libc6-dev"];

pub(super) const FOLDER: &str = "xtask/spin";

/// Why it cannot run, if it cannot.
pub(crate) fn missing() -> Option<String> {
    for (program, args) in [("spin", "-V"), ("gcc", "--version")] {
        if Cmd::new(program, args).read().is_err() {
            return Some(format!("no {program}: `cargo xtask setup` installs it, or your distribution does"));
        }
    }
    None
}

/// Checks every model, as it is and as each of its mutants.
pub(crate) fn run() -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    println!("{}", Cmd::new("spin", "-V").read()?);
    let models = read(&sh::root())?;
    let mut tasks = Vec::new();
    for model in &models {
        tasks.extend(model.properties.iter().map(|property| (model, property.as_str(), None)));
        tasks.extend(model.mutants.iter().map(|mutant| (model, mutant.property.as_str(), Some(mutant))));
    }
    let checked = in_parallel(cores(), tasks, |(model, property, mutant)| {
        let start = Instant::now();
        let what = format!("{} {} {property}", model.name, mutant.map_or("sound", |mutant| &mutant.name));
        let said = explore(model, property, mutant).with_context(|| what.clone())?;
        judge(&said, property, mutant).with_context(|| what.clone())?;
        println!("  {what:<48} {:>9} states  {:.2} s", said.states, start.elapsed().as_secs_f64());
        Ok(mutant.is_some())
    })?;
    let mutants = checked.iter().filter(|is_mutant| **is_mutant).count();
    println!(
        "{} models, {} properties hold in every state, {mutants} mutants, each caught",
        models.len(),
        checked.len() - mutants
    );
    Ok(())
}

/// The models of the repository; an error when one does not fit the sources.
fn read(root: &Path) -> Result<Vec<Model>> {
    let mut models = Vec::new();
    for file in fs::read_dir(root.join(FOLDER)).context(FOLDER)? {
        let file = file?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let model = Model::parse(&name, &fs::read_to_string(&file)?);
        let model = model.with_context(|| format!("{FOLDER}/{name}"))?;
        let faults = model.faults(root);
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        models.push(model);
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    ensure!(!models.is_empty(), "{FOLDER} has no models");
    Ok(models)
}

/// The models' mutants, as the documents name them.
pub(crate) fn mutants(root: &Path) -> Result<BTreeSet<String>> {
    let models = read(root)?;
    let names = |model: &Model| {
        model.mutants.iter().map(|mutant| format!("spin {} {}", model.name, mutant.name)).collect()
    };
    Ok(models.iter().flat_map(|model| -> Vec<_> { names(model) }).collect())
}

/// What a checker has said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    fault: Option<Fault>,
    states: u64,
    unreached: Vec<String>,
}

/// How a property is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Assertion,
    Stuck,
    Never,
}

/// Makes the checker, in a folder of its own, and runs it.
fn explore(model: &Model, property: &str, mutant: Option<&Mutant>) -> Result<Said> {
    let name = mutant.map_or("sound", |mutant| &mutant.name);
    let folder = sh::target_dir().join("spin").join(format!("{}-{property}-{name}", model.name));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("model.pml"), &model.text)?;
    let define = mutant.map(|mutant| format!("-D{} ", mutant.name)).unwrap_or_default();
    let spin = Cmd::new("spin", &format!("{define}-a model.pml")).dir(&folder).capture()?;
    ensure!(spin.ok, "spin: {}{}", spin.stdout, spin.stderr);
    let safe = if property == STATES { "-DSAFETY -DNOCLAIM" } else { "-DNFAIR=3" };
    Cmd::new("gcc", &format!("-w -O1 {safe} -o pan pan.c")).dir(&folder).read()?;
    let args = if property == STATES { String::new() } else { format!("-a -f -N {property}") };
    let pan = Cmd::new(folder.join("pan"), &format!("{args} -m1000000 -w22")).dir(&folder).capture()?;
    said(&pan.stdout)
}

fn said(text: &str) -> Result<Said> {
    let errors = text.lines().find_map(|line| line.split_once("errors: ")?.1.trim().parse::<u32>().ok());
    let errors = errors.with_context(|| format!("the checker counts no errors: {text}"))?;
    let has = |part: &str| text.lines().any(|line| line.starts_with("pan:1: ") && line.contains(part));
    let fault = if has("acceptance cycle") {
        Some(Fault::Never)
    } else if has("invalid end state") {
        Some(Fault::Stuck)
    } else if has("assertion violated") {
        Some(Fault::Assertion)
    } else {
        None
    };
    let complete = !text.contains("Search not completed") && !text.contains("max search depth too small");
    ensure!((errors > 0) == fault.is_some(), "errors of a kind that has no name here: {text}");
    ensure!(fault.is_some() || complete, "not every state was looked at: {text}");
    let states = text.lines().find_map(|line| {
        line.trim().split_once(" states, stored")?.0.trim().parse::<f64>().ok().map(|states| states as u64)
    });
    let mut unreached = Vec::new();
    let mut of_process = false;
    for line in text.lines() {
        if line.starts_with("unreached in ") {
            of_process = line.starts_with("unreached in proctype");
        } else if of_process && line.contains(", state ") && !line.ends_with("\"-end-\"") {
            unreached.push(line.trim().to_owned());
        }
    }
    Ok(Said { fault, states: states.context("the checker counts no states")?, unreached })
}

/// Holds what was said against what is right.
fn judge(said: &Said, property: &str, mutant: Option<&Mutant>) -> Result<()> {
    match (mutant, said.fault) {
        (None, Some(fault)) => bail!("{fault:?}: the model is broken, or what it is of"),
        (None, None) => ensure!(said.unreached.is_empty(), "never reached:\n{}", said.unreached.join("\n")),
        (Some(mutant), None) => bail!("survives: {}", mutant.why),
        (Some(_), Some(fault)) => {
            ensure!((property == STATES) == (fault != Fault::Never), "{fault:?}, and not as it should");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_fit_the_sources() {
        let models = read(&sh::root()).unwrap();
        assert!(models.iter().all(|model| model.properties.len() > 1), "each says what comes about");
    }

    const HOLDS: &str = "State-vector 36 byte, depth reached 6742, errors: 0\n    39963 states, stored\n\
        unreached in proctype Poster\n\t(0 of 32 states)\nunreached in proctype Target\n\
        \tsleep.pml:237, state 98, \"-end-\"\n\t(1 of 98 states)\nunreached in claim runs\n\t_spin_nvr.tmp:8, state 12, \"x\"\n";

    fn mutant(property: &str) -> Mutant {
        Mutant { name: "M".to_owned(), property: property.to_owned(), why: "it breaks".to_owned() }
    }

    #[test]
    fn what_holds_is_told_from_what_was_not_looked_at() {
        let holds = said(HOLDS).unwrap();
        assert_eq!(holds, Said { fault: None, states: 39963, unreached: Vec::new() });
        judge(&holds, "runs", None).unwrap();
        assert!(judge(&holds, "runs", Some(&mutant("runs"))).unwrap_err().to_string().contains("survives"));
        said(&format!("error: max search depth too small\n{HOLDS}")).unwrap_err();
        said(&format!("Warning: Search not completed\n{HOLDS}")).unwrap_err();
        said("pan: out of memory\n").unwrap_err();
        let dead = HOLDS.replace("\"-end-\"", "\"head = 0\"");
        assert!(
            judge(&said(&dead).unwrap(), "runs", None).unwrap_err().to_string().contains("never reached")
        );
    }

    #[test]
    fn faults_are_told_apart() {
        let broken = HOLDS.replace("errors: 0", "errors: 1");
        said(&broken).unwrap_err();
        for (line, fault, property, other) in [
            ("pan:1: acceptance cycle (at depth 7)", Fault::Never, "runs", STATES),
            ("pan:1: assertion violated (rings==1) (at depth 7)", Fault::Assertion, STATES, "runs"),
            ("pan:1: invalid end state (at depth 7)", Fault::Stuck, STATES, "runs"),
        ] {
            let broken = said(&format!("{line}\nWarning: Search not completed\n{broken}")).unwrap();
            assert_eq!(broken.fault, Some(fault));
            judge(&broken, property, Some(&mutant(property))).unwrap();
            judge(&broken, other, Some(&mutant(other))).unwrap_err();
            judge(&broken, property, None).unwrap_err();
        }
    }
}
