//! `smpcall torture` as its user meets it: what it prints and writes, what it refuses, and that it finds nothing in a
//! sound library. That it can find something, `cargo xtask mutants --filter torture-` shows.

#[allow(dead_code, reason = "each test needs a part")]
mod common;

use common::{output, smpcall, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Output;

fn torture(arguments: &str) -> Output {
    output(smpcall("torture").args(arguments.split_whitespace()))
}

/// The numbers of the last status line.
fn status(stdout: &str) -> BTreeMap<&str, f64> {
    let line = stdout.lines().last().expect("a status line");
    let line = line.strip_prefix("smpcall torture: ").unwrap_or_else(|| panic!("{line}"));
    let pairs =
        line.split(' ').map(|pair| pair.split_once('=').unwrap_or_else(|| panic!("{pair} in {line}")));
    pairs.map(|(name, number)| (name, number.parse().unwrap_or_else(|_| panic!("{name}={number}")))).collect()
}

/// Runs, and demands that nothing is found, and that everything was looked for.
fn finds_nothing(arguments: &str) {
    let output = torture(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments}: {stdout}{stderr}");
    assert_eq!(stderr, "", "no bar where there is no terminal");
    let status = status(&stdout);
    assert_eq!(status["errors"], 0.0);
    for (name, number) in &status {
        match name.split_once('_') {
            Some(("broken", _)) => assert_eq!(*number, 0.0, "{arguments}: {name}"),
            Some(("checked", _)) => assert!(*number > 0.0, "{arguments}: {name} never"),
            Some(("kind", _)) => assert!(*number > 0.0, "{arguments}: {name} never"),
            _ => {}
        }
    }
    for event in ["calls", "posts", "busy", "cancelled", "told", "interrupts", "rests", "rings"] {
        assert!(status[event] > 0.0, "{arguments}: {event} never");
    }
}

#[test]
fn one_cpu() {
    finds_nothing("--seconds 2 --cpus 1 --onoff-interval 20");
}

#[test]
fn two_cpus_with_hotplug() {
    finds_nothing("--seconds 2 --cpus 2 --onoff-interval 20");
}

#[test]
fn four_cpus_with_hotplug() {
    finds_nothing("--seconds 2 --cpus 4 --onoff-interval 10");
}

#[test]
fn sixteen_cpus_with_hotplug() {
    finds_nothing("--seconds 2 --cpus 16 --onoff-interval 10");
}

#[test]
fn long_functions_and_pauses() {
    finds_nothing("--seconds 3 --cpus 3 --callers 0 --longwait 20 --stutter 0.5");
}

#[test]
fn only_what_has_a_weight_is_done() {
    let output = torture("--seconds 0.5 --cpus 2 --weight-call 1");
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    for (name, number) in status(&stdout) {
        if name.starts_with("kind_") {
            assert_eq!(number > 0.0, name == "kind_call", "{name}={number}");
        }
    }
}

#[test]
fn the_file_holds_what_the_status_line_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torture.json");
    let output = torture(&format!("--seconds 1 --cpus 2 --seed 42 --json {}", path.display()));
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let status = status(&stdout);
    assert_eq!(json["seed"], 42);
    assert_eq!(json["errors"], 0);
    for name in ["calls", "calls_per_second", "cpus", "callers"] {
        assert_eq!(json[name].as_f64(), Some(status[name]), "{name}");
        assert!(json[name].as_f64().unwrap() > 0.0, "{name}");
    }
    let mut listed = 0;
    for (name, number) in &status {
        let in_file = match name.split_once('_') {
            Some(("kind", kind)) => &json["kinds"][kind],
            Some(("checked", check)) => &json["checks"][check]["checked"],
            Some(("broken", check)) => &json["checks"][check]["errors"],
            _ => continue,
        };
        assert_eq!(in_file.as_f64(), Some(*number), "{name}");
        listed += 1;
    }
    assert!(listed > 30, "{listed} counts");
    assert!(json["repeat"].as_str().unwrap().contains("torture --seed 42 --cpus 2"), "{json}");
}

#[test]
fn bad_flags_are_refused_and_named() {
    for (arguments, code, named) in [
        ("--cpus 0", 2, "--cpus"),
        ("--cpus 8193", 2, "--cpus"),
        ("--cpus two", 2, "--cpus"),
        ("--seconds 0", 2, "--seconds"),
        ("--seconds -1", 2, "--seconds"),
        ("--stutter -1", 2, "--stutter"),
        ("--hang-seconds 0", 2, "--hang-seconds"),
        ("--weight-post 0", 2, "weights"),
        ("--weight-post -1", 2, "--weight-post"),
        ("--weight-nothing 1", 2, "--weight-nothing"),
        ("--seed x", 2, "--seed"),
        ("--longwait 20000", 1, "--longwait"),
        ("--seconds 3600 --json no/such/folder.json", 1, "folder.json"),
    ] {
        let output = torture(arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {message}");
        assert!(message.starts_with("error: ") && message.contains(named), "{arguments}: {message}");
        assert!(output.stdout.is_empty(), "{arguments} ran all the same");
    }
}
