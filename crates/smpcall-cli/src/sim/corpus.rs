//! Seeds that once failed, played again before any other.

use super::{failure, flags::MemoryFlag, repeat::more};
use crate::output::{JsonFile, complain, count_of, say};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use smpcall_sim::corpus::{Entry, corpus};
use smpcall_sim::{DRAW, Scenario, play};

/// What came of it.
pub(super) struct Replayed {
    played: usize,
    skipped: usize,
    failed: Vec<Entry>,
}

/// Plays all of this version.
pub(super) fn replay() -> Result<Replayed> {
    let (current, other): (Vec<_>, Vec<_>) = corpus()?.into_iter().partition(Entry::is_current);
    let fails = |entry: &Entry| play(&Scenario::draw(entry.seed, &entry.options)).violation.is_some();
    let (played, skipped) = (current.len(), other.len());
    if let Some(first) = other.first() {
        complain!(
            "corpus: {} SKIPPED: the first, `{}`, is of draw {}, and this is draw {DRAW}; `cargo xtask mutants --corpus` makes them anew",
            count_of(skipped as u64, "seed"),
            first.what,
            first.draw
        );
    }
    let failed: Vec<Entry> = current.into_iter().filter(fails).collect();
    Ok(Replayed { played, skipped, failed })
}

impl Replayed {
    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Prints how many.
    pub(super) fn print(&self) -> Result<()> {
        let (played, failed) = (count_of(self.played as u64, "seed"), self.failed.len());
        say!("corpus: {played} played again, {} skipped, {failed} failed", self.skipped)
    }

    pub(super) fn json(&self) -> Value {
        let failed: Vec<&str> = self.failed.iter().map(|entry| entry.what.as_str()).collect();
        json!({ "draw": DRAW, "played": self.played, "skipped": self.skipped, "failed": failed })
    }

    /// Fails if a seed did, and tells of the first.
    pub(super) fn verdict(&self, brief: bool, trace: Option<JsonFile>) -> Result<()> {
        let Some(first) = self.failed.first() else { return Ok(()) };
        failure::tell(first.seed, &first.options, brief, trace)?;
        let (memory, more) = (MemoryFlag(first.options.memory), more(&first.options));
        complain!("to see it again: smpcall sim --seed {} --memory {memory}{more}", first.seed);
        bail!(
            "{} of the corpus failed; the first once found `{}`",
            count_of(self.failed.len() as u64, "seed"),
            first.what
        )
    }
}
