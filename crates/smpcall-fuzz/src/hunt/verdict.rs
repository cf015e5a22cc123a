//! What a process came to: read from how it ended, and from what it wrote.

use crate::judge::{ALLOWED_END, COMPLAINT};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How many lines of a report are shown.
const LINES: usize = 45;

#[derive(Debug)]
pub(super) enum Outcome {
    Passed,
    /// It did what it must not, and its process ended for that, as it may.
    EndedEarly,
    Failed(Failure),
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What shrinking keeps to.
    pub(super) class: String,
    /// What tells it from others of its class.
    detail: String,
    text: String,
}

impl Failure {
    pub(super) fn of_ours(what: &str) -> Self {
        Self { class: what.to_owned(), detail: String::new(), text: String::new() }
    }

    /// Two failures of one kind are shown once.
    pub(super) fn kind(&self) -> String {
        format!("{}{}{}", self.class, if self.detail.is_empty() { "" } else { ": " }, self.detail)
    }

    /// The report's lines that say most.
    pub(super) fn excerpt(&self) -> String {
        let start =
            self.text.lines().position(|line| line.contains("fuzz: ") || line.contains("Sanitizer: "));
        let lines: Vec<&str> = self.text.lines().skip(start.unwrap_or(0)).take(LINES).collect();
        lines.join("\n")
    }
}

/// What a process said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// That a program ended.
    Ended,
    /// That one began.
    Begun,
    /// That one began of which only memory is judged.
    BegunForMemory,
}

/// The exit code of a panic, and the signal of an abort.
const PANICKED: i32 = 101;
const ABORTED: i32 = 6;

/// Judges a process.
pub(super) fn judge(status: ExitStatus, text: &str, last: Last) -> Outcome {
    let fail = |class: &str, detail: String| {
        Outcome::Failed(Failure { class: class.to_owned(), detail, text: text.to_owned() })
    };
    // What comes first counts: a process that ends itself in the middle of things may be told off for that as well.
    let first = text.lines().find(|line| line.contains("Sanitizer: ") || line.starts_with("fuzz: "));
    if let Some(line) = first.filter(|line| line.contains("Sanitizer: ")) {
        let (_, what) = line.split_once("Sanitizer: ").unwrap_or_default();
        let what = what.split(" on ").next().unwrap_or_default().split(" (").next().unwrap_or_default();
        return fail("sanitizer", format!("{what} in {}", frame(text)));
    }
    if last == Last::BegunForMemory
        && (status.code() == Some(PANICKED) || status.signal() == Some(ABORTED))
        && !text.contains("overflowed its stack")
    {
        return Outcome::EndedEarly;
    }
    match status.code() {
        Some(0) if last == Last::Ended => Outcome::Passed,
        Some(ALLOWED_END) => Outcome::EndedEarly,
        Some(COMPLAINT) => {
            let line = text.lines().find_map(|line| line.strip_prefix("fuzz: ")).unwrap_or("a complaint");
            let (rule, what) = line.split_once(": ").unwrap_or((line, ""));
            match rule {
                "hang" => fail("hang", stuck(text)),
                "panic" => fail(&format!("panic: {}", without_numbers(what)), String::new()),
                "memory" => fail("memory", without_numbers(what.split(": ").next().unwrap_or_default())),
                _ => fail(rule, without_numbers(what)),
            }
        }
        Some(code) => fail("exit code", format!("{code}: {}", last_line(text))),
        None => {
            let signal = status.signal().unwrap_or_default();
            fail(&format!("signal {signal}"), last_line(text))
        }
    }
}

/// The first function of the library that the report names.
fn frame(text: &str) -> String {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix('#')?.split_once(' '));
    let name = |rest: &str| -> Option<String> {
        let rest = rest.trim();
        let rest = rest.split_once(" in ").map_or(rest, |(_, rest)| rest);
        let ours =
            rest.contains("smpcall") && !rest.contains("smpcall_fuzz") && !rest.starts_with("<smpcall_fuzz");
        ours.then(|| without_hash(rest))
    };
    names.map(|(_, rest)| rest).find_map(name).unwrap_or_else(|| "none of the library's functions".to_owned())
}

/// A function's name without its types, its hash and its place.
fn without_hash(frame: &str) -> String {
    let mut depth = 0_u32;
    let mut name = String::new();
    for c in frame.chars() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => break,
            _ if depth == 0 => name.push(c),
            _ => {}
        }
    }
    let name = name.split("::h").next().unwrap_or_default();
    let parts: Vec<&str> = name.rsplit("::").filter(|part| !part.is_empty()).take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("::")
}

/// What threads were in, innermost.
fn stuck(text: &str) -> String {
    let lines = text.lines().filter(|line| line.starts_with("fuzz-doing: "));
    let steps: BTreeSet<&str> = lines
        .filter_map(|line| line.rsplit_once("] ").map(|(_, step)| step))
        .filter(|step| *step != "serving at its end")
        .collect();
    steps.into_iter().collect::<Vec<_>>().join(" + ")
}

fn last_line(text: &str) -> String {
    without_numbers(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing was said"))
}

fn without_numbers(text: &str) -> String {
    let mut short = String::new();
    // A place in a source is kept.
    let (text, place) = text.split_once(" at crates/").unwrap_or((text, ""));
    for c in text.chars() {
        match c {
            '0'..='9' if short.ends_with('#') => {}
            '0'..='9' => short.push('#'),
            _ => short.push(c),
        }
    }
    if !place.is_empty() {
        short.push_str(" at ");
        short.push_str(place.split(" (after").next().unwrap_or_default());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: i32, text: &str) -> String {
        match judge(ExitStatus::from_raw(code), text, Last::Ended) {
            Outcome::Failed(failure) => failure.kind(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_a_process_wrote_tells_its_failures_apart() {
        assert_eq!(kind(0, "whatever"), "Passed");
        assert_eq!(kind(ALLOWED_END << 8, "fuzz: allowed: hang"), "EndedEarly");
        let asan = "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1 at pc\n    \
                    #0 0x5 in core::ptr::read /x.rs:1\n    \
                    #1 0x6 in smpcall::smp::blocking::<impl smpcall::smp::Smp<P, S>>::run_one::h12 /y.rs:3";
        assert_eq!(kind(1 << 8, asan), "sanitizer: heap-use-after-free in blocking::run_one");
        let hang = "fuzz: hang: not done after 30s\nfuzz-doing: thread 1: [3] call > [5] shutdown\n\
                    fuzz-doing: thread 2: [1] serving at its end\n";
        assert_eq!(kind(COMPLAINT << 8, hang), "hang: shutdown");
        let panic = "fuzz: panic: `CPU 12 is` at crates/smpcall/src/a.rs:30 (after `x 3`)";
        assert_eq!(kind(COMPLAINT << 8, panic), "panic: `CPU # is` at smpcall/src/a.rs:30");
        assert_eq!(kind(6, "thread 3 overflowed"), "signal 6: thread # overflowed");
    }

    #[test]
    fn a_process_that_ends_before_its_programs_do_has_failed() {
        assert!(matches!(judge(ExitStatus::from_raw(0), "", Last::Begun), Outcome::Failed(_)));
        assert!(matches!(judge(ExitStatus::from_raw(6), "", Last::BegunForMemory), Outcome::EndedEarly));
        assert!(matches!(judge(ExitStatus::from_raw(11), "", Last::BegunForMemory), Outcome::Failed(_)));
    }
}
