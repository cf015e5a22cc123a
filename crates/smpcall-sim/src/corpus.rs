//! Seeds that once failed: `corpus.txt`, in this crate's folder, and how it is read.

use crate::Memory;
use crate::scenario::{DRAW, Options};
use std::fmt;

/// The file.
const TEXT: &str = include_str!("../corpus.txt");

/// A seed that once failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The version of what a seed draws that it was found with.
    pub draw: u32,
    /// What its scenario is drawn from.
    pub options: Options,
    /// The seed.
    pub seed: u64,
    /// What it found then.
    pub what: String,
}

impl Entry {
    /// Whether it is still the scenario that it was.
    pub fn is_current(&self) -> bool {
        self.draw == DRAW
    }
}

/// A line that is no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    line: usize,
    why: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the corpus: {}", self.line, self.why)
    }
}

impl std::error::Error for BadLine {}

/// All of the corpus.
///
/// # Errors
///
/// A line that is neither empty, a comment, nor an entry.
pub fn corpus() -> Result<Vec<Entry>, BadLine> {
    read(TEXT)
}

/// Reads a corpus.
///
/// # Errors
///
/// As for [`corpus`].
pub fn read(text: &str) -> Result<Vec<Entry>, BadLine> {
    let lines =
        text.lines().enumerate().filter(|(_, line)| !(line.trim().is_empty() || line.starts_with('#')));
    lines.map(|(at, line)| entry(line).map_err(|why| BadLine { line: at + 1, why })).collect()
}

fn entry(line: &str) -> Result<Entry, &'static str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [draw, memory, with, seed, what] = words[..] else { return Err("not five words") };
    let value = |word: &'static str, of: &str| -> Result<String, &'static str> {
        of.strip_prefix(word).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned).ok_or(word)
    };
    let number = |text: String| text.parse::<u64>().map_err(|_| "not a number");
    let memory = match value("memory", memory)?.as_str() {
        "tso" => Memory::Tso,
        "weak" => Memory::Weak,
        _ => return Err("memory is tso or weak"),
    };
    let mut options = Options { memory, ..Options::default() };
    match value("with", with)?.as_str() {
        "plain" => {}
        "futures" => options.futures = true,
        "users" => options.users = true,
        "meets" => options.meets = true,
        _ => return Err("with plain, futures, users or meets"),
    }
    Ok(Entry {
        draw: u32::try_from(number(value("draw", draw)?)?).map_err(|_| "not a version")?,
        options,
        seed: number(value("seed", seed)?)?,
        what: what.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::play;

    #[test]
    fn lines_are_read_and_bad_ones_are_named() {
        let line = "draw=1 memory=weak with=users seed=17 queue-push-release";
        let all = read(&format!("# a comment\n\n{line}\n")).unwrap();
        assert_eq!((all.len(), all[0].seed, all[0].what.as_str()), (1, 17, "queue-push-release"));
        assert!(all[0].options.users && all[0].options.memory == Memory::Weak);
        for (from, to) in
            [("draw=1", "draw=x"), ("weak", "strong"), ("users", "nobody"), ("seed=17", "17"), (" queue", "")]
        {
            let bad = read(&format!("# a comment\n{}", line.replace(from, to))).unwrap_err();
            assert!(bad.to_string().starts_with("line 2 of the corpus: "), "{bad}");
        }
        assert!(!read(&line.replace("draw=1", "draw=999999")).unwrap()[0].is_current());
    }

    /// Of this version, each: one of another would be skipped. And sound.
    #[test]
    fn every_seed_of_the_corpus_is_played_and_passes() {
        let all = corpus().unwrap();
        assert!(all.len() >= 30, "{}", all.len());
        for entry in all {
            assert!(entry.is_current(), "{}: made by draw {}, and this is {DRAW}", entry.what, entry.draw);
            let scenario = crate::Scenario::draw(entry.seed, &entry.options);
            assert_eq!(play(&scenario).violation, None, "{entry:?}");
        }
    }
}
