//! What the simulator finds, and how soon. `mutants --seeds`: after how many seeds each of its mutants, for the table in docs/simulator.md.
//! `mutants --corpus`: for each mutant of the core the first seed that finds it, if one does, for the simulator's corpus.

use super::check::{Again, Check, Program};
use super::switch;
use super::table::Mutant;
use super::tree::Tree;
use crate::parallel::in_parallel;
use crate::sh;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;
use wait_timeout::ChildExt;

/// How many starting seeds: an odd number, so that there is one in the middle.
const STARTS: u64 = 9;
/// How far apart they are.
const APART: u64 = 10_000;
/// After how many seeds one gives up.
const SEEDS: u64 = 1_000;

/// What the corpus's mutants are played with: its words, and the command's flags.
const WAYS: [(&str, &str, &[&str]); 5] = [
    ("weak", "plain", &[]),
    ("weak", "futures", &["--futures"]),
    ("weak", "users", &["--users"]),
    ("weak", "meets", &["--meets"]),
    ("tso", "plain", &[]),
];
/// How many seeds each way: first few of each, and then more.
const ROUNDS: [u64; 2] = [100, 2_000];
/// Nothing takes longer, but a mutant that does not come back.
const LIMIT: Duration = Duration::from_secs(600);
const CORPUS: &str = "crates/smpcall-sim/corpus.txt";
/// Where the version of what a seed draws is.
const SCENARIO: &str = "crates/smpcall-sim/src/scenario.rs";

/// What one run of the simulator came to.
enum Ran {
    Passed,
    /// After so many seeds, at that one.
    Found {
        seeds: u64,
        seed: u64,
    },
    /// It crashed, or never came back.
    Crashed,
}

/// Measures those of these mutants that the simulator is to catch.
pub(super) fn seeds(tree: &mut Tree, mutants: &[Mutant]) -> Result<()> {
    let flags_of = |mutant: &Mutant| match mutant.caught_by()?.parse() {
        Ok(Check::Command(args)) if args.first().is_some_and(|verb| verb == "sim") => Some(args),
        _ => None,
    };
    let all: Vec<&Mutant> = mutants.iter().filter(|mutant| flags_of(mutant).is_some()).collect();
    let (program, switched) = build(tree, &all)?;
    println!("{:<50} {:>14} {:>14}", "id", "median", "worst of nine");
    for (number, mutant) in switched {
        let args = flags_of(mutant).unwrap_or_default();
        let flags = without_seeds(&args);
        let mut needed = Vec::new();
        for nth in 0..STARTS {
            needed.push(match simulate(&program.as_mutant(number), &flags, nth * APART + 1, SEEDS)? {
                Ran::Found { seeds, .. } => seeds,
                // None found: more than any.
                Ran::Passed | Ran::Crashed => u64::MAX,
            });
        }
        needed.sort_unstable();
        let text =
            |seeds: u64| if seeds == u64::MAX { format!("none in {SEEDS}") } else { seeds.to_string() };
        let (median, worst) = (needed[needed.len() / 2], needed[needed.len() - 1]);
        println!("{:<50} {:>14} {:>14}", mutant.id, text(median), text(worst));
    }
    Ok(())
}

/// Looks for the first seed that finds each of these mutants, and writes those that are found into the corpus, in place of what it had of
/// them.
pub(super) fn corpus(tree: &mut Tree, mutants: &[Mutant], jobs: usize) -> Result<()> {
    let is_core =
        |mutant: &&Mutant| mutant.file.starts_with("crates/smpcall/src/") && mutant.caught_by().is_some();
    let all: Vec<&Mutant> = mutants.iter().filter(is_core).collect();
    let (program, switched) = build(tree, &all)?;
    let mut found = in_parallel(jobs, switched, |(number, mutant)| {
        let line = first_seed(&program.as_mutant(number))?;
        let what = if mutant.weakens_only_an_ordering() { "ordering" } else { "step" };
        println!("{:<44} {what:<9} {}", mutant.id, line.as_deref().unwrap_or("not found"));
        Ok((number, mutant.id.as_str(), line))
    })?;
    // As they are in the table.
    found.sort_unstable_by_key(|(number, ..)| *number);
    let lines: Vec<_> = found.into_iter().filter_map(|(_, id, line)| Some((id, line?))).collect();
    println!("{} of {} found", lines.len(), all.len());
    write(&all.iter().map(|mutant| mutant.id.as_str()).collect(), &lines)
}

/// The command with all of these in it that a switch can choose.
fn build<'a>(tree: &mut Tree, mutants: &[&'a Mutant]) -> Result<(Program, Vec<(usize, &'a Mutant)>)> {
    let switched = tree.put_in_all(mutants.iter().copied())?;
    let built = tree.build(&"sim:--seed 1".parse()?, &[], Again::Never)?;
    tree.restore()?;
    let programs = built.map_err(|why| anyhow::anyhow!("a mutant does not build: {why}"))?;
    let [program] = &programs[..] else { bail!("{} programs are the command", programs.len()) };
    Ok((program.clone(), switched))
}

fn without_seeds(args: &[String]) -> Vec<&str> {
    let mut rest = args.iter().skip(1).map(String::as_str);
    let mut flags = Vec::new();
    while let Some(arg) = rest.next() {
        match arg {
            "--seed" | "--seeds" => _ = rest.next(),
            _ => flags.push(arg),
        }
    }
    flags
}

fn simulate(program: &Program, flags: &[&str], first: u64, seeds: u64) -> Result<Ran> {
    let [out, err] =
        ["out", "err"].map(|end| program.path().with_extension(format!("{}.{end}", program.number())));
    let mut child = Command::new(program.path())
        .arg("sim")
        .args(flags)
        .args(["--no-corpus", "--brief", "--seed", &first.to_string(), "--seeds", &seeds.to_string()])
        .env(switch::VARIABLE, program.number().to_string())
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()
        .with_context(|| format!("cannot start {}", program.path().display()))?;
    if child.wait_timeout(LIMIT)?.is_none() {
        child.kill()?;
        child.wait()?;
        return Ok(Ran::Crashed);
    }
    let (out, err) = (fs::read_to_string(out)?, String::from_utf8_lossy(&fs::read(err)?).into_owned());
    let figure =
        |name: &str| out.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
    let seed = err.lines().find_map(|line| line.strip_prefix("seed ")?.split(':').next()?.parse().ok());
    Ok(match (figure("violations="), figure("seeds="), seed) {
        (Some(0), ..) => Ran::Passed,
        (Some(_), Some(seeds), Some(seed)) => Ran::Found { seeds, seed },
        _ => Ran::Crashed,
    })
}

/// The corpus's words for it, but for the version before and the name behind.
fn first_seed(program: &Program) -> Result<Option<String>> {
    for seeds in ROUNDS {
        for (memory, with, flags) in WAYS {
            let flags = [&["--memory", memory], flags].concat();
            if let Ran::Found { seed, .. } = simulate(program, &flags, 1, seeds)? {
                return Ok(Some(format!("memory={memory} with={with} seed={seed}")));
            }
        }
    }
    Ok(None)
}

fn write(tried: &BTreeSet<&str>, found: &[(&str, String)]) -> Result<()> {
    let root = sh::root();
    let scenario = fs::read_to_string(root.join(SCENARIO))?;
    let draw = scenario.split("pub const DRAW: u32 = ").nth(1).and_then(|rest| rest.split(';').next());
    let draw = draw.with_context(|| format!("{SCENARIO} has no DRAW"))?;
    let before = fs::read_to_string(root.join(CORPUS))?;
    let is_kept = |line: &&str| !line.split_whitespace().last().is_some_and(|what| tried.contains(what));
    let mut text: String = before.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
    for (id, words) in found {
        text += &format!("draw={draw} {words} {id}\n");
    }
    fs::write(root.join(CORPUS), text).with_context(|| format!("writing {CORPUS}"))
}

#[cfg(test)]
mod tests {
    use crate::mutants::table::Table;
    use crate::sh;
    use std::collections::BTreeSet;

    #[test]
    fn the_documents_table_has_every_mutant_of_the_simulators_and_no_other() {
        let mutants = Table::read(&sh::root()).unwrap().mutants;
        let text = std::fs::read_to_string(sh::root().join("docs/simulator.md")).unwrap();
        // `| `id` | what breaks | median | worst |`
        let of_row = |line: &str| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let id = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
            (cells.len() == 6).then(|| id.to_owned())
        };
        let rows: BTreeSet<String> = text.lines().filter_map(of_row).collect();
        let missing: Vec<_> = mutants
            .iter()
            .map(|mutant| &mutant.id)
            .filter(|id| id.starts_with("sim-") && !rows.contains(*id))
            .collect();
        assert_eq!(missing, [""; 0], "no row");
        let unknown: Vec<_> =
            rows.iter().filter(|row| !mutants.iter().any(|mutant| mutant.id == **row)).collect();
        assert_eq!(unknown, [""; 0], "no such mutant");
        assert!(rows.len() > 40, "{}", rows.len());
    }
}
