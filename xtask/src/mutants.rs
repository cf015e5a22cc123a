//! `mutants`: weakens one memory ordering at a time and demands that the check named for it fails. An ordering
//! whose mutant survives is either stronger than it must be or not tested; an entry says which.

mod check;
mod soon;
pub(crate) mod table;
mod worker;

use crate::sh;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use table::{Fate, Mutant, Table};
use worker::{Outcome, Sound, Worker};

/// What is asked of the mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// That each is caught.
    Caught,
    /// After how many seeds the simulator finds those that it is to catch.
    Seeds,
}

/// Runs the table's mutants, or those whose id contains `filter`, or one of its parts where commas divide it.
pub(crate) fn run(filter: Option<&str>, jobs: Option<usize>, asks: Asks) -> Result<()> {
    let root = sh::root();
    let mut table = Table::read(&root)?;
    // Before any filter: a stale entry is a defect of the table, whoever looks.
    table.demand_sound(&root)?;
    let wanted = |id: &str| filter.is_none_or(|parts| parts.split(',').any(|part| id.contains(part)));
    table.mutants.retain(|mutant| wanted(&mutant.id));
    if table.mutants.is_empty() {
        bail!(
            "no mutant to run{}",
            filter.map(|f| format!(": none has `{f}` in its id")).unwrap_or_default()
        );
    }
    if asks == Asks::Seeds {
        let mut worker = Worker::new(&root, &sh::target_dir().join("mutants/w0"))?;
        return soon::run(&mut worker, &table.mutants);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut workers = Vec::new();
    for number in 0..jobs.unwrap_or(cores).max(1) {
        workers.push(Worker::new(&root, &sh::target_dir().join(format!("mutants/w{number}")))?);
    }
    let sound = on_sound_sources(&mut workers, &table)?;
    let rows = on_mutants(&mut workers, &table, &sound)?;
    report(&root, &table, &rows)
}

/// Each check on sources without a mutant: it must pass.
fn on_sound_sources(workers: &mut [Worker], table: &Table) -> Result<BTreeMap<String, Sound>> {
    let mut names: Vec<&str> = table.mutants.iter().filter_map(Mutant::caught_by).collect();
    names.sort_unstable();
    names.dedup();
    println!("{} checks on the sound sources", names.len());
    let results = in_parallel(workers, names, |worker, name| {
        let check = name.parse()?;
        let sound = worker.on_sound_sources(&check)?;
        println!("  {:<60} {:>6.1} s  passes", name, sound.took.as_secs_f64());
        Ok((name.to_owned(), sound))
    })?;
    Ok(results.into_iter().collect())
}

/// One line of the report.
struct Row<'a> {
    mutant: &'a Mutant,
    outcome: Outcome,
    took: Duration,
}

fn on_mutants<'a>(
    workers: &mut [Worker],
    table: &'a Table,
    sound: &BTreeMap<String, Sound>,
) -> Result<Vec<Row<'a>>> {
    let todo: Vec<(&Mutant, &str)> =
        table.mutants.iter().filter_map(|mutant| Some((mutant, mutant.caught_by()?))).collect();
    println!("{} mutants", todo.len());
    in_parallel(workers, todo, |worker, (mutant, name)| {
        let Sound { took, program } = &sound[name];
        let limit = match mutant.timeout_s {
            Some(s) => Duration::from_secs(s),
            None => (*took * 5).max(Duration::from_secs(120)),
        };
        let (outcome, took) = worker.on_mutant(mutant, &name.parse()?, program, limit)?;
        println!("  {:<44} {:>6.1} s  {}", mutant.id, took.as_secs_f64(), outcome.word(mutant));
        Ok(Row { mutant, outcome, took })
    })
}

/// Gives each item to the next worker that is free. The first error ends the run after what is under way.
fn in_parallel<I: Send, O: Send>(
    workers: &mut [Worker],
    items: Vec<I>,
    work: impl Fn(&mut Worker, I) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let queue = Mutex::new(VecDeque::from(items));
    let done = Mutex::new(Ok(Vec::new()));
    std::thread::scope(|scope| {
        for worker in workers {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
                    let (Some(item), true) = (next, done.lock().is_ok_and(|done| done.is_ok())) else {
                        return;
                    };
                    let result = work(worker, item);
                    let Ok(mut done) = done.lock() else { return };
                    match (result, done.as_mut()) {
                        (Ok(output), Ok(outputs)) => outputs.push(output),
                        (Err(why), Ok(_)) => *done = Err(why),
                        (_, Err(_)) => {}
                    }
                }
            });
        }
    });
    match done.into_inner() {
        Ok(done) => done,
        Err(_) => bail!("a worker panicked"),
    }
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
