//! The book: `docs/`, with what it links to beside it, made into pages by mdBook. Every link of the pages must lead somewhere.
//!
//! | module | what it does |
//! |---|---|
//! | [`stage`] | the chapters, laid as in the repository; sources that they link to, as pages |
//! | [`pages`] | the links of the pages that came of it |

mod pages;
mod stage;

use crate::sh::{self, Cmd};
use anyhow::{Result, ensure};
use std::fs;
use std::path::PathBuf;

/// Its anchors and its files' names are what [`pages`] sees; a later version may make others.
const VERSION: &str = "0.5.4";

/// Why it cannot be built, if it cannot.
pub(crate) fn missing() -> Option<String> {
    let is = Cmd::new(program(), "--version").read().ok();
    let is_it = is.is_some_and(|is| is == format!("mdbook v{VERSION}"));
    (!is_it).then(|| format!("no mdBook {VERSION}: `cargo xtask setup` builds it"))
}

/// Builds mdBook, once, from the registry: without what serves and watches a book.
pub(crate) fn fetch() -> Result<()> {
    if missing().is_none() {
        return Ok(());
    }
    let install = "install --quiet --locked --debug --no-default-features --features search --force";
    Cmd::cargo(install)
        .arg("--root")
        .arg(folder().join("mdbook"))
        .arg(format!("mdbook@{VERSION}"))
        // A debug build takes half as long, and makes the book in a second.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .run()
}

/// Builds the book, and checks its pages.
pub(crate) fn run() -> Result<()> {
    let (staged, html) = (folder().join("staged"), folder().join("html"));
    let _ = fs::remove_dir_all(&staged);
    let _ = fs::remove_dir_all(&html);
    let chapters = stage::lay(&sh::root(), &staged)?;
    Cmd::new(program(), "build").arg(&staged).arg("--dest-dir").arg(&html).run()?;
    let (pages, links) = pages::check(&html)?;
    ensure!(pages >= chapters, "{chapters} chapters, and {pages} pages");
    println!("  {chapters} chapters, {pages} pages, {links} links: {}", sh::shown(&html.join("index.html")));
    Ok(())
}

fn program() -> PathBuf {
    folder().join("mdbook/bin/mdbook")
}

fn folder() -> PathBuf {
    sh::target_dir().join("book")
}
