//! The table of Linux's names: what it says we have is there, and so is each test that is to show it.
//!
//! A row whose third cell is [`TO_COME`] names what is not there yet; once it is, the row must name a test.

use super::Breach;
use super::scan::Source;
use std::collections::BTreeSet;

const DOCUMENT: &str = "docs/from-linux.md";
const HEADING: &str = "## From Linux's names to ours";
const TO_COME: &str = "(merge)";
const CORE: &str = "crates/smpcall/src/";

/// Rows of the table in the document's text that name what is not there.
pub(super) fn check(path: &str, text: &str, sources: &[Source]) -> Vec<Breach> {
    if path != DOCUMENT {
        return Vec::new();
    }
    let mut section = (1..).zip(text.lines()).skip_while(|(_, line)| *line != HEADING);
    if section.next().is_none() {
        return vec![Breach::new(path, 1, format!("has no section `{HEADING}`"))];
    }
    let functions: BTreeSet<String> =
        sources.iter().flat_map(Source::functions).map(|function| function.name).collect();
    let rows = section.take_while(|(_, line)| !line.starts_with("## "));
    // The first two are the table's head.
    let rows = rows.filter(|(_, line)| line.starts_with('|')).skip(2);
    let mut breaches = Vec::new();
    let mut rows_len = 0;
    for (number, row) in rows {
        rows_len += 1;
        let whats = check_row(row, sources, &functions);
        breaches.extend(whats.into_iter().map(|what| Breach::new(path, number, what)));
    }
    if rows_len == 0 {
        breaches.push(Breach::new(path, 1, format!("`{HEADING}` has no rows")));
    }
    breaches
}

fn check_row(row: &str, sources: &[Source], functions: &BTreeSet<String>) -> Vec<String> {
    let cells: Vec<&str> = row.trim().trim_matches('|').split('|').map(str::trim).collect();
    let [_, ours, tests] = cells[..] else { return vec!["a row has three cells".to_owned()] };
    let items: Vec<(&str, &str)> = quoted(ours).filter_map(|item| item.split_once("::")).collect();
    let missing = items.iter().filter(|(of, name)| !is_public(sources, of, name));
    if tests == TO_COME {
        return match missing.count() {
            0 => {
                vec![format!("`{TO_COME}`: all that the row names is there, so a test that shows it is due")]
            }
            _ => Vec::new(),
        };
    }
    let mut whats: Vec<String> =
        missing.map(|(of, name)| format!("`{of}::{name}` is no public item of the core")).collect();
    if quoted(tests).next().is_none() {
        whats.push("a row names a test that shows it".to_owned());
    }
    let gone = quoted(tests).filter(|test| !functions.contains(*test));
    whats.extend(gone.map(|test| format!("there is no test `{test}`")));
    whats
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether the core has `of::name` for its users: a method, an item of a trait, or a variant.
fn is_public(sources: &[Source], of: &str, name: &str) -> bool {
    let has = |text: &str, words: &str| super::text::has_word(text, words);
    sources.iter().filter(|source| source.path.starts_with(CORE)).any(|source| {
        let text = &source.text;
        if has(text, &format!("pub unsafe trait {of}")) || has(text, &format!("pub trait {of}")) {
            has(text, &format!("fn {name}")) || has(text, &format!("const {name}"))
        } else if has(text, &format!("pub enum {of}")) {
            has(text, name)
        } else {
            let implements = text.lines().any(|line| line.starts_with("impl") && has(line, of));
            implements
                && ["pub fn", "pub const fn", "pub unsafe fn"]
                    .iter()
                    .any(|f| has(text, &format!("{f} {name}")))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(rows: &str) -> Vec<(usize, String)> {
        let source = |path: &str, text: &str| Source::parse(path, text.to_owned()).unwrap();
        let sources = [
            source(
                "crates/smpcall/src/a.rs",
                "impl<P> Smp<P> {\n pub fn post(&self) {}\n fn push(&self) {}\n}",
            ),
            source(
                "crates/smpcall/src/b.rs",
                "pub unsafe trait Platform {\n const A: u8;\n fn ring(&self);\n}",
            ),
            source("crates/smpcall/src/c.rs", "pub enum To {\n All,\n}"),
            source("crates/x/src/d.rs", "impl Smp {\n pub fn elsewhere() {}\n}"),
            source("crates/x/tests/e.rs", "#[test]\nfn p1_once() {}"),
        ];
        let text = format!("# A\n{HEADING}\n\n| a | b | c |\n|---|---|---|\n{rows}\n## B\n| x |\n");
        let found = check(DOCUMENT, &text, &sources);
        found.into_iter().map(|breach| (breach.line, breach.what)).collect()
    }

    #[test]
    fn what_is_there_passes() {
        let rows = "| `csd` | `Smp::post`, with `To::All`; `smpcall run` | `p1_once` |\n\
                    | x | `Platform::ring`, `Platform::A` | `p1_once`, `p1_once` |\n\
                    | x | one CPU | `p1_once` |\n| x | `Smp::later` | (merge) |";
        assert_eq!(breaches(rows), []);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for (row, part) in [
            ("| x | `Smp::push` | `p1_once` |", "`Smp::push`"),
            ("| x | `Smp::pos` | `p1_once` |", "`Smp::pos`"),
            ("| x | `Smp::elsewhere` | `p1_once` |", "`Smp::elsewhere`"),
            ("| x | `Smp::ring` | `p1_once` |", "`Smp::ring`"),
            ("| x | `Platform::B` | `p1_once` |", "`Platform::B`"),
            ("| x | `To::Some` | `p1_once` |", "`To::Some`"),
            ("| x | `Smp::post` | `p1_onc` |", "`p1_onc`"),
            ("| x | `Smp::post` | p1_once |", "names a test"),
            ("| x | `Smp::post` | (merge) |", "is due"),
            ("| x | `Smp::post` |", "three cells"),
        ] {
            let found = breaches(row);
            assert!(matches!(&found[..], [(6, what)] if what.contains(part)), "{row}: {found:?}");
        }
        assert_eq!(breaches("").len(), 1, "no rows");
        assert_eq!(check(DOCUMENT, "# A\n", &[]).len(), 1, "no section");
        assert_eq!(check("CAVEATS.md", "# A\n", &[]), []);
    }
}
