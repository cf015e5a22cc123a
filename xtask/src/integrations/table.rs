//! The table "side by side": another kernel's layer, and ours in the same kernel.

use crate::sh;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::fs;

/// Theirs, and ours: a log, and the prefix of the lines in it that are results, `PREFIX NAME: FIGURE`.
type Columns<'a> = [(&'a str, &'a str); 2];

/// What ours is held to, in the row of that name.
pub(super) type Goal = (&'static str, Bar);

#[derive(Clone, Copy)]
pub(super) enum Bar {
    /// At most so much of theirs.
    Share(f64),
    /// Nothing at all.
    Nothing,
}

/// Prints the table, and writes it to the target folder.
pub(super) fn write(theirs: &str, columns: Columns<'_>, name: &str) -> Result<()> {
    print_and_keep(&markdown(theirs, columns)?, name)
}

/// As `write`, with the goals, and whether each is reached. One that is missed is no failure: the table says so.
pub(super) fn write_with_goals(theirs: &str, columns: Columns<'_>, goals: &[Goal], name: &str) -> Result<()> {
    print_and_keep(&with_goals(&markdown(theirs, columns)?, goals)?, name)
}

fn print_and_keep(table: &str, name: &str) -> Result<()> {
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

/// Two columns more: ours as a share of theirs, and the goal.
fn with_goals(table: &str, goals: &[Goal]) -> Result<String> {
    let mut left = goals.to_vec();
    let mut text = String::new();
    for (at, line) in table.lines().enumerate() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let more = match (at, &cells[..]) {
            (0, _) => "ours / theirs | goal |".to_owned(),
            (1, _) => "---|---|".to_owned(),
            (_, [_, row, theirs, ours, _]) => {
                let goal = left.iter().position(|(name, _)| name == row).map(|at| left.swap_remove(at).1);
                let share = share(theirs, ours);
                let shown = share.map_or_else(|| "-".to_owned(), |share| format!("{share:.2}"));
                format!(
                    "{shown} | {} |",
                    goal.map_or_else(|| Ok("-".to_owned()), |goal| judged(goal, share, ours))?
                )
            }
            _ => bail!("not a row: {line}"),
        };
        let space = if at == 1 { "" } else { " " };
        text += &format!("{line}{space}{more}\n");
    }
    match left.first() {
        Some((name, _)) => bail!("there is a goal for `{name}`, and no such row"),
        None => Ok(text),
    }
}

/// The goal, and whether it is reached.
fn judged(goal: Bar, share: Option<f64>, ours: &str) -> Result<String> {
    let (goal, reached) = match (goal, share, number(ours)) {
        (Bar::Share(most), Some(share), _) => (format!("≤ {most}"), share <= most),
        (Bar::Nothing, _, Some((ours, _))) => ("0".to_owned(), ours == 0),
        _ => bail!("there is a goal for `{ours}`, which is not measured on both sides"),
    };
    Ok(format!("{goal}: {}", if reached { "reached" } else { "missed" }))
}

/// How much of theirs ours is, if both are figures of one unit, and theirs is not nothing.
fn share(theirs: &str, ours: &str) -> Option<f64> {
    let ((theirs, unit), (ours, same)) = (number(theirs)?, number(ours)?);
    (unit == same && theirs > 0).then(|| ours as f64 / theirs as f64)
}

/// `FIGURE UNIT`, whatever stands behind it.
fn number(figure: &str) -> Option<(u64, &str)> {
    let mut words = figure.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged_and_one_without_a_row_is_an_error() {
        let logs = (
            "ok a: 10 ns (9–11)\nok b: 10 ns\nok c: 0 bytes\n",
            "ok a: 8 ns (7–12)\nok b: 9 ns\nok c: 0 bytes\nok d: 1 ns\n",
        );
        let table = markdown("x", [(logs.0, "ok "), (logs.1, "ok ")]).unwrap();
        let goals = [("a", Bar::Share(0.8)), ("b", Bar::Share(0.8)), ("c", Bar::Nothing)];
        let held = with_goals(&table, &goals).unwrap();
        let rows: Vec<_> = held.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "|---|---|---|---|---|",
                "| a | 10 ns (9–11) | 8 ns (7–12) | 0.80 | ≤ 0.8: reached |",
                "| b | 10 ns | 9 ns | 0.90 | ≤ 0.8: missed |",
                "| c | 0 bytes | 0 bytes | - | 0: reached |",
                "| d | - | 1 ns | - | - |",
            ]
        );
        assert!(with_goals(&table, &[("e", Bar::Nothing)]).is_err());
        assert!(with_goals(&table, &[("d", Bar::Share(1.0))]).is_err());
    }

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
