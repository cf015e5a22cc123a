//! `fuzz`: programs drawn from the host's safe interface, under the sanitizers (crates/smpcall-fuzz has the fuzzer).

use crate::sanitize::{self, Sanitizer};
use crate::sh::Cmd;
use anyhow::{Result, bail};
use clap::ValueEnum;

/// The time for all sanitizers together, unless told.
const SECONDS: u64 = 300;
/// The time for one sanitizer in `test --full`.
const SECONDS_SHORT: u64 = 20;

/// What to fuzz with, and for how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how long, all sanitizers together
    #[arg(long, default_value_t = SECONDS, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seconds: u64,
    /// The first program's seed; drawn unless given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// One of them; asan and tsan unless given
    #[arg(long, value_enum)]
    sanitizer: Option<With>,
    /// Words for the fuzzer itself, after `--`: `--programs 1 --cut 3,5-9` of a failure, or `--help`
    #[arg(last = true)]
    words: Vec<String>,
}

/// What the fuzzer is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum With {
    /// AddressSanitizer
    Asan,
    /// ThreadSanitizer
    Tsan,
    /// Nothing: the quickest, and what the fuzzer judges itself is judged
    None,
}

/// Fuzzes. With two sanitizers each has half of the time, and the second runs whatever the first has found.
pub(crate) fn verb(args: &Args) -> Result<()> {
    let with = args.sanitizer.map_or(vec![With::Asan, With::Tsan], |one| vec![one]);
    let words = words((args.seconds / with.len() as u64).max(1), args.seed, &args.words);
    let failed: Vec<String> = with
        .into_iter()
        .filter_map(|with| run(with, &words).err().map(|why| format!("{with:?}: {why:#}")))
        .collect();
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// A short run, with fresh seeds.
pub(crate) fn short(sanitizer: Sanitizer) -> Result<()> {
    sanitize::fuzz(sanitizer, &words(SECONDS_SHORT, None, &[]))
}

fn words(seconds: u64, seed: Option<u64>, more: &[String]) -> Vec<String> {
    let mut words = vec!["--seconds".to_owned(), seconds.to_string()];
    if let Some(seed) = seed {
        words.extend(["--seed".to_owned(), seed.to_string()]);
    }
    words.extend_from_slice(more);
    words
}

fn run(with: With, words: &[String]) -> Result<()> {
    match with {
        With::Asan => sanitize::fuzz(Sanitizer::Asan, words),
        With::Tsan => sanitize::fuzz(Sanitizer::Tsan, words),
        With::None => words
            .iter()
            .fold(Cmd::cargo("run --quiet -p smpcall-fuzz -- hunt"), |cmd, word| cmd.arg(word))
            .run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn flags_are_handed_on_and_bad_ones_refused() {
        let line = "x --seconds 9 --seed 4 --sanitizer none -- --programs 1";
        let Line { args } = Line::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(args.sanitizer, Some(With::None));
        let words = words(args.seconds, args.seed, &args.words);
        assert_eq!(words.join(" "), "--seconds 9 --seed 4 --programs 1");
        for bad in ["x --sanitizer msan", "x --seconds 0", "x --seconds -1", "x --seed x", "x --programs 1"] {
            assert!(Line::try_parse_from(bad.split(' ')).is_err(), "{bad}");
        }
    }
}
