//! What `--json` writes is what docs/command.md says: each field is in its table, with its type, and each row of a table is a field.

#[path = "common/schema.rs"]
mod schema;

use schema::Fields;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A command for each schema, with what to write at its end.
const COMMANDS: [(&str, &str); 7] = [
    ("smpcall.run/1", "run --seconds 0.2 --cpus 2"),
    ("smpcall.litmus/1", "litmus --posts 1000"),
    ("smpcall.torture/1", "torture --seconds 0.2 --cpus 2"),
    ("smpcall.sim/1", "sim --seed 1 --seeds 2"),
    ("smpcall.sim/1", "sim --seed 1 --seeds 64 --coverage --no-corpus --partition 2/4"),
    ("smpcall.sim-scale/1", "sim --scale=2"),
    ("smpcall.sim-scale/1", "sim --scale=2 --calibrate {}/smpcall.run-1.json"),
];
/// Objects whose names differ from run to run.
const NAMES: [(&str, &[&str]); 2] =
    [("torture", &["kinds", "checks", "events"]), ("sim", &["coverage.runs"])];

#[test]
fn the_page_has_every_field_and_no_other() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/command.md");
    let documented = schema::tables(&std::fs::read_to_string(page).expect("the page is there"));
    let folder = tempfile::tempdir().unwrap();
    let mut seen: BTreeMap<&str, Fields> = BTreeMap::new();
    for (schema, arguments) in COMMANDS {
        let file = folder.path().join(format!("{}.json", schema.replace('/', "-")));
        let arguments = arguments.replace("{}", folder.path().to_str().unwrap());
        let output = Command::new(env!("CARGO_BIN_EXE_smpcall"))
            .args(arguments.split_whitespace())
            .arg("--json")
            .arg(&file)
            .output()
            .expect("the command starts");
        assert!(output.status.success(), "{arguments}: {output:?}");
        let text = std::fs::read_to_string(&file).expect("it was written");
        let first = text.lines().nth(1).unwrap_or_default();
        assert!(first.contains(&format!("\"schema\": \"{schema}\"")), "{arguments}: {first}");
        let written: Value = serde_json::from_str(&text).expect("it is JSON");
        let command = arguments.split(' ').next().unwrap_or_default();
        let any = NAMES.iter().find(|(name, _)| *name == command).map_or(&[][..], |(_, any)| any);
        schema::flatten(&written, "", any, seen.entry(schema).or_default());
    }
    assert_eq!(
        documented.keys().map(String::as_str).collect::<Vec<_>>(),
        seen.keys().copied().collect::<Vec<_>>()
    );
    for (schema, fields) in &seen {
        schema::compare(schema, &documented[*schema], fields);
    }
}
