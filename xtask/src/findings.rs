//! `findings`: runs the scripts in findings/, each of which says whether a surprise in somebody else's software is still there.
//!
//! What can be executed there is a script, and has its row in the README; what cannot is read by those.

use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Runs all of them, or those with `part` in their names; the last line counts them.
pub(crate) fn run(part: Option<&str>) -> Result<()> {
    let part = part.unwrap_or_default();
    let scripts: Vec<_> = scripts()?.into_iter().filter(|name| name.contains(part)).collect();
    ensure!(!scripts.is_empty(), "there is no script with {part:?} in its name in findings/");
    let mut changed = Vec::new();
    for name in &scripts {
        if let Err(why) = Cmd::new(sh::root().join("findings").join(name), "").run() {
            println!("{name}: {why:#}");
            changed.push(name.as_str());
        }
    }
    println!("{} passed, {} failed", scripts.len() - changed.len(), changed.len());
    if !changed.is_empty() {
        bail!("not as they say, or could not be run: {}", changed.join(", "));
    }
    Ok(())
}

/// The scripts' names, in order.
fn scripts() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(sh::root().join("findings")).context("findings/")? {
        let file = file?;
        if file.metadata()?.permissions().mode() & 0o111 != 0 && file.file_type()?.is_file() {
            names.push(file.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scripts that the README has rows for, in order.
    fn rows() -> Vec<String> {
        let readme = fs::read_to_string(sh::root().join("findings/README.md")).unwrap();
        let name = |line: &str| Some(line.strip_prefix("| [")?.split_once(']')?.0.to_owned());
        let mut rows: Vec<_> = readme.lines().filter_map(name).collect();
        rows.sort();
        rows
    }

    #[test]
    fn each_script_has_one_row_in_the_readme() {
        let scripts = scripts().unwrap();
        assert!(!scripts.is_empty());
        assert_eq!(rows(), scripts);
    }

    #[test]
    fn each_says_what_one_would_believe_what_it_is_of_and_what_was_seen() {
        for name in scripts().unwrap() {
            let text = fs::read_to_string(sh::root().join("findings").join(&name)).unwrap();
            for part in ["# Believed: ", "# Version: ", "# Behaviour: ", "# Seen: "] {
                assert!(text.contains(part), "{name} does not say {part:?}");
            }
        }
    }

    #[test]
    fn a_part_of_a_name_that_none_has_is_an_error() {
        assert!(run(Some("nothing is called so")).is_err());
    }
}
