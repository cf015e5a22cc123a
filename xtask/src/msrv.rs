//! `msrv`: builds each crate that is to be published with the oldest compiler that its manifest says it builds with. That compiler is Debian's,
//! unpacked into the target folder.
//!
//! Only for this machine's architecture: what is of another in `smpcall-bare` is not built, for want of that compiler's `core` for it.

use crate::debian::Unpacked;
use crate::package;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, ensure};

/// The first compiler of edition 2024; the second line is what it is linked with. Bookworm has it beside its own, to build browsers with.
const OLDEST: Unpacked = Unpacked {
    folder: "rust-oldest",
    suite: "bookworm",
    packages: "rustc-web=1.85.* libstd-rust-web-1.85 libstd-rust-web-dev=1.85.* libllvm19 \
        libc6 libgcc-s1 libstdc++6 libz3-4 libzstd1 zlib1g libffi8 libedit2 libbsd0 libmd0 libtinfo6 libxml2 libicu72 liblzma5",
};

/// Why it is not to be had, if it is not.
pub(crate) fn missing() -> Option<String> {
    (!OLDEST.compiler().exists()).then(|| "no Rust 1.85: `cargo xtask setup` fetches Debian's".to_owned())
}

/// Fetches it, once.
pub(crate) fn fetch() -> Result<()> {
    OLDEST.fetch_compiler()
}

/// With all features, and with none: code is there for either.
pub(crate) fn run() -> Result<()> {
    fetch()?;
    let version = version(&Cmd::new(OLDEST.compiler(), "--version").read()?)?;
    let published = package::published()?;
    ensure!(!published.is_empty(), "no crate is to be published");
    for package in &published {
        is_checked(&package.name, package.rust_version.as_deref(), &version)?;
    }
    for features in ["--all-features", "--no-default-features"] {
        let mut check = Cmd::cargo("check --locked").arg(features);
        for package in &published {
            check = check.arg("-p").arg(&package.name);
        }
        // Not beside what another compiler has built: each would undo the other's.
        check.arg("--target-dir").arg(sh::target_dir().join("msrv")).env("RUSTC", OLDEST.compiler()).run()?;
    }
    println!("  {} crates build with Rust {version}, as they say", published.len());
    Ok(())
}

/// Of `rustc 1.85.0 (…)`: `1.85`, as manifests have it.
fn version(said: &str) -> Result<String> {
    let version = said.strip_prefix("rustc ").and_then(|rest| rest.split(' ').next());
    let version = version.and_then(|version| version.rsplit_once('.'));
    Ok(version.with_context(|| format!("no compiler's version: {said}"))?.0.to_owned())
}

/// What is stated must be what is built with: an older one would be a claim that nothing checks, and with a newer one cargo would not build.
fn is_checked(name: &str, stated: Option<&str>, version: &str) -> Result<()> {
    ensure!(
        stated == Some(version),
        "{name} says that it builds with Rust {}, and this builds it with {version}",
        stated.unwrap_or("of any version")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_version_that_is_not_built_with_is_refused() {
        let debian = "rustc 1.85.0 (4d91de4e4 2025-02-17) (built from a source tarball)";
        assert_eq!(version(debian).unwrap(), "1.85");
        assert!(version("cargo 1.85.0").is_err() && version("rustc none").is_err());
        is_checked("a", Some("1.85"), "1.85").unwrap();
        for stated in [None, Some("1.84"), Some("1.88")] {
            assert!(is_checked("a", stated, "1.85").is_err(), "{stated:?}");
        }
    }

    #[test]
    fn what_is_published_states_the_version_that_is_fetched() {
        for package in package::published().unwrap() {
            let named = format!("rustc-web={}.*", package.rust_version.unwrap());
            assert!(OLDEST.packages.contains(&named), "{}: {named}", package.name);
        }
    }
}
