//! A worker: a copy of the sources and a target folder of its own, in which one mutant at a time is built and run.

use super::check::{Check, Program, Ran};
use super::table::Mutant;
use crate::files;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// No check on sound sources may take longer than this.
const SOUND_LIMIT: Duration = Duration::from_secs(900);

/// Where one mutant at a time lives.
pub(crate) struct Worker {
    sources: PathBuf,
    target: PathBuf,
    logs: PathBuf,
}

/// What a check did on the sources without a mutant.
pub(crate) struct Sound {
    /// The measure for a hang.
    pub(crate) took: Duration,
    /// The program that has the test.
    pub(crate) program: Program,
}

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The check failed, as it must.
    Failed,
    /// The check never ended.
    Hung,
    /// The check passed, as often as it may look.
    Passed,
    /// The mutant does not compile: a defect of the table, which proves nothing.
    NotBuilt,
}

impl Outcome {
    /// Whether the mutant was caught. A hang counts only where the table expects one: elsewhere it may be a check
    /// that is merely slow.
    pub(crate) fn is_caught(self, mutant: &Mutant) -> bool {
        match self {
            Outcome::Failed => true,
            Outcome::Hung => mutant.hang,
            Outcome::Passed | Outcome::NotBuilt => false,
        }
    }

    /// The report's word for it.
    pub(crate) fn word(self, mutant: &Mutant) -> &'static str {
        match self {
            Outcome::Failed => "caught",
            Outcome::Hung if mutant.hang => "caught (hung)",
            Outcome::Hung => "HUNG",
            Outcome::Passed => "SURVIVED",
            Outcome::NotBuilt => "DOES NOT BUILD",
        }
    }
}

impl Worker {
    /// Brings the copy in `folder` up to date with the repository; what was built there before is kept.
    pub(crate) fn new(root: &Path, folder: &Path) -> Result<Worker> {
        let worker =
            Worker { sources: folder.join("src"), target: folder.join("target"), logs: folder.join("logs") };
        files::sync(root, &worker.sources)?;
        fs::create_dir_all(&worker.logs)?;
        Ok(worker)
    }

    /// Runs a check on the sources as they are, or an error unless it passed.
    pub(crate) fn on_sound_sources(&mut self, check: &Check) -> Result<Sound> {
        let log = self.logs.join("sound.log");
        let Some(programs) = check.build(None, &self.sources, &self.target, &log)? else {
            bail!("{check:?} does not build on the sound sources: {}", fs::read_to_string(&log)?);
        };
        let start = Instant::now();
        let mut found = Vec::new();
        for program in programs {
            match check.run(std::slice::from_ref(&program), SOUND_LIMIT, &log)? {
                Ran::Passed { tests } => found.extend(std::iter::repeat_n(program, tests)),
                Ran::Hung => bail!("{check:?} hangs on the sound sources"),
                Ran::Failed => {
                    bail!("{check:?} fails on the sound sources: {}", fs::read_to_string(&log)?)
                }
            }
        }
        // A name that matches nothing passes too, and would let every mutant through.
        let tests = found.len();
        let (Some(program), 1) = (found.pop(), tests) else {
            bail!("{check:?} names {tests} tests, not one")
        };
        Ok(Sound { took: start.elapsed(), program })
    }

    /// Applies a mutant, runs its check and takes the mutant out again.
    pub(crate) fn on_mutant(
        &mut self,
        mutant: &Mutant,
        check: &Check,
        only: &Program,
        limit: Duration,
    ) -> Result<(Outcome, Duration)> {
        let file = self.sources.join(&mutant.file);
        let sound = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        fs::write(&file, mutant.apply(&sound)?)?;
        let start = Instant::now();
        let result = self.build_and_run(&mutant.id, check, only, limit);
        fs::write(&file, sound)?;
        Ok((result?, start.elapsed()))
    }

    /// Builds a mutant's check, and takes the mutant out again.
    pub(crate) fn build_mutant(&mut self, mutant: &Mutant, check: &Check) -> Result<Vec<Program>> {
        let file = self.sources.join(&mutant.file);
        let sound = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        fs::write(&file, mutant.apply(&sound)?)?;
        let built =
            check.build(None, &self.sources, &self.target, &self.logs.join(format!("{}.log", mutant.id)));
        fs::write(&file, sound)?;
        built?.with_context(|| format!("{} does not build", mutant.id))
    }

    fn build_and_run(&self, id: &str, check: &Check, only: &Program, limit: Duration) -> Result<Outcome> {
        let log = self.logs.join(format!("{id}.log"));
        // Building apart from running is what tells a mutant that fails from one that does not compile.
        let programs: Vec<Program> = match check.build(Some(only), &self.sources, &self.target, &log)? {
            Some(programs) => programs,
            None => return Ok(Outcome::NotBuilt),
        };
        for _ in 0..check.tries() {
            match check.run(&programs, limit, &log)? {
                Ran::Passed { .. } => {}
                Ran::Failed => return Ok(Outcome::Failed),
                Ran::Hung => return Ok(Outcome::Hung),
            }
        }
        Ok(Outcome::Passed)
    }
}
