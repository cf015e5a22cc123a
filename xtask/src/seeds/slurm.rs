//! Slurm for one machine: munged, slurmctld and slurmd on loopback, with a configuration, a key, a state and ports of their own. They
//! are children of this process, and end with the [`Cluster`], whatever became of the run. Without cgroups: a job is a process group.

use super::{ENGINES, Run, Scratch};
use crate::parallel::cores;
use crate::sh::{Cmd, show_tail};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use wait_timeout::ChildExt;

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// For how long a daemon may take to come up, or to end; and for how long all parts may.
const UP: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(10);
const JOB: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(100);

/// Why it cannot run, if it cannot.
pub(super) fn missing() -> Option<String> {
    for (program, version) in
        [("sbin/slurmctld-wlm", "-V"), ("sbin/slurmd-wlm", "-V"), ("sbin/munged", "--version")]
    {
        if tool(program, version).read().is_err() {
            return Some(format!("no {program} of Slurm's: `cargo xtask setup` unpacks it from Debian"));
        }
    }
    None
}

fn program(name: &str) -> PathBuf {
    ENGINES.root().join("usr").join(name)
}

/// With the libraries that were unpacked beside it.
fn tool(name: &str, args: &str) -> Cmd {
    Cmd::new(program(name), args).env("LD_LIBRARY_PATH", libraries())
}

fn libraries() -> String {
    let root = ENGINES.root();
    let folder = |path: &str| root.join(path).display().to_string();
    [folder(LIBRARIES), folder("lib/x86_64-linux-gnu"), plugins().display().to_string()].join(":")
}

fn plugins() -> PathBuf {
    ENGINES.root().join(LIBRARIES).join("slurm-wlm")
}

/// Three daemons, for as long as it lives.
pub(super) struct Cluster {
    /// In the order in which they were started; they end in the other.
    daemons: Vec<(&'static str, Child)>,
    folder: Scratch,
}

impl Cluster {
    /// An array job, a task for each part; whether all tasks have completed.
    pub(super) fn run(&self, run: &Run) -> Result<bool> {
        let states = self.array(run).inspect_err(|_| self.show())?;
        println!("  Slurm: {}", states.join(", "));
        Ok(states.iter().all(|state| state == "COMPLETED"))
    }

    pub(super) fn start() -> Result<Self> {
        let mut cluster = Self { daemons: Vec::new(), folder: Scratch::new("slurm")? };
        let come_up = cluster.come_up();
        come_up.inspect_err(|_| cluster.show())?;
        Ok(cluster)
    }

    fn come_up(&mut self) -> Result<()> {
        fs::write(self.conf(), self.configuration()?)?;
        let key = self.at("munge.key");
        let secret: Vec<u8> = { fs::read("/proc/sys/kernel/random/uuid")?.repeat(4) };
        fs::write(&key, secret)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let mut munged = vec!["--force".to_owned(), "--foreground".to_owned()];
        for (flag, name) in [
            ("key-file", "munge.key"),
            ("socket", "munge"),
            ("pid-file", "munge.pid"),
            ("seed-file", "munge.seed"),
        ] {
            munged.push(format!("--{flag}={}", self.at(name).display()));
        }
        self.daemon("munged", "sbin/munged", &munged)?;
        let socket = self.at("munge");
        self.wait("munged has no socket", || Ok(socket.exists()))?;
        let conf = self.conf().display().to_string();
        self.daemon("slurmctld", "sbin/slurmctld-wlm", &["-D", "-i", "-f", &conf].map(str::to_owned))?;
        let stepd = program("sbin/slurmstepd-wlm").display().to_string();
        self.daemon("slurmd", "sbin/slurmd-wlm", &["-D", "-f", &conf, "-d", &stepd].map(str::to_owned))?;
        self.wait("the node is not idle", || {
            Ok(self.ask("bin/sinfo", "-h -o %T").capture()?.stdout.trim() == "idle")
        })
    }

    fn configuration(&self) -> Result<String> {
        let name = fs::read_to_string("/proc/sys/kernel/hostname")?;
        let name = name.trim().split('.').next().context("a machine without a name")?;
        let user = Cmd::new("id", "-un").read()?;
        // Both at once, so that they are two.
        let free = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [controller, node] = [free[0].local_addr()?.port(), free[1].local_addr()?.port()];
        let folder = self.folder.path().display();
        Ok(format!(
            "ClusterName=smpcall\nSlurmctldHost={name}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
             SlurmctldPort={controller}\nSlurmdPort={node}\n\
             AuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket={folder}/munge\n\
             StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\n\
             SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n\
             PluginDir={}\n\
             ProctrackType=proctrack/pgid\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n\
             JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\nJobCompType=jobcomp/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nMailProg=/bin/true\n\
             SlurmdParameters=config_overrides\nReturnToService=2\n\
             NodeName={name} NodeAddr=127.0.0.1 CPUs={} State=UNKNOWN\n\
             PartitionName=all Nodes={name} Default=YES MaxTime=INFINITE State=UP\n",
            plugins().display(),
            cores()
        ))
    }

    fn daemon(&mut self, name: &'static str, path: &str, args: &[String]) -> Result<()> {
        let log = File::create(self.at(&format!("{name}.log")))?;
        let child = Command::new(program(path))
            .args(args)
            .env("LD_LIBRARY_PATH", libraries())
            .env("SLURM_CONF", self.conf())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.daemons.push((name, child));
        Ok(())
    }

    /// Submits the array, and waits until each task has ended: their states.
    fn array(&self, run: &Run) -> Result<Vec<String>> {
        let sbatch = self
            .ask("bin/sbatch", "--parsable --output=/dev/null --chdir=/ --array")
            .arg(format!("1-{}", run.parts))
            .arg(run.script());
        let job = sbatch.read()?;
        let start = Instant::now();
        loop {
            let shown = self.ask("bin/scontrol", "-o show job").arg(&job).read()?;
            let states: Vec<String> = states(&shown);
            if states.len() == run.parts as usize && states.iter().all(|state| has_ended(state)) {
                return Ok(states);
            }
            ensure!(start.elapsed() < JOB, "job {job} has not ended: {shown}");
            sleep(LOOK);
        }
    }

    fn ask(&self, name: &str, args: &str) -> Cmd {
        tool(name, args).env("SLURM_CONF", self.conf())
    }

    fn wait(&self, why: &str, is_there: impl Fn() -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !is_there()? {
            if start.elapsed() > UP {
                bail!("{why} after {UP:?}");
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// What the daemons have said, for an error that follows.
    fn show(&self) {
        for (name, _) in &self.daemons {
            println!("  {name}:");
            show_tail(&fs::read_to_string(self.at(&format!("{name}.log"))).unwrap_or_default());
        }
    }

    fn conf(&self) -> PathBuf {
        self.at("slurm.conf")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Jobs are children of slurmd's: first they, while it is there to end them.
        let is_up = self.daemons.iter().any(|(name, _)| *name == "slurmd");
        if is_up && self.ask("bin/scancel", "--partition=all").capture().is_ok() {
            let start = Instant::now();
            let is_empty = || {
                self.ask("bin/squeue", "-h")
                    .capture()
                    .is_ok_and(|said| !said.ok || said.stdout.trim().is_empty())
            };
            while !is_empty() && start.elapsed() < END {
                sleep(LOOK);
            }
        }
        for (name, mut child) in self.daemons.drain(..).rev() {
            let _ = Cmd::new("kill", "-TERM").arg(child.id().to_string()).capture();
            if !matches!(child.wait_timeout(END), Ok(Some(_))) {
                println!("  {name} does not end by SIGTERM: killed");
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Of each task, as `scontrol -o show job` has it; those that wait yet are one line together.
fn states(shown: &str) -> Vec<String> {
    let words = shown.split_whitespace();
    words.filter_map(|word| word.strip_prefix("JobState=")).map(str::to_owned).collect()
}

fn has_ended(state: &str) -> bool {
    !matches!(state, "PENDING" | "RUNNING" | "CONFIGURING" | "COMPLETING" | "SUSPENDED")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In whichever way a run ends: a job that would run for an hour, and the daemons, are gone with the cluster.
    #[test]
    fn what_was_started_ends_with_the_cluster() {
        if let Some(why) = missing() {
            eprintln!("SKIPPED: {why}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (script, started) = (folder.path().join("job.sh"), folder.path().join("started"));
        let text =
            format!("#!/bin/sh\necho $$ > {0}.new\nmv {0}.new {0}\nexec sleep 3600\n", started.display());
        fs::write(&script, text).unwrap();
        let cluster = Cluster::start().unwrap();
        cluster.ask("bin/sbatch", "--output=/dev/null --chdir=/").arg(&script).read().unwrap();
        cluster.wait("the job has not started", || Ok(started.exists())).unwrap();
        let job: u32 = fs::read_to_string(&started).unwrap().trim().parse().unwrap();
        let mut pids: Vec<u32> = cluster.daemons.iter().map(|(_, child)| child.id()).collect();
        pids.push(job);
        let runs = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
        };
        assert!(pids.len() == 4 && pids.iter().all(runs), "{pids:?}");
        let of_its_own = cluster.folder.path().to_owned();
        drop(cluster);
        assert!(!pids.iter().any(runs), "{pids:?}");
        assert!(!of_its_own.exists());
    }

    #[test]
    fn states_are_read() {
        let shown = "JobId=1 ArrayJobId=1 ArrayTaskId=3-4 JobState=PENDING Reason=None\n\
                     JobId=2 ArrayTaskId=1 JobState=COMPLETED Reason=None\nJobId=3 ArrayTaskId=2 JobState=FAILED\n";
        let states = states(shown);
        assert_eq!(states, ["PENDING", "COMPLETED", "FAILED"]);
        assert_eq!(states.iter().map(|state| has_ended(state)).collect::<Vec<_>>(), [false, true, true]);
    }
}
