//! `smpcall sim` as its user meets it: what it prints and writes, what it refuses, and that a run which fails says so with all
//! that one needs to see it again. That it finds defects, `cargo xtask mutants --filter sim-` shows.

#[allow(dead_code, reason = "each test needs a part")]
mod common;

use common::{assert_refused, output, read_json, smpcall, text};
use std::process::Output;

fn sim(arguments: &str) -> Output {
    sim_with(arguments, &[])
}

fn sim_with(arguments: &str, more: &[&str]) -> Output {
    output(smpcall("sim").args(arguments.split_whitespace()).args(more))
}

#[track_caller]
fn refused(arguments: &str, code: i32, named: &str) {
    assert_refused(arguments, &sim(arguments), code, named);
}

#[track_caller]
fn passes(arguments: &str) -> String {
    let output = sim(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments}: {stdout}{stderr}");
    assert_eq!(stderr, "", "no bar where there is no terminal");
    stdout
}

#[test]
fn a_seed_that_is_none_is_refused() {
    for bad in ["x", "0xg", "1.5", "-1", "18446744073709551616"] {
        refused(&format!("--seed {bad}"), 2, "--seed");
    }
}

#[test]
fn no_seeds_are_refused() {
    refused("--seeds 0", 2, "--seeds");
    refused("--seeds many", 2, "--seeds");
    refused("--seeds -5", 2, "--seeds");
}

#[test]
fn machines_without_cpus_or_with_too_many_are_refused() {
    refused("--cpus 0", 2, "1 to 8192 CPUs, not 0");
    refused("--cpus 8193", 2, "1 to 8192 CPUs, not 8193");
    refused("--cpus 4..2", 2, "empty range");
    refused("--cpus two", 2, "not a number");
}

#[test]
fn rates_outside_of_nought_to_one_are_refused() {
    refused("--faults lost=1.5", 2, "rates are from 0 to 1");
    refused("--faults lost=-0.1", 2, "rates are from 0 to 1");
    refused("--faults lost=often", 2, "not a number");
    refused("--faults gone=0.5", 2, "no fault `gone`");
    refused("--faults perhaps", 2, "not NAME=RATE");
}

#[test]
fn parts_that_are_not_there_are_refused() {
    refused("--partition 5/4", 2, "no part 5 of 4");
    refused("--partition 0/4", 2, "no part 0 of 4");
    refused("--partition 1", 2, "not I/N");
}

#[test]
fn times_that_are_none_are_refused() {
    refused("--seconds 0", 2, "--seconds");
    refused("--seconds -1", 2, "--seconds");
}

#[test]
fn files_that_cannot_be_written_are_an_error_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder.json");
    for flag in ["--json", "--trace"] {
        let output = sim_with("--seeds 1000000000", &[flag, missing.to_str().unwrap()]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{flag}: {message}");
        assert!(message.contains("cannot write") && message.contains("folder.json"), "{flag}: {message}");
        assert!(output.stdout.is_empty(), "{flag} ran all the same");
    }
}

#[test]
fn it_prints_what_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sim.json");
    // Longer than what is written, which has to replace all of it.
    std::fs::write(&path, "x".repeat(1 << 16)).unwrap();
    let output = sim_with("--seed 0x10 --seeds 30 --twice", &["--json", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = read_json(&path);
    assert_eq!((written["first_seed"].as_u64(), written["seeds"].as_u64()), (Some(16), Some(30)));
    assert_eq!(written["violations"], 0);
    assert!(written["seeds_per_second"].as_f64().is_some_and(|rate| rate > 0.0));
    let line = text(&output.stdout);
    assert!(line.contains("first_seed=16 seeds=30 "), "{line}");
    assert!(line.contains(&format!("steps={} ", written["steps"])), "{line}");
}

#[test]
fn a_seed_repeats_and_parts_are_a_whole() {
    let steps = |arguments: &str| -> u64 {
        let line = passes(arguments);
        line.split(' ')
            .find_map(|word| word.strip_prefix("steps="))
            .expect("steps")
            .parse()
            .expect("a number")
    };
    let whole = steps("--seed 7 --seeds 24");
    assert_eq!(steps("--seed 7 --seeds 24"), whole);
    let parts = ["1/3", "2/3", "3/3"].map(|part| steps(&format!("--seed 7 --seeds 24 --partition {part}")));
    assert_eq!(parts.iter().sum::<u64>(), whole);
    assert_eq!(steps("--seed 7"), steps("--seed 7 --seeds 1"), "a seed alone is the only one");
}

#[test]
fn machines_of_one_cpu_and_of_many_with_every_choice_of_faults() {
    passes("--seed 1 --seeds 40 --cpus 1 --twice");
    passes("--seed 1 --seeds 1 --cpus 100 --faults off");
    passes("--seed 1 --seeds 40 --faults off --cpus 2..4");
    let with_futures = passes("--seed 1 --seeds 20 --futures");
    assert!(with_futures.contains("--faults on --futures --seeds 20"), "what repeats it: {with_futures}");
    passes("--seed 1 --seeds 40 --faults lost=1,late=0.5,hotplug=0.3 --cpus 5");
    passes("--seconds 0.5");
}

/// A run that is cut short stands for one that cannot finish, and for any that fails.
#[test]
fn a_seed_that_fails_is_told_made_small_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let output = sim_with("--seed 5 --seeds 100 --steps-max 200", &["--trace", path.to_str().unwrap()]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("violations=1"), "it stops at the first: {stdout}");
    let seed =
        stderr.lines().next().and_then(|line| line.strip_prefix("seed ")).expect("the seed comes first");
    let (seed, what) = seed.split_once(": ").expect("and what is broken");
    assert!(
        what.starts_with("P10 no silent deadlock") && what.contains("not finished within 200 steps"),
        "{what}"
    );
    for part in ["made small: ", "  op 0: ", "to see it again: smpcall sim --seed "] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let events = read_json(&path)["traceEvents"].as_array().expect("a trace").len();
    assert!(events > 3, "{events}");
    // The line that is printed does what it says.
    let line =
        stderr.lines().find_map(|line| line.strip_prefix("to see it again: smpcall sim ")).expect("the line");
    assert!(line.starts_with(&format!("--seed {seed} ")), "{line}");
    let again = sim_with(line, &["--trace", path.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains(what), "{}", text(&again.stderr));
}

#[test]
fn with_keep_going_all_failures_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (path, trace) = (folder.path().join("sim.json"), folder.path().join("trace.json"));
    let files = ["--json", path.to_str().unwrap(), "--trace", trace.to_str().unwrap()];
    let output = sim_with("--seed 5 --seeds 20 --steps-max 50 --keep-going", &files);
    assert_eq!(output.status.code(), Some(1));
    let written = read_json(&path);
    assert_eq!(written["seeds"], 20);
    assert_eq!(written["violations"].as_u64(), written["failed"].as_array().map(|all| all.len() as u64));
    assert!(written["violations"].as_u64() > Some(1));
}

#[test]
fn memory_may_be_weak_and_what_repeats_a_run_says_so() {
    refused("--memory strong", 2, "`tso` or `weak`");
    let line = passes("--memory weak --seed 3 --seeds 30 --twice --no-corpus");
    assert!(line.contains("--memory weak") && line.contains("--no-corpus --twice"), "{line}");
    assert!(!line.contains("corpus: "), "{line}");
}

/// The corpus comes first, but where one seed alone is asked for; and a run that is cut short fails all the same.
#[test]
fn seeds_that_once_failed_are_played_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sim.json");
    let output = sim_with("--seed 5 --seeds 2", &["--json", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let corpus = &read_json(&path)["corpus"];
    assert!(corpus["played"].as_u64() > Some(0), "{corpus}");
    assert_eq!((&corpus["skipped"], corpus["failed"].as_array().map(Vec::len)), (&0.into(), Some(0)));
    let line = text(&output.stdout);
    assert!(
        line.contains(&format!("corpus: {} seeds played again, 0 skipped, 0 failed", corpus["played"])),
        "{line}"
    );
    assert!(!passes("--seed 5").contains("corpus: "));
}

#[test]
fn the_states_that_runs_came_to_are_printed_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sim.json");
    let flags = "--seed 1 --seeds 150 --coverage --memory weak --no-corpus";
    let output = sim_with(flags, &["--json", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let coverage = &read_json(&path)["coverage"];
    let runs = coverage["runs"].as_object().expect("rows");
    let [state, head, calls] = ["state_changes", "head_changes", "calls_in_context"]
        .map(|key| coverage[key].as_u64().expect("a number"));
    assert_eq!(state + head + calls, runs.len() as u64);
    assert!(runs["head: IDLE → list"].as_u64() > Some(100), "{coverage}");
    assert!(text(&output.stdout).contains("  head: IDLE → list\n"));
    // The draw goes by it: the same seeds are other runs.
    let steps =
        |flags: &str| passes(flags).split(' ').find(|word| word.starts_with("steps=")).map(str::to_owned);
    assert_ne!(steps(flags), steps("--seed 1 --seeds 150 --memory weak --no-corpus"));
    refused("--prefer nonsense", 2, "no kind of call is named `nonsense`");
    assert!(passes("--seed 1 --prefer nearest,many").contains("--prefer 'nearest,many'"));
}

#[test]
fn a_failure_can_be_told_in_a_line() {
    let output = sim("--seed 5 --seeds 100 --steps-max 200 --brief --no-corpus");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with("seed ") && !stderr.contains("made small"), "{stderr}");
    assert!(stderr.contains("to see it again: smpcall sim --seed "), "{stderr}");
}

#[test]
fn what_cannot_be_priced_is_refused() {
    for bad in ["--scale=1", "--scale=8193", "--scale=x"] {
        refused(bad, 2, "--scale");
    }
    refused("--scale=2 --ipi carrier-pigeon", 2, "--ipi");
    refused("--plots somewhere", 2, "--scale");
    refused("--scale=2 --calibrate /nonexistent/run.json", 1, "/nonexistent/run.json");
    refused("--scale=2 --plots /proc/nowhere", 1, "/proc/nowhere");
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.json");
    std::fs::write(&other, "{}").unwrap();
    refused(
        &format!("--scale=2 --calibrate {}", other.display()),
        1,
        "is not what `smpcall run --json` writes",
    );
}

#[test]
fn rows_of_a_run_are_predicted_from_its_floors() {
    let folder = tempfile::tempdir().unwrap();
    let (run, path) = (folder.path().join("run.json"), folder.path().join("scale.json"));
    let row = |call: &str, target: &str, ns: f64| serde_json::json!({ "call": call, "target": target, "ns_p50": ns });
    let write = |call_ns: f64| {
        let floor = serde_json::json!({ "cache_line_rtt_ns": 58.0, "looked_at_line_rtt_ns": 143.0, "futex_rtt_ns": 50e3,
            "fetch_or_ns": 2.9, "pause_ns": 13.0 });
        let rows = [
            row("waiting call", "parked", 9e3),
            row("waiting call", "polling", call_ns),
            row("post, run seen", "polling", 1.0),
            row("post to oneself", "self", 45.0),
        ];
        std::fs::write(&run, serde_json::json!({ "floor": floor, "rows": rows }).to_string()).unwrap();
    };
    let predicted = || {
        let files = ["--calibrate", run.to_str().unwrap(), "--json", path.to_str().unwrap()];
        let output = sim_with("--scale=2", &files);
        assert!(output.status.success(), "{}", text(&output.stderr));
        (read_json(&path), text(&output.stdout))
    };
    write(200.0);
    let (first, _) = predicted();
    let call = &first["predictions"][0];
    assert_eq!((&call["row"], call["measured_ns"].as_f64()), (&"waiting call".into(), Some(200.0)));
    let call_ns = call["predicted_ns"].as_f64().expect("a number");
    assert!(call_ns > 58.0, "more than its floor: {call}");
    // Measured are not what it goes by.
    write(call_ns);
    let (second, printed) = predicted();
    assert_eq!(second["predictions"][0]["predicted_ns"].as_f64(), Some(call_ns));
    assert!(second["predictions"][0]["off"].as_f64().expect("a number").abs() < 0.001);
    let line = |row: &str| printed.lines().find(|line| line.trim_start().starts_with(row)).expect("a line");
    assert!(!line("waiting call").contains("beyond 30 %"), "{printed}");
    assert!(line("post, run seen").contains("beyond 30 %"), "{printed}");
    assert_eq!(second["predictions"].as_array().map(Vec::len), Some(2), "only what was measured");
}

#[test]
fn both_algorithms_are_priced_written_and_plotted() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plots) = (folder.path().join("scale.json"), folder.path().join("plots"));
    let files = ["--json", path.to_str().unwrap(), "--plots", plots.to_str().unwrap()];
    let output = sim_with("--scale=256", &files);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = read_json(&path);
    let ns = |algorithm: &str, cpus: u64| {
        let rows = written["rows"].as_array().expect("rows");
        let row = rows.iter().find(|row| {
            row["workload"] == "multicast" && row["algorithm"] == algorithm && row["cpus"] == cpus
        });
        row.and_then(|row| row["ns"].as_f64()).expect("a row with its time")
    };
    let growth = |algorithm: &str| ns(algorithm, 256) / ns(algorithm, 64);
    assert!(growth("smpcall") < 0.8 * growth("linux"), "{} and {}", growth("smpcall"), growth("linux"));
    for workload in ["call", "all-to-one", "multicast", "shootdown", "everybody"] {
        let plot = std::fs::read_to_string(plots.join(format!("{workload}.svg"))).expect("a plot");
        assert!(plot.starts_with("<svg") && plot.contains("Linux"), "{workload}");
    }
    // The same again is the same to the last digit.
    assert_eq!(text(&sim("--scale=32").stdout), text(&sim("--scale=32").stdout));
}
