//! The base: which commit it is (`xtask/gate.toml`), whether it is there, and its sources.

use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the measured rows are made of.
const MEASURED: &str = "crates Cargo.toml Cargo.lock";

/// A commit that was accepted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Base {
    pub(super) commit: String,
    pub(super) why: String,
    /// The rows that were slower than the base before it, and how many times as slow.
    pub(super) slower: Vec<String>,
}

#[derive(Deserialize)]
struct Bases {
    base: Vec<Base>,
}

fn file() -> PathBuf {
    sh::root().join("xtask/gate.toml")
}

impl Base {
    /// The one in force.
    pub(super) fn accepted() -> Result<Base> {
        let path = file();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Base::last(&text)
    }

    fn last(text: &str) -> Result<Base> {
        toml::from_str::<Bases>(text)?.base.pop().context("xtask/gate.toml names no base")
    }

    /// Puts it after the others, where it is in force.
    pub(super) fn append(&self) -> Result<()> {
        OpenOptions::new().append(true).open(file())?.write_all(self.entry().as_bytes())?;
        println!("  xtask/gate.toml: {} is the base; commit that", self.commit);
        Ok(())
    }

    fn entry(&self) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let slower: String = self.slower.iter().map(|row| format!("\n    {},", quoted(row))).collect();
        let end = if slower.is_empty() { "" } else { "\n" };
        format!(
            "\n[[base]]\ncommit = {}\nwhy = {}\nslower = [{slower}{end}]\n",
            quoted(&self.commit),
            quoted(&self.why)
        )
    }
}

/// The full name of a commit that the repository has.
pub(super) fn commit(name: &str) -> Result<String> {
    let found = Cmd::new("git", "rev-parse --verify --quiet").arg(format!("{name}^{{commit}}")).capture()?;
    if found.ok {
        return Ok(found.stdout.trim().to_owned());
    }
    let shallow = Cmd::new("git", "rev-parse --is-shallow-repository").capture()?;
    match shallow.stdout.trim() {
        "true" => bail!("the clone is shallow, without the base's commit {name}"),
        "false" => bail!("the repository has no commit {name}, the base"),
        _ => bail!("this is no git repository: {}", shallow.stderr.trim()),
    }
}

/// Whether all that is committed is here as it was committed.
pub(super) fn is_clean() -> Result<bool> {
    Ok(Cmd::new("git", "status --porcelain").read()?.is_empty())
}

/// Whether the rows are made of the same sources.
pub(super) fn is_unchanged(commit: &str) -> bool {
    let difference = Cmd::new("git", "diff --quiet").arg(commit).arg("--").args(MEASURED).capture();
    difference.is_ok_and(|said| said.ok)
}

/// The commit's files, in this folder; what is already there stays.
pub(super) fn export(commit: &str, folder: &Path) -> Result<PathBuf> {
    let (mark, archive) = (folder.join("commit"), folder.join("sources.tar"));
    let sources = folder.join("sources");
    if fs::read_to_string(&mark).is_ok_and(|there| there == commit) {
        return Ok(sources);
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(&sources)?;
    Cmd::new("git", "archive --format=tar --output").arg(&archive).arg(commit).read()?;
    // Not with the commit's date: cargo would take the sources for older than what it has built of another commit.
    Cmd::new("tar", "--extract --touch --directory").arg(&sources).arg("--file").arg(&archive).read()?;
    ensure!(sources.join("Cargo.lock").exists(), "{} has no Cargo.lock", sh::shown(&sources));
    fs::remove_file(archive)?;
    fs::write(mark, commit)?;
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_is_in_force_and_is_read_as_it_was_written() {
        let first = Base { commit: "a".into(), why: "The first.".into(), slower: Vec::new() };
        let why = "A promise more: \"P16\", 2\\3".to_owned();
        let second =
            Base { commit: "b".into(), why: why.clone(), slower: vec!["waiting call, polling: 1.32".into()] };
        let last = Base::last(&format!("# As it was\n{}{}", first.entry(), second.entry())).unwrap();
        assert_eq!((last.commit, last.why, last.slower), (second.commit, why, second.slower));
        assert_eq!(Base::last(&first.entry()).unwrap().slower, [""; 0]);
        assert!(Base::last("base = []").is_err());
    }

    #[test]
    fn the_committed_file_names_a_base() {
        let base = Base::accepted().unwrap();
        assert!(
            base.commit.len() == 40 && base.commit.bytes().all(|digit| digit.is_ascii_hexdigit()),
            "{base:?}"
        );
    }
}
