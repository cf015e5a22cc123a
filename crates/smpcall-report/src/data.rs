//! What was measured: the JSON of `smpcall report --json`, which `--against` and `--from` read again.
//!
//! A reader looks at [`Report::schema`] first. Its version goes up when a field changes its meaning or goes; a new field does not
//! change it.

use serde::{Deserialize, Serialize};

/// What [`Report::schema`] says: a name, and a version.
pub const SCHEMA: &str = "smpcall.report/1";
/// Between how many cores pairs are measured at most, and shown.
pub const CORES_SHOWN_MAX: usize = 24;

/// A whole report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// When it was made, in seconds since 1970.
    pub made_at: u64,
    /// What was built, and by which compiler.
    pub build: Build,
    /// What the system said of itself.
    pub environment: Environment,
    /// The cores that the process may use.
    pub cores: Vec<Core>,
    /// What it costs between two cores. Of many cores some are taken.
    pub pairs: Vec<Pair>,
    /// What hardware and kernel take.
    pub floors: Vec<Floor>,
    /// What calls take.
    pub rows: Vec<Row>,
    /// Results that were checked.
    pub checks: Checks,
    /// What calls cost on machines of growing size, by the model.
    pub growth: Vec<Curve>,
    /// Who was told Busy and not seen.
    pub litmus: Litmus,
    /// What `cargo xtask peers` measured, if that was given.
    pub peers: Option<Peers>,
}

impl Report {
    /// Says what is wrong with a file that was read, if anything is.
    ///
    /// # Errors
    ///
    /// It is of another kind or another version.
    pub fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("its schema is {:?}, and this command reads {SCHEMA:?}", self.schema));
        }
        Ok(())
    }

    /// Returns the floor of that name.
    pub fn floor(&self, name: &str) -> Option<&Floor> {
        self.floors.iter().find(|floor| floor.name == name)
    }
}

/// What was built, and by which compiler.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Build {
    /// The command's version.
    pub smpcall: String,
    /// As `rustc --version` says.
    pub rustc: String,
}

/// What the system said of itself. Where it says nothing, a text is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Environment {
    /// The processor's name, family and model.
    pub processor: String,
    /// Its microcode.
    pub microcode: String,
    /// The operating system.
    pub system: String,
    /// The kernel's release.
    pub kernel: String,
    /// Whether this is a virtual machine, and whose; `None` on the bare machine, as far as can be known.
    pub hypervisor: Option<String>,
    /// Who sets the cores' frequency: each governor that a core has. Empty where there is no such file.
    pub governors: Vec<String>,
    /// In what a core idles.
    pub idle_states: Vec<String>,
    /// The kernel's clock.
    pub clock: String,
    /// Mitigations, and holes without one: name and state.
    pub mitigations: Vec<(String, String)>,
    /// What the process' cgroup grants it, in thousandths of one core's time; `None`: all there is.
    pub quota_millis: Option<u64>,
    /// How often the cgroup was throttled while the report was made.
    pub throttled: u64,
    /// The load of the last minute before the report was made.
    pub load_before: f64,
    /// How much of the cores' time the hypervisor gave to others while the report was made, in percent.
    pub steal_percent: f64,
    /// How often in a second one of the two measuring threads was taken off its core for another thread, while pairs were measured.
    pub preempted_per_s: f64,
    /// Between which two cores rows were measured: the caller's and the target's; `None` if threads were not pinned.
    pub timed_between: Option<(usize, usize)>,
    /// What the library says of where its threads run.
    pub placement: String,
}

/// A core, as the kernel numbers them, and which it shares what with. A group is known by its first core.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// Its number.
    pub number: usize,
    /// The threads of one core.
    pub core: Option<usize>,
    /// Those that share a cache of the second level.
    pub cache2: Option<usize>,
    /// Those that share a cache of the third level.
    pub cache3: Option<usize>,
    /// Those of one package.
    pub package: Option<usize>,
    /// Those of one memory node.
    pub node: Option<usize>,
}

/// What it costs between two cores: medians, in ns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// The caller's core.
    pub from: usize,
    /// The target's core.
    pub to: usize,
    /// A cache line there and back.
    pub line_ns: f64,
    /// A waiting call to a target that polls.
    pub call_ns: f64,
    /// There and back through the kernel, both sides asleep.
    pub futex_ns: f64,
    /// A waiting call to a target that sleeps: one doorbell.
    pub doorbell_ns: f64,
}

/// A floor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Floor {
    /// The key that rows name it by.
    pub name: String,
    /// Its median in each round, in ns.
    pub rounds: Vec<f64>,
}

/// A row: one kind of call to a target in one state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The kind of call.
    pub call: String,
    /// What the target does.
    pub target: String,
    /// The floor that it is held against.
    pub floor: String,
    /// How many times that floor it is to take at most, where a goal was set.
    pub goal: Option<f64>,
    /// A sample is the mean of so many calls.
    pub calls_per_sample: u32,
    /// How many calls were timed.
    pub count: u64,
    /// Its median in each round, in ns.
    pub rounds: Vec<f64>,
    /// Over the samples of all rounds, in ns.
    pub ns: Quantiles,
}

/// Of samples, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The least.
    pub min: f64,
    /// One in twenty is below.
    pub p5: f64,
    /// One in four is below.
    pub p25: f64,
    /// Half are below.
    pub p50: f64,
    /// Three in four are below.
    pub p75: f64,
    /// 95 in a hundred are below.
    pub p95: f64,
    /// 99 in a hundred are below.
    pub p99: f64,
}

/// Results that were checked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Checks {
    /// How many were as the contract says.
    pub passed: u64,
    /// How many were not.
    pub failed: u64,
    /// Of which promises.
    pub promises: Vec<String>,
}

/// What one shape of calls costs on growing machines, by the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curve {
    /// The shape's name.
    pub workload: String,
    /// What it is.
    pub description: String,
    /// In the order of their size.
    pub points: Vec<Point>,
}

/// What it costs on a machine of one size, in ns.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Point {
    /// How many CPUs.
    pub cpus: u32,
    /// Ours.
    pub smpcall_ns: f64,
    /// Linux's algorithm.
    pub linux_ns: f64,
}

/// Raced posts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Litmus {
    /// How many, under each protocol.
    pub posts: u64,
    /// Under Linux's protocol.
    pub linux: Raced,
    /// Under ours.
    pub smpcall: Raced,
}

/// What became of raced posts.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Raced {
    /// Told Busy.
    pub busy: u64,
    /// Of those, not seen by the run that was still to come.
    pub lost: u64,
}

/// What `cargo xtask peers --json FILE` writes, as far as the page shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peers {
    /// What it was measured on.
    pub machine: String,
    /// In how many rounds.
    pub rounds: u32,
    /// One for each call.
    pub rows: Vec<PeerRow>,
}

/// A call of ours beside what one would use instead.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerRow {
    /// Which table it belongs to.
    pub group: String,
    /// The kind of call.
    pub call: String,
    /// What the target does.
    pub target: String,
    /// Ours.
    pub ours: PeerFigures,
    /// The others, floors among them.
    pub beside: Vec<Beside>,
}

/// One of the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// It is no peer but what the hardware or the kernel takes.
    pub floor: bool,
    /// Its figures.
    pub figures: PeerFigures,
    /// Ours divided by it.
    pub ratio: f64,
    /// In the round in which that was least.
    pub ratio_least: f64,
    /// In the round in which that was most.
    pub ratio_most: f64,
}

/// A median over the rounds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PeerFigures {
    /// In ns.
    pub ns: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report of two cores, made up.
    pub(crate) fn report() -> Report {
        let ns = Quantiles { min: 90.0, p5: 95.0, p25: 99.0, p50: 110.0, p75: 120.0, p95: 180.0, p99: 400.0 };
        let row = Row {
            call: "waiting call".to_owned(),
            target: "polling".to_owned(),
            floor: "cache_line_rtt_ns".to_owned(),
            goal: Some(1.25),
            calls_per_sample: 64,
            count: 64_000,
            rounds: vec![100.0, 110.0, 130.0, 110.0],
            ns,
        };
        let core = |number| Core { number, core: Some(number), package: Some(0), ..Core::default() };
        let pair =
            |from, to| Pair { from, to, line_ns: 60.0, call_ns: 110.0, futex_ns: 9e3, doorbell_ns: 4e3 };
        let point =
            |cpus| Point { cpus, smpcall_ns: f64::from(cpus) * 10.0, linux_ns: f64::from(cpus) * 30.0 };
        Report {
            schema: SCHEMA.to_owned(),
            made_at: 1_700_000_000,
            build: Build { smpcall: "0.1.0".to_owned(), rustc: crate::RUSTC.to_owned() },
            environment: Environment {
                processor: "A <processor>".to_owned(),
                kernel: "6.18.0".to_owned(),
                governors: vec!["performance".to_owned()],
                timed_between: Some((0, 1)),
                ..Environment::default()
            },
            cores: vec![core(0), core(1)],
            pairs: vec![pair(0, 1), pair(1, 0)],
            floors: vec![
                Floor { name: "cache_line_rtt_ns".to_owned(), rounds: vec![58.0, 60.0, 61.0, 60.0] },
                Floor { name: "fetch_or_ns".to_owned(), rounds: vec![5.0, 5.0, 5.1, 5.0] },
            ],
            rows: vec![row],
            checks: Checks { passed: 1_000, failed: 0, promises: vec!["P1".to_owned(), "P4".to_owned()] },
            growth: vec![Curve {
                workload: "multicast".to_owned(),
                description: "a waiting multicast to all others".to_owned(),
                points: [2, 8, 64].map(point).to_vec(),
            }],
            litmus: Litmus {
                posts: 1_000,
                linux: Raced { busy: 500, lost: 30 },
                smpcall: Raced { busy: 490, lost: 0 },
            },
            peers: None,
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_another_version_is_refused() {
        let text = serde_json::to_string(&report()).unwrap();
        let mut read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(read.check(), Ok(()));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        read.schema = "smpcall.report/2".to_owned();
        assert!(read.check().unwrap_err().contains("\"smpcall.report/2\""));
    }

    #[test]
    fn what_peers_write_is_read() {
        let peers = r#"{"machine": "m", "rounds": 3, "rows": [{"group": "peers", "call": "flood", "target": "polling", "by": "median",
            "ours": {"ns": 13.9, "allocations": 0, "tail": null}, "beside": [{"name": "kanal", "floor": false, "goal": null,
            "figures": {"ns": 100.0, "allocations": 1.0, "tail": null}, "ratio": 0.1, "ratio_least": 0.1, "ratio_most": 0.2}]}]}"#;
        let peers: Peers = serde_json::from_str(peers).unwrap();
        assert_eq!((peers.rows[0].beside[0].figures.ns, peers.rows[0].ours.ns), (100.0, 13.9));
    }
}
