//! Where the numbers go: a JSON file that is opened before the work starts, and a bar that is drawn only on a terminal.

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

/// A file that the results are written to at the end. It is opened at the start, so that a path which cannot be written
/// is an error then, and not after the run. What it held stays until the results replace it.
pub(crate) struct JsonFile {
    path: PathBuf,
    file: File,
}

impl JsonFile {
    /// Opens the file, if one was asked for.
    pub(crate) fn open(path: Option<&Path>) -> Result<Option<Self>> {
        let Some(path) = path else { return Ok(None) };
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Some(Self { path: path.to_owned(), file }))
    }

    /// Replaces what the file holds.
    pub(crate) fn write(self, results: &impl Serialize) -> Result<()> {
        self.write_text(serde_json::to_string_pretty(results)?)
    }

    /// The same without line breaks: for what only programs read.
    pub(crate) fn write_compact(self, results: &impl Serialize) -> Result<()> {
        self.write_text(serde_json::to_string(results)?)
    }

    fn write_text(mut self, mut text: String) -> Result<()> {
        text.push('\n');
        // A pipe or a terminal has no length to cut and no place to go back to.
        if self.file.metadata().is_ok_and(|meta| meta.is_file()) {
            self.file.set_len(0).and_then(|()| self.file.rewind()).with_context(|| self.complaint())?;
        }
        self.file.write_all(text.as_bytes()).with_context(|| self.complaint())
    }

    fn complaint(&self) -> String {
        format!("cannot write {}", self.path.display())
    }
}

/// A bar on standard error; hidden where that is no terminal. It has no thread of its own, which would disturb what is
/// measured: it is drawn when it is moved.
pub(crate) fn progress(len: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{msg:24} [{bar:40}] {percent:>3} %").expect("a constant template");
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(what.to_owned());
    bar
}
