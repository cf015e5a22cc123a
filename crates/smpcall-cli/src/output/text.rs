//! Lines. Standard output may be a pipe whose reader has gone, or a disk that is full: then a line is an error, and the
//! command ends with it. Standard error is where errors are told, so nobody can be told of one there.

use anyhow::{Context, Result};
use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Prints a line to standard output: `say!("…")?`.
macro_rules! say {
    ($($argument:tt)*) => { $crate::output::line(format_args!($($argument)*)) };
}

/// Prints a line to standard error, if it can.
macro_rules! complain {
    ($($argument:tt)*) => { $crate::output::complain_line(format_args!($($argument)*)) };
}

pub(crate) use {complain, say};

/// Whoever read standard output has gone: there is nobody to print to. No fault of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClosedPipe;

impl fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for ClosedPipe {}

/// What `say!` calls.
pub(crate) fn line(line: fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    printed(writeln!(out, "{line}").and_then(|()| out.flush()))
}

/// What became of something that was printed, with standard output named.
pub(crate) fn printed(outcome: io::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ClosedPipe.into()),
        outcome => outcome.context("cannot write to standard output"),
    }
}

/// What `complain!` calls.
pub(crate) fn complain_line(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_told_from_a_disk_that_is_full() {
        let closed = printed(Err(ErrorKind::BrokenPipe.into())).unwrap_err();
        assert!(closed.is::<ClosedPipe>() && closed.context("more").is::<ClosedPipe>());
        let full = printed(Err(ErrorKind::StorageFull.into())).unwrap_err();
        assert!(!full.is::<ClosedPipe>());
        assert!(format!("{full:#}").starts_with("cannot write to standard output: "), "{full:#}");
        assert!(printed(Ok(())).is_ok());
    }
}
