//! JSON that is written, and a page's tables of its fields: each field is in its table, with its type, and each row of a table is a field.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Path by path, the types of what is there.
pub(crate) type Fields = BTreeMap<String, BTreeSet<&'static str>>;
/// Field by field, its type in a page's words.
pub(crate) type Table = BTreeMap<String, String>;

/// Adds what is in `value`, which stands at `path`; `any`: the objects whose names differ from run to run.
pub(crate) fn flatten(value: &Value, path: &str, any: &[&str], fields: &mut Fields) {
    let kind = match value {
        Value::Object(object) => {
            for (name, value) in object {
                let name = if any.contains(&path) { "*" } else { name };
                let dot = if path.is_empty() { "" } else { "." };
                flatten(value, &format!("{path}{dot}{name}"), any, fields);
            }
            return;
        }
        Value::Array(list) => {
            list.iter().for_each(|value| flatten(value, &format!("{path}[]"), any, fields));
            return;
        }
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Null => "null",
        Value::Bool(_) => "boolean",
    };
    fields.entry(path.to_owned()).or_default().insert(kind);
}

/// A page's tables, by the schemas that their headings name.
pub(crate) fn tables(page: &str) -> BTreeMap<String, Table> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
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

/// Panics if what was written is not what the table has.
pub(crate) fn compare(schema: &str, table: &Table, written: &Fields) {
    for (field, kinds) in written {
        let kind = table.get(field).unwrap_or_else(|| panic!("{schema}: `{field}` is not in the page"));
        let allowed: Vec<&str> = kind.split([' ', ',']).collect();
        assert!(
            kinds.iter().all(|kind| allowed.contains(kind)),
            "{schema}: `{field}` is {kinds:?}, not {kind}"
        );
    }
    for (field, kind) in table.iter().filter(|(_, kind)| !kind.ends_with(", or none")) {
        assert!(written.contains_key(field), "{schema}: `{field}` ({kind}) was not written");
    }
}
