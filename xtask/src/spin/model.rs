//! A model's file: Promela, with a comment in front that says what must hold, and which `-D` is which mutant.
//!
//! ```text
//! /*
//!  * P7: what is modelled, and what is left out.
//!  *
//!  * property runs: what comes about, by the formula of that name       (that no state is bad, `states`, holds of each model)
//!  * mutant NO_RING: runs: what breaks                                  (the property that fails)
//!  */
//! ```
//!
//! `/* queue.rs take */` names what a step stands for: a file of the core's sources, or of the host's after `host/`, and its function.

use super::FOLDER;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// No assertion fails, and nobody is stuck but where the model has an end.
pub(super) const STATES: &str = "states";

/// One file.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) properties: Vec<String>,
    pub(super) mutants: Vec<Mutant>,
}

/// A wrong model, and the property that it must break.
#[derive(Debug)]
pub(super) struct Mutant {
    pub(super) name: String,
    pub(super) property: String,
    pub(super) why: String,
}

impl Model {
    pub(super) fn parse(name: &str, text: &str) -> Result<Model> {
        let (comment, program) = parts(text)?;
        let (mut properties, mut mutants) = (vec![STATES.to_owned()], Vec::new());
        for line in comment.lines().map(|line| line.trim_start_matches([' ', '*'])) {
            if let Some(row) = line.strip_prefix("property ") {
                let (property, _) = row.split_once(": ").context("a property without `: `")?;
                ensure!(program.contains(&format!("ltl {property} {{")), "no formula `{property}`");
                properties.push(property.to_owned());
            } else if let Some(row) = line.strip_prefix("mutant ") {
                let mut parts = row.splitn(3, ": ").map(str::to_owned);
                let (Some(name), Some(property), Some(why)) = (parts.next(), parts.next(), parts.next())
                else {
                    bail!("`{line}` is not `mutant NAME: PROPERTY: why`")
                };
                ensure!(properties.contains(&property), "mutant {name} breaks no property `{property}`");
                mutants.push(Mutant { name, property, why });
            }
        }
        let here: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
        let chosen: BTreeSet<&str> = program
            .lines()
            .filter(|line| line.starts_with("#if"))
            .flat_map(|line| line.split(|other: char| !other.is_ascii_uppercase() && other != '_'))
            .filter(|word| !word.is_empty())
            .collect();
        ensure!(here == chosen, "mutants {here:?}, and its `#if`s choose {chosen:?}");
        for property in &properties[1..] {
            let breaks = mutants.iter().any(|mutant| mutant.property == *property);
            ensure!(breaks, "no mutant breaks `{property}`: nothing shows that it can fail");
        }
        Ok(Model { name: name.to_owned(), text: text.to_owned(), properties, mutants })
    }

    /// Steps that name no function, and functions that are not there.
    pub(super) fn faults(&self, root: &Path) -> Vec<String> {
        let Ok((_, program)) = parts(&self.text) else { return Vec::new() };
        let mut faults = Vec::new();
        let mut sources = BTreeMap::new();
        let mut before = "";
        let mut inside = Vec::new();
        for line in program.lines() {
            match line.split_whitespace().next() {
                Some("#ifdef") => inside.push(true),
                Some("#if" | "#ifndef") => inside.push(false),
                Some("#else") => _ = inside.last_mut().map(|of_a_mutant| *of_a_mutant = false),
                Some("#endif") => _ = inside.pop(),
                _ => {}
            }
            let names = if line.starts_with("inline ") { named(before) } else { named(line) };
            let step = line.starts_with("inline ") || line.contains("atomic {");
            if step && names.is_empty() && !inside.contains(&true) {
                faults.push(format!("{FOLDER}/{}: `{}` names no function", self.name, line.trim()));
            }
            for (file, function) in named(line) {
                let path = match file.strip_prefix("host/") {
                    Some(file) => format!("crates/smpcall-host/src/{file}"),
                    None => format!("crates/smpcall/src/{file}"),
                };
                let source = sources
                    .entry(path.clone())
                    .or_insert_with(|| fs::read_to_string(root.join(&path)).unwrap_or_default());
                if !source.contains(&format!("fn {function}("))
                    && !source.contains(&format!("fn {function}<"))
                {
                    faults.push(format!("{FOLDER}/{}: no function `{function}` in {path}", self.name));
                }
            }
            before = line;
        }
        faults
    }
}

/// The files and functions that a line's comment names.
fn named(line: &str) -> Vec<(&str, &str)> {
    let Some((_, comment)) = line.split_once("/*") else { return Vec::new() };
    let words: Vec<&str> = comment.split_whitespace().collect();
    words
        .windows(2)
        .filter(|pair| pair[0].ends_with(".rs"))
        .map(|pair| (pair[0], pair[1].trim_end_matches([':', ',', ';'])))
        .collect()
}

fn parts(text: &str) -> Result<(&str, &str)> {
    text.strip_prefix("/*\n").and_then(|text| text.split_once("*/")).context("no comment in front")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "/*\n * P7: a ring.\n *\n * property runs: it runs\n * mutant NO_RING: runs: nobody rings\n */\n\
        ltl runs { <> x }\n/* queue.rs take */\ninline take() {\n#ifdef NO_RING\n\tatomic { x = 0 }\n#else\n\
        \tatomic { /* host/latch.rs ring: once */\n\t\tx = 1\n\t}\n#endif\n}\n";

    fn parse_with(from: &str, to: &str) -> Result<Model> {
        assert!(MODEL.contains(from));
        Model::parse("m", &MODEL.replacen(from, to, 1))
    }

    #[test]
    fn a_model_is_read() {
        let model = Model::parse("m", MODEL).unwrap();
        assert_eq!(model.properties, ["states", "runs"]);
        assert_eq!((&*model.mutants[0].name, &*model.mutants[0].why), ("NO_RING", "nobody rings"));
        assert_eq!(model.faults(&crate::sh::root()), [""; 0]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (from, to) in [
            ("ltl runs", "ltl other"),
            ("#ifdef NO_RING", "#ifdef NO_BELL"),
            ("mutant NO_RING: runs", "mutant NO_RING: ends"),
            ("mutant NO_RING: runs", "mutant NO_RING: states"),
            ("/*\n * P7", "* P7"),
        ] {
            assert!(parse_with(from, to).is_err(), "{to}");
        }
    }

    #[test]
    fn a_name_that_is_gone_and_a_step_without_one_are_faults() {
        let root = crate::sh::root();
        for (from, to, what) in [
            ("queue.rs take", "queue.rs take_all", "no function `take_all` in crates/smpcall/src/queue.rs"),
            (
                "host/latch.rs ring",
                "host/bell.rs ring",
                "no function `ring` in crates/smpcall-host/src/bell.rs",
            ),
            ("/* queue.rs take */\n", "", "`inline take() {` names no function"),
            ("/* host/latch.rs ring: once */", "", "`atomic {` names no function"),
        ] {
            let faults = parse_with(from, to).unwrap().faults(&root);
            assert!(faults.len() == 1 && faults[0].contains(what), "{faults:?}");
        }
    }
}
