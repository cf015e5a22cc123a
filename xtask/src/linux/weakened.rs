//! The core with one of its memory orderings weakened, in Linux: KCSAN, which holds accesses back where no barrier forbids it, is to see that.

use super::guest::Guest;
use super::tree::{Tree, phase};
use super::{Config, Series, Variant, kcsan, layer, scf_words, verdict};
use crate::files;
use crate::mutants::table::{Mutant, Table};
use crate::sh;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::PathBuf;

/// One access in so many is watched: in runs this short more often than the configuration says.
const OFTEN: &str = "kcsan.skip_watch=100";

/// What is asked for.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Mutants of xtask/mutants.toml that weaken an ordering of the core
    #[arg(required = true)]
    mutants: Vec<String>,
    /// Which Linux
    #[arg(long, default_value = "7.3")]
    pub(super) series: Series,
    /// How long scftorture looks for each, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// How many CPUs the guest has
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=64))]
    cpus: u32,
}

/// Fails unless each fails its run, by a report of KCSAN's. The sound layer is put back in any case.
pub(super) fn run(args: &Args) -> Result<()> {
    let root = sh::root();
    let table = Table::read(&root)?;
    table.demand_sound(&root)?;
    let mutants = args.mutants.iter().map(|id| find(&table, id)).collect::<Result<Vec<_>>>()?;
    let mut survived = Vec::new();
    for mutant in mutants {
        let tree = Tree::build(args.series, Variant::Ours, Config::Kcsan)?;
        let ran = phase(&mutant.id, || ran(args, &tree, mutant));
        phase("the sound layer again", || layer::put_in(args.series, &tree.path, &root))?;
        match ran? {
            Some(why) => println!("  {}: seen: {why}", mutant.id),
            None => survived.push(mutant.id.as_str()),
        }
    }
    ensure!(survived.is_empty(), "not seen in {} s: {}", args.seconds, survived.join(", "));
    Ok(())
}

/// A mutant that KCSAN could see.
fn find<'a>(table: &'a Table, id: &str) -> Result<&'a Mutant> {
    let found = table.mutants.iter().find(|mutant| mutant.id == id);
    let mutant = found.with_context(|| format!("xtask/mutants.toml has no mutant `{id}`"))?;
    if !mutant.file.starts_with("crates/smpcall/") || !mutant.weakens_only_an_ordering() {
        bail!("`{id}` does more than weaken an ordering of the core");
    }
    Ok(mutant)
}

/// By which report the run failed, if by one; an error if by something else.
fn ran(args: &Args, tree: &Tree, mutant: &Mutant) -> Result<Option<String>> {
    layer::put_in(args.series, &tree.path, &sources(mutant)?)?;
    tree.make("bzImage", "build.log")?;
    let words = format!("{} {OFTEN}", scf_words(args.seconds, false));
    let guest = Guest {
        tree,
        cpus: args.cpus,
        what: "scf",
        words: &words,
        seconds: args.seconds,
        accel: super::Accel::Threads,
        case: None,
        files: Vec::new(),
    };
    let ran = guest.boot().and_then(|log| kcsan::sifted(Config::Kcsan, tree, log));
    match ran.and_then(|log| verdict::judge(Variant::Ours, "scf", &[], &log)) {
        Ok(()) => Ok(None),
        Err(why) if format!("{why:#}").contains(kcsan::TITLE) => Ok(Some(format!("{why:#}"))),
        Err(why) => Err(why.context(format!("the run with `{}` failed, but not by KCSAN", mutant.id))),
    }
}

/// A copy of the sources with the mutant in it.
fn sources(mutant: &Mutant) -> Result<PathBuf> {
    let copy = layer::folder("weakened");
    files::sync(&sh::root(), &copy)?;
    let file = copy.join(&mutant.file);
    fs::write(&file, mutant.apply(&fs::read_to_string(&file)?)?)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ordering_of_the_core_is_taken() {
        let table = Table::read(&sh::root()).unwrap();
        assert_eq!(find(&table, "queue-push-release").unwrap().id, "queue-push-release");
        assert!(find(&table, "no-such").unwrap_err().to_string().contains("no mutant"));
        assert!(find(&table, "post-does-not-ring").unwrap_err().to_string().contains("does more"));
    }
}
