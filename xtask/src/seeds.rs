//! `seeds`: a run of the simulator in parts, on an engine that hands out work: do the parts come together, and is one that was lost noticed?
//!
//! **Invariant.** Each engine runs the same script, once for each part, and `smpcall sim merge` judges what has been written, not the engine.
//! Two rounds: a whole run, which must merge to as many seeds as were asked for; and one whose last part is killed with SIGKILL while
//! it runs, of which the engine must say that a part failed, and merging that this part, and no other, is lost.
//!
//! | module | what it is |
//! |---|---|
//! | [`slurm`] | a cluster of one node on loopback, for as long as its value lives |
//! | [`job`] | the manifest for Kubernetes: held against the schema, and its command run, without a cluster |

mod job;
mod slurm;

use crate::debian::Unpacked;
use crate::parallel::{cores, in_parallel};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Slurm with its daemons, what it authenticates by, the libraries that those want, and GNU parallel, which is one program in Perl.
const ENGINES: Unpacked = Unpacked {
    folder: "seeds",
    suite: "bookworm",
    packages: "slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libmunge2 libhwloc15 libnuma1 liblz4-1 \
               libjson-c5 liblua5.1-0 libyaml-0-2 libdbus-1-3 libreadline8 parallel",
};

/// Who hands out the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// Processes of this one
    Local,
    /// GNU parallel
    Parallel,
    /// Slurm, one node on loopback
    Slurm,
    /// The manifest's own command, once for each index, without Kubernetes
    Job,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this one; without, all that can be had
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// In how many parts
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=1000))]
    parts: u32,
    /// How many seeds in all
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
}

/// A run that is divided, and where its parts are written.
struct Run {
    smpcall: PathBuf,
    folder: PathBuf,
    parts: u32,
    seeds: u64,
    /// Which part is killed.
    killed: Option<u32>,
}

/// Runs every part; whether the engine says that all have succeeded.
type HandOut = Box<dyn Fn(&Run) -> Result<bool>>;

impl Engine {
    const ALL: [Self; 4] = [Self::Local, Self::Parallel, Self::Slurm, Self::Job];

    /// Why it cannot run, if it cannot.
    fn missing(self) -> Option<String> {
        match self {
            Self::Local => None,
            Self::Parallel => Cmd::new("perl", "")
                .arg(ENGINES.root().join("usr/bin/parallel"))
                .args("--version")
                .read()
                .is_err()
                .then(|| "no GNU parallel: `cargo xtask setup` unpacks it from Debian".to_owned()),
            Self::Slurm => slurm::missing(),
            Self::Job => job::missing(),
        }
    }

    /// Starts what it needs, which ends with the value.
    fn start(self) -> Result<HandOut> {
        Ok(match self {
            Self::Local => Box::new(Run::locally),
            Self::Parallel => Box::new(Run::by_parallel),
            Self::Slurm => {
                let cluster = slurm::Cluster::start()?;
                Box::new(move |run| cluster.run(run))
            }
            Self::Job => {
                let job = job::Job::read()?;
                Box::new(move |run| job.run(run))
            }
        })
    }
}

/// Unpacks the engines, once; and what the manifest is held against.
pub(crate) fn fetch() -> Result<()> {
    // Neither needs the other.
    let (engines, validator) = (ENGINES.fetch(), job::fetch());
    engines.and(validator)
}

/// What of it cannot be had.
pub(crate) fn missing() -> Option<String> {
    let whys: Vec<_> = Engine::ALL.iter().filter_map(|engine| engine.missing()).collect();
    (!whys.is_empty()).then(|| whys.join("; "))
}

/// For `test --full`: every engine; says by name which cannot be had.
pub(crate) fn step() -> Result<Option<String>> {
    let skipped = each(&Engine::ALL, &Args { engine: None, parts: 4, seeds: 2000 })?;
    Ok((!skipped.is_empty()).then(|| skipped.join("; ")))
}

pub(crate) fn verb(args: &Args) -> Result<()> {
    if let Some(engine) = args.engine {
        if let Some(why) = engine.missing() {
            bail!("{why}");
        }
        return each(&[engine], args).map(drop);
    }
    for skipped in each(&Engine::ALL, args)? {
        println!("  SKIPPED: {skipped}");
    }
    Ok(())
}

/// Both rounds on each; those that cannot be had, and why.
fn each(engines: &[Engine], args: &Args) -> Result<Vec<String>> {
    Cmd::cargo("build -rp smpcall-cli").run()?;
    let smpcall = std::path::absolute(sh::target_dir().join("release/smpcall"))?;
    let mut skipped = Vec::new();
    for engine in engines {
        if let Some(why) = engine.missing() {
            skipped.push(format!("{engine:?}: {why}"));
            continue;
        }
        let hand_out = engine.start().with_context(|| format!("{engine:?}"))?;
        for killed in [None, Some(args.parts)] {
            let folder = Scratch::new("parts")?;
            let run = Run {
                smpcall: smpcall.clone(),
                folder: folder.0.clone(),
                parts: args.parts,
                seeds: args.seeds,
                killed,
            };
            run.round(*engine, &hand_out).with_context(|| format!("{engine:?}"))?;
        }
    }
    Ok(skipped)
}

impl Run {
    fn round(&self, engine: Engine, hand_out: &HandOut) -> Result<()> {
        fs::write(self.script(), self.text())?;
        let all_succeeded = hand_out(self)?;
        let merged = self.merge()?;
        let (parts, seeds) = (self.parts, self.seeds);
        let line = merged.stdout.trim();
        match self.killed {
            None => {
                ensure!(all_succeeded && merged.ok, "a part failed: {line} {}", merged.stderr);
                let whole = format!("merge: parts={parts}/{parts} first_seed=1 seeds={seeds} ");
                ensure!(
                    line.contains(&whole) && line.ends_with(" violations=0"),
                    "not the whole run: {line}"
                );
                println!("  {engine:?}: {line}");
            }
            Some(killed) => {
                ensure!(!all_succeeded, "part {killed} was killed, and {engine:?} says that all succeeded");
                let lost = format!("1 part lost: {killed}/{parts}");
                let said: Vec<&str> = merged.stderr.lines().collect();
                ensure!(
                    !merged.ok && said == [lost.as_str(), "error: not a whole run: 1 fault"],
                    "part {killed} was killed, and merging says {line} {said:?}"
                );
                println!("  {engine:?}: part {killed} killed: {lost}");
            }
        }
        Ok(())
    }

    /// What has been written, as one result.
    fn merge(&self) -> Result<sh::Said> {
        let mut merge = Cmd::new(&self.smpcall, "sim merge --brief");
        for part in (1..=self.parts).map(|part| self.file(part)) {
            // One that is not there is left out, as a pattern of the shell's would: the others say how many they are.
            if part.exists() {
                merge = merge.arg(part);
            }
        }
        merge.capture()
    }

    fn file(&self, part: u32) -> PathBuf {
        self.folder.join(format!("part-{part}.json"))
    }

    fn script(&self) -> PathBuf {
        self.folder.join("part.sh")
    }

    /// A part, by its number: the first argument, or the task of a Slurm array. The one that is killed has more seeds than it could play.
    fn text(&self) -> String {
        let Self { smpcall, folder, parts, seeds, killed } = self;
        let (smpcall, folder) = (smpcall.display(), folder.display());
        let killed = killed.unwrap_or(0);
        format!(
            "#!/bin/sh\n\
             part=${{1:-$SLURM_ARRAY_TASK_ID}}\n\
             play() {{ exec '{smpcall}' sim --seed 1 --seeds \"$1\" --partition \"$part/{parts}\" --brief --json '{folder}'/part-$part.json; }}\n\
             [ \"$part\" = {killed} ] || play {seeds}\n\
             play 1000000000000 &\n\
             kill -KILL $!\n\
             wait $!\n"
        )
    }

    fn locally(&self) -> Result<bool> {
        let parts = (1..=self.parts).collect();
        let done = in_parallel(cores(), parts, |part: u32| {
            Cmd::new("sh", "").arg(self.script()).arg(part.to_string()).capture()
        })?;
        Ok(done.iter().all(|said| said.ok))
    }

    fn by_parallel(&self) -> Result<bool> {
        let mut parallel = Cmd::new("perl", "")
            .arg(ENGINES.root().join("usr/bin/parallel"))
            .args("--will-cite --halt never --jobs")
            .arg(cores().to_string())
            .env("PARALLEL_HOME", &self.folder)
            .arg("sh")
            .arg(self.script())
            .arg(":::");
        for part in 1..=self.parts {
            parallel = parallel.arg(part.to_string());
        }
        Ok(parallel.capture()?.ok)
    }
}

/// A folder of this process's own, which goes with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(what: &str) -> Result<Self> {
        let made = Cmd::new("mktemp", "-d -t").arg(format!("smpcall-{what}-XXXXXX")).read()?;
        Ok(Self(made.into()))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
