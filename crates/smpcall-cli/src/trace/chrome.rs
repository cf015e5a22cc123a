//! The trace event format that Chrome's tracing page and Perfetto read: slices (`X`), instants (`i`), arrows (`s` to `f`)
//! and names (`M`). Times are in µs.
//!
//! Only pairs are written: a slice whose beginning or end was overwritten in its ring, or an arrow of which one end was,
//! is left out.

use super::recorder::{Happened, STEPS, Track};
use serde::Serialize;
use smpcall_host::smpcall::{CallKind, What};
use std::collections::HashMap;

/// All is in one process.
const PID: u32 = 1;

#[derive(Serialize)]
pub(super) struct ChromeTrace {
    #[serde(rename = "traceEvents")]
    events: Vec<Entry>,
    #[serde(rename = "displayTimeUnit")]
    unit: &'static str,
    #[serde(rename = "otherData")]
    other: Other,
}

#[derive(Serialize)]
struct Other {
    slices: u64,
    arrows: u64,
    events_lost: u64,
}

/// One object of the list.
#[derive(Serialize)]
struct Entry {
    ph: &'static str,
    name: &'static str,
    cat: &'static str,
    pid: u32,
    tid: usize,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    /// The number of an arrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// An arrow ends at the slice around it, not at the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    /// An instant is its track's.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Details::is_empty")]
    args: Details,
}

#[derive(Default, Serialize)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    func: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    /// A mask of CPUs, or how many calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued_ns: Option<u64>,
}

impl Details {
    fn is_empty(&self) -> bool {
        let Self { name, sort_index, csd, func, cpu, cpus, calls, queued_ns } = self;
        name.is_none()
            && (sort_index, csd, func) == (&None, &None, &None)
            && (cpu, cpus, calls, queued_ns) == (&None, &None, &None, &None)
    }
}

impl ChromeTrace {
    /// Slices, arrows, and events lost.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (self.other.slices, self.other.arrows, self.other.events_lost)
    }
}

/// Where and when a call was queued.
struct Queued {
    tid: usize,
    ns: u64,
    kind: CallKind,
}

/// A slice that has begun.
struct Open {
    ns: u64,
    name: &'static str,
    details: Details,
}

struct Builder {
    events: Vec<Entry>,
    other: Other,
    /// What is queued, by call object and target: only one at a time.
    queued: HashMap<(usize, u32), Queued>,
    open: Vec<Vec<Open>>,
    /// Of each track, since when nothing is missing.
    whole_since: Vec<u64>,
}

/// Makes a trace of the tracks; those of CPUs come first, by number.
pub(super) fn trace(tracks: Vec<Track>) -> ChromeTrace {
    let mut builder = Builder {
        events: Vec::new(),
        other: Other { slices: 0, arrows: 0, events_lost: tracks.iter().map(|track| track.lost).sum() },
        queued: HashMap::new(),
        open: tracks.iter().map(|_| Vec::new()).collect(),
        whole_since: Vec::new(),
    };
    builder.name("process_name", 0, "smpcall trace".to_owned());
    let mut all = Vec::new();
    for (tid, track) in tracks.into_iter().enumerate() {
        builder.name("thread_name", tid, track.name);
        let since = if track.lost == 0 { 0 } else { track.events.first().map_or(u64::MAX, |(ns, _)| *ns) };
        builder.whole_since.push(since);
        all.extend(track.events.into_iter().map(|(ns, happened)| (ns, tid, happened)));
    }
    // Stable, so that each track stays in its order; of two tracks, queueing comes before what it leads to.
    all.sort_by_key(|(ns, _, happened)| (*ns, !matches!(happened, Happened::Core(What::Queue { .. }))));
    // Before that, a queueing may be missing whose run is there, and an arrow would come from another call.
    let whole = builder.whole_since.iter().copied().max().unwrap_or(0);
    for (ns, tid, happened) in all {
        match happened {
            Happened::Begin(step) => builder.begin(tid, ns, STEPS[step], Details::default()),
            Happened::End => builder.end(tid, ns, "step"),
            Happened::Core(what) => builder.core(tid, ns, what, whole),
        }
    }
    ChromeTrace { events: builder.events, unit: "ns", other: builder.other }
}

impl Builder {
    fn core(&mut self, tid: usize, ns: u64, what: What, whole: u64) {
        match what {
            // Also not if the slice around it was lost, from which the arrow would come.
            What::Queue { cpu, csd, kind, .. } if ns >= whole && !self.open[tid].is_empty() => {
                self.queued.insert((csd, cpu), Queued { tid, ns, kind });
            }
            What::Entry { csd, func, .. } => {
                let queued = u32::try_from(tid).ok().and_then(|cpu| self.queued.remove(&(csd, cpu)));
                let name = match queued.as_ref().map(|queued| queued.kind) {
                    Some(CallKind::Waiting) => "waited-for",
                    Some(CallKind::Many) => "multicast",
                    Some(_) => "posted",
                    None => "function",
                };
                let details = Details {
                    csd: Some(format!("{csd:#x}")),
                    func: Some(format!("{func:#x}")),
                    queued_ns: queued.as_ref().map(|queued| ns - queued.ns),
                    ..Details::default()
                };
                if let Some(queued) = queued {
                    self.arrow(&queued, tid, ns);
                }
                self.begin(tid, ns, name, details);
            }
            What::Exit { .. } => self.end(tid, ns, "function"),
            What::Refused { cpu, csd } => {
                self.queued.retain(|(queued, target), by| {
                    *target != cpu || by.tid != tid || (csd != 0 && *queued != csd)
                });
                self.instant(tid, ns, "refused", Details { cpu: Some(cpu), ..Details::default() });
            }
            What::Busy { cpu, .. } => {
                self.instant(tid, ns, "busy", Details { cpu: Some(cpu), ..Details::default() });
            }
            What::Ring { first, cpus } => {
                let details =
                    Details { cpu: Some(first), cpus: Some(format!("{cpus:#b}")), ..Details::default() };
                self.instant(tid, ns, "doorbell", details);
            }
            What::Batch { len } => {
                self.instant(tid, ns, "batch", Details { calls: Some(len), ..Details::default() });
            }
            What::Stalled { cpu } => {
                self.instant(tid, ns, "stalled", Details { cpu: Some(cpu), ..Details::default() });
            }
            // Pushes and doorbells that were saved are in the counters; here they would hide the rest.
            _ => {}
        }
    }

    fn begin(&mut self, tid: usize, ns: u64, name: &'static str, details: Details) {
        self.open[tid].push(Open { ns, name, details });
    }

    /// Ends the slice that began last. If there is none, its beginning was lost.
    fn end(&mut self, tid: usize, ns: u64, cat: &'static str) {
        let Some(Open { ns: begun, name, details }) = self.open[tid].pop() else { return };
        self.other.slices += 1;
        let dur = Some(micros(ns - begun));
        self.events.push(Entry { dur, args: details, ..entry("X", name, cat, tid, begun) });
    }

    fn instant(&mut self, tid: usize, ns: u64, name: &'static str, args: Details) {
        self.events.push(Entry { s: Some("t"), args, ..entry("i", name, "event", tid, ns) });
    }

    fn arrow(&mut self, from: &Queued, tid: usize, ns: u64) {
        self.other.arrows += 1;
        let id = Some(self.other.arrows);
        self.events.push(Entry { id, ..entry("s", "call", "arrow", from.tid, from.ns) });
        self.events.push(Entry { id, bp: Some("e"), ..entry("f", "call", "arrow", tid, ns) });
    }

    fn name(&mut self, what: &'static str, tid: usize, name: String) {
        let args = Details { name: Some(name), ..Details::default() };
        self.events.push(Entry { args, ..entry("M", what, "__metadata", tid, 0) });
        if what == "thread_name" {
            let args = Details { sort_index: Some(tid), ..Details::default() };
            self.events.push(Entry { args, ..entry("M", "thread_sort_index", "__metadata", tid, 0) });
        }
    }
}

fn entry(ph: &'static str, name: &'static str, cat: &'static str, tid: usize, ns: u64) -> Entry {
    let (dur, id, bp, s, args) = (None, None, None, None, Details::default());
    Entry { ph, name, cat, pid: PID, tid, ts: micros(ns), dur, id, bp, s, args }
}

/// Exact to the ns for some 100 days.
fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}
