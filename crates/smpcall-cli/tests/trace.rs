//! `smpcall trace`: the file is read by a strict schema of the trace event format, and what a viewer relies on is checked:
//! slices nest, no two events of a track are at one time, each arrow has both ends, in order, the one inside the slice of its
//! post and the other inside that of its function, and every track has a name and a number that is not 0 and no process's.
//! `cargo xtask perfetto` asks Perfetto itself.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trace {
    #[serde(rename = "traceEvents")]
    events: Vec<Event>,
    #[serde(rename = "displayTimeUnit")]
    unit: String,
    #[serde(rename = "otherData")]
    other: Other,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Other {
    slices: usize,
    arrows: usize,
    events_lost: u64,
}

/// Each phase with the fields that it must have, and no others.
#[derive(Deserialize)]
#[serde(tag = "ph", deny_unknown_fields)]
enum Event {
    X {
        name: String,
        cat: String,
        pid: u32,
        tid: u32,
        ts: f64,
        dur: f64,
        args: Option<Details>,
    },
    #[serde(rename = "i")]
    Instant {
        name: String,
        cat: String,
        pid: u32,
        tid: u32,
        ts: f64,
        s: Scope,
        args: Details,
    },
    #[serde(rename = "s")]
    Start {
        name: String,
        cat: String,
        pid: u32,
        tid: u32,
        ts: f64,
        id: u64,
    },
    #[serde(rename = "f")]
    Finish {
        name: String,
        cat: String,
        pid: u32,
        tid: u32,
        ts: f64,
        id: u64,
        bp: Binding,
    },
    M {
        name: String,
        cat: String,
        pid: u32,
        tid: u32,
        ts: f64,
        args: Meta,
    },
}

#[derive(Deserialize)]
enum Scope {
    #[serde(rename = "t")]
    Thread,
}

#[derive(Deserialize)]
enum Binding {
    #[serde(rename = "e")]
    Enclosing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    csd: Option<String>,
    func: Option<String>,
    cpu: Option<u32>,
    cpus: Option<String>,
    calls: Option<u32>,
    queued_ns: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    name: Option<String>,
    sort_index: Option<u32>,
}

#[derive(Clone, Debug)]
struct Slice {
    name: String,
    from_ns: u64,
    to_ns: u64,
}

/// Functions of which the trace knows where they were queued.
const FUNCTIONS: [&str; 3] = ["waited-for", "posted", "multicast"];

/// What the file holds, by track and by arrow.
#[derive(Default)]
struct Read {
    slices: BTreeMap<u32, Vec<Slice>>,
    starts: BTreeMap<u64, (u32, u64)>,
    ends: BTreeMap<u64, (u32, u64)>,
    names: BTreeMap<u32, String>,
    instants: BTreeMap<String, u32>,
    /// When slices begin and end and instants are, by track.
    moments: BTreeMap<u32, Vec<u64>>,
    tracks: BTreeSet<u32>,
    pids: BTreeSet<u32>,
    lost: u64,
}

fn ns(micros: f64) -> u64 {
    assert!(micros.is_finite() && micros >= 0.0, "{micros}");
    (micros * 1000.0).round() as u64
}

fn is_address(text: &Option<String>) -> bool {
    text.as_deref()
        .and_then(|text| text.strip_prefix("0x"))
        .is_some_and(|hex| u64::from_str_radix(hex, 16).is_ok())
}

impl Read {
    fn file(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the file was written");
        let trace: Trace = serde_json::from_str(&text).expect("it is a trace, and nothing else");
        assert_eq!(trace.unit, "ns");
        let mut read = Self { lost: trace.other.events_lost, ..Self::default() };
        trace.events.into_iter().for_each(|event| read.event(event));
        let slices: usize = read.slices.values().map(Vec::len).sum();
        assert_eq!(
            (slices, read.starts.len()),
            (trace.other.slices, trace.other.arrows),
            "as it says of itself"
        );
        read
    }

    fn event(&mut self, event: Event) {
        let (name, cat, pid, tid, ts) = match event {
            Event::X { name, cat, pid, tid, ts, dur, args } => {
                if cat == "function" {
                    let args = args.as_ref().expect("a function has its details");
                    assert!(is_address(&args.csd) && is_address(&args.func), "{name}");
                    assert_eq!(args.queued_ns.is_some(), name != "function", "{name}");
                    assert!(args.queued_ns.is_none_or(|ns| ns >= 0), "{name}");
                }
                let slice = Slice { name: name.clone(), from_ns: ns(ts), to_ns: ns(ts) + ns(dur) };
                self.moments.entry(tid).or_default().extend([slice.from_ns, slice.to_ns]);
                self.slices.entry(tid).or_default().push(slice);
                (name, cat, pid, tid, ts)
            }
            Event::Instant { name, cat, pid, tid, ts, s: Scope::Thread, args } => {
                let Details { cpu, cpus, calls, .. } = &args;
                assert_eq!(calls.is_some(), name == "batch", "{name}");
                assert_eq!((cpu.is_some(), cpus.is_some()), (name != "batch", name == "doorbell"), "{name}");
                *self.instants.entry(name.clone()).or_default() += 1;
                self.moments.entry(tid).or_default().push(ns(ts));
                (name, cat, pid, tid, ts)
            }
            Event::Start { name, cat, pid, tid, ts, id } => {
                assert!(self.starts.insert(id, (tid, ns(ts))).is_none(), "arrow {id} starts twice");
                (name, cat, pid, tid, ts)
            }
            Event::Finish { name, cat, pid, tid, ts, id, bp: Binding::Enclosing } => {
                assert!(self.ends.insert(id, (tid, ns(ts))).is_none(), "arrow {id} ends twice");
                (name, cat, pid, tid, ts)
            }
            Event::M { name, cat, pid, tid, ts, args } => {
                match name.as_str() {
                    "thread_name" => _ = self.names.insert(tid, args.name.expect("a name")),
                    "thread_sort_index" => assert_eq!(args.sort_index, Some(tid)),
                    "process_name" => assert!(args.name.is_some()),
                    other => panic!("metadata {other}"),
                }
                (name, cat, pid, tid, ts)
            }
        };
        assert!(!name.is_empty() && !cat.is_empty(), "{name}");
        let _ = ns(ts);
        self.pids.insert(pid);
        self.tracks.insert(tid);
    }

    /// What any viewer needs, however much was lost.
    fn check(&self) {
        for (tid, slices) in &self.slices {
            nest(*tid, slices);
        }
        let ids = |arrows: &BTreeMap<u64, _>| arrows.keys().copied().collect::<Vec<_>>();
        assert_eq!(ids(&self.starts), ids(&self.ends), "each arrow has both ends");
        for (tid, moments) in &self.moments {
            let times: BTreeSet<_> = moments.iter().collect();
            assert_eq!(times.len(), moments.len(), "two events of track {tid} are at one time");
        }
        for (id, (from, from_ns)) in &self.starts {
            let (to, to_ns) = self.ends[id];
            assert!(*from_ns < to_ns, "arrow {id} goes back in time");
            assert_eq!(self.bound_to(*from, *from_ns), "queue", "arrow {id} leaves the slice of its post");
            let function = self.bound_to(to, to_ns);
            assert!(FUNCTIONS.contains(&function), "arrow {id} ends in {function}");
        }
        assert!(self.tracks.iter().all(|tid| self.names.contains_key(tid)), "each track has a name");
        assert!(!self.tracks.contains(&0), "that is what a viewer takes for the process itself");
        assert!(self.pids.len() == 1 && self.pids.is_disjoint(&self.tracks), "{:?}", self.pids);
    }

    /// The slice that Perfetto binds an arrow to: what began last on its track, which must be around it.
    fn bound_to(&self, tid: u32, ns: u64) -> &str {
        let last =
            self.moments[&tid].iter().filter(|moment| **moment < ns).max().expect("something is before");
        let slice = self.slices[&tid].iter().find(|slice| slice.from_ns == *last);
        let slice = slice.unwrap_or_else(|| panic!("what is before {ns} on track {tid} is no beginning"));
        assert!(ns < slice.to_ns && !self.moments[&tid].contains(&ns), "{slice:?} is not around {ns}");
        &slice.name
    }

    fn names_of_slices(&self) -> BTreeSet<&str> {
        self.slices.values().flatten().map(|slice| slice.name.as_str()).collect()
    }
}

/// Of two slices of one track, one is inside the other, or they are apart.
fn nest(tid: u32, slices: &[Slice]) {
    let mut slices = slices.to_vec();
    slices.sort_by_key(|slice| (slice.from_ns, std::cmp::Reverse(slice.to_ns)));
    let mut around: Vec<Slice> = Vec::new();
    for slice in slices {
        while around.last().is_some_and(|outer| outer.to_ns <= slice.from_ns && outer.to_ns < slice.to_ns) {
            around.pop();
        }
        if let Some(outer) = around.last() {
            assert!(slice.to_ns <= outer.to_ns, "on track {tid} {slice:?} reaches out of {outer:?}");
        }
        around.push(slice);
    }
}

fn smpcall(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smpcall")).args(arguments).output().expect("the command starts")
}

fn record(more: &[&str]) -> (Read, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    // Longer than what is written, which has to replace all of it.
    std::fs::write(&path, "x".repeat(1 << 16)).unwrap();
    let output = smpcall(&[&["trace", "--out", path.to_str().unwrap()], more].concat());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    (Read::file(&path), stdout.into_owned())
}

#[test]
fn a_trace_is_whole_and_shows_every_kind_of_call() {
    let (read, stdout) = record(&["--seconds", "0.05", "--cpus", "3", "--events", "1000000"]);
    read.check();
    assert_eq!(read.lost, 0);
    let names = ["CPU 0", "CPU 1", "CPU 2", "CPU 3", "calls", "posts"];
    assert!(read.names.keys().copied().eq(1..=6), "{:?}", read.names);
    assert_eq!(read.names.values().map(String::as_str).collect::<Vec<_>>(), names);
    let slices = read.names_of_slices();
    let wanted = [
        "call",
        "call_many",
        "post",
        "post_all",
        "flush",
        "wait",
        "queue",
        "waited-for",
        "posted",
        "multicast",
    ];
    assert!(wanted.iter().all(|name| slices.contains(name)), "{slices:?}");
    assert!(!slices.contains("function"), "nothing was lost, so each function has its post");
    assert!(read.instants["batch"] > 0);
    // With nothing lost, each function has its arrow.
    let ran = read.slices.values().flatten().filter(|slice| FUNCTIONS.contains(&slice.name.as_str())).count();
    assert_eq!(ran, read.starts.len());
    assert!(stdout.contains(&format!("{ran} arrows")) && stdout.contains("0 events lost"), "{stdout}");
}

#[test]
fn a_ring_that_is_too_small_loses_events_and_no_sense() {
    for events in ["1", "7", "64"] {
        let (read, stdout) = record(&["--seconds", "0.03", "--events", events]);
        read.check();
        assert!(events == "64" || read.lost > 0, "a round of each thread is more than that");
        assert!(stdout.contains(&format!("{} events lost", read.lost)), "{stdout}");
    }
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, named: &str) {
    let output = smpcall(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(message.starts_with("error: ") && message.contains(named), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty(), "{arguments:?} ran all the same");
}

#[test]
fn bad_flags_and_files_that_cannot_be_written_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let out = path.to_str().unwrap();
    refused(&["trace"], 2, "--out");
    refused(&["trace", "--out"], 2, "--out");
    for (flag, value) in [
        ("--cpus", "0"),
        ("--cpus", "8192"),
        ("--cpus", "two"),
        ("--events", "0"),
        ("--events", "9999999"),
        ("--seconds", "0"),
        ("--seconds", "nan"),
        ("--seconds", "-1"),
    ] {
        refused(&["trace", "--out", out, flag, value], 2, flag);
    }
    assert!(!path.exists(), "flags are looked at first");
    let missing = folder.path().join("no/such/folder.json");
    refused(&["trace", "--seconds", "3600", "--out", missing.to_str().unwrap()], 1, "folder.json");
    refused(&["trace", "--seconds", "3600", "--out", folder.path().to_str().unwrap()], 1, "cannot write");
}
