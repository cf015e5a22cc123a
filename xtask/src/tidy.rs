//! `tidy`: the rules that no compiler checks. [`run`] prints every breach as `path:line: what`, and fails on any.
//!
//! | rule | module |
//! |---|---|
//! | every atomic access says why its ordering is what it is; atomics only through the sync shim | [`orderings`] |
//! | every ordering that is not relaxed has a mutant | [`coverage`] |
//! | the core's files import downwards only | [`circles`] |
//! | sizes of files and functions; nothing left undone | [`text`] |
//! | the documents are there, their links lead to files and headings, and no path of one machine is in them | [`docs`] |
//! | the code in documents is what is compiled | [`guide`] |
//! | what is said to be ours for Linux's names is there, and so are the tests that show it | [`names`] |
//! | every function that users can call has an example that calls it | [`examples`] |
//! | what is rendered cites no invariant that only the sources have | [`public`] |
//! | what the page of troubles says is printed, is printed | [`texts`] |
//! | what is built in is under licences that are allowed | [`licences`] |

mod circles;
mod coverage;
mod docs;
mod examples;
mod guide;
mod licences;
mod names;
mod orderings;
mod public;
mod scan;
mod text;
mod texts;

use crate::mutants::table::Table;
use crate::{files, sh};
use anyhow::{Result, bail};
use scan::Source;
use std::fs;
use std::path::Path;

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    path: String,
    line: usize,
    what: String,
}

impl Breach {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Breach {
        Breach { path: path.to_owned(), line, what: what.into() }
    }
}

/// Checks the repository.
pub(crate) fn run() -> Result<()> {
    let mut breaches = check(&sh::root())?;
    breaches.extend(licences::check()?);
    for Breach { path, line, what } in &breaches {
        println!("{path}:{line}: {what}");
    }
    match breaches.len() {
        0 => Ok(()),
        count => bail!("{count} breaches of the text rules"),
    }
}

fn check(root: &Path) -> Result<Vec<Breach>> {
    let mut breaches = docs::required(root);
    let mut sources = Vec::new();
    let mut documents = Vec::new();
    for path in files::all(root)? {
        // Kernels that others wrote keep their own rules; what is not text has none.
        if path.starts_with("integrations") {
            continue;
        }
        let Ok(text) = fs::read_to_string(root.join(&path)) else { continue };
        let path = path.to_string_lossy().replace('\\', "/");
        breaches.extend(text::undone(&path, &text));
        breaches.extend(docs::check(root, &path, &text));
        if path.ends_with(".rs")
            && ["crates/", "examples/", "kernel/", "xtask/"].iter().any(|root| path.starts_with(root))
        {
            match Source::parse(&path, text) {
                Ok(source) => sources.push(source),
                Err(why) => breaches.push(Breach::new(&path, 1, why)),
            }
        } else if path.ends_with(".md") {
            documents.push((path, text));
        }
    }
    for (path, text) in &documents {
        breaches.extend(names::check(path, text, &sources));
        breaches.extend(guide::check(root, path, text, &sources));
        breaches.extend(texts::check(path, text, &sources));
    }
    for source in &sources {
        breaches.extend(text::sizes(source));
        breaches.extend(orderings::check(source));
        breaches.extend(public::check(source));
    }
    breaches.extend(circles::check(&sources));
    breaches.extend(examples::check(&sources));
    match Table::read(root) {
        Ok(table) => breaches.extend(coverage::check(root, &table, &sources)),
        Err(why) => breaches.push(Breach::new(crate::mutants::table::PATH, 1, format!("{why:#}"))),
    }
    breaches.sort();
    Ok(breaches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_tree_is_refused_by_every_rule_and_a_good_one_by_none() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for document in ["CAVEATS.md", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
            write(document, "See [the readme](README.md).\n");
        }
        let names = "## From Linux's names to ours\n| Linux | ours | test |\n|-|-|-|\n| x | y | `f` |\n";
        write("docs/from-linux.md", names);
        write(
            "crates/smpcall/src/a.rs",
            "// Release: publishes x; pairs with y.\nfn f() { X.store(1, Release); }\n",
        );
        let entry = |find| {
            format!(
                "[[mutant]]\nid = \"a\"\nfile = \"crates/smpcall/src/a.rs\"\nfind = \"{find}\"\n\
                 replace = \"\"\ncaught_by = \"loom:m\"\nwhy = \"y misses x\"\n"
            )
        };
        write("xtask/mutants.toml", &entry("X.store(1, Release)"));
        assert_eq!(check(dir.path()).unwrap(), []);

        write("CHANGELOG.md", "See [nothing](nowhere.md).\n");
        write("docs/kernel-guide.md", "```rust\nfn f() {}\n```\n");
        write("docs/from-linux.md", &names.replace("`f`", "`no_such_test`"));
        write("xtask/mutants.toml", &entry("fn f()").replace("fn f()", "// Release"));
        let bare = "use core::sync::atomic::fence;\n/// By I1.\npub fn g() { fence(AcqRel); } // FIX";
        write("crates/smpcall/src/b.rs", &format!("{bare}{}\n", "ME"));
        let whats: Vec<String> = check(dir.path()).unwrap().into_iter().map(|breach| breach.what).collect();
        for part in [
            "nowhere.md",
            "no_such_test",
            "no mutant",
            "sync shim",
            "AcqRel:",
            "`I1` is private",
            "`g`: no example",
            "left undone",
            "names no file",
        ] {
            assert!(whats.iter().any(|what| what.contains(part)), "{part}: {whats:#?}");
        }
    }
}
