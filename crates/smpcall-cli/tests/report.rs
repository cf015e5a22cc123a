//! `smpcall report` as its user meets it: what it writes, what it says of an earlier report, and what it refuses. How the page looks,
//! `cargo xtask report` sees.

#[allow(dead_code, reason = "each test needs a part")]
mod common;

use common::{assert_refused, output, read_json, smpcall, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Output;

const SHORT: &str = "--seconds 0.6 --rounds 3 --posts 1000";

fn report(arguments: &str, folder: &Path) -> Output {
    let arguments = arguments.split_whitespace().map(|word| word.replace("{}", folder.to_str().unwrap()));
    output(smpcall("report").args(arguments))
}

#[track_caller]
fn passes(arguments: &str, folder: &Path) -> String {
    let output = report(arguments, folder);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && stderr.is_empty(), "{arguments}: {stdout}{stderr}");
    stdout
}

#[track_caller]
fn refused(arguments: &str, folder: &Path, code: i32, named: &str) {
    assert_refused(arguments, &report(arguments, folder), code, named);
}

/// One test, since one report is measured for all of it.
#[test]
fn a_report_is_measured_written_read_again_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let said = passes(&format!("{SHORT} --out {{}}/page.html --json {{}}/first.json"), folder);
    assert!(said.contains("page.html in a browser"), "{said}");
    let mut first = read_json(&folder.join("first.json"));
    measured(&first);
    let page = fs::read_to_string(folder.join("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.len() < 500_000, "{}", page.len());

    // Of the same figures nothing changed.
    let said = passes("--from {}/first.json --against {}/first.json --out {}/same.html", folder);
    assert!(!said.contains("changed:") && said.contains("within the noise"), "{said}");
    let same = fs::read_to_string(folder.join("same.html")).unwrap();
    assert!(same.contains("Nothing changed.") && !page.contains("Nothing changed."));

    // All of a row's rounds are beyond those of the first, and its floor is not.
    let rows = first["rows"].as_array_mut().unwrap();
    let row =
        rows.iter_mut().find(|row| row["call"] == "waiting call" && row["target"] == "polling").unwrap();
    for ns in row["rounds"].as_array_mut().unwrap() {
        *ns = json!(1000.0 * ns.as_f64().unwrap());
    }
    fs::write(folder.join("slow.json"), first.to_string()).unwrap();
    let said = passes("--from {}/first.json --against {}/slow.json --out {}/faster.html", folder);
    assert_eq!(said.matches("changed: ").count(), 1, "{said}");
    assert!(said.contains("changed: waiting call, polling: "), "{said}");

    // What it cannot use is named, and what there was stays.
    fs::write(folder.join("peers.json"), r#"{"rows": []}"#).unwrap();
    first["schema"] = json!("smpcall.report/99");
    fs::write(folder.join("future.json"), first.to_string()).unwrap();
    let out = "--out {}/page.html";
    refused(&format!("{out} --from {{}}/future.json"), folder, 1, "smpcall.report/99");
    refused(
        &format!("{out} --from {{}}/first.json --against {{}}/page.html"),
        folder,
        1,
        "is not what `smpcall report --json` writes",
    );
    refused(
        &format!("{out} --from {{}}/first.json --peers {{}}/peers.json"),
        folder,
        1,
        "is not what `cargo xtask peers --json` writes",
    );
    refused(&format!("{out} --from {{}}/missing.json"), folder, 1, "missing.json");
    refused(&format!("{out} --from {{}}/first.json --rounds 2"), folder, 2, "--rounds");
    assert_eq!(fs::read_to_string(folder.join("page.html")).unwrap(), page);
}

/// Each part of it is there, and adds up.
fn measured(report: &Value) {
    assert_eq!(report["schema"], "smpcall.report/1");
    let list = |key: &str| report[key].as_array().unwrap_or_else(|| panic!("{key}")).clone();
    let cores = list("cores").len();
    assert_eq!(list("pairs").len(), cores.min(24) * (cores.min(24) - 1), "each ordered pair");
    for pair in list("pairs") {
        for key in ["line_ns", "call_ns", "futex_ns", "doorbell_ns"] {
            assert!(pair[key].as_f64().unwrap() > 0.0, "{pair}");
        }
    }
    for row in list("rows") {
        let ns: Vec<f64> = ["min", "p5", "p25", "p50", "p75", "p95", "p99"]
            .map(|key| row["ns"][key].as_f64().unwrap())
            .into();
        assert!(ns[0] > 0.0 && ns.is_sorted(), "{row}");
        assert_eq!(row["rounds"].as_array().unwrap().len(), 3, "{row}");
        let floor =
            list("floors").into_iter().find(|floor| floor["name"] == row["floor"]).expect("its floor");
        assert_eq!(floor["rounds"].as_array().unwrap().len(), 3, "{floor}");
    }
    assert!(list("rows").len() >= 12);
    for curve in list("growth") {
        let cpus: Vec<u64> =
            curve["points"].as_array().unwrap().iter().map(|point| point["cpus"].as_u64().unwrap()).collect();
        assert!(cpus.len() >= 3 && cpus.is_sorted(), "{curve}");
    }
    assert_eq!(report["checks"]["failed"], 0);
    assert!(report["checks"]["passed"].as_u64().unwrap() > 100);
    assert_eq!((&report["litmus"]["posts"], &report["litmus"]["smpcall"]["lost"]), (&json!(1000), &json!(0)));
    assert!(!report["environment"]["kernel"].as_str().unwrap().is_empty());
}

#[test]
fn bad_flags_are_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    refused("", folder, 2, "--out");
    refused("--out {}/page.html --seconds 0", folder, 2, "--seconds");
    refused("--out {}/page.html --rounds 0", folder, 2, "--rounds");
    refused("--out {}/page.html --posts 0", folder, 2, "--posts");
    refused("--out {}/no/such/page.html --seconds 3600", folder, 1, "page.html");
    refused("--out {}/page.html --json {}/no/such/report.json --seconds 3600", folder, 1, "report.json");
    refused("--out {}/page.html --against {}/missing.json --seconds 3600", folder, 1, "missing.json");
    assert!(!folder.join("page.html").exists());
}
