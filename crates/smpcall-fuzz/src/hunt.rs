//! Runs programs in processes of their own, and makes those that fail smaller.

mod process;
mod shrink;
mod verdict;

use crate::child::Less;
use crate::program::Program;
use anyhow::{Result, bail, ensure};
use process::Runner;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use verdict::{Failure, Outcome};

/// How many programs a process plays.
const BATCH: u64 = 20;

/// What to look for, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// For how long.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seconds: u64,
    /// The first program's seed; the next ones follow [default: drawn].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Ends after so many programs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub programs: Option<u64>,
    /// A program that is not done after so many seconds hangs.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub hang_seconds: u64,
    /// How long at most is spent on making one failing program smaller.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub shrink_seconds: u64,
    /// How many processes at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub jobs: u64,
    /// What is left out.
    #[command(flatten)]
    pub less: Less,
}

/// What is known so far.
#[derive(Default)]
struct Found {
    next: u64,
    played: u64,
    ended_early: u64,
    /// How often each kind of failure was met.
    kinds: BTreeMap<String, u64>,
}

/// Looks for failures; an error if there are any.
pub fn run(args: &Args, program: PathBuf) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 40));
    ensure!(args.less.cut.is_empty() || args.programs == Some(1), "--cut is for one program: --programs 1");
    println!("seed {seed}");
    let start = Instant::now();
    let found = Mutex::new(Found::default());
    let hunt = Hunt {
        args,
        seed,
        runner: Runner::new(program, Duration::from_secs(args.hang_seconds)),
        start,
        found,
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| hunt.work());
        }
    });
    let found = hunt.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Found { played, ended_early, kinds, .. } = &found;
    println!(
        "{played} programs from seed {seed} on in {:.1} s, {ended_early} of them ended early as they may",
        start.elapsed().as_secs_f64()
    );
    for (kind, count) in kinds {
        println!("  {count} times: {kind}");
    }
    match kinds.len() {
        0 if *played == 0 => bail!("no program was played"),
        0 => Ok(()),
        kinds => bail!("{kinds} kinds of failure"),
    }
}

struct Hunt<'a> {
    args: &'a Args,
    seed: u64,
    runner: Runner,
    start: Instant,
    found: Mutex<Found>,
}

impl Hunt<'_> {
    fn work(&self) {
        while let Some((mut first, end)) = self.batch() {
            while first < end && !self.is_over() {
                let (last, outcome) = self.runner.run(first, end - first, &self.args.less);
                let mut found = self.lock();
                found.played += last - first;
                first = last;
                match outcome {
                    Outcome::Passed => {}
                    Outcome::EndedEarly => found.ended_early += 1,
                    Outcome::Failed(failure) => {
                        drop(found);
                        self.take_note(first - 1, failure);
                    }
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.start.elapsed() >= Duration::from_secs(self.args.seconds)
    }

    /// The next seeds: from the first to before the last.
    fn batch(&self) -> Option<(u64, u64)> {
        if self.is_over() {
            return None;
        }
        let mut found = self.lock();
        let left = self.args.programs.map_or(BATCH, |all| (all - found.next).min(BATCH));
        let first = self.seed + found.next;
        found.next += left;
        (left > 0).then_some((first, first + left))
    }

    fn take_note(&self, seed: u64, failure: Failure) {
        let kind = failure.kind();
        {
            let mut found = self.lock();
            let count = found.kinds.entry(kind.clone()).or_default();
            *count += 1;
            if *count > 1 {
                return;
            }
        }
        let took = self.start.elapsed().as_secs_f64();
        println!("\nFAILURE with seed {seed} after {took:.1} s: {kind}");
        let limit = Duration::from_secs(self.args.shrink_seconds);
        let small = shrink::shrink(&self.runner, seed, &self.args.less, &failure, limit);
        let program = small.less.of(seed);
        let _guard = self.lock();
        println!("\n==== seed {seed}: {kind}\n{}", small.failure.excerpt());
        println!("---- the program, {} ({} parts)", small.how, program.parts().len());
        println!("{program}---- again: {}\n", again(seed, &small.less, self.args.hang_seconds));
    }
}

/// The words that play it once more.
fn again(seed: u64, less: &Less, hang_seconds: u64) -> String {
    let mut text = format!("--seed {seed} --programs 1 --hang-seconds {hang_seconds}");
    for word in process::words(less) {
        text.push(' ');
        text.push_str(&word);
    }
    text
}

/// Prints a program.
pub fn show(seed: u64, less: &Less) {
    let program: Program = less.of(seed);
    print!("{program}");
}
