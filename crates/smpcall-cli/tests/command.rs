//! The command as its user meets it: exit codes, messages, and the JSON files. No test here says how fast anything is.

#[allow(dead_code, reason = "each test needs a part")]
mod common;

use common::{assert_refused, read_json, text};
use std::process::{Command, Output};

fn smpcall(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smpcall")).args(arguments).output().expect("the command starts")
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, named: &str) {
    assert_refused(&arguments.join(" "), &smpcall(arguments), code, named);
}

#[test]
fn bad_flags_are_refused_and_named() {
    refused(&["--cpus", "0"], 2, "--cpus");
    refused(&["run", "--cpus", "8193"], 2, "--cpus");
    refused(&["run", "--cpus", "two"], 2, "--cpus");
    refused(&["run", "--seconds", "0"], 2, "--seconds");
    refused(&["run", "--seconds", "-1"], 2, "--seconds");
    refused(&["run", "--seconds", "inf"], 2, "--seconds");
    refused(&["litmus", "--posts", "0"], 2, "--posts");
    refused(&["litmus", "--posts", "many"], 2, "--posts");
    refused(&["no-such-command"], 2, "no-such-command");
    refused(&["--no-such-flag"], 2, "--no-such-flag");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder.json");
    refused(&["run", "--seconds", "3600", "--json", missing.to_str().unwrap()], 1, "folder.json");
    refused(
        &["litmus", "--posts", "1000000000000", "--json", folder.path().to_str().unwrap()],
        1,
        "cannot write",
    );
}

#[test]
fn a_run_checks_everything_and_writes_what_it_prints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    // Longer than what is written, which has to replace all of it.
    std::fs::write(&path, "x".repeat(1 << 16)).unwrap();
    let output = smpcall(&["run", "--seconds", "1", "--cpus", "3", "--json", path.to_str().unwrap()]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stderr, "", "no bar where there is no terminal");

    let run = read_json(&path);
    for floor in ["cache_line_rtt_ns", "looked_at_line_rtt_ns", "futex_rtt_ns", "fetch_or_ns", "pause_ns"] {
        assert!(run["floor"][floor].as_f64().unwrap() > 0.0, "{floor}");
    }
    let rows = run["rows"].as_array().unwrap();
    assert!(rows.len() >= 12, "{} rows", rows.len());
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"));
        assert!(number("count") > 0.0, "{row}");
        assert!(number("ns_min") > 0.0 && number("ns_min") <= number("ns_p50"), "{row}");
        assert!(number("ns_p50") <= number("ns_p99"), "{row}");
        assert!(number("ratio_to_floor") >= 0.0 && number("doorbells_per_call") >= 0.0, "{row}");
        assert_eq!(number("busy") > 0.0, row["call"] == "post told Busy", "{row}");
        let printed = stdout.lines().any(|line| {
            line.starts_with(row["call"].as_str().unwrap())
                && line.contains(&number("ns_p50").to_string())
                && line.contains(&number("count").to_string())
        });
        assert!(printed, "{row} is not in\n{stdout}");
    }
    let with_goals = rows.iter().filter(|row| row["goal"].as_f64().is_some_and(|goal| goal > 0.0)).count();
    assert_eq!(with_goals, 11, "the others are there to be compared with");
    let cores = run["floor"]["cores"].as_str().unwrap();
    let said = match cores {
        "near" => "The two cores are near",
        "far" => "The two cores are far",
        "shared" => "There is one core",
        other => panic!("{other}: not pinned"),
    };
    assert!(stdout.contains(said), "{cores} in\n{stdout}");
    for state in ["polling", "parked", "busy"] {
        assert!(rows.iter().any(|row| row["target"] == state), "{state}");
    }
    assert_eq!(run["checks"]["failed"], 0);
    assert!(run["checks"]["passed"].as_u64().unwrap() > 1000);
    assert!(stdout.contains("0 failed"), "{stdout}");
}

#[test]
fn the_litmus_run_loses_nothing_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("litmus.json");
    let output = smpcall(&["litmus", "--posts", "50000", "--json", path.to_str().unwrap()]);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    let litmus = read_json(&path);
    assert_eq!(litmus["posts"], 50000);
    assert_eq!(litmus["smpcall"]["lost"], 0);
    for protocol in ["linux_protocol", "smpcall"] {
        let count = |key: &str| litmus[protocol][key].as_u64().unwrap_or_else(|| panic!("{protocol}.{key}"));
        assert!(count("lost") <= count("busy") && count("busy") <= 50000, "{litmus}");
        assert!(stdout.contains(&format!("{} told Busy", count("busy"))), "{stdout}");
    }
    assert!(stdout.contains("Whoever was told Busy was seen"), "{stdout}");
}
