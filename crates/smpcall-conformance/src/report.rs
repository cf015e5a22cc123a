//! What is said of a run, and to whom.

use crate::text::Text;
use core::fmt;
use core::panic::Location;

/// The first thing that went wrong in a case.
///
/// Example: [`Reporter`].
#[derive(Clone, Copy)]
pub struct Failure {
    pub(crate) message: &'static str,
    pub(crate) detail: Text<160>,
    pub(crate) at: &'static Location<'static>,
    pub(crate) cpu: Option<u32>,
}

impl Failure {
    /// Returns what was to be the case and was not.
    pub fn message(&self) -> &'static str {
        self.message
    }

    /// Returns what was found in its place; empty if the message says it all.
    pub fn detail(&self) -> &str {
        self.detail.as_str()
    }

    /// Returns which line of which case found it.
    pub fn location(&self) -> &'static Location<'static> {
        self.at
    }

    /// Returns which CPU found it; `None`: a thread that is no CPU.
    pub fn cpu(&self) -> Option<u32> {
        self.cpu
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)?;
        if !self.detail().is_empty() {
            write!(f, ": {}", self.detail())?;
        }
        let path = self.at.file();
        let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
        write!(f, " ({file}:{}", self.at.line())?;
        match self.cpu {
            Some(cpu) => write!(f, ", on CPU {cpu})"),
            None => write!(f, ", on no CPU)"),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What became of a case.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// All that was checked held, and something was checked.
    Passed,
    /// Something did not hold; the first of it.
    Failed(&'a Failure),
    /// It asks for something that this platform does not have.
    Skipped(&'a str),
}

/// How many cases came to what.
///
/// Example: [`Reporter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Cases that passed.
    pub passed: u32,
    /// Cases that failed.
    pub failed: u32,
    /// Cases that ask for something that this platform does not have.
    pub skipped: u32,
}

impl Summary {
    pub(crate) fn count(&mut self, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }

    /// Returns how many cases came to an end.
    pub fn reported(&self) -> u32 {
        self.passed + self.failed + self.skipped
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Is told of a run, by CPU 0, in thread context.
///
/// ```
/// use smpcall_conformance::{Failure, Outcome, Reporter, Summary};
///
/// /// For a person: failures only, and how many there were.
/// #[derive(Default)]
/// struct Short { announced: u32, last: String }
///
/// impl Reporter for Short {
///     fn announce(&mut self, total: u32) { self.announced = total; }
///     fn begin(&mut self, name: &str) { self.last = name.to_owned(); } // where it hangs, if it does
///     fn case(&mut self, name: &str, outcome: Outcome<'_>) {
///         if let Outcome::Failed(failure) = outcome {
///             println!("{name}: {}, found {:?} by CPU {:?}", failure.message(), failure.detail(), failure.cpu());
///             println!("  in {}", failure.location());
///         }
///     }
///     fn end(&mut self, summary: Summary) {
///         assert_eq!(summary.reported(), self.announced, "a case is missing");
///         println!("{summary}");
///     }
///     fn aborted(&mut self, name: &str, failure: &Failure) { println!("given up in {name}: {failure}"); }
/// }
///
/// let mut short = Short::default();
/// short.announce(1); // as a run does
/// short.begin("p1_a_post_runs_once_on_the_cpu_it_names");
/// short.case("p1_a_post_runs_once_on_the_cpu_it_names", Outcome::Passed);
/// assert_eq!(short.last, "p1_a_post_runs_once_on_the_cpu_it_names");
/// ```
pub trait Reporter {
    /// A run begins: so many cases will be reported.
    fn announce(&mut self, total: u32);

    /// A case begins. It is the one to look at if nothing more is heard: a waiting call has no end of its own.
    fn begin(&mut self, name: &str) {
        let _ = name;
    }

    /// A case has come to an end on every CPU.
    fn case(&mut self, name: &str, outcome: Outcome<'_>);

    /// All cases have come to an end.
    fn end(&mut self, summary: Summary);

    /// The run cannot go on, and no end will follow: some CPU did not come out of this case.
    fn aborted(&mut self, name: &str, failure: &Failure);
}

/// What opens the first and the last line of a run.
pub(crate) const PREFIX: &str = "smpcall conformance: ";

/// Writes a run as lines of text, for a console that a script reads: [`check_log`](crate::check_log) is that script.
///
/// ```text
/// smpcall conformance: 3 cases
/// begin p1_a_post_runs_once_on_the_cpu_it_names
/// ok p1_a_post_runs_once_on_the_cpu_it_names
/// begin p9_posted_from_an_nmi
/// skipped p9_posted_from_an_nmi: there is no NMI to post from
/// begin p7_a_chain_rings_once
/// FAILED p7_a_chain_rings_once: doorbells for a chain: got 2, want 1 (doorbell.rs:120, on CPU 0)
/// smpcall conformance: end, 1 passed, 1 failed, 1 skipped
/// ```
#[derive(Debug)]
pub struct Lines<W>(pub W);

// A line that cannot be written is missing from the log, and then `check_log` refuses the log: it announces what it will
// hold. So the errors of the writer need no answer here.
impl<W: fmt::Write> Reporter for Lines<W> {
    fn announce(&mut self, total: u32) {
        let _ = writeln!(self.0, "{PREFIX}{total} cases");
    }

    fn begin(&mut self, name: &str) {
        let _ = writeln!(self.0, "begin {name}");
    }

    fn case(&mut self, name: &str, outcome: Outcome<'_>) {
        let _ = match outcome {
            Outcome::Passed => writeln!(self.0, "ok {name}"),
            Outcome::Failed(failure) => writeln!(self.0, "FAILED {name}: {failure}"),
            Outcome::Skipped(why) => writeln!(self.0, "skipped {name}: {why}"),
        };
    }

    fn end(&mut self, summary: Summary) {
        let _ = writeln!(self.0, "{PREFIX}end, {summary}");
    }

    fn aborted(&mut self, name: &str, failure: &Failure) {
        let _ = writeln!(self.0, "{PREFIX}aborted in {name}: {failure}");
    }
}

/// Results of whatever a kernel checks, for a reader who trusts none of them unless all have come (`cargo xtask boot`).
///
/// ```
/// use smpcall_conformance::Report;
///
/// let mut log = String::new();
/// let mut report = Report::announce(&mut log, 3);
/// report.well("tlb_shootdown", format_args!("12 CPUs faulted"));
/// report.check("doorbells", false, format_args!("2 rings for 3 posts"));
/// report.skip("nmi", "there is none on this machine");
/// assert!(!report.end(), "one has failed");
/// assert!(log.starts_with("smpcall kernel: 3 results\nok tlb_shootdown: 12 CPUs faulted\nFAILED doorbells: "));
/// assert!(log.ends_with("smpcall kernel: end, 1 passed, 1 failed, 1 skipped\n"));
/// ```
#[derive(Debug)]
pub struct Report<W> {
    to: W,
    announced: u32,
    summary: Summary,
}

// As for `Lines`: what cannot be written is missed by the reader.
impl<W: fmt::Write> Report<W> {
    /// Says how many will come.
    pub fn announce(mut to: W, results: u32) -> Self {
        let _ = writeln!(to, "smpcall kernel: {results} results");
        Self { to, announced: results, summary: Summary::default() }
    }

    /// One that is well.
    pub fn well(&mut self, name: &str, text: fmt::Arguments<'_>) {
        self.summary.passed += 1;
        let _ = writeln!(self.to, "ok {name}: {text}");
    }

    /// One that is well only if `holds`.
    pub fn check(&mut self, name: &str, holds: bool, text: fmt::Arguments<'_>) {
        if holds {
            return self.well(name, text);
        }
        self.summary.failed += 1;
        let _ = writeln!(self.to, "FAILED {name}: {text}");
    }

    /// One that asks for something that this platform does not have.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.summary.skipped += 1;
        let _ = writeln!(self.to, "skipped {name}: {why}");
    }

    /// Ends the run, and returns whether all that were announced came, and none failed.
    pub fn end(self) -> bool {
        let Self { mut to, announced, summary } = self;
        let _ = writeln!(to, "smpcall kernel: end, {summary}");
        summary.failed == 0 && summary.reported() == announced
    }
}
