//! Bugs that others had, as mutants: the table "Real bugs" of docs/evidence.md says whose they are and which mutants stand for them, and
//! each of those says so too, by `bug` in the table of mutants. A mutant of a model for spin is named by its model.

use super::table::Table;
use crate::spin;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOCUMENT: &str = "docs/evidence.md";
const HEADING: &str = "## Real bugs";

/// Where the document and the tables of mutants do not agree; a line each.
pub(super) fn faults(root: &Path, table: &Table) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(DOCUMENT)).context(DOCUMENT)?;
    Ok(compare(&text, table, &spin::mutants(root)?))
}

fn compare(text: &str, table: &Table, of_models: &BTreeSet<String>) -> Vec<String> {
    let section = text.lines().skip_while(|line| *line != HEADING).skip(1);
    let rows = section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| "));
    let (mut faults, mut named) = (Vec::new(), BTreeSet::new());
    // The first is the table's head.
    for row in rows.skip(1) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [source, _, mutants] = cells[..] else {
            faults.push(format!("{DOCUMENT}: a bug has three cells: {row}"));
            continue;
        };
        let ids: Vec<&str> = mutants.split('`').skip(1).step_by(2).collect();
        if ids.is_empty() {
            faults.push(format!("{DOCUMENT}: no mutant stands for {source}"));
        }
        for id in ids {
            named.insert(id);
            let mutant = table.mutants.iter().find(|mutant| mutant.id == id);
            let fits =
                mutant.and_then(|mutant| mutant.bug.as_deref()).is_some_and(|bug| source.contains(bug));
            if !fits && !of_models.contains(id) {
                faults.push(format!("{DOCUMENT}: no mutant `{id}` whose `bug` is {source}"));
            }
        }
    }
    let unnamed = table.mutants.iter().filter(|mutant| mutant.bug.is_some() && !named.contains(&*mutant.id));
    faults.extend(unnamed.map(|mutant| format!("{DOCUMENT}: {HEADING} leaves out `{}`", mutant.id)));
    if named.is_empty() {
        faults.push(format!("{DOCUMENT}: `{HEADING}` has no rows"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_and_the_tables_agree() {
        let root = crate::sh::root();
        assert_eq!(faults(&root, &Table::read(&root).unwrap()).unwrap(), [""; 0]);
    }

    #[test]
    fn what_one_of_them_leaves_out_is_a_fault() {
        let entry = "[[mutant]]\nid = \"a\"\nfile = \"a.rs\"\nfind = \"x\"\nreplace = \"y\"\ncaught_by = \"loom:m\"\n\
            why = \"it breaks\"\nbug = \"tokio #1\"\n";
        let table = Table::parse(entry).unwrap();
        let models = BTreeSet::from(["spin sleep M".to_owned()]);
        let text =
            |rows: &str| format!("# E\n\n{HEADING}\n\n| source | bug | mutants |\n|---|---|---|\n{rows}");
        let good = "| tokio #1, 2026 | it hangs | `a`, `spin sleep M` |\n";
        assert_eq!(compare(&text(good), &table, &models), [""; 0]);
        for (rows, what) in [
            (good.replace("tokio #1", "tokio #2"), "no mutant `a` whose `bug` is tokio #2, 2026"),
            (good.replace("sleep M", "sleep N"), "no mutant `spin sleep N`"),
            (good.replace("`a`, ", ""), "leaves out `a`"),
            (good.replace("`", ""), "no mutant stands for"),
            (good.replace("| it hangs", ""), "three cells"),
            (String::new(), "has no rows"),
        ] {
            let faults = compare(&text(&rows), &table, &models);
            assert!(faults.iter().any(|fault| fault.contains(what)), "{what}: {faults:?}");
        }
    }
}
