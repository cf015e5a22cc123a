//! What `--json` writes is what docs/command.md says: each field is in its table, with its type, and each row of a table is a field.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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
const NAMES: [(&str, &str); 4] =
    [("torture", "kinds"), ("torture", "checks"), ("torture", "events"), ("sim", "coverage.runs")];

type Fields = BTreeMap<String, BTreeSet<&'static str>>;

/// Path by path, the types of what is there.
fn flatten(value: &Value, path: &str, command: &str, fields: &mut Fields) {
    let kind = match value {
        Value::Object(object) => {
            for (name, value) in object {
                let any = NAMES.contains(&(command, path));
                let name = if any { "*" } else { name };
                let dot = if path.is_empty() { "" } else { "." };
                flatten(value, &format!("{path}{dot}{name}"), command, fields);
            }
            return;
        }
        Value::Array(list) => {
            list.iter().for_each(|value| flatten(value, &format!("{path}[]"), command, fields));
            return;
        }
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Null => "null",
        Value::Bool(_) => "boolean",
    };
    fields.entry(path.to_owned()).or_default().insert(kind);
}

/// The page's tables: schema, field, type.
fn documented() -> BTreeMap<String, BTreeMap<String, String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/command.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let mut tables: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut table = None;
    for line in page.lines() {
        if line.starts_with('#') {
            let schema = line.strip_prefix("### `").and_then(|name| name.strip_suffix('`'));
            table = schema.map(|name| tables.entry(name.to_owned()).or_default());
        } else if let (Some(table), Some(row)) = (&mut table, line.strip_prefix("| `")) {
            let (field, rest) = row.split_once("` | ").expect("a field stands in backticks");
            let (kind, _) = rest.split_once(" |").expect("a row has three cells");
            assert!(table.insert(field.to_owned(), kind.to_owned()).is_none(), "{field} is there twice");
        }
    }
    tables
}

#[test]
fn the_page_has_every_field_and_no_other() {
    let documented = documented();
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
        flatten(&written, "", command, seen.entry(schema).or_default());
    }
    assert_eq!(
        documented.keys().map(String::as_str).collect::<Vec<_>>(),
        seen.keys().copied().collect::<Vec<_>>()
    );
    for (schema, fields) in &seen {
        let table = &documented[*schema];
        for (field, kinds) in fields {
            let kind = table.get(field).unwrap_or_else(|| panic!("{schema}: `{field}` is not in the page"));
            let allowed: Vec<&str> = kind.split([' ', ',']).collect();
            assert!(
                kinds.iter().all(|kind| allowed.contains(kind)),
                "{schema}: `{field}` is {kinds:?}, not {kind}"
            );
        }
        for (field, kind) in table.iter().filter(|(_, kind)| !kind.ends_with(", or none")) {
            assert!(fields.contains_key(field), "{schema}: `{field}` ({kind}) was not written");
        }
    }
}
