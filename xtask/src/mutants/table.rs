//! The table of mutants, `xtask/mutants.toml`: [`Table::read`] parses it, [`Table::demand_sound`] refuses entries
//! that no longer fit the sources.

use super::check::Check;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

/// Where the table is, relative to the repository.
pub(crate) const PATH: &str = "xtask/mutants.toml";

/// All mutants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(default, rename = "mutant")]
    pub(crate) mutants: Vec<Mutant>,
}

/// One weakened place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    pub(crate) id: String,
    pub(crate) file: String,
    pub(crate) find: String,
    replace: Option<String>,
    caught_by: Option<String>,
    also: Option<String>,
    survives: Option<String>,
    #[serde(default)]
    pub(crate) hang: bool,
    timeout_s: Option<u64>,
    #[serde(default)]
    why: String,
    /// Whose bug it is, if somebody had it: project, and version, commit or number.
    pub(crate) bug: Option<String>,
}

/// What is expected of a mutant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate<'a> {
    /// The named check fails.
    Caught(&'a str),
    /// No tool can see it, for this reason.
    Survives(&'a str),
}

impl Table {
    /// Reads the repository's table.
    pub(crate) fn read(root: &Path) -> Result<Table> {
        let text = fs::read_to_string(root.join(PATH)).with_context(|| format!("reading {PATH}"))?;
        Table::parse(&text)
    }

    /// Parses a table and refuses entries that contradict themselves.
    pub(super) fn parse(text: &str) -> Result<Table> {
        let table: Table = toml::from_str(text).with_context(|| format!("parsing {PATH}"))?;
        let mut ids = BTreeSet::new();
        for mutant in &table.mutants {
            if !ids.insert(mutant.id.as_str()) {
                bail!("{PATH}: two mutants are called `{}`", mutant.id);
            }
            mutant.check_form().with_context(|| format!("{PATH}: mutant `{}`", mutant.id))?;
        }
        Ok(table)
    }

    /// Refuses the table when a `find` is stale or a survivor is not owned up to.
    pub(crate) fn demand_sound(&self, root: &Path) -> Result<()> {
        let faults = self.faults(root);
        if !faults.is_empty() {
            bail!("{}", faults.join("\n"));
        }
        Ok(())
    }

    /// Every entry that does not fit the sources or CAVEATS.md, one line each.
    pub(crate) fn faults(&self, root: &Path) -> Vec<String> {
        let caveats = fs::read_to_string(root.join("CAVEATS.md")).unwrap_or_default();
        let mut faults = Vec::new();
        for mutant in &self.mutants {
            let patched = fs::read_to_string(root.join(&mutant.file))
                .map_err(Into::into)
                .and_then(|text| patch_once(&text, &mutant.find, "").map(drop));
            if let Err(why) = patched {
                faults.push(format!("{PATH}: mutant `{}` is stale: {}: {why}", mutant.id, mutant.file));
            }
            if matches!(mutant.fate(), Fate::Survives(_)) && !caveats.contains(&mutant.id) {
                faults.push(format!(
                    "{PATH}: mutant `{}` survives, but CAVEATS.md does not name it",
                    mutant.id
                ));
            }
        }
        faults
    }
}

impl Mutant {
    fn check_form(&self) -> Result<()> {
        match (&self.caught_by, &self.survives) {
            (None, None) => bail!("needs `caught_by` or `survives`"),
            (Some(_), Some(_)) => bail!("has both `caught_by` and `survives`"),
            (None, Some(why)) if why.trim().is_empty() => bail!("`survives` must say why"),
            (None, Some(_)) => {}
            (Some(name), None) => {
                name.parse::<Check>()?;
                if self.replace.is_none() {
                    bail!("needs `replace`");
                }
            }
        }
        if let Some(other) = &self.also {
            other.parse::<Check>()?;
            if self.caught_by.is_none() || self.caught_by.as_ref() == Some(other) {
                bail!("`also` is another check than `caught_by`");
            }
        }
        if self.find.trim().is_empty() || self.replace.as_ref() == Some(&self.find) {
            bail!("`find` is empty, or `replace` changes nothing");
        }
        if self.why.trim().is_empty() && self.survives.is_none() {
            bail!("`why` must say what breaks");
        }
        Ok(())
    }

    /// What is expected of it.
    pub(crate) fn fate(&self) -> Fate<'_> {
        match (&self.caught_by, &self.survives) {
            (Some(name), _) => Fate::Caught(name),
            (None, why) => Fate::Survives(why.as_deref().unwrap_or_default()),
        }
    }

    /// The check that must fail, if any can.
    pub(crate) fn caught_by(&self) -> Option<&str> {
        self.caught_by.as_deref()
    }

    /// Looks at its other check from now on; `false` if it has none.
    pub(crate) fn turn_to_other(&mut self) -> bool {
        let other = self.also.take();
        let has_other = other.is_some();
        self.caught_by = other.or(self.caught_by.take());
        has_other
    }

    /// How long its check may run, which took so long on the sound sources.
    pub(crate) fn limit(&self, took: Duration) -> Duration {
        self.timeout_s.map_or((took * 5).max(Duration::from_secs(120)), Duration::from_secs)
    }

    /// The file's text with this mutant in it.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        let replace = self.replace.as_deref().context("a mutant that survives is not applied")?;
        patch_once(text, &self.find, replace)
    }

    /// Returns whether it changes nothing but the names of orderings.
    pub(crate) fn weakens_only_an_ordering(&self) -> bool {
        let without = |text: &str| {
            ["AcqRel", "Acquire", "Release", "Relaxed"]
                .iter()
                .fold(text.to_owned(), |text, name| text.replace(name, ""))
        };
        self.replace.as_deref().is_some_and(|replace| without(&self.find) == without(replace))
    }

    /// Where in `text` its `find` is: an empty place at the end where it is not.
    pub(super) fn place(&self, text: &str) -> Range<usize> {
        text.find(&self.find).map_or(text.len()..text.len(), |at| at..at + self.find.len())
    }

    /// The lines of `text`, counted from 1, that the mutant's `find` covers.
    pub(crate) fn lines(&self, text: &str) -> Option<RangeInclusive<usize>> {
        let at = text.find(&self.find)?;
        // Blank lines around the text belong to nobody.
        let lead = self.find.len() - self.find.trim_start().len();
        let first = 1 + text[..at + lead].matches('\n').count();
        Some(first..=first + self.find.trim().matches('\n').count())
    }

    /// `file:line`, for the report.
    pub(crate) fn site(&self, root: &Path) -> String {
        let text = fs::read_to_string(root.join(&self.file)).unwrap_or_default();
        let line = self.lines(&text).map_or(0, |lines| *lines.start());
        format!("{}:{line}", self.file)
    }
}

/// Replaces the one occurrence of `find`; none, or more than one, is an error.
fn patch_once(text: &str, find: &str, replace: &str) -> Result<String> {
    match text.match_indices(find).collect::<Vec<_>>()[..] {
        [(at, _)] => Ok([&text[..at], replace, &text[at + find.len()..]].concat()),
        [] => bail!("its `find` does not occur"),
        ref more => bail!("its `find` occurs {} times", more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"
        [[mutant]]
        id = "queue-push"
        file = "a.rs"
        find = "x.store(1, Release)"
        replace = "x.store(1, Relaxed)"
        caught_by = "loom:push_is_seen"
        why = "the csd's function is not published"
    "#;

    fn parse_with(from: &str, to: &str) -> Result<Table> {
        assert!(ENTRY.contains(from));
        Table::parse(&ENTRY.replace(from, to))
    }

    #[test]
    fn an_entry_is_read() {
        let table = Table::parse(ENTRY).unwrap();
        assert_eq!(table.mutants[0].fate(), Fate::Caught("loom:push_is_seen"));
        assert_eq!(table.mutants[0].apply("{ x.store(1, Release); }").unwrap(), "{ x.store(1, Relaxed); }");
        assert!(Table::parse("").unwrap().mutants.is_empty());
    }

    #[test]
    fn contradictory_entries_are_refused() {
        assert!(Table::parse(&ENTRY.repeat(2)).is_err(), "two of one id");
        assert!(parse_with("caught_by", "cauhgt_by").is_err(), "an unknown key");
        assert!(parse_with("loom:", "loam:").is_err(), "an unknown check");
        assert!(parse_with("Relaxed", "Release").is_err(), "a mutant that changes nothing");
        assert!(parse_with("why =", "survives =").is_err(), "both caught and not");
        assert!(parse_with("caught_by = \"loom:push_is_seen\"", "").is_err(), "neither caught nor not");
        assert!(parse_with("caught_by = \"loom:push_is_seen\"", "survives = \" \"").is_err(), "no reason");
        assert!(parse_with("replace = \"x.store(1, Relaxed)\"", "").is_err(), "nothing to put there");
        assert!(parse_with("why =", "also = \"loom:push_is_seen\"\nwhy =").is_err(), "the same check twice");
    }

    #[test]
    fn the_other_check_takes_the_place_of_the_first() {
        let mut both = parse_with("why =", "also = \"sim:--seed 1\"\nwhy =").unwrap();
        assert_eq!(both.mutants[0].caught_by(), Some("loom:push_is_seen"));
        assert!(both.mutants[0].turn_to_other());
        assert_eq!(both.mutants[0].caught_by(), Some("sim:--seed 1"));
        assert!(!both.mutants[0].turn_to_other());
    }

    #[test]
    fn an_ordering_alone_is_told_from_another_step() {
        assert!(parse_with("", "").unwrap().mutants[0].weakens_only_an_ordering());
        assert!(
            !parse_with("x.store(1, Relaxed)", "x.store(2, Relaxed)").unwrap().mutants[0]
                .weakens_only_an_ordering()
        );
    }

    #[test]
    fn a_find_must_occur_exactly_once() {
        assert_eq!(patch_once("a b c", "b", "x").unwrap(), "a x c");
        assert!(patch_once("a b c", "d", "x").unwrap_err().to_string().contains("does not occur"));
        assert!(patch_once("a b b", "b", "x").unwrap_err().to_string().contains("occurs 2 times"));
    }

    #[test]
    fn the_lines_of_a_find_leave_out_its_blank_edges() {
        let table = parse_with("\"x.store(1, Release)\"", "'''\n\n  two\n  three\n'''").unwrap();
        assert_eq!(table.mutants[0].lines("one\n\n  two\n  three\nfour\n"), Some(3..=4));
        assert_eq!(table.mutants[0].lines("one"), None);
    }

    #[test]
    fn stale_finds_and_survivors_that_are_not_owned_up_to_are_faults() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.rs"), "x.store(1, Release)").unwrap();
        assert_eq!(Table::parse(ENTRY).unwrap().faults(root.path()), [""; 0]);
        let survivor = parse_with("caught_by = \"loom:push_is_seen\"", "survives = \"x86 is TSO\"").unwrap();
        assert_eq!(survivor.faults(root.path()).len(), 1);
        fs::write(root.path().join("CAVEATS.md"), "- queue-push: x86 is TSO").unwrap();
        assert_eq!(survivor.faults(root.path()), [""; 0]);
        fs::write(root.path().join("a.rs"), "x.store(2, Release)").unwrap();
        assert!(survivor.faults(root.path())[0].contains("stale"));
    }
}
