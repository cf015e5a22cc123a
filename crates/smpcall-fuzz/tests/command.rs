//! The command: it finds a planted fault, makes the program small, says how to play it again, and lets a sound one pass.

use std::process::{Command, Output};

/// Runs it; every process that it starts it ends.
fn fuzz(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smpcall-fuzz"))
        .args(words.split_whitespace())
        .output()
        .expect("the command can be started")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Hunts for a planted fault; returns the report of it.
fn hunt_planted(plant: &str, only: &str, programs: u32, hang_seconds: u32) -> String {
    let words = format!(
        "hunt --plant {plant} --only {only} --seed 1 --programs {programs} --seconds 300 --jobs 1 --hang-seconds {hang_seconds} \
         --shrink-seconds 20"
    );
    let output = fuzz(&words);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("seed 1\n") && text.contains("as small as it was made"), "{text}");
    text
}

/// Plays what a report says would play it again.
fn play_again(report: &str) -> Output {
    let words =
        report.lines().find_map(|line| line.strip_prefix("---- again: ")).expect("a failure says how");
    fuzz(&format!("hunt {words} --seconds 60 --shrink-seconds 0"))
}

#[test]
fn a_run_that_is_counted_twice_is_found_made_small_and_found_again() {
    let report = hunt_planted("runs-twice", "attach,call,nap,post", 60, 60);
    assert!(report.contains("P1: csd #: # posts, # cancelled, # runs"), "{report}");
    let (_, program) = report.split_once("---- the program").expect("it is printed");
    let (program, _) = program.split_once("---- again").expect("and how to play it again");
    assert!(program.contains("] post machine 0 cpu ") && program.lines().count() < 14, "{program}");
    let again = play_again(&report);
    assert!(!again.status.success() && stdout(&again).contains("P1: csd #"), "{}", stdout(&again));
}

#[test]
fn a_function_that_was_accepted_and_never_ran_is_found() {
    let report = hunt_planted("lost", "nap,post-detached", 60, 60);
    assert!(report.contains("was accepted"), "{report}");
}

#[test]
fn a_program_that_does_not_end_is_found_and_says_where_it_was() {
    let report = hunt_planted("hangs", "nap", 3, 2);
    assert!(report.contains("hang: nap") && report.contains("fuzz-doing: thread"), "{report}");
}

#[test]
fn a_process_that_ends_by_a_signal_is_found() {
    let report = hunt_planted("aborts", "cancel,nap", 60, 60);
    assert!(report.contains("signal 6"), "{report}");
}

#[test]
fn programs_that_only_post_and_call_pass() {
    let output = fuzz(
        "hunt --only call,kick,nap,post,wait --seed 1 --programs 60 --seconds 600 --hang-seconds 120 --jobs 1",
    );
    let text = stdout(&output);
    assert!(output.status.success() && text.contains("60 programs from seed 1 on"), "{text}");
}

#[test]
fn a_seed_is_shown_as_it_is_played_and_always_the_same() {
    let shown = || stdout(&fuzz("show --seed 5"));
    assert!(shown().contains("thread 1") && shown() == shown());
    let less = stdout(&fuzz("show --seed 5 --without thread"));
    assert!(!less.contains("thread 0") && less.contains("machine 0"));
}

#[test]
fn bad_words_are_refused() {
    for bad in [
        "hunt --without pots",
        "hunt --cut x --programs 1",
        "hunt --cut 3",
        "hunt --seconds 0",
        "hunt --programs 0",
        "hunt --plant something",
        "show",
        "play",
    ] {
        let output = fuzz(bad);
        assert!(!output.status.success() && !output.stderr.is_empty(), "{bad}: {output:?}");
    }
}
