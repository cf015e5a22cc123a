//! `xtask/seeds/job.yaml`, an indexed Job for Kubernetes. It is held against Kubernetes' own schema, by PyPI's `kubernetes-validate`, which
//! carries it; manifests with a planted fault must be refused. Then its container's command is run here, once for each index, with
//! the variables that Kubernetes would set and a folder for the volume: so that the flags are this version's, and the parts make a run.

use super::{Run, Scratch};
use crate::parallel::{cores, in_parallel};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const MANIFEST: &str = "xtask/seeds/job.yaml";
/// The validator, with all that it needs.
const PACKAGES: &str = "kubernetes-validate==1.37.0 jsonschema==4.26.0 jsonschema-specifications==2025.9.1 referencing==0.37.0 \
                        rpds-py==2026.9.1 attrs==26.1.0 pyyaml==6.0.4 packaging==26.4 importlib-resources==7.1.0 \
                        typing-extensions==4.16.0";
/// Indexed Jobs that count failures by index are stable since 1.33.
const KUBERNETES: [&str; 2] = ["1.33.0", "1.37.0"];
/// What the schema must refuse.
const FAULTS: [(&str, &str); 3] = [
    ("completions: 8", "completions: eight"),
    ("completionMode: Indexed", "completionsMode: Indexed"),
    ("apiVersion: batch/v1", "apiVersion: batch/v0"),
];

/// Why it cannot be checked, if it cannot.
pub(super) fn missing() -> Option<String> {
    validator("--version").read().is_err().then(|| {
        "no kubernetes-validate for the manifest: `cargo xtask setup` fetches it from PyPI, where there is Python".to_owned()
    })
}

/// Fetches the validator, once.
pub(super) fn fetch() -> Result<()> {
    if root().exists() {
        return Ok(());
    }
    let partial = root().with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    let pip = "-m pip --quiet --disable-pip-version-check install --no-deps --only-binary :all: --root-user-action ignore --target";
    Cmd::new("python3", pip).arg(&partial).args(PACKAGES).read()?;
    // Into place at once, when it is complete.
    fs::rename(&partial, root()).context("cannot move the validator into place")
}

fn root() -> PathBuf {
    sh::target_dir().join("kubernetes-validate")
}

fn python(args: &str) -> Cmd {
    Cmd::new("python3", args).env("PYTHONPATH", root())
}

fn validator(args: &str) -> Cmd {
    python("-m kubernetes_validate").args(args)
}

/// The manifest, which is as the schema has it.
pub(super) struct Job {
    command: [String; 3],
}

impl Job {
    /// Validates the manifest, and takes its container's command out of it.
    pub(super) fn read() -> Result<Self> {
        let folder = Scratch::new("job")?;
        let text = fs::read_to_string(sh::root().join(MANIFEST))?;
        let file = folder.path().join("job.yaml");
        ensure!(is_valid(&file, &text)?, "{MANIFEST} is not as Kubernetes' schema has it");
        for (right, wrong) in FAULTS {
            ensure!(text.matches(right).count() == 1, "`{right}` is not there once");
            ensure!(
                !is_valid(&file, &text.replace(right, wrong))?,
                "`{wrong}` is accepted: the check says nothing"
            );
        }
        Ok(Self { command: command(&sh::root().join(MANIFEST))? })
    }

    /// Runs its command for each index; whether all have succeeded.
    pub(super) fn run(&self, run: &Run) -> Result<bool> {
        let done = in_parallel(cores(), (1..=run.parts).collect(), |part: u32| self.part(run, part))?;
        Ok(done.iter().all(|said| said.ok))
    }

    fn part(&self, run: &Run, part: u32) -> Result<sh::Said> {
        // A pod that is lost: the script kills it while it runs.
        if run.killed == Some(part) {
            return Cmd::new("sh", "").arg(run.script()).arg(part.to_string()).capture();
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let beside = run.smpcall.parent().unwrap_or(Path::new("/")).display();
        let [shell, flag, script] = &self.command;
        Cmd::new(shell, flag)
            .arg(script)
            .env("PATH", format!("{beside}:{path}"))
            .env("JOB_COMPLETION_INDEX", (part - 1).to_string())
            .env("SEED", "1")
            .env("SEEDS", run.seeds.to_string())
            .env("COMPLETIONS", run.parts.to_string())
            .env("FOLDER", &run.folder)
            .capture()
    }
}

/// Under each version of Kubernetes; an unknown field is a fault. The validator ends with 0 also where it knows no schema: what counts is
/// that it says so.
fn is_valid(file: &Path, text: &str) -> Result<bool> {
    fs::write(file, text)?;
    let versions = KUBERNETES.map(|version| format!("-k {version}")).join(" ");
    let said = validator("--strict").args(&versions).arg(file).capture()?;
    let passed = said.stdout.matches(" passed for resource job/smpcall-sim against version ").count();
    Ok(said.ok && passed == KUBERNETES.len())
}

/// What its container runs: a shell, `-c`, a script. The script's variables are those that the manifest sets, and as it sets them.
fn command(manifest: &Path) -> Result<[String; 3]> {
    let read = "import sys, json, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let job: Value = serde_json::from_str(&python("-c").arg(read).arg(manifest).read()?)?;
    let spec = &job["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    let variable = |name: &str| {
        let all = container["env"].as_array().into_iter().flatten();
        all.into_iter()
            .find(|one| one["name"] == name)
            .and_then(|one| one["value"].as_str())
            .map(str::to_owned)
    };
    let completions = spec["completions"].as_u64().context("no completions")?;
    ensure!(
        variable("COMPLETIONS") == Some(completions.to_string()) && spec["parallelism"] == completions,
        "{MANIFEST}: completions, parallelism and COMPLETIONS are one number"
    );
    let mounted = &container["volumeMounts"][0]["mountPath"];
    ensure!(
        variable("FOLDER").as_deref() == mounted.as_str() && mounted.is_string(),
        "{MANIFEST}: FOLDER is the volume"
    );
    ensure!(variable("SEED").is_some() && variable("SEEDS").is_some(), "{MANIFEST}: SEED, SEEDS");
    let words: Vec<String> = serde_json::from_value(container["command"].clone())?;
    let [shell, flag, script] = <[String; 3]>::try_from(words).ok().context("not `sh -c` and a script")?;
    ensure!(shell == "sh" && flag == "-c", "not `sh -c` and a script");
    Ok([shell, flag, script])
}
