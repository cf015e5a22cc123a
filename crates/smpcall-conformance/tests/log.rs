//! That a log passes only if the run did.

use smpcall_conformance::{LogFault, Summary, check_log};

const GOOD: &str = "\
\u{1b}c\u{1b}[2JOpenSBI v1.5\r
ok this line is not ours\r
\u{1b}[msmpcall conformance: 4 cases\r
ok p1_a\r
CPU 3: a line of the kernel's own\r
skipped p2_b: needs 2 CPUs\r
ok p10_c\r
ok p13_d\r
smpcall conformance: end, 3 passed, 0 failed, 1 skipped\r
reboot: power down\r
";

fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from));
    GOOD.replace(from, to)
}

#[track_caller]
fn refused(log: &str, want: LogFault<'_>) {
    let fault = check_log(log).expect_err("it is not a good one");
    assert_eq!(fault, want);
    assert!(!fault.to_string().is_empty());
}

#[test]
fn a_good_log_passes_whatever_else_is_on_the_console() {
    let summary: Summary = check_log(GOOD).unwrap();
    assert_eq!((summary.passed, summary.failed, summary.skipped), (3, 0, 1));
    assert_eq!(summary.reported(), 4);
}

#[test]
fn a_log_that_stops_anywhere_does_not_pass() {
    let end = GOOD.find("smpcall conformance: end").unwrap();
    for (at, _) in GOOD.char_indices().filter(|(at, _)| *at <= end + 50) {
        assert!(check_log(&GOOD[..at]).is_err(), "{:?}", &GOOD[..at]);
    }
    refused("", LogFault::NotAnnounced);
    refused(&GOOD[..end], LogFault::NoEnd { last: Some("p13_d"), begun: None });
    let announced = GOOD.find("ok p1_a").unwrap();
    refused(&GOOD[..announced], LogFault::NoEnd { last: None, begun: None });
}

#[test]
fn the_case_in_which_a_log_stops_is_named() {
    let log = GOOD.replace("ok p1_a", "begin p1_a\r\nok p1_a").replace("ok p10_c", "begin p10_c\r\nok p10_c");
    assert!(check_log(&log).is_ok(), "what begins is not counted twice");
    let ended = log.find("ok p10_c").unwrap();
    let want = LogFault::NoEnd { last: Some("p2_b"), begun: Some("p10_c") };
    refused(&log[..ended], want);
    assert!(want.to_string().contains("p10_c began"), "{want}");
}

#[test]
fn a_failed_case_is_named() {
    let log = changed("ok p10_c", "FAILED p10_c: a call: got 1, want 2 (call.rs:3, on CPU 1)");
    let log = log.replace("3 passed, 0 failed", "2 passed, 1 failed");
    let first = "p10_c: a call: got 1, want 2 (call.rs:3, on CPU 1)";
    refused(&log, LogFault::Failed { first, failed: 1 });
}

#[test]
fn counts_must_agree() {
    refused(&changed("ok p10_c\r\n", ""), LogFault::Missing { announced: 4, reported: 3 });
    refused(&changed("4 cases", "5 cases"), LogFault::Missing { announced: 5, reported: 4 });
    let counted = check_log(GOOD).unwrap();
    refused(&changed("3 passed", "2 passed"), LogFault::Miscounted { counted });
    refused(&changed("1 skipped", "1 skipped and more"), LogFault::Miscounted { counted });
    // A failure that is in the lines but not in the figures, or the other way round.
    let log = changed("0 failed", "1 failed");
    refused(&log, LogFault::Miscounted { counted });
}

#[test]
fn each_case_is_reported_once_and_inside_of_the_run() {
    refused(&changed("ok p10_c", "ok p1_a"), LogFault::Repeated { name: "p1_a" });
    refused(&changed("ok p10_c", "skipped p1_a: again"), LogFault::Repeated { name: "p1_a" });
    refused(&format!("ok p9_early\n{GOOD}"), LogFault::OutOfPlace { name: "p9_early" });
    refused(&format!("{GOOD}ok p9_late\n"), LogFault::OutOfPlace { name: "p9_late" });
    refused(&format!("{GOOD}{GOOD}"), LogFault::AnnouncedTwice);
    let ends_twice = format!("{GOOD}smpcall conformance: end, 3 passed, 0 failed, 1 skipped\n");
    refused(&ends_twice, LogFault::AnnouncedTwice);
}

#[test]
fn a_run_that_gave_up_does_not_pass() {
    let log = changed("ok p10_c", "smpcall conformance: aborted in p10_c: a CPU did not come");
    refused(&log, LogFault::Aborted { line: "p10_c: a CPU did not come" });
}

#[test]
fn a_run_that_tested_nothing_does_not_pass() {
    let log = "smpcall conformance: 1 cases\nskipped p1_a: needs 2 CPUs\n\
               smpcall conformance: end, 0 passed, 0 failed, 1 skipped\n";
    refused(log, LogFault::NothingPassed);
    let log = "smpcall conformance: 0 cases\nsmpcall conformance: end, 0 passed, 0 failed, 0 skipped\n";
    refused(log, LogFault::NothingPassed);
}
