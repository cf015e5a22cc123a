//! The repository's files: what git would see, found without git. [`all`] and [`sync`] are what tidy reads and what
//! the mutants are applied to.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file below `root` that .gitignore leaves in, relative to `root`, sorted.
pub(crate) fn all(root: &Path) -> Result<Vec<PathBuf>> {
    let walk = ignore::WalkBuilder::new(root)
        .hidden(false)
        .parents(false)
        .git_global(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            files.push(entry.path().strip_prefix(root)?.to_path_buf());
        }
    }
    files.sort();
    Ok(files)
}

/// Makes `copy` hold exactly the files of `root`. What is already the same is not written again, so that cargo
/// rebuilds only what changed.
pub(crate) fn sync(root: &Path, copy: &Path) -> Result<()> {
    fs::create_dir_all(copy)?;
    let wanted: BTreeSet<PathBuf> = all(root)?.into_iter().collect();
    for stale in all(copy)?.iter().filter(|file| !wanted.contains(*file)) {
        fs::remove_file(copy.join(stale))?;
    }
    for file in &wanted {
        let (from, to) = (root.join(file), copy.join(file));
        let bytes = fs::read(&from).with_context(|| format!("reading {}", from.display()))?;
        if fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, bytes).with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_its_source_and_leaves_the_same_files_alone() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("a/b")).unwrap();
        fs::create_dir_all(from.path().join("target")).unwrap();
        fs::write(from.path().join(".gitignore"), "/target\n").unwrap();
        fs::write(from.path().join("target/x"), "built").unwrap();
        fs::write(from.path().join("a/b/c.rs"), "one").unwrap();
        fs::write(to.path().join("gone.rs"), "old").unwrap();
        sync(from.path(), to.path()).unwrap();
        assert_eq!(all(to.path()).unwrap(), [PathBuf::from(".gitignore"), PathBuf::from("a/b/c.rs")]);
        let before = fs::metadata(to.path().join("a/b/c.rs")).unwrap().modified().unwrap();
        sync(from.path(), to.path()).unwrap();
        assert_eq!(before, fs::metadata(to.path().join("a/b/c.rs")).unwrap().modified().unwrap());
        fs::write(from.path().join("a/b/c.rs"), "two").unwrap();
        sync(from.path(), to.path()).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("a/b/c.rs")).unwrap(), "two");
    }
}
