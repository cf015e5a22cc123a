//! The licences of what is built in: every package that the workspace, or the kernel, depends on offers one that is allowed.

use super::Breach;
use crate::metadata;
use anyhow::Result;
use serde::Deserialize;

/// They ask for a notice at most, of who hands on a binary.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Let pass: what only programs have that are run here, and handed to nobody. Its changes would have to be published.
const RUN_HERE_ONLY: [(&str, &str); 1] = [("kernel/Cargo.toml", "fdt")];

const MANIFESTS: [&str; 2] = ["Cargo.toml", "kernel/Cargo.toml"];

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Packages whose licence is not allowed. Cargo tells what there is, so this is for the repository itself.
pub(super) fn check() -> Result<Vec<Breach>> {
    let mut breaches = Vec::new();
    for manifest in MANIFESTS {
        let packages: Vec<Package> = metadata::all_packages(manifest)?;
        let mut refused: Vec<&Package> = packages.iter().filter(|package| !package.is_allowed()).collect();
        for (_, name) in RUN_HERE_ONLY.iter().filter(|(of, _)| *of == manifest) {
            match refused.iter().position(|package| package.name == *name) {
                Some(at) => _ = refused.remove(at),
                None => {
                    breaches.push(Breach::new(manifest, 1, format!("{name} is let pass, and need not be")))
                }
            }
        }
        breaches.extend(refused.into_iter().map(|package| package.breach(manifest)));
    }
    Ok(breaches)
}

impl Package {
    fn is_allowed(&self) -> bool {
        self.license.as_deref().is_some_and(is_allowed)
    }

    fn breach(&self, manifest: &str) -> Breach {
        let Self { name, version, license } = self;
        let license = license.as_deref().unwrap_or("none that it names");
        Breach::new(
            manifest,
            1,
            format!("{name} {version} is under a licence that is not allowed: {license}"),
        )
    }
}

/// Whether one may choose licences that are all allowed. A slash is an old way to write OR.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&words, &mut at) && at == words.len()
}

fn any(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        // Not `||`: what is behind is read all the same.
        allowed |= all(words, at);
    }
    allowed
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(words, at);
    }
    allowed
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let word = words.get(*at);
    // Also past the end, so that what is cut short is not taken for the whole.
    *at += 1;
    let Some(word) = word else { return false };
    if *word == "(" {
        let allowed = any(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return allowed && closed;
    }
    match words.get(*at..*at + 2) {
        Some(["WITH", exception]) => {
            *at += 2;
            ALLOWED.contains(&format!("{word} WITH {exception}").as_str())
        }
        _ => ALLOWED.contains(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_that_is_allowed_is_enough_and_each_part_is_needed() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-2.0-only/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
            "GPL-3.0-only OR (MIT AND Zlib)",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR Apache-2.0) AND MPL-2.0",
            "GPL-2.0-only WITH Classpath-exception-2.0",
            "MIT OR",
            "(MIT",
            "MIT MIT",
        ] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_package_that_names_none_is_refused() {
        let package = |license: Option<&str>| Package {
            name: "a".into(),
            version: "1.0.0".into(),
            license: license.map(str::to_owned),
        };
        assert!(package(Some("MIT")).is_allowed());
        assert!(!package(None).is_allowed() && !package(Some("none")).is_allowed());
    }
}
