//! `smpcall sim merge`: the parts of a run on several machines as one result.
//!
//! **Invariant.** Success says that every seed of the run was played by one part, once, by the same build under the same flags, and that none
//! failed. So a part that is lost, that is there twice, that ended early, or that is of another run, is a failure, and named.

use super::flags::Partition;
use super::part::Part;
use super::{Args, failure, fingerprint, options};
use crate::output::{JsonFile, complain, count_of, say};
use anyhow::{Result, anyhow, bail};
use clap::Parser;
use smpcall_sim::{Scenario, play};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// For the help.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("smpcall sim merge part-1.json part-2.json", "what the two parts of a run have written"),
    ("smpcall sim merge --brief part-1.json", "a violation is told in a line, and not made smaller"),
];

/// How many parts that are lost are named.
const NAMED_MAX: usize = 20;

/// What to merge.
#[derive(clap::Args)]
pub(crate) struct Merge {
    /// What `--json` has written for each part of the run
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Tells of the first violation by its seed and what it broke: does not make it smaller, and writes no trace
    #[arg(long, conflicts_with = "trace")]
    brief: bool,
    /// Writes the trace of the first violation to this file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// A line that repeats a seed, as `sim` prints it.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// Files that are of one run, by their parts, and what is wrong with the others.
struct Merged<'a> {
    parts: BTreeMap<Partition, (&'a Path, Part)>,
    faults: Vec<String>,
}

/// Merges, prints, and fails if anything is missing or any promise was broken.
pub(super) fn run(args: &Merge) -> Result<()> {
    let trace = JsonFile::open(args.trace.as_deref())?;
    let merged = Merged::read(&args.files);
    let sum = |of: fn(&Part) -> u64| merged.parts.values().map(|(_, part)| of(part)).sum::<u64>();
    let (seeds, violations) = (sum(|part| part.seeds), sum(Part::violations));
    let one = merged.parts.values().next();
    let printed = match one {
        Some((_, one)) => say!(
            "smpcall sim merge: parts={}/{} first_seed={} seeds={seeds} steps={} violations={violations}",
            merged.parts.len(),
            one.partition.of,
            one.first_seed,
            sum(|part| part.steps)
        ),
        None => Ok(()),
    };
    merged.faults.iter().for_each(|fault| complain!("{fault}"));
    merged.tell_first(args.brief, trace)?;
    let corpus = merged.corpus_failed();
    match (merged.faults.len(), violations) {
        (0, 0) if corpus == 0 => printed,
        (0, 0) => bail!("seeds of the corpus failed in {}", count_of(corpus, "part")),
        (0, violations) => bail!("{violations} of {} failed", count_of(seeds, "seed")),
        (faults, _) => bail!("not a whole run: {}", count_of(faults as u64, "fault")),
    }
}

impl<'a> Merged<'a> {
    fn read(files: &'a [PathBuf]) -> Self {
        let mut merged = Self { parts: BTreeMap::new(), faults: Vec::new() };
        for file in files {
            match Part::read(file) {
                Ok(part) => merged.add(file, part),
                Err(why) => merged.faults.push(format!("{}: {why:#}", file.display())),
            }
        }
        merged.look_for_lost();
        let unfinished = merged.parts.values().filter_map(|(file, part)| {
            let why = part.unfinished()?;
            Some(format!("{}: part {} {why}", file.display(), part.partition))
        });
        let unfinished: Vec<_> = unfinished.collect();
        merged.faults.extend(unfinished);
        merged
    }

    fn add(&mut self, file: &'a Path, part: Part) {
        let shown = file.display();
        if let Some((first, one)) = self.parts.values().next()
            && let Some(why) = part.differs(one)
        {
            self.faults.push(format!("{shown}: of another run than {}: {why}", first.display()));
        } else if let Some((first, _)) = self.parts.get(&part.partition) {
            self.faults.push(format!("{shown}: part {} is in {} already", part.partition, first.display()));
        } else {
            self.parts.insert(part.partition, (file, part));
        }
    }

    fn look_for_lost(&mut self) {
        let Some(of) = self.parts.keys().next().map(|one| one.of) else { return };
        let lost = of - self.parts.len() as u64;
        let parts = (1..=of).map(|part| Partition { part, of });
        let named = parts.filter(|part| !self.parts.contains_key(part)).take(NAMED_MAX.min(lost as usize));
        let named: Vec<_> = named.map(|part| part.to_string()).collect();
        if lost > 0 {
            let more = if lost > NAMED_MAX as u64 { ", …" } else { "" };
            self.faults.push(format!("{} lost: {}{more}", count_of(lost, "part"), named.join(", ")));
        }
    }

    fn corpus_failed(&self) -> u64 {
        let failed = self.parts.values().filter(|(_, part)| part.corpus_has_failed());
        failed
            .inspect(|(file, part)| {
                complain!("{}: part {}: the corpus failed", file.display(), part.partition)
            })
            .count() as u64
    }

    /// Tells of the first seed that failed, in the order of the run, as `sim` does.
    fn tell_first(&self, brief: bool, trace: Option<JsonFile>) -> Result<()> {
        let first = self.parts.values().filter_map(|(file, part)| Some((part.first_failed()?, file, part)));
        let Some((nth, file, part)) = first.min_by_key(|(nth, ..)| *nth) else { return Ok(()) };
        let seed = part.first_seed.wrapping_add(nth);
        complain!("the first violation: seed {seed}, of part {} in {}", part.partition, file.display());
        let Some(repeat) = &part.repeat else {
            complain!("its second run was another than its first");
            complain!("to see it again: smpcall sim --seed {seed} {}", part.flags);
            return Ok(());
        };
        if part.fingerprint == fingerprint() {
            let words = repeat.split_whitespace().skip(1).map(|word| word.trim_matches('\''));
            let line = Line::try_parse_from(words).map_err(|why| {
                let why = why.to_string();
                let why = why.lines().next().unwrap_or_default();
                anyhow!("{}: its `repeat` is not this version's: {why}", file.display())
            })?;
            let options = options(&line.args);
            if play(&Scenario::draw(seed, &options)).violation.is_some() {
                failure::tell(seed, &options, brief, trace)?;
            } else {
                complain!("here it does not fail, though this build's runs are those of the part's");
            }
        } else {
            complain!("it is not played here: another build made it, whose seeds are other runs");
        }
        complain!("to see it again: {repeat}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::part::SCHEMA;
    use super::*;

    #[test]
    fn what_is_lost_is_named_also_of_very_many() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("part.json");
        let part = serde_json::json!({
            "schema": SCHEMA, "version": "0", "draw": 1, "fingerprint": "f", "first_seed": 7, "flags": "", "repeat": null,
            "seeds_asked": 3, "partition": format!("2/{}", u64::MAX), "seeds": 1, "steps": 9, "violations": 0, "failed": [],
            "unstable": [], "corpus": null,
        });
        std::fs::write(&file, part.to_string()).unwrap();
        let files = [file];
        let merged = Merged::read(&files);
        assert_eq!(merged.parts.len(), 1);
        let [lost] = merged.faults.as_slice() else { panic!("{:?}", merged.faults) };
        assert!(lost.starts_with("18446744073709551614 parts lost: 1/"), "{lost}");
        assert!(lost.contains(", 21/") && lost.ends_with(", …"), "{lost}");
    }
}
