//! Every ordering of the core that is stronger than relaxed has an entry in the table of mutants: a check that fails
//! without it, or the reason why none can.

use super::Breach;
use super::orderings::is_shim;
use super::scan::Source;
use crate::mutants::table::{PATH, Table};
use std::path::Path;

/// The uncovered orderings of the core, and entries that are stale.
pub(super) fn check(root: &Path, table: &Table, sources: &[Source]) -> Vec<Breach> {
    let mut breaches: Vec<Breach> =
        table.faults(root).into_iter().map(|what| Breach::new(PATH, 1, what)).collect();
    for source in sources.iter().filter(|source| is_covered_here(source)) {
        let regions: Vec<_> = table
            .mutants
            .iter()
            .filter(|mutant| mutant.file == source.path)
            .filter_map(|mutant| mutant.lines(&source.text))
            .collect();
        for access in source.accesses().into_iter().filter(|access| !access.in_tests) {
            for (ordering, line) in access.orderings.iter().filter(|(ordering, _)| ordering != "Relaxed") {
                if !regions.iter().any(|region| region.contains(line)) {
                    let what = format!(
                        "no mutant weakens this {ordering} of `{}` (xtask/mutants.toml)",
                        access.name
                    );
                    breaches.push(Breach::new(&source.path, *line, what));
                }
            }
        }
    }
    breaches
}

fn is_covered_here(source: &Source) -> bool {
    source.path.starts_with("crates/smpcall/src/") && !is_shim(&source.path) && !source.is_tests()
}
