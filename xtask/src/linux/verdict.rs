//! What a guest's console says of its run.

use super::Variant;
use anyhow::{Context, Result, bail};

/// What must be in the log for a run to have gone well.
pub(super) struct Expected {
    text: String,
    allows: Allows,
}

/// What is no fault then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allows {
    Nothing,
    /// Stall reports are asked for.
    Reports,
    /// The kernel ends by the panic that the text names; nothing comes after it.
    Panic,
}

impl Expected {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), allows: Allows::Nothing }
    }

    /// A report of a call that is not answered.
    pub(super) fn report() -> Self {
        Self { text: "csd: Detected".to_owned(), allows: Allows::Reports }
    }

    /// A panic that is asked for.
    pub(super) fn panic(says: &str) -> Self {
        Self { text: format!("Kernel panic - not syncing: {says}"), allows: Allows::Panic }
    }
}

/// What Linux says when something is wrong, whatever it is.
const WRONG: [&str; 17] = [
    "WARNING:",
    "BUG:",
    "kernel BUG",
    "Oops",
    "general protection fault",
    "Kernel panic",
    "soft lockup",
    "hard LOCKUP",
    "self-detected stall",
    "detected stalls",
    "possible recursive locking",
    "possible circular locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    // A judge's own words.
    "End of test: FAILURE",
    "End of test: RCU_HOTPLUG",
    "End of test: LOCK_HOTPLUG",
];
/// … and what comes with reports that were asked for, too.
const WRONG_UNLESS_REPORTED: [&str; 2] = ["csd:", "Call Trace:"];

/// Symbols of Linux's call layer that nobody else calls: there, or not.
const LINUX: [&str; 4] = [
    "__flush_smp_call_function_queue",
    "generic_exec_single",
    "smp_call_function_many_cond",
    "csd_lock_record",
];

/// Fails unless the log is of a run that went well, on the kernel that was meant.
pub(super) fn judge(variant: Variant, what: &str, expected: &[Expected], log: &str) -> Result<()> {
    if !log.contains("Linux version") {
        bail!("the kernel did not begin to boot");
    }
    if let Some((at, line)) = first_wrong(expected, log) {
        bail!("line {} of the log: {}", at + 1, line.trim());
    }
    let says = |text: &str| -> Result<()> {
        log.contains(text).then_some(()).with_context(|| {
            let reached =
                log.lines().rfind(|line| line.contains("smpcall-init: ")).unwrap_or("not even init");
            format!("the log lacks `{text}`; it came to: {}", reached.trim())
        })
    };
    let has = |symbol: &str, there: bool| {
        says(&format!("smpcall-init: has {}{symbol}\n", if there { "" } else { "no " }))
    };
    has("smpcall_flush", variant == Variant::Ours)?;
    for symbol in LINUX {
        // The compiler gives some of them other names, or none, where they are: so only for ours is that told.
        if variant == Variant::Ours {
            has(symbol, false)?;
        }
    }
    if variant == Variant::Ours {
        says("smpcall: call layer ")?;
    } else {
        has("__flush_smp_call_function_queue", true)?;
    }
    for expected in expected {
        says(&expected.text)?;
    }
    if what != "scf" && !expected.iter().any(|expected| expected.allows == Allows::Panic) {
        says(&format!("smpcall-init: end of {what}\n"))?;
    }
    Ok(())
}

/// The first line that tells of a fault, and which it is, from 0.
fn first_wrong<'a>(expected: &[Expected], log: &'a str) -> Option<(usize, &'a str)> {
    let allowed = |what: Allows| expected.iter().find(|expected| expected.allows == what);
    let panic = allowed(Allows::Panic);
    let mut panicked = false;
    log.lines().enumerate().find(|(_, line)| {
        // Once, and only that one; the trace that comes with it is no fault.
        if panic.is_some_and(|panic| !panicked && line.contains(&panic.text)) {
            panicked = true;
            return false;
        }
        // A program's fault, which its own end tells.
        if line.contains("] traps: ") {
            return false;
        }
        let traced = panicked || allowed(Allows::Reports).is_some();
        WRONG.iter().any(|text| line.contains(text))
            || !traced && WRONG_UNLESS_REPORTED.iter().any(|text| line.contains(text))
    })
}

/// What the last line of the checks' module counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChecksEnd {
    pub(super) checks: u32,
    pub(super) failures: u32,
    pub(super) broken: u32,
}

/// Reads that line; as many checks must have reported.
pub(super) fn checks_end<'a>(lines: impl Iterator<Item = &'a str>) -> Result<ChecksEnd> {
    let lines: Vec<_> = lines.collect();
    let last = lines.last().and_then(|line| line.strip_prefix("end: ")).context("the checks did not end")?;
    let numbers: Vec<u32> = last.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [checks, failures, broken] = numbers[..] else { bail!("not an end of checks: {last}") };
    let reported = lines.iter().filter(|line| line.contains(" tried, ") && line.ends_with(" bad")).count();
    if reported != checks as usize {
        bail!("{checks} checks were counted, and {reported} reported");
    }
    Ok(ChecksEnd { checks, failures, broken })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "[    0.0] Linux version 6.12\n[    0.1] smpcall: call layer 0.1.0 in\n\
        smpcall-init: has smpcall_flush\nsmpcall-init: has no __flush_smp_call_function_queue\n\
        smpcall-init: has no generic_exec_single\nsmpcall-init: has no smp_call_function_many_cond\nsmpcall-init: has no csd_lock_record\n\
        smpcall-init: end of boot\n";

    fn why(variant: Variant, expected: &[Expected], log: &str) -> String {
        judge(variant, "boot", expected, log).unwrap_err().to_string()
    }

    #[test]
    fn a_good_log_passes_and_each_thing_that_is_missing_is_named() {
        judge(Variant::Ours, "boot", &[], OURS).unwrap();
        assert!(why(Variant::Ours, &[Expected::text("SUCCESS")], OURS).contains("SUCCESS"));
        assert!(why(Variant::Ours, &[], &OURS.replace("smpcall: call", "x")).contains("call layer"));
        assert!(why(Variant::Ours, &[], &OURS.replace("end of", "x")).contains("end of boot"));
        assert!(
            why(Variant::Ours, &[], &OURS.replace("has no generic", "has generic"))
                .contains("generic_exec_single")
        );
        assert!(why(Variant::Ours, &[], "").contains("did not begin"));
    }

    #[test]
    fn one_kernel_is_not_taken_for_the_other() {
        assert!(why(Variant::Stock, &[], OURS).contains("has no smpcall_flush"));
        let stock = OURS.replace("has smpcall", "has no smpcall").replace("has no __flush", "has __flush");
        judge(Variant::Stock, "boot", &[], &stock).unwrap();
        assert!(why(Variant::Ours, &[], &stock).contains("has smpcall_flush"));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for wrong in WRONG.into_iter().chain(WRONG_UNLESS_REPORTED) {
            let log = format!("{OURS}[   1.0] {wrong} at something\n");
            assert!(why(Variant::Ours, &[], &log).contains("line 9"), "{wrong}");
        }
        let reported = format!("{OURS}[   1.0] smpcall: csd: Detected\n");
        judge(Variant::Ours, "boot", &[Expected::report()], &reported).unwrap();
        assert!(why(Variant::Ours, &[Expected::report()], OURS).contains("csd: Detected"));
    }

    #[test]
    fn one_panic_is_allowed_and_nothing_else() {
        let expected = [Expected::panic("planted")];
        let panic = "[   2.0] Kernel panic - not syncing: planted\n[   2.1] Call Trace:\n";
        // It is the end: init does not come to its own.
        let log = OURS.replace("smpcall-init: end of boot\n", panic);
        judge(Variant::Ours, "boot", &expected, &log).unwrap();
        assert!(why(Variant::Ours, &expected, OURS).contains("planted"));
        assert!(why(Variant::Ours, &expected, &format!("{log}{panic}")).contains("line 10"));
        assert!(why(Variant::Ours, &expected, &format!("{log}[  3.0] WARNING: x\n")).contains("WARNING"));
        let other = log.replace("planted", "something else");
        assert!(why(Variant::Ours, &expected, &other).contains("something else"));
        assert!(why(Variant::Ours, &[], &log).contains("planted"));
    }

    #[test]
    fn the_end_of_the_checks_must_agree_with_them() {
        let lines = [
            "linux a: 5 tried, 0 bad",
            "promise b: 7 tried, 3 bad",
            "end: 2 checks, 0 failures, 1 promises broken",
        ];
        assert_eq!(checks_end(lines.into_iter()).unwrap(), ChecksEnd { checks: 2, failures: 0, broken: 1 });
        assert!(checks_end(lines.into_iter().skip(1)).is_err());
        assert!(checks_end(lines.into_iter().take(2)).is_err());
    }
}
