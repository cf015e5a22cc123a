//! Where results go: lines to standard output, complaints to standard error, JSON files, and a bar.
//!
//! | module | what it is |
//! |---|---|
//! | [`text`] | a line on standard output or standard error; what becomes of it where nobody reads |
//! | [mod@file] | a file that is written whole or not at all |
//!
//! Nothing else in the command prints: `println!` panics where its reader has gone, and clippy refuses it here.

mod file;
mod text;

pub(crate) use file::{Folder, JsonFile};
pub(crate) use text::{ClosedPipe, complain, complain_line, line, printed, say};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error; hidden where that is no terminal. It has no thread of its own, which would disturb what is
/// measured: it is drawn when it is moved.
pub(crate) fn progress(len: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{msg:24} [{bar:40}] {percent:>3} %").expect("a constant template");
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(what.to_owned());
    bar
}

/// A table without lines. A column whose cells are numbers, or empty, stands to the right.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header).add_rows(rows);
    for column in 0..N {
        let mut cells = table.row_iter().filter_map(|row| row.cell_iter().nth(column));
        let is_number = cells.all(|cell| cell.content().is_empty() || cell.content().parse::<f64>().is_ok());
        let column = table.column_mut(column).expect("one of the header's");
        column.set_padding((0, 2));
        if is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// `1 CPU`, `2 CPUs`.
pub(crate) fn count_of(number: impl Into<u64>, one: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_several() {
        assert_eq!([0_u64, 1, 2].map(|number| count_of(number, "CPU")), ["0 CPUs", "1 CPU", "2 CPUs"]);
    }
}
