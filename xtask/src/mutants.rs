//! `mutants`: weakens one memory ordering at a time and demands that the check named for it fails. An ordering
//! whose mutant survives is either stronger than it must be or not tested; an entry says which.

mod bugs;
mod check;
mod programs;
mod soon;
mod switch;
pub(crate) mod table;
mod tree;

use crate::parallel::{cores, in_parallel};
use crate::sh;
use anyhow::{Result, anyhow, bail, ensure};
use check::{Again, Check};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use table::{Fate, Mutant, Table};
use tree::{Outcome, Sound, Tree};

/// What is asked of the mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// That each is caught.
    Caught,
    /// That each of those that have another check is caught by that, too.
    Also,
    /// After how many seeds the simulator finds those that it is to catch.
    Seeds,
    /// Which seed of the simulator's finds each first.
    Corpus,
}

/// Runs the table's mutants, or those whose id contains `filter`, or one of its parts where commas divide it.
pub(crate) fn run(filter: Option<&str>, jobs: Option<usize>, asks: Asks) -> Result<()> {
    let root = sh::root();
    let mut table = Table::read(&root)?;
    // Before any filter: a stale entry is a defect of the table, whoever looks.
    table.demand_sound(&root)?;
    let untold = bugs::faults(&root, &table)?;
    ensure!(untold.is_empty(), "{}", untold.join("\n"));
    let wanted = |id: &str| filter.is_none_or(|parts| parts.split(',').any(|part| id.contains(part)));
    table.mutants.retain(|mutant| wanted(&mutant.id));
    if table.mutants.is_empty() {
        bail!(
            "no mutant to run{}",
            filter.map(|f| format!(": none has `{f}` in its id")).unwrap_or_default()
        );
    }
    let mut tree = Tree::new(&root, &sh::target_dir().join("mutants"))?;
    let jobs = jobs.unwrap_or_else(cores).max(1);
    match asks {
        Asks::Caught => {}
        Asks::Also => table.mutants.retain_mut(Mutant::turn_to_other),
        Asks::Seeds => return soon::seeds(&mut tree, &table.mutants),
        Asks::Corpus => return soon::corpus(&mut tree, &table.mutants, jobs),
    }
    let todo: Vec<(&Mutant, &str)> =
        table.mutants.iter().filter_map(|mutant| Some((mutant, mutant.caught_by()?))).collect();
    // Apart for each program: what it does not run it need not hold.
    let mut programs: BTreeMap<String, Vec<(&Mutant, &str)>> = BTreeMap::new();
    for &(mutant, name) in &todo {
        programs.entry(name.parse::<Check>()?.built_from().to_owned()).or_default().push((mutant, name));
    }
    let mut rows = Vec::new();
    for of_program in programs.values() {
        rows.extend(together(&mut tree, of_program, jobs)?);
    }
    let done: BTreeSet<&str> = rows.iter().map(|row| row.mutant.id.as_str()).collect();
    let rest: Vec<_> = todo.into_iter().filter(|(mutant, _)| !done.contains(mutant.id.as_str())).collect();
    rows.extend(one_by_one(&mut tree, &rest, jobs)?);
    report(&root, &table, &rows)
}

/// One line of the report.
struct Row<'a> {
    mutant: &'a Mutant,
    outcome: Outcome,
    took: Duration,
}

impl<'a> Row<'a> {
    fn new(mutant: &'a Mutant, outcome: Outcome, start: Instant) -> Row<'a> {
        let took = start.elapsed();
        println!("  {:<44} {:>6.1} s  {}", mutant.id, took.as_secs_f64(), outcome.word(mutant));
        Row { mutant, outcome, took }
    }
}

/// Those that a switch can choose, in one program that has all of them. An error when that does not build: a build of each would take an hour
/// and more to say what the compiler says.
fn together<'a>(tree: &mut Tree, todo: &[(&'a Mutant, &'a str)], jobs: usize) -> Result<Vec<Row<'a>>> {
    let switched = tree.put_in_all(todo.iter().map(|(mutant, _)| *mutant))?;
    println!("{} of {} mutants behind a switch", switched.len(), todo.len());
    let names = switched.iter().filter_map(|(_, mutant)| mutant.caught_by());
    let rows = match on_sound_sources(tree, names, Again::Never, jobs)? {
        Ok(sound) => in_parallel(jobs, switched, |(number, mutant)| {
            let start = Instant::now();
            let name = mutant.caught_by().unwrap_or_default();
            let Sound { took, program } = &sound[name];
            let program = program.as_mutant(number);
            let outcome = tree.run_mutant(mutant, &name.parse()?, &program, mutant.limit(*took))?;
            Ok(Row::new(mutant, outcome, start))
        })?,
        Err(why) => {
            tree.restore()?;
            bail!("a mutant does not build (where, the compiler says): {why}");
        }
    };
    tree.restore()?;
    Ok(rows)
}

/// Each built alone.
fn one_by_one<'a>(tree: &mut Tree, todo: &[(&'a Mutant, &'a str)], jobs: usize) -> Result<Vec<Row<'a>>> {
    if todo.is_empty() {
        return Ok(Vec::new());
    }
    println!("{} mutants with a build of their own", todo.len());
    let sound = on_sound_sources(tree, todo.iter().map(|(_, name)| *name), Again::Often, jobs)?;
    let sound = sound.map_err(|why| anyhow!("the sound sources do not build: {why}"))?;
    let mut rows = Vec::new();
    for &(mutant, name) in todo {
        let start = Instant::now();
        let (Sound { took, program }, check) = (&sound[name], name.parse()?);
        let outcome = match tree.build_mutant(mutant, &check, Some(program))? {
            Some(program) => tree.run_mutant(mutant, &check, &program, mutant.limit(*took))?,
            None => Outcome::NotBuilt,
        };
        rows.push(Row::new(mutant, outcome, start));
    }
    Ok(rows)
}

/// Each of these checks on sources without a mutant, or with none switched on: it must pass. The compiler's words, when they do not
/// build.
fn on_sound_sources<'a>(
    tree: &Tree,
    names: impl Iterator<Item = &'a str>,
    again: Again,
    jobs: usize,
) -> Result<Result<BTreeMap<&'a str, Sound>, String>> {
    let names: BTreeSet<&str> = names.collect();
    println!("{} checks on the sound sources", names.len());
    let all = names.iter().map(|name| name.parse()).collect::<Result<Vec<Check>>>()?;
    let mut checks = Vec::new();
    let mut built = BTreeMap::new();
    for name in names {
        let check: Check = name.parse()?;
        if !built.contains_key(check.built_from()) {
            let start = Instant::now();
            match tree.build(&check, &all, again)? {
                Ok(programs) => _ = built.insert(check.built_from().to_owned(), programs),
                Err(why) => return Ok(Err(why)),
            }
            println!("  {:<60} {:>6.1} s  built", check.built_from(), start.elapsed().as_secs_f64());
        }
        checks.push((name, check));
    }
    let sound = in_parallel(jobs, checks, |(name, check)| {
        let sound = tree.run_sound(name, &check, &built[check.built_from()])?;
        println!("  {:<60} {:>6.1} s  passes", name, sound.took.as_secs_f64());
        Ok((name, sound))
    })?;
    Ok(Ok(sound.into_iter().collect()))
}

fn report(root: &std::path::Path, table: &Table, rows: &[Row<'_>]) -> Result<()> {
    println!("\n{:<44} {:<40} {:<44} {:>7}", "id", "site", "caught by", "seconds");
    let mut not_built = Vec::new();
    let mut survived = Vec::new();
    for mutant in &table.mutants {
        let site = mutant.site(root);
        let Some(row) = rows.iter().find(|row| row.mutant.id == mutant.id) else {
            if let Fate::Survives(why) = mutant.fate() {
                println!("{:<44} {site:<40} nothing: {why}", mutant.id);
            }
            continue;
        };
        let caught = row.outcome.is_caught(mutant);
        let word = row.outcome.word(mutant);
        let by = match (caught, mutant.caught_by()) {
            (true, Some(name)) => name.to_owned(),
            _ => word.to_owned(),
        };
        if !caught {
            let list = if row.outcome == Outcome::NotBuilt { &mut not_built } else { &mut survived };
            list.push(format!("{} ({word}, {})", mutant.id, mutant.caught_by().unwrap_or_default()));
        }
        println!("{:<44} {site:<40} {by:<44} {:>7.1}", mutant.id, row.took.as_secs_f64());
    }
    let listed = table.mutants.len() - rows.len();
    if listed > 0 {
        println!("{listed} listed in CAVEATS.md as seen by no tool");
    }
    println!("{} caught, {} survived", rows.len() - survived.len() - not_built.len(), survived.len());
    // By name: of a long log often only the end is kept.
    if !not_built.is_empty() {
        bail!("to mend their `replace`, for they do not build: {}", not_built.join(", "));
    }
    if !survived.is_empty() {
        bail!("not caught: {}", survived.join(", "));
    }
    Ok(())
}
