//! Every row runs a few calls of each contestant; the program fails if one is answered wrongly. The file has what it is to have.

#[path = "../../../crates/smpcall-cli/tests/common/schema.rs"]
mod schema;

use serde_json::Value;
use std::process::Command;

fn is_positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|value| value > 0.0)
}

fn check_figures(figures: &Value, by: &str, row: &str) {
    assert!(is_positive(&figures["ns"]), "{row}: {figures}");
    if by != "median" {
        let tail = &figures["tail"];
        let at = |name: &str| tail[name].as_f64().unwrap_or_else(|| panic!("{row} has no {name}: {tail}"));
        assert!(at("p999_ns") >= at("p99_ns") && at("calls_per_s") > 0.0, "{row}: {tail}");
        assert!(at("fairness") >= 1.0, "{row}: {tail}");
    }
}

#[test]
#[ignore = "it spins on all cores, some minutes where others do as well: a step of `test --full`"]
fn every_row_runs_and_is_written() {
    let folder = tempfile::tempdir().expect("there is room");
    let json = folder.path().join("peers.json");
    let ran = Command::new(env!("CARGO_BIN_EXE_peers"))
        .args(["--seconds", "0.001", "--rounds", "1", "--json"])
        .arg(&json)
        .output()
        .expect("it starts");
    let (table, complaint) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{complaint}");
    let text = std::fs::read_to_string(&json).expect("it wrote the file");
    let report: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&report["schema"], &report["rounds"]), (&"smpcall.peers/1".into(), &1.into()));
    let mut written = schema::Fields::new();
    schema::flatten(&report, "", &[], &mut written);
    let documented = schema::tables(include_str!("../../../docs/peers.md"));
    schema::compare("smpcall.peers/1", &documented["smpcall.peers/1"], &written);
    let rows = report["rows"].as_array().expect("rows");
    for group in ["peers", "linux", "crowd"] {
        assert!(rows.iter().any(|row| row["group"] == group), "no row of {group}");
    }
    for row in rows {
        let (call, by) = (row["call"].as_str().expect("a call"), row["by"].as_str().expect("by what"));
        assert!(table.contains(call), "{call} is not in the table:\n{table}");
        check_figures(&row["ours"], by, call);
        let beside = row["beside"].as_array().expect("what it stands beside");
        assert!(!beside.is_empty(), "{call} stands beside nothing");
        for beside in beside {
            let name = beside["name"].as_str().expect("a name");
            check_figures(&beside["figures"], by, name);
            assert!(is_positive(&beside["ratio"]), "{call}, {name}: {beside}");
            // Those of a channel that is kept, and its box, are counted rightly: one each, and none of ours.
            if call == "waiting call" && name == "rtrb" {
                assert_eq!(
                    (&row["ours"]["allocations"], &beside["figures"]["allocations"]),
                    (&0.0.into(), &1.0.into())
                );
            }
        }
    }
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    for bad in [["--seconds", "0"], ["--rounds", "0"], ["--rows", "no such row"]] {
        let ran = Command::new(env!("CARGO_BIN_EXE_peers")).args(bad).output().expect("it starts");
        assert!(!ran.status.success() && !ran.stderr.is_empty(), "{bad:?}");
    }
}
