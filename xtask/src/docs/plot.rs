//! The README's plot: what calls cost beside the best peer and the floor, as the first table of docs/peers.md has it. [`check`]
//! refuses a plot that is not of that table; [`draw`] makes it anew.

use crate::sh;
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::fs;

const FIGURES: &str = "docs/peers.md";
const PLOT: &str = "docs/pictures/cost.svg";
/// The head of the table, as `cargo xtask peers` prints it.
const HEAD: [&str; 8] =
    ["call", "target", "ours, ns", "floor, ns", "ours ÷ floor", "goal", "best peer", "ns"];

/// Where the bars begin, and how long the longest is.
const LEFT: f64 = 176.0;
const LONGEST: f64 = 420.0;
const ROW: f64 = 66.0;
const BAR: f64 = 15.0;

/// A row of the table that has a floor and a peer.
#[derive(Debug, PartialEq)]
struct Row {
    call: String,
    target: String,
    ours_ns: f64,
    /// Its name, and what it takes.
    floor: (String, f64),
    peer: (String, f64),
}

/// Refuses a plot of other figures.
pub(super) fn check() -> Result<()> {
    let plot = fs::read_to_string(sh::root().join(PLOT)).unwrap_or_default();
    ensure!(plot == made()?, "{PLOT} is not what {FIGURES} says: `cargo xtask docs --plot` draws it anew");
    Ok(())
}

/// Draws it.
pub(super) fn draw() -> Result<()> {
    let plot = made()?;
    fs::write(sh::root().join(PLOT), plot).with_context(|| format!("writing {PLOT}"))
}

fn made() -> Result<String> {
    let text = fs::read_to_string(sh::root().join(FIGURES)).with_context(|| format!("reading {FIGURES}"))?;
    let rows = rows(&text)?;
    ensure!(rows.len() >= 3, "{FIGURES} has {} rows with a floor and a peer", rows.len());
    Ok(svg(&rows))
}

fn rows(text: &str) -> Result<Vec<Row>> {
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut lines = text.lines().skip_while(|line| !cells(line).starts_with(&HEAD.map(str::to_owned)));
    lines.next().with_context(|| format!("{FIGURES} has no table that begins with {HEAD:?}"))?;
    let mut rows = Vec::new();
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let cells = cells(line);
        let floor = cells[3].rsplit_once(' ');
        // A row without a floor, or without anybody beside it, is in the table only.
        if let (Some((floor, floor_ns)), false) = (floor, cells[6].is_empty()) {
            let ns = |text: &str| text.parse::<f64>().with_context(|| format!("`{text}` in `{line}`"));
            rows.push(Row {
                call: cells[0].clone(),
                target: cells[1].clone(),
                ours_ns: ns(&cells[2])?,
                floor: (floor.to_owned(), ns(floor_ns)?),
                peer: (cells[6].clone(), ns(&cells[7])?),
            });
        }
    }
    Ok(rows)
}

/// One picture for both: it goes by what its reader prefers.
fn svg(rows: &[Row]) -> String {
    let height = rows.len() as f64 * ROW + 54.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {height}\" role=\"img\" aria-labelledby=\"t d\">\n\
         <title id=\"t\">What calls cost, beside the best peer and the floor</title>\n<desc id=\"d\">"
    );
    for row in rows {
        let (floor, floor_ns) = &row.floor;
        let (peer, peer_ns) = &row.peer;
        _ = write!(
            svg,
            "{}, target {}: {} ns; {peer} {peer_ns} ns; floor ({floor}) {floor_ns} ns. ",
            row.call, row.target, row.ours_ns
        );
    }
    svg += "</desc>\n<style>\n\
        text { font: 14px system-ui, sans-serif; fill: #1c2430 } .small { font-size: 12px; fill: #4a5568 }\n\
        .ours { fill: #2f6fc4 } .peer { fill: #b45309 } .floor { fill: #8a97a8 }\n\
        @media (prefers-color-scheme: dark) {\n\
        text { fill: #e6edf3 } .small { fill: #a9b4c0 } .ours { fill: #6aa8ff } .peer { fill: #f0a94b } .floor { fill: #64707f }\n}\n</style>\n";
    for (at, (class, what)) in
        [("ours", "smpcall"), ("peer", "the best peer"), ("floor", "the hardware's floor")]
            .into_iter()
            .enumerate()
    {
        let x = LEFT + at as f64 * 150.0;
        _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"8\" width=\"12\" height=\"12\"/><text x=\"{}\" y=\"19\">{what}</text>",
            x + 18.0
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let top = 34.0 + at as f64 * ROW;
        let longest = row.ours_ns.max(row.peer.1).max(row.floor.1);
        _ = writeln!(svg, "<text x=\"8\" y=\"{}\">{}</text>", top + 20.0, row.call);
        _ = writeln!(svg, "<text class=\"small\" x=\"8\" y=\"{}\">target {}</text>", top + 38.0, row.target);
        let bars = [
            ("ours", "smpcall", row.ours_ns),
            ("peer", &row.peer.0, row.peer.1),
            ("floor", &row.floor.0, row.floor.1),
        ];
        for (nth, (class, name, ns)) in bars.into_iter().enumerate() {
            let (y, width) = (top + nth as f64 * (BAR + 2.0), (LONGEST * ns / longest).max(1.0));
            _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/>"
            );
            _ = writeln!(
                svg,
                "<text class=\"small\" x=\"{:.1}\" y=\"{}\">{ns} ns, {name}</text>",
                LEFT + width + 6.0,
                y + 12.0
            );
        }
    }
    _ = writeln!(
        svg,
        "<text class=\"small\" x=\"8\" y=\"{}\">Medians of one run; shorter is better; each group has its own scale.</text>\n</svg>",
        height - 8.0
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "| a |\n\n| call | target | ours, ns | floor, ns | ours ÷ floor | goal | best peer | ns | ours ÷ it |\n|---|\n\
        | call | polling | 104.4 | line 55.6 | 1.95 | 1.25 | crossbeam | 290 | 0.41 |\n\
        | borrowing | polling | 201.3 | line 56.1 | 3.73 | 2 | | |  |\n\
        | long | parked | 29900.8 | | |  | kanal | 31670.3 | 0.974 |\n\nText.\n";

    #[test]
    fn rows_with_a_floor_and_a_peer_are_drawn() {
        let rows = rows(TABLE).unwrap();
        let floor = ("line".to_owned(), 55.6);
        let peer = ("crossbeam".to_owned(), 290.0);
        let row = Row { call: "call".into(), target: "polling".into(), ours_ns: 104.4, floor, peer };
        assert_eq!(rows, [row]);
        let plot = svg(&rows);
        assert!(
            plot.contains("width=\"420.0\"")
                && plot.contains("width=\"151.2\"")
                && plot.contains("290 ns, crossbeam")
        );
        assert!(super::rows("no table").is_err() && super::rows(&TABLE.replace("104.4", "much")).is_err());
    }
}
