//! A copy of the sources and what is built of it: with all mutants that a switch can choose among, or with one.

use super::check::{Again, Check, Program, Ran};
use super::programs;
use super::switch;
use super::table::Mutant;
use crate::files;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// No check on sound sources may take longer than this.
const SOUND_LIMIT: Duration = Duration::from_secs(900);

/// The copy.
pub(crate) struct Tree {
    sources: PathBuf,
    target: PathBuf,
    logs: PathBuf,
    /// The sound text of each file that has mutants in it.
    changed: BTreeMap<PathBuf, String>,
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

impl Tree {
    /// Brings the copy in `folder` up to date with the repository; what was built there before is kept.
    pub(crate) fn new(root: &Path, folder: &Path) -> Result<Tree> {
        let (sources, target, logs) = (folder.join("src"), folder.join("target"), folder.join("logs"));
        files::sync(root, &sources)?;
        fs::create_dir_all(&logs)?;
        Ok(Tree { sources, target, logs, changed: BTreeMap::new() })
    }

    /// Puts in, each behind its switch, those of the mutants that can have one: these, with their numbers.
    pub(crate) fn put_in_all<'a>(
        &mut self,
        mutants: impl IntoIterator<Item = &'a Mutant>,
    ) -> Result<Vec<(usize, &'a Mutant)>> {
        let mut files: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::from([(switch::CORE, Vec::new())]);
        for numbered in (1..).zip(mutants) {
            files.entry(&numbered.1.file).or_default().push(numbered);
        }
        let mut all = Vec::new();
        for (file, mutants) in files {
            let (mut text, numbers) = switch::put_in(file, &self.sound(file)?, &mutants)?;
            if file == switch::CORE {
                text += switch::SWITCH;
            }
            self.write(file, &text)?;
            all.extend(mutants.into_iter().filter(|(number, _)| numbers.contains(number)));
        }
        Ok(all)
    }

    /// Takes all mutants out.
    pub(crate) fn restore(&mut self) -> Result<()> {
        for (path, sound) in std::mem::take(&mut self.changed) {
            fs::write(path, sound)?;
        }
        Ok(())
    }

    /// Builds what a check runs, and these others of the same programs; the compiler's words when it does not compile.
    pub(crate) fn build(
        &self,
        check: &Check,
        others: &[Check],
        again: Again,
    ) -> Result<Result<Vec<Program>, String>> {
        let log = self.log(check.built_from());
        let tests = match check {
            Check::Test { package, .. } => {
                let names = others.iter().filter_map(|other| match other {
                    Check::Test { package: of, name } if of == package => Some(name.as_str()),
                    _ => None,
                });
                programs::flags(&self.sources.join("crates").join(package), &names.collect::<Vec<_>>())?
            }
            _ => String::new(),
        };
        Ok(match check.build(&tests, again, &self.sources, &self.target, &log)? {
            Some(programs) => Ok(programs),
            None => Err(fs::read_to_string(&log)?),
        })
    }

    /// Runs a check that no mutant is in the way of, or an error unless it passed.
    pub(crate) fn run_sound(&self, name: &str, check: &Check, programs: &[Program]) -> Result<Sound> {
        let log = self.log(name);
        let start = Instant::now();
        let mut found = Vec::new();
        for program in programs {
            match check.run(program, SOUND_LIMIT, &log)? {
                Ran::Passed { tests } => found.extend(std::iter::repeat_n(program, tests)),
                Ran::Hung => bail!("{name} hangs on the sound sources"),
                Ran::Failed => bail!("{name} fails on the sound sources: {}", fs::read_to_string(&log)?),
            }
        }
        // A name that matches nothing passes too, and would let every mutant through.
        let [program] = found[..] else { bail!("{name} names {} tests, not one", found.len()) };
        Ok(Sound { took: start.elapsed(), program: program.clone() })
    }

    /// Runs a check that must find a mutant, as often as it may look.
    pub(crate) fn run_mutant(
        &self,
        mutant: &Mutant,
        check: &Check,
        program: &Program,
        limit: Duration,
    ) -> Result<Outcome> {
        for _ in 0..check.tries() {
            match check.run(program, limit, &self.log(&mutant.id))? {
                Ran::Passed { .. } => {}
                Ran::Failed => return Ok(Outcome::Failed),
                Ran::Hung => return Ok(Outcome::Hung),
            }
        }
        Ok(Outcome::Passed)
    }

    /// Puts one mutant in, builds its check and takes it out again; `None` when it does not compile.
    pub(crate) fn build_mutant(
        &mut self,
        mutant: &Mutant,
        check: &Check,
        only: Option<&Program>,
    ) -> Result<Option<Program>> {
        let mutated = mutant.apply(&self.sound(&mutant.file)?)?;
        self.write(&mutant.file, &mutated)?;
        // Building apart from running is what tells a mutant that fails from one that does not compile.
        let tests = only.map_or("--tests", Program::flags);
        let log = self.log(&mutant.id);
        let built = check.build(tests, Again::Often, &self.sources, &self.target, &log);
        self.restore()?;
        match built?.as_deref() {
            None => Ok(None),
            Some([program]) => Ok(Some(program.clone())),
            Some(more) => bail!("{}: {} programs have its check", mutant.id, more.len()),
        }
    }

    /// The text of a file that has no mutant in it.
    fn sound(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.sources.join(file)).with_context(|| format!("reading {file}"))
    }

    /// Changes a file until [`Tree::restore`].
    fn write(&mut self, file: &str, text: &str) -> Result<()> {
        let sound = self.sound(file)?;
        let path = self.sources.join(file);
        fs::write(&path, text)?;
        self.changed.insert(path, sound);
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        let name = name.replace(|c: char| !c.is_alphanumeric() && c != '-' && c != '_', ".");
        self.logs.join(format!("{name}.log"))
    }
}
