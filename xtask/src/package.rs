//! `package`: makes of each crate that is to be published what would be uploaded, and builds that by itself, the others' packages in the place of
//! the registry. Nothing is uploaded.
//!
//! A crate is published if its manifest says `publish = true`; all others of the workspace inherit that they are not.

use crate::metadata;
use crate::sh::Cmd;
use anyhow::{Result, ensure};
use serde::Deserialize;

/// What each package has besides its sources: what its licences ask for, and what a registry shows.
const COMES_ALONG: [&str; 3] = ["LICENSE-MIT", "LICENSE-APACHE", "README.md"];

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    description: Option<String>,
    keywords: Vec<String>,
    categories: Vec<String>,
    pub(crate) rust_version: Option<String>,
    metadata: serde_json::Value,
    /// `None`: anywhere; empty: nowhere.
    publish: Option<Vec<String>>,
}

pub(crate) fn run() -> Result<()> {
    let published = published()?;
    ensure!(!published.is_empty(), "no crate is to be published");
    let mut package = Cmd::cargo("package --allow-dirty");
    for crate_ in &published {
        let Package { name, description, keywords, categories, rust_version, .. } = crate_;
        let described = description.is_some() && rust_version.is_some();
        ensure!(
            described && !keywords.is_empty() && !categories.is_empty(),
            "{name} does not say what it is"
        );
        let targets = crate_.metadata["docs"]["rs"]["targets"].as_array();
        ensure!(
            targets.is_some_and(|targets| !targets.is_empty()),
            "{name} does not say what docs.rs is to build"
        );
        let files = Cmd::cargo("package --list --allow-dirty -p").arg(name).read()?;
        for file in COMES_ALONG {
            ensure!(files.lines().any(|line| line == file), "the package of {name} has no {file}");
        }
        package = package.arg("-p").arg(name);
    }
    package.run()?;
    println!("  {} packages, each built by itself", published.len());
    Ok(())
}

/// The crates that are to be published.
pub(crate) fn published() -> Result<Vec<Package>> {
    let packages: Vec<Package> = metadata::own_packages()?;
    Ok(packages.into_iter().filter(|package| package.publish.is_none()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_depend_on_is_published_and_what_tests_it_is_not() {
        let names: Vec<_> = published().unwrap().into_iter().map(|package| package.name).collect();
        for name in ["smpcall", "smpcall-host", "smpcall-bare", "smpcall-conformance", "smpcall-kvm"] {
            assert!(names.iter().any(|published| published == name), "{name} is not among {names:?}");
        }
        for name in ["xtask", "smpcall-sim", "smpcall-instrumented", "smpcall-cli"] {
            assert!(!names.iter().any(|published| published == name), "{name} is");
        }
    }
}
