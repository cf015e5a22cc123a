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
