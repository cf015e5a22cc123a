//! What a machine's log and its end come to. The absence of failures is no success.

use super::qemu::End;
use smpcall_conformance::check_log;
use std::fmt;

/// What passed, in a line; or why nothing did.
pub(crate) type Verdict = Result<String, Failure>;

/// Why a run is not taken for a success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    TimedOut,
    Code(End),
    NoEnd,
    WrongMachine,
    Log(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the machine did not end by itself"),
            Self::Code(end) => write!(f, "the machine ended with {end:?}"),
            Self::NoEnd => write!(f, "the log does not end with `{PASSED}`"),
            Self::WrongMachine => f.write_str("the kernel does not say that it runs this on so many CPUs"),
            Self::Log(why) => f.write_str(why),
        }
    }
}

const PREFIX: &str = "smpcall kernel: ";
const PASSED: &str = "smpcall kernel: passed";

/// Reads a run of a machine that ends with the code `passing` when the kernel says that all went well.
pub(crate) fn read(passing: i32, what: &str, cpus: u32, end: End, log: &str) -> Verdict {
    match end {
        End::TimedOut => return Err(Failure::TimedOut),
        End::Code(code) if code == passing => {}
        other => return Err(Failure::Code(other)),
    }
    // Serial ports send carriage returns too, some of them.
    let log = log.replace('\r', "");
    if log.lines().rfind(|line| !line.trim().is_empty()) != Some(PASSED) {
        return Err(Failure::NoEnd);
    }
    if !log.lines().any(|line| line == format!("{PREFIX}{cpus} CPUs, {what}")) {
        return Err(Failure::WrongMachine);
    }
    match what {
        "conformance" => read_conformance(&log),
        _ => read_results(&log),
    }
}

fn read_conformance(log: &str) -> Verdict {
    // The firmware speaks before the suite, and the kernel after it.
    let lines = log.lines().skip_while(|line| !line.starts_with("smpcall conformance: "));
    let suite: String =
        lines.filter(|line| !line.starts_with(PREFIX)).flat_map(|line| [line, "\n"]).collect();
    match check_log(&suite) {
        Ok(summary) => Ok(format!("conformance: {summary}")),
        Err(fault) => Err(Failure::Log(fault.to_string())),
    }
}

fn read_results(log: &str) -> Verdict {
    let fail = |why: &str| Err(Failure::Log(why.to_owned()));
    let count = |word: &str| log.lines().filter(|line| line.starts_with(word)).count();
    let announcement = |line: &str| line.strip_prefix(PREFIX)?.strip_suffix(" results")?.parse().ok();
    let announced: Vec<usize> = log.lines().filter_map(announcement).collect();
    let [announced] = announced[..] else { return fail("the kernel did not announce its results once") };
    let (passed, failed, skipped) = (count("ok "), count("FAILED "), count("skipped "));
    let end = format!("{PREFIX}end, {passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        return fail(&format!("{failed} of {announced} failed"));
    }
    if announced == 0 || passed == 0 || passed + skipped != announced {
        return fail(&format!(
            "{announced} results were announced; {passed} passed and {skipped} were skipped"
        ));
    }
    if !log.lines().any(|line| line == end) {
        return fail("the kernel counted other results than came");
    }
    Ok(format!("{passed} passed, {skipped} skipped"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::Arch;

    const GOOD: &str = "OpenSBI v1.1\nsmpcall kernel: riscv64, interrupts by SBI\nsmpcall kernel: 2 CPUs, checks\n\
        smpcall kernel: 2 results\nok a: 1\nskipped b: why\n\
        smpcall kernel: end, 1 passed, 0 failed, 1 skipped\nsmpcall kernel: passed\n";

    fn of(log: &str) -> Verdict {
        read(Arch::Riscv64.passing_code(), "checks", 2, End::Code(0), log)
    }

    #[test]
    fn a_complete_run_passes() {
        assert_eq!(of(GOOD), Ok("1 passed, 1 skipped".to_owned()));
        assert_eq!(of(&GOOD.replace('\n', "\r\n")), Ok("1 passed, 1 skipped".to_owned()));
    }

    #[test]
    fn the_code_must_be_the_kernels_own() {
        for end in [End::Code(1), End::TimedOut, End::Signal] {
            assert!(read(Arch::Riscv64.passing_code(), "checks", 2, end, GOOD).is_err());
        }
        // On x86-64 zero is what a triple fault ends with.
        assert!(read(Arch::X86_64.passing_code(), "checks", 2, End::Code(0), GOOD).is_err());
        assert!(read(Arch::X86_64.passing_code(), "checks", 2, End::Code(33), GOOD).is_ok());
    }

    #[test]
    fn every_line_of_a_run_is_needed() {
        for (number, line) in GOOD.lines().enumerate().skip(2) {
            let without: String = GOOD
                .lines()
                .enumerate()
                .filter(|(at, _)| *at != number)
                .flat_map(|(_, line)| [line, "\n"])
                .collect();
            assert!(of(&without).is_err(), "passes without `{line}`");
        }
    }

    #[test]
    fn a_failure_fails_and_other_machines_do_too() {
        assert!(of(&GOOD.replace("ok a: 1", "FAILED a: 1")).is_err());
        assert!(of(&GOOD.replace("2 CPUs", "1 CPUs")).is_err());
        assert!(of(&GOOD.replace("checks", "bench")).is_err());
        assert!(of(&format!("{GOOD}smpcall kernel: what comes after\n")).is_err());
    }

    #[test]
    fn a_conformance_run_is_read_by_the_suites_own_reader() {
        let good = "firmware\nsmpcall kernel: 1 CPUs, conformance\nsmpcall conformance: 1 cases\nok p1_a\n\
            smpcall conformance: end, 1 passed, 0 failed, 0 skipped\nsmpcall kernel: passed\n";
        let of = |log: &str| read(Arch::Aarch64.passing_code(), "conformance", 1, End::Code(0), log);
        assert!(of(good).is_ok(), "{:?}", of(good));
        assert!(of(&good.replace("ok p1_a", "FAILED p1_a: b")).is_err());
        assert!(of(&good.replace("ok p1_a\n", "")).is_err());
    }
}
