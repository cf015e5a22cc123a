//! The table "side by side", from the logs of two guests.

use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// A row for each result of either log, `ok NAME: FIGURE`. Where only one has it, the other has a dash.
pub(super) fn markdown(theirs: &str, ours: &str) -> Result<String> {
    let (mut order, mut rows) = (Vec::new(), BTreeMap::new());
    for (column, log) in [theirs, ours].into_iter().enumerate() {
        let results = log.lines().filter_map(|line| line.trim_end().strip_prefix("ok ")?.split_once(": "));
        for (name, figure) in results {
            let row = rows.entry(name).or_insert_with(|| {
                order.push(name);
                ["-", "-"]
            });
            row[column] = figure;
        }
    }
    if !rows.values().any(|row| !row.contains(&"-")) {
        bail!("the two logs have no row in common");
    }
    let mut text = "| | axipi 0.3.0-preview.3 | ours |\n|---|---|---|\n".to_owned();
    for name in order {
        let [theirs, ours] = rows[name];
        text += &format!("| {} | {theirs} | {ours} |\n", name.replace('_', " "));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_come_together_and_logs_of_different_runs_do_not() {
        let table = markdown("ok a_b: 1 ns\nnoise\nok c: 2\n", "ok a_b: 3 ns\r\nok d: 4\n").unwrap();
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(rows, ["| a b | 1 ns | 3 ns |", "| c | 2 | - |", "| d | - | 4 |"]);
        assert!(markdown("ok a: 1\n", "ok b: 1\n").is_err());
    }
}
