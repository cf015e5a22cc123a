//! The table "side by side": another kernel's layer, and ours in the same kernel.

use crate::sh;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::fs;

/// Theirs, and ours: a log, and the prefix of the lines in it that are results, `PREFIX NAME: FIGURE`.
type Columns<'a> = [(&'a str, &'a str); 2];

/// Prints the table, and writes it to the target folder.
pub(super) fn write(theirs: &str, columns: Columns<'_>, name: &str) -> Result<()> {
    let table = markdown(theirs, columns)?;
    print!("{table}");
    let path = sh::target_dir().join(format!("integrations/{name}-side-by-side.md"));
    fs::write(&path, table)?;
    println!("  table: {}", sh::shown(&path));
    Ok(())
}

/// The results of several runs as one log, each with its median; where a result has no figure, the last one's words.
pub(super) fn medians(logs: &[String], prefix: &str) -> String {
    let (mut order, mut rows) = (Vec::new(), BTreeMap::<&str, Vec<&str>>::new());
    for log in logs {
        let results = log.lines().filter_map(|line| line.trim_end().strip_prefix(prefix)?.split_once(": "));
        for (name, figure) in results {
            let row = rows.entry(name).or_insert_with(|| {
                order.push(name);
                Vec::new()
            });
            row.push(figure);
        }
    }
    let mut text = String::new();
    for name in order {
        text += &format!("{prefix}{name}: {}\n", median(&rows[name]));
    }
    text
}

/// Of one run it is that figure. Of several, the lowest and the highest stand behind it.
fn median(figures: &[&str]) -> String {
    let parsed = |figure: &&str| {
        figure.split_once(' ').and_then(|(number, unit)| Some((number.parse::<u64>().ok()?, unit.to_owned())))
    };
    let mut numbers: Vec<(u64, String)> = figures.iter().filter_map(parsed).collect();
    let units = numbers.iter().all(|(_, unit)| *unit == numbers[0].1);
    if figures.len() < 2 || numbers.len() < figures.len() || !units {
        return figures.last().map_or_else(String::new, |last| (*last).to_owned());
    }
    numbers.sort_unstable();
    let (median, unit) = &numbers[numbers.len() / 2];
    format!("{median} {unit} ({}–{})", numbers[0].0, numbers[numbers.len() - 1].0)
}

/// A row for each result of either; where only one has it, the other has a dash.
fn markdown(theirs: &str, columns: Columns<'_>) -> Result<String> {
    let (mut order, mut rows) = (Vec::new(), BTreeMap::new());
    for (column, (log, prefix)) in columns.into_iter().enumerate() {
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
    let mut text = format!("| | {theirs} | ours |\n|---|---|---|\n");
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
        let of = |theirs, ours| markdown("x", [(theirs, "ok "), (ours, "ok ")]);
        let table = of("ok a_b: 1 ns\nnoise\nok c: 2\n", "ok a_b: 3 ns\r\nok d: 4\n").unwrap();
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(rows, ["| a b | 1 ns | 3 ns |", "| c | 2 | - |", "| d | - | 4 |"]);
        assert!(of("ok a: 1\n", "ok b: 1\n").is_err());
    }

    #[test]
    fn several_runs_become_their_median_and_words_stay() {
        let logs = [
            "ok a: 9 ns\nok b: 1 ran\r\nok c: well",
            "ok a: 5 ns\nok b: 1 ran\nok c: done",
            "ok a: 7 ns\nok b: 1 ran",
        ];
        let logs = logs.map(str::to_owned);
        assert_eq!(medians(&logs, "ok "), "ok a: 7 ns (5–9)\nok b: 1 ran (1–1)\nok c: done\n");
        assert_eq!(medians(&logs[..1], "ok "), "ok a: 9 ns\nok b: 1 ran\nok c: well\n");
    }

    #[test]
    fn rows_of_both_come_together() {
        let of = |log| markdown("ostd 0.1", [(log, "ok theirs: "), (log, "ok ours: ")]);
        let table = of("ok ours: a_b: 1 ns\nnoise\nok ours: c: 2\nok theirs: a_b: 3 ns\r\n").unwrap();
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(rows, ["| a b | 3 ns | 1 ns |", "| c | - | 2 |"]);
        assert!(of("ok ours: a: 1\n").is_err());
    }
}
