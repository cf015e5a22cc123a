//! `mutants --seeds`: how many seeds the simulator needs until it finds each of its mutants, for the table in docs/simulator.md.

use super::check::{Check, Program};
use super::table::Mutant;
use super::tree::Tree;
use anyhow::{Context, Result};
use std::process::Command;

/// How many starting seeds: an odd number, so that there is one in the middle.
const STARTS: u64 = 9;
/// How far apart they are.
const APART: u64 = 10_000;
/// After how many seeds one gives up.
const SEEDS: u64 = 1_000;

/// Measures those of these mutants that the simulator is to catch, one after another.
pub(super) fn run(tree: &mut Tree, mutants: &[Mutant]) -> Result<()> {
    println!("{:<50} {:>14} {:>14}", "id", "median", "worst of nine");
    for mutant in mutants {
        let Some(Ok(check @ Check::Command(_))) = mutant.caught_by().map(str::parse) else { continue };
        let Check::Command(args) = &check else { continue };
        if args.first().is_none_or(|verb| verb != "sim") {
            continue;
        }
        let program = tree.build_mutant(mutant, &check, None)?;
        let program = program.with_context(|| format!("{} does not build", mutant.id))?;
        let mut needed = Vec::new();
        for nth in 0..STARTS {
            needed.push(seeds_until_found(&program, args, nth * APART + 1)?);
        }
        // None found: more than any.
        needed.sort_unstable_by_key(|seeds| seeds.unwrap_or(u64::MAX));
        let text = |seeds: Option<u64>| seeds.map_or(format!("none in {SEEDS}"), |seeds| seeds.to_string());
        let (median, worst) = (needed[needed.len() / 2], needed[needed.len() - 1]);
        println!("{:<50} {:>14} {:>14}", mutant.id, text(median), text(worst));
    }
    Ok(())
}

/// With the check's own flags, but for the seeds.
fn seeds_until_found(program: &Program, args: &[String], first: u64) -> Result<Option<u64>> {
    let mut cmd = Command::new(program.path());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--seed" | "--seeds" => _ = rest.next(),
            _ => _ = cmd.arg(arg),
        }
    }
    cmd.args(["--seed", &first.to_string(), "--seeds", &SEEDS.to_string(), "--trace"]);
    cmd.arg(program.path().with_extension("trace"));
    let said = cmd.output().with_context(|| format!("cannot start {}", program.path().display()))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let figure = |name: &str| {
        let found = text.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
        found.with_context(|| format!("the simulator says no `{name}`: {text}"))
    };
    let found = figure("violations=")? > 0;
    Ok(if found { Some(figure("seeds=")?) } else { None })
}
