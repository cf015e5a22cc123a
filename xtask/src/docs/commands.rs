//! The commands that documents show: each must parse. [`check`] reads every document, and the comments of sources that are
//! documentation; what a command's program says of its arguments decides.
//!
//! - `cargo xtask …` is parsed here, by the same parser that would run it;
//! - `smpcall …`, and `cargo run … -- …` for it, by the program itself, with `--help` behind: it reads all that is before, and does nothing;
//! - of other `cargo` commands the package, example, test or binary that they name must be there.
//!
//! A word in capitals is a placeholder (`--cpus N`), what is in brackets may be left out, and `a|b` is either: all three must parse.

mod shown;

use crate::metadata::{self, Package};
use crate::sh::{self, Cmd};
use crate::{Args, files};
use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use shown::{Shown, is_placeholder};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Cargo's own that documents may name, and those of tools that others wrote.
const CARGO: [&str; 13] = [
    "add", "build", "clippy", "doc", "fetch", "fmt", "install", "metadata", "osdk", "package", "publish",
    "tree", "update",
];

/// What commands are held against.
struct Judge {
    packages: Vec<Package>,
    smpcall: PathBuf,
}

/// Checks the repository's documents.
pub(super) fn check() -> Result<()> {
    let root = sh::root();
    let judge = Judge::build()?;
    let (mut wrong, mut seen) = (0, BTreeSet::new());
    for path in files::all(&root)? {
        let Some(text) = document(&root, &path)? else { continue };
        for shown in shown::of(&text) {
            for words in shown.variants() {
                // Each is asked about once.
                if !seen.insert((words.clone(), shown.is_block)) {
                    continue;
                }
                if let Err(why) = judge.check(&words, &shown) {
                    println!("{}:{}: `{}`: {why:#}", path.display(), shown.line, words.join(" "));
                    wrong += 1;
                }
            }
        }
    }
    println!("  {} commands are shown in the documents", seen.len());
    match (wrong, seen.len()) {
        (0, 0) => bail!("no document shows any command"),
        (0, _) => Ok(()),
        (wrong, _) => bail!("{wrong} commands that documents show do not parse"),
    }
}

/// A document, or the documentation in a source, line by line where it stands there.
fn document(root: &Path, path: &Path) -> Result<Option<String>> {
    let read = || fs::read_to_string(root.join(path)).with_context(|| format!("reading {}", path.display()));
    match path.extension().and_then(|kind| kind.to_str()) {
        Some("md") => read().map(Some),
        Some("rs") => Ok(Some(read()?.lines().map(doc_line).collect::<Vec<_>>().join("\n"))),
        _ => Ok(None),
    }
}

fn doc_line(line: &str) -> &str {
    let line = line.trim_start();
    let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///")).unwrap_or_default();
    text.strip_prefix(' ').unwrap_or(text)
}

impl Judge {
    fn build() -> Result<Self> {
        Cmd::cargo("build --quiet -p smpcall-cli").run()?;
        Ok(Self { packages: metadata::own_packages()?, smpcall: sh::target_dir().join("debug/smpcall") })
    }

    fn check(&self, words: &[String], shown: &Shown) -> Result<()> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["smpcall", ref args @ ..] => self.smpcall(args, shown.is_block),
            ["cargo", "xtask", ref args @ ..] => xtask(args, shown.is_block),
            ["cargo", "run", ref args @ ..] => self.cargo_run(args, shown.is_block),
            ["cargo", "test" | "bench", ref args @ ..] => self.targets(before_dashes(args)),
            ["cargo", verb, ref args @ ..] if CARGO.contains(&verb) => self.targets(before_dashes(args)),
            _ => bail!("who runs that?"),
        }
    }

    /// Without a package it is the command.
    fn cargo_run(&self, args: &[&str], is_block: bool) -> Result<()> {
        let own = before_dashes(args);
        self.targets(own)?;
        let package = flag(own, &["-p", "--package", "-rp"]);
        if flag(own, &["--manifest-path"]).is_none() && matches!(package, None | Some("smpcall-cli")) {
            self.smpcall(args.get(own.len() + 1..).unwrap_or_default(), is_block)?;
        }
        Ok(())
    }

    /// A name in a sentence may leave out a flag's value.
    fn smpcall(&self, args: &[&str], is_block: bool) -> Result<()> {
        let mut command = Cmd::new(&self.smpcall, "");
        for arg in args.iter().chain(&["--help"]) {
            command = command.arg(arg);
        }
        let said = command.capture()?;
        let is_name = !is_block && said.stderr.contains("a value is required for");
        if said.ok || is_name { Ok(()) } else { unless_placeholder(&said.stderr, args) }
    }

    /// The package that is named, and the targets of it, are there.
    fn targets(&self, args: &[&str]) -> Result<()> {
        if let Some(manifest) = flag(args, &["--manifest-path"]) {
            return match sh::root().join(manifest).exists() {
                true => Ok(()),
                false => bail!("there is no {manifest}"),
            };
        }
        let named = flag(args, &["-p", "--package", "-rp"]);
        let package = |name: &str| self.packages.iter().find(|package| package.name == name);
        if let Some(name) = named.filter(|name| package(name).is_none() && !is_placeholder(name)) {
            bail!("there is no package {name}");
        }
        for (kind, flags) in [("example", "--example"), ("test", "--test"), ("bin", "--bin")] {
            let Some(name) = flag(args, &[flags]).filter(|name| !is_placeholder(name)) else { continue };
            let of = self.packages.iter().filter(|package| named.is_none_or(|named| named == package.name));
            let mut targets = of.flat_map(|package| &package.targets);
            if !targets.any(|target| target.name == name && target.is(kind)) {
                bail!("there is no {kind} {name}");
            }
        }
        Ok(())
    }
}

/// A block is what one types; a name in a sentence may leave out what the verb asks for.
fn xtask(args: &[&str], is_block: bool) -> Result<()> {
    let help = if is_block { &[][..] } else { &["--help"] };
    let words = ["cargo xtask"].iter().chain(args).chain(help);
    match Args::command().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) if !error.use_stderr() => Ok(()),
        Err(error) => unless_placeholder(&error.to_string(), args),
    }
}

/// What clap says, unless it is that a placeholder is no value.
fn unless_placeholder(said: &str, args: &[&str]) -> Result<()> {
    let first = said.lines().next().unwrap_or_default();
    let is_value = ["invalid value", "unrecognized subcommand"].iter().any(|what| first.contains(what));
    let mut placeholders = args.iter().filter(|arg| is_placeholder(arg));
    if is_value && placeholders.any(|arg| first.contains(&format!("'{arg}'"))) {
        return Ok(());
    }
    bail!("{}", first.trim_start_matches("error: "))
}

fn before_dashes<'a, 'b>(args: &'a [&'b str]) -> &'a [&'b str] {
    let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
    &args[..end]
}

fn flag<'a>(args: &[&'a str], names: &[&str]) -> Option<&'a str> {
    let at = args.iter().position(|arg| names.contains(arg))?;
    args.get(at + 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_flags_must_be_there() {
        for good in
            ["test --full", "boot --arch riscv64 --cpus 4", "mutants --filter ID", "boot --cpus N", "tidy"]
        {
            let words: Vec<&str> = good.split(' ').collect();
            assert!(xtask(&words, true).is_ok(), "{good}: {:?}", xtask(&words, true));
        }
        for bad in ["tests", "test --fully", "boot --arch vax", "boot --cpus many", "tidy --now"] {
            let words: Vec<&str> = bad.split(' ').collect();
            assert!(xtask(&words, true).is_err() && xtask(&words, false).is_err(), "{bad}");
        }
        assert!(xtask(&["linux"], false).is_ok() && xtask(&["linux"], true).is_err(), "a sentence may");
    }

    #[test]
    fn packages_and_their_targets_must_be_there() {
        use crate::metadata::Target;
        let target = |name: &str, kind: &str| Target { name: name.into(), kind: vec![kind.into()] };
        let package =
            Package { name: "a".into(), targets: vec![target("b", "example"), target("c", "test")] };
        let judge = Judge { packages: vec![package], smpcall: "nowhere".into() };
        let of = |args: &str| judge.targets(&args.split(' ').collect::<Vec<_>>()).is_ok();
        assert!(
            of("-p a --example b") && of("--example b") && of("--release -p a --test c") && of("-p NAME")
        );
        assert!(
            !of("-p b") && !of("-p a --example c") && !of("--bin b") && !of("--manifest-path x/Cargo.toml")
        );
    }
}
