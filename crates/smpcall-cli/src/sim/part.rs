//! What `--json` writes of a run, or of a part of one, and how `merge` reads it again.

use super::flags::Partition;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// As the file has it.
pub(super) const SCHEMA: &str = "smpcall.sim/1";

/// What merging needs of it; docs/command.md has every field.
#[derive(Deserialize)]
pub(super) struct Part {
    version: String,
    draw: u32,
    pub(super) fingerprint: String,
    pub(super) first_seed: u64,
    /// None, where the time alone ended it.
    seeds_asked: Option<u64>,
    #[serde(deserialize_with = "partition")]
    pub(super) partition: Partition,
    pub(super) flags: String,
    pub(super) seeds: u64,
    pub(super) steps: u64,
    violations: u64,
    failed: Vec<u64>,
    unstable: Vec<u64>,
    pub(super) repeat: Option<String>,
    corpus: Option<Corpus>,
}

#[derive(Deserialize)]
struct Corpus {
    failed: Vec<String>,
}

fn partition<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Partition, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

impl Part {
    /// Reads a file; an error when it is none of this schema, or contradicts itself.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)?;
        let value: Value = serde_json::from_str(&text).context("not all of a JSON file")?;
        let schema = value.get("schema").and_then(Value::as_str).unwrap_or("none");
        ensure!(schema == SCHEMA, "its schema is {schema}, and that of a part is {SCHEMA}");
        let part: Self = serde_json::from_value(value).context("not as this version writes a part")?;
        let counted = (part.failed.len() + part.unstable.len()) as u64;
        ensure!(part.violations == counted, "it has {} violations, and names {counted}", part.violations);
        for seed in part.failed.iter().chain(&part.unstable) {
            let nth = part.nth(*seed);
            let is_in = part.partition.has(nth) && part.seeds_asked.is_none_or(|asked| nth < asked);
            ensure!(is_in, "seed {seed} is not in part {}", part.partition);
        }
        let most = part.seeds_asked.map(|asked| part.partition.seeds(asked));
        ensure!(most.is_none_or(|most| part.seeds <= most), "it has more seeds than its part");
        Ok(part)
    }

    /// Why the two are not of one run, if they are not.
    pub(super) fn differs(&self, other: &Self) -> Option<String> {
        let seeds = |part: &Self| part.seeds_asked.map_or("none".to_owned(), |seeds| seeds.to_string());
        let rows = [
            ("version", self.version.clone(), other.version.clone()),
            ("draw", self.draw.to_string(), other.draw.to_string()),
            ("fingerprint", self.fingerprint.clone(), other.fingerprint.clone()),
            ("first_seed", self.first_seed.to_string(), other.first_seed.to_string()),
            ("seeds_asked", seeds(self), seeds(other)),
            ("parts", self.partition.of.to_string(), other.partition.of.to_string()),
            ("flags", self.flags.clone(), other.flags.clone()),
        ];
        let other = rows.into_iter().find(|(_, this, that)| this != that);
        other.map(|(name, this, that)| format!("its {name} is `{this}`, not `{that}`"))
    }

    /// Why it is not all of its part, if it is not. One that a failure ended is no more than a failure.
    pub(super) fn unfinished(&self) -> Option<String> {
        let Some(asked) = self.seeds_asked else {
            return Some("ended by time alone: without --seeds nobody knows what all of it is".to_owned());
        };
        let all = self.partition.seeds(asked);
        let has_failed = self.violations > 0 || self.corpus_has_failed();
        (self.seeds < all && !has_failed).then(|| format!("is unfinished: {} of {all} seeds", self.seeds))
    }

    pub(super) fn corpus_has_failed(&self) -> bool {
        self.corpus.as_ref().is_some_and(|corpus| !corpus.failed.is_empty())
    }

    pub(super) fn violations(&self) -> u64 {
        self.violations
    }

    /// The first seed that failed, by its place in the run; if none did, the first that was unstable.
    pub(super) fn first_failed(&self) -> Option<u64> {
        let first = |seeds: &[u64]| seeds.iter().map(|seed| self.nth(*seed)).min();
        first(&self.failed).or_else(|| first(&self.unstable))
    }

    fn nth(&self, seed: u64) -> u64 {
        seed.wrapping_sub(self.first_seed)
    }
}
