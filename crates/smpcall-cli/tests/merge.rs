//! `smpcall sim merge` as its user meets it: whole runs are added up, and what is no whole run is refused by the file's name.

#[allow(dead_code, reason = "each test needs a part")]
mod common;

use common::{output, read_json, smpcall, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;

/// Parts of a run of 60 seeds.
const FLAGS: &str = "--seed 5 --seeds 60 --no-corpus";

fn sim(arguments: &str, files: &[PathBuf]) -> Output {
    output(smpcall("sim").args(arguments.split_whitespace()).args(files))
}

fn part(folder: &Path, flags: &str, partition: &str) -> PathBuf {
    let file = folder.join(format!("part-{}.json", partition.replace('/', "-of-")));
    let output = sim(&format!("{flags} --partition {partition} --json"), std::slice::from_ref(&file));
    assert!(file.exists(), "{partition}: {}", text(&output.stderr));
    file
}

fn parts(folder: &Path, flags: &str) -> Vec<PathBuf> {
    ["1/3", "2/3", "3/3"].map(|partition| part(folder, flags, partition)).to_vec()
}

/// Refused with 1, and the message has all of these.
#[track_caller]
fn refused(files: &[PathBuf], named: &[&str]) -> String {
    let output = sim("merge", files);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    for part in named {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(stderr.lines().last().is_some_and(|line| line.starts_with("error: ")), "{stderr}");
    stdout
}

/// The file with one field changed, beside it.
fn changed(file: &Path, field: &str, value: Value) -> PathBuf {
    let mut part = read_json(file);
    part[field] = value;
    let changed = file.with_extension(format!("{field}.json"));
    std::fs::write(&changed, part.to_string()).unwrap();
    changed
}

#[test]
fn the_parts_of_a_run_are_as_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let whole = read_json(&part(folder.path(), FLAGS, "1/1"));
    let parts = parts(folder.path(), FLAGS);
    // In any order.
    let output = sim("merge", &[parts[2].clone(), parts[0].clone(), parts[1].clone()]);
    let line = text(&output.stdout);
    assert!(output.status.success(), "{line}{}", text(&output.stderr));
    let wanted =
        format!("smpcall sim merge: parts=3/3 first_seed=5 seeds=60 steps={} violations=0\n", whole["steps"]);
    assert_eq!(line, wanted);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_lost_a_double_and_an_unfinished_part_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path(), FLAGS);
    let line =
        refused(&[parts[0].clone(), parts[2].clone()], &["1 part lost: 2/3", "not a whole run: 1 fault"]);
    assert!(line.contains("parts=2/3") && line.contains("seeds=40 "), "what is there is counted: {line}");
    refused(&parts[1..2], &["2 parts lost: 1/3, 3/3"]);
    let double = [parts.clone(), vec![parts[1].clone()]].concat();
    let line = refused(&double, &["part-2-of-3.json: part 2/3 is in ", "part-2-of-3.json already"]);
    assert!(line.contains("seeds=60 "), "it counts once: {line}");
    let short = changed(&parts[1], "seeds", json!(19));
    let unfinished = [parts[0].clone(), short, parts[2].clone()];
    refused(&unfinished, &["part-2-of-3.seeds.json: part 2/3 is unfinished: 19 of 20 seeds"]);
}

#[test]
fn a_part_that_time_has_ended_is_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let cut = part(folder.path(), "--seed 5 --seeds 1000000000 --seconds 0.1 --no-corpus", "1/1");
    refused(&[cut], &["part 1/1 is unfinished: ", " of 1000000000 seeds"]);
    let by_time = part(folder.path(), "--seed 5 --seconds 0.1 --no-corpus", "1/1");
    refused(&[by_time], &["ended by time alone"]);
}

#[test]
fn a_part_of_another_run_is_named_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path(), FLAGS);
    let other = tempfile::tempdir().unwrap();
    for (flags, what) in [
        ("--seed 6 --seeds 60 --no-corpus", "its first_seed is `6`, not `5`"),
        ("--seed 5 --seeds 61 --no-corpus", "its seeds_asked is `61`, not `60`"),
        ("--seed 5 --seeds 60 --no-corpus --memory weak", "its flags is `--memory weak "),
        ("--seed 5 --seeds 60 --no-corpus --futures", "its flags is `"),
    ] {
        let other = part(other.path(), flags, "3/3");
        let named = ["part-3-of-3.json: of another run than ", what, "1 part lost: 3/3"];
        refused(&[parts[0].clone(), parts[1].clone(), other], &named);
    }
    let of_four = part(other.path(), FLAGS, "3/4");
    refused(&[parts[0].clone(), parts[1].clone(), of_four], &["its parts is `4`, not `3`"]);
    for (field, value) in
        [("version", json!("0.0.9")), ("draw", json!(999)), ("fingerprint", json!("0123456789abcdef"))]
    {
        let other = changed(&parts[2], field, value);
        refused(&[parts[0].clone(), parts[1].clone(), other], &[&format!("its {field} is `")]);
    }
}

#[test]
fn what_is_no_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path(), FLAGS);
    let with = |file: PathBuf| [parts[0].clone(), parts[1].clone(), file];
    let whole = std::fs::read_to_string(&parts[2]).unwrap();
    let cut = folder.path().join("cut.json");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    refused(&with(cut), &["cut.json: not all of a JSON file", "1 part lost: 3/3"]);
    let empty = folder.path().join("empty.json");
    std::fs::write(&empty, "").unwrap();
    refused(&with(empty), &["empty.json: not all of a JSON file"]);
    refused(&with(folder.path().join("none.json")), &["none.json: No such file"]);
    let later = changed(&parts[2], "schema", json!("smpcall.sim/2"));
    refused(&with(later), &["its schema is smpcall.sim/2, and that of a part is smpcall.sim/1"]);
    let bare = folder.path().join("bare.json");
    std::fs::write(&bare, r#"{ "schema": "smpcall.sim/1", "first_seed": 5 }"#).unwrap();
    refused(&with(bare), &["bare.json: not as this version writes a part: missing field"]);
    // One that contradicts itself.
    refused(&with(changed(&parts[2], "violations", json!(1))), &["it has 1 violations, and names 0"]);
    refused(&with(changed(&parts[2], "seeds", json!(21))), &["it has more seeds than its part"]);
    refused(&with(changed(&parts[2], "partition", json!("4/3"))), &["there is no part 4 of 3"]);
    let mut foreign = read_json(&parts[2]);
    (foreign["failed"], foreign["violations"]) = (json!([5]), json!(1));
    std::fs::write(&parts[2], foreign.to_string()).unwrap();
    refused(&parts, &["seed 5 is not in part 3/3"]);
    assert_eq!(sim("merge", &[]).status.code(), Some(2), "no files are no run");
    assert_eq!(sim("--seed 1 merge", &parts).status.code(), Some(2), "merging draws nothing");
}

/// A run that is cut short stands for any that fails; the parts stop at different seeds.
#[test]
fn the_first_violation_of_all_parts_is_told_and_made_small() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path(), "--seed 5 --seeds 60 --no-corpus --steps-max 200 --brief");
    let failed = parts.iter().flat_map(|part| read_json(part)["failed"].as_array().cloned().expect("seeds"));
    let first = failed.filter_map(|seed| seed.as_u64()).min().expect("some part has failed");
    let trace = folder.path().join("trace.json");
    let output = sim(&format!("merge --trace {}", trace.display()), &parts);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for said in [
        &format!("the first violation: seed {first}, of part "),
        &format!("seed {first}: P10 no silent deadlock"),
        "made small: ",
        &format!("to see it again: smpcall sim --seed {first} --memory tso "),
        "error: ",
    ] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    assert!(!stderr.contains("unfinished"), "a part that a failure ended has done its part: {stderr}");
    assert!(read_json(&trace)["traceEvents"].as_array().is_some_and(|events| events.len() > 3));
    let brief = text(&sim("merge --brief", &parts).stderr);
    assert!(brief.contains(&format!("seed {first}: P10")) && !brief.contains("made small"), "{brief}");
}

#[test]
fn what_another_build_has_found_is_told_and_not_played() {
    let folder = tempfile::tempdir().unwrap();
    let failed = part(folder.path(), "--seed 5 --seeds 60 --no-corpus --steps-max 200 --brief", "1/1");
    let other = changed(&failed, "fingerprint", json!("0123456789abcdef"));
    refused(&[other], &["another build made it", "to see it again: smpcall sim --seed "]);
    // Nor is any other command taken from a file.
    let strange = changed(&failed, "repeat", json!("rm --recursive --force everything"));
    refused(&[strange], &["its `repeat` is not this version's"]);
}
