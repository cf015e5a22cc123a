//! Reads the log of a run, as [`Lines`](crate::Lines) writes it, and says whether the run may be called passed.
//!
//! A harness that passes when the machine hangs is a defect. So a log passes only if it says how many cases there are,
//! then reports exactly as many, each once, none of them failed, and then says by itself that this was the end, with the
//! same figures. Whatever else is on the console, in between too, is passed over.

use crate::report::{PREFIX, Summary};
use core::fmt;

/// Why a log is not that of a run that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFault<'a> {
    /// No line says how many cases there are: the run never began.
    NotAnnounced,
    /// A second run begins before the first has ended, or after: the machine was started anew.
    AnnouncedTwice,
    /// A case is reported before the announcement, or after the end.
    OutOfPlace {
        /// Its name.
        name: &'a str,
    },
    /// A case is reported twice.
    Repeated {
        /// Its name.
        name: &'a str,
    },
    /// The run gave up; the rest of that line.
    Aborted {
        /// In which case, and why.
        line: &'a str,
    },
    /// No line says that the run has ended: it hung, or died.
    NoEnd {
        /// The last case that came to an end, if any.
        last: Option<&'a str>,
        /// The case that had begun by then, if the reporter said so: the one to look at.
        begun: Option<&'a str>,
    },
    /// Not as many cases are reported as were announced.
    Missing {
        /// How many were announced.
        announced: u32,
        /// How many were reported.
        reported: u32,
    },
    /// The figures of the last line are not those of the lines before.
    Miscounted {
        /// What the lines come to.
        counted: Summary,
    },
    /// Cases failed.
    Failed {
        /// The first of them: name and reason.
        first: &'a str,
        /// How many.
        failed: u32,
    },
    /// Every case was skipped: nothing was tested.
    NothingPassed,
}

impl fmt::Display for LogFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnnounced => write!(f, "the run never began: no case was announced"),
            Self::AnnouncedTwice => write!(f, "two runs in one log"),
            Self::OutOfPlace { name } => write!(f, "{name} is reported outside of the run"),
            Self::Repeated { name } => write!(f, "{name} is reported twice"),
            Self::Aborted { line } => write!(f, "the run gave up: {line}"),
            Self::NoEnd { begun: Some(begun), .. } => {
                write!(f, "the run did not end: {begun} began, and then nothing")
            }
            Self::NoEnd { last: Some(last), .. } => write!(f, "the run did not end: nothing after {last}"),
            Self::NoEnd { last: None, .. } => write!(f, "the run did not end: no case was reported"),
            Self::Missing { announced, reported } => {
                write!(f, "{announced} cases were announced, {reported} reported")
            }
            Self::Miscounted { counted } => {
                write!(f, "the last line is at odds with those before: {counted}")
            }
            Self::Failed { first, failed } => write!(f, "{failed} cases failed; the first: {first}"),
            Self::NothingPassed => write!(f, "nothing was tested"),
        }
    }
}

impl core::error::Error for LogFault<'_> {}

/// One line of a log, if it is one of ours.
enum Line<'a> {
    Announced(u32),
    Begun(&'a str),
    Passed(&'a str),
    Failed(&'a str, &'a str),
    Skipped(&'a str),
    Aborted(&'a str),
    End(&'a str),
}

/// Checks the log of one run.
///
/// # Errors
///
/// [`LogFault`], the first that is found.
///
/// ```
/// use smpcall_conformance::{LogFault, check_log};
///
/// let log = "boot...\nsmpcall conformance: 2 cases\nok p1_a\nskipped p1_b: needs 2 CPUs\n";
/// assert_eq!(check_log(log), Err(LogFault::NoEnd { last: Some("p1_b"), begun: None }));
/// let log = format!("{log}smpcall conformance: end, 1 passed, 0 failed, 1 skipped\n");
/// assert_eq!(check_log(&log).map(|summary| summary.passed), Ok(1));
/// ```
pub fn check_log(log: &str) -> Result<Summary, LogFault<'_>> {
    let mut announced = None;
    let mut counted = Summary::default();
    let mut first_failed = None;
    let mut end = None;
    let (mut last, mut begun) = (None, None);
    for (at, line) in lines(log) {
        let name = match line {
            Line::Announced(total) => match announced.replace(total) {
                None => continue,
                Some(_) => return Err(LogFault::AnnouncedTwice),
            },
            Line::Begun(name) => {
                begun = Some(name);
                continue;
            }
            Line::Aborted(line) => return Err(LogFault::Aborted { line }),
            Line::End(figures) => {
                if end.replace(figures).is_some() {
                    return Err(LogFault::AnnouncedTwice);
                }
                continue;
            }
            Line::Passed(name) => {
                counted.passed += 1;
                name
            }
            Line::Failed(name, whole) => {
                counted.failed += 1;
                first_failed.get_or_insert(whole);
                name
            }
            Line::Skipped(name) => {
                counted.skipped += 1;
                name
            }
        };
        if announced.is_none() || end.is_some() {
            return Err(LogFault::OutOfPlace { name });
        }
        if lines(log).any(|(other, line)| other < at && name_of(&line) == Some(name)) {
            return Err(LogFault::Repeated { name });
        }
        last = Some(name);
        begun = None;
    }
    let announced = announced.ok_or(LogFault::NotAnnounced)?;
    let end = end.ok_or(LogFault::NoEnd { last, begun })?;
    let reported = counted.reported();
    if reported != announced {
        return Err(LogFault::Missing { announced, reported });
    }
    if !is_said(end, counted) {
        return Err(LogFault::Miscounted { counted });
    }
    match first_failed {
        Some(first) => Err(LogFault::Failed { first, failed: counted.failed }),
        None if counted.passed == 0 => Err(LogFault::NothingPassed),
        None => Ok(counted),
    }
}

/// Whether `figures` says what was counted.
fn is_said(figures: &str, counted: Summary) -> bool {
    use fmt::Write;
    let mut want = crate::text::Text::<80>::new();
    write!(want, "{counted}").is_ok() && want.as_str() == figures
}

fn name_of<'a>(line: &Line<'a>) -> Option<&'a str> {
    match line {
        Line::Passed(name) | Line::Failed(name, _) | Line::Skipped(name) => Some(name),
        Line::Announced(_) | Line::Begun(_) | Line::Aborted(_) | Line::End(_) => None,
    }
}

/// The lines that are ours, each with its number.
fn lines(log: &str) -> impl Iterator<Item = (usize, Line<'_>)> {
    log.lines().enumerate().filter_map(|(at, line)| Some((at, read(line.trim())?)))
}

fn read(line: &str) -> Option<Line<'_>> {
    // Firmware leaves control characters in front of the first line that it does not write itself.
    if let Some((_, rest)) = line.split_once(PREFIX) {
        if let Some(figures) = rest.strip_prefix("end, ") {
            return Some(Line::End(figures));
        }
        if let Some(rest) = rest.strip_prefix("aborted in ") {
            return Some(Line::Aborted(rest));
        }
        return rest.strip_suffix(" cases")?.parse().ok().map(Line::Announced);
    }
    let (word, rest) = line.split_once(' ')?;
    let (name, _) = rest.split_once(": ").unwrap_or((rest, ""));
    let is_name = name.starts_with('p')
        && name[1..].starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
    match word {
        "begin" if is_name => Some(Line::Begun(name)),
        "ok" if is_name => Some(Line::Passed(name)),
        "FAILED" if is_name => Some(Line::Failed(name, rest)),
        "skipped" if is_name => Some(Line::Skipped(name)),
        _ => None,
    }
}
