//! What cargo says of packages. Each caller has a type of the fields that it looks at.

use crate::sh::Cmd;
use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A package, by its targets.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) targets: Vec<Target>,
}

/// What cargo builds of a package.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

impl Target {
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|one| one == kind)
    }
}

/// Those of the workspace.
pub(crate) fn own_packages<P: DeserializeOwned>() -> Result<Vec<P>> {
    packages_of(&Cmd::cargo("metadata --no-deps --format-version 1").read()?)
}

/// All that a manifest's lock file has.
pub(crate) fn all_packages<P: DeserializeOwned>(manifest: &str) -> Result<Vec<P>> {
    packages_of(&Cmd::cargo("metadata --format-version 1 --locked --manifest-path").arg(manifest).read()?)
}

/// Those in what cargo has said.
pub(crate) fn packages_of<P: DeserializeOwned>(said: &str) -> Result<Vec<P>> {
    #[derive(Deserialize)]
    struct Metadata<P> {
        packages: Vec<P>,
    }
    let metadata: Metadata<P> = serde_json::from_str(said).context("cargo metadata")?;
    Ok(metadata.packages)
}
