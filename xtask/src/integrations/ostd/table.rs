//! The table "side by side", from the log of one guest: `ok theirs: ROW: FIGURE`, `ok ours: ROW: FIGURE`.

use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// A row for each; where only one layer has it, the other has a dash.
pub(super) fn markdown(version: &str, log: &str) -> Result<String> {
    let (mut order, mut rows) = (Vec::new(), BTreeMap::new());
    for (column, prefix) in ["ok theirs: ", "ok ours: "].into_iter().enumerate() {
        let results = log.lines().filter_map(|line| line.trim_end().strip_prefix(prefix)?.split_once(": "));
        for (name, figure) in results {
            let row = rows.entry(name).or_insert_with(|| {
                order.push(name);
                ["-", "-"]
            });
            row[column] = figure;
        }
    }
    if !rows.values().any(|row| !row.contains(&"-")) {
        bail!("the two layers have no row in common");
    }
    let mut text = format!("| | ostd {version} | ours |\n|---|---|---|\n");
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
    fn rows_of_both_come_together() {
        let log = "ok ours: a_b: 1 ns\nnoise\nok ours: c: 2\nok theirs: a_b: 3 ns\r\n";
        let table = markdown("0.1", log).unwrap();
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(rows, ["| a b | 3 ns | 1 ns |", "| c | - | 2 |"]);
        assert!(markdown("0.1", "ok ours: a: 1\n").is_err());
    }
}
