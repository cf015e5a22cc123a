//! The trace event format that Chrome's tracing page and Perfetto read: slices (`X`), instants (`i`), arrows (`s` to `f`)
//! and names (`M`). Times are in µs.
//!
//! Only pairs are written: a slice whose beginning or end was overwritten in its ring, or an arrow of which one end was,
//! is left out.
//!
//! # What a viewer takes an arrow to mean
//!
//! Perfetto binds either end of an arrow to what began last on its track, also to an instant that is long past, and of two
//! that began at one time to either. So a post has a slice of its own, its arrow leaves inside of it and arrives inside its
//! function's, and the events of a track are so far apart ([`APART_NS`]) that nothing else can come between. And a thread
//! whose number is 0, or its process's, is that process's first thread there: tracks are numbered from 1, and the process
//! has a number that no track has.

use super::recorder::{Happened, STEPS, Track};
use serde::{Serialize, Serializer};
use serde_json::Value;
use smpcall_host::smpcall::{CallKind, EventKind};
use std::collections::HashMap;

/// All is in one process.
const PID: u32 = 1 << 30;
/// The track of CPU 0.
const FIRST_TID: usize = 1;
/// The least distance of two events of a track. Two that were nearer, on a coarse clock, are moved apart.
const APART_NS: u64 = 8;
/// How far inside its slices an arrow begins and ends. More than what is lost when µs are read.
const INSIDE_NS: u64 = 3;
/// The slice of a post, until its track's next event, is at most that long.
const POST_NS_MAX: u64 = 500;

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
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    args: Details,
}

type Details = Vec<(&'static str, Value)>;

fn as_map<S: Serializer>(details: &[(&'static str, Value)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(details.iter().map(|(name, value)| (name, value)))
}

impl ChromeTrace {
    /// Slices, arrows, and events lost.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (self.other.slices, self.other.arrows, self.other.events_lost)
    }
}

/// Where and when a call was queued.
struct Queued {
    track: usize,
    ns: u64,
    kind: CallKind,
}

/// A track, as far as it is written.
#[derive(Default)]
struct Written {
    /// When its last event was.
    last_ns: u64,
    open: Vec<Open>,
    /// The post that was its last event.
    post: Option<Open>,
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
    tracks: Vec<Written>,
}

/// Makes a trace of the tracks; those of CPUs come first, by number.
pub(super) fn trace(tracks: Vec<Track>) -> ChromeTrace {
    let mut builder = Builder {
        events: Vec::new(),
        other: Other { slices: 0, arrows: 0, events_lost: tracks.iter().map(|track| track.lost).sum() },
        queued: HashMap::new(),
        tracks: tracks.iter().map(|_| Written::default()).collect(),
    };
    builder.name("process_name", 0, "smpcall trace".to_owned());
    let mut all = Vec::new();
    // Before that, a queueing may be missing whose run is there, and an arrow would come from another call.
    let mut whole_since = 0;
    for (number, track) in tracks.into_iter().enumerate() {
        builder.name("thread_name", number, track.name);
        let events = in_order(track.events);
        let since = if track.lost == 0 { 0 } else { events.first().map_or(u64::MAX, |(ns, _)| *ns) };
        whole_since = whole_since.max(since);
        all.extend(events.into_iter().map(|(ns, happened)| (ns, number, happened)));
    }
    // Of two tracks, queueing comes before what it leads to. In one, no two are at the same time.
    all.sort_by_key(|(ns, _, happened)| (*ns, !matches!(happened, Happened::Core(EventKind::Queue { .. }))));
    for (ns, track, happened) in all {
        match happened {
            Happened::Begin(step) => builder.step(track, ns, STEPS[step]),
            Happened::End => builder.end(track, ns, "step"),
            Happened::Core(what) => builder.core(track, ns, what, ns >= whole_since),
        }
    }
    (0..builder.tracks.len()).for_each(|track| builder.end_post(track, u64::MAX));
    ChromeTrace { events: builder.events, unit: "ns", other: builder.other }
}

/// A track's events one after another, also where the clock says that they were at one time.
fn in_order(mut events: Vec<(u64, Happened)>) -> Vec<(u64, Happened)> {
    let mut next_ns = 0;
    for (ns, _) in &mut events {
        *ns = next_ns.max(*ns);
        next_ns = *ns + 1;
    }
    events
}

impl Builder {
    /// When the next event of the track is: at `ns`, or as soon as it may.
    fn moment(&mut self, track: usize, ns: u64) -> u64 {
        let ns = ns.max(self.tracks[track].last_ns + APART_NS);
        self.tracks[track].last_ns = ns;
        self.end_post(track, ns);
        ns
    }

    fn core(&mut self, track: usize, ns: u64, kind: EventKind, is_whole: bool) {
        match kind {
            EventKind::Queue { cpu, csd, func, kind } => {
                let ns = self.moment(track, ns);
                let mut details = addresses(csd, func);
                details.push(("cpu", cpu.into()));
                self.tracks[track].post = Some(Open { ns, name: "queue", details });
                if is_whole {
                    self.queued.insert((csd, cpu), Queued { track, ns, kind });
                }
            }
            EventKind::Entry { csd, func, .. } => self.entry(track, ns, (csd, func)),
            EventKind::Exit { .. } => self.end(track, ns, "function"),
            EventKind::Refused { cpu, csd } => {
                self.queued.retain(|(queued, target), by| {
                    *target != cpu || by.track != track || (csd != 0 && *queued != csd)
                });
                self.instant(track, ns, "refused", vec![("cpu", cpu.into())]);
            }
            EventKind::Busy { cpu, .. } => self.instant(track, ns, "busy", vec![("cpu", cpu.into())]),
            EventKind::Ring { first, cpus } | EventKind::Unrung { first, cpus } => {
                let details = vec![("cpu", first.into()), ("cpus", format!("{cpus:#b}").into())];
                let failed = matches!(kind, EventKind::Unrung { .. });
                self.instant(track, ns, if failed { "doorbell failed" } else { "doorbell" }, details);
            }
            EventKind::Batch { len } => self.instant(track, ns, "batch", vec![("calls", len.into())]),
            EventKind::LeftOver { len, .. } => {
                self.instant(track, ns, "left over", vec![("calls", len.into())]);
            }
            EventKind::CaughtUp { .. } => self.instant(track, ns, "caught up", Vec::new()),
            EventKind::Stalled { cpu } => self.instant(track, ns, "stalled", vec![("cpu", cpu.into())]),
            // Pushes and doorbells that were saved are in the counters; here they would hide the rest.
            _ => {}
        }
    }

    /// A function begins; the arrow to it comes from where it was queued.
    fn entry(&mut self, track: usize, ns: u64, (csd, func): (usize, usize)) {
        let queued = u32::try_from(track).ok().and_then(|cpu| self.queued.remove(&(csd, cpu)));
        let name = match queued.as_ref().map(|queued| queued.kind) {
            Some(CallKind::Waiting) => "waited-for",
            Some(CallKind::Many) => "multicast",
            Some(_) => "posted",
            None => "function",
        };
        // After it was queued, also if that was moved.
        let ns = self.moment(track, queued.as_ref().map_or(ns, |queued| ns.max(queued.ns + 1)));
        let mut details = addresses(csd, func);
        if let Some(queued) = queued {
            details.push(("queued_ns", (ns - queued.ns).into()));
            self.arrow(&queued, track, ns);
        }
        self.tracks[track].open.push(Open { ns, name, details });
    }

    fn step(&mut self, track: usize, ns: u64, name: &'static str) {
        let ns = self.moment(track, ns);
        self.tracks[track].open.push(Open { ns, name, details: Vec::new() });
    }

    /// Ends the slice that began last. If there is none, its beginning was lost.
    fn end(&mut self, track: usize, ns: u64, cat: &'static str) {
        let ns = self.moment(track, ns);
        if let Some(open) = self.tracks[track].open.pop() {
            self.slice(track, open, ns, cat);
        }
    }

    /// Ends the slice of a post, when the next event of its track is at `next_ns`.
    fn end_post(&mut self, track: usize, next_ns: u64) {
        if let Some(post) = self.tracks[track].post.take() {
            let end_ns = (next_ns - 1).min(post.ns + POST_NS_MAX);
            self.slice(track, post, end_ns, "post");
        }
    }

    fn slice(&mut self, track: usize, open: Open, end_ns: u64, cat: &'static str) {
        let Open { ns, name, details } = open;
        self.other.slices += 1;
        let dur = Some(micros(end_ns - ns));
        self.events.push(Entry { dur, args: details, ..entry("X", name, cat, track, ns) });
    }

    fn instant(&mut self, track: usize, ns: u64, name: &'static str, args: Details) {
        let ns = self.moment(track, ns);
        self.events.push(Entry { s: Some("t"), args, ..entry("i", name, "event", track, ns) });
    }

    fn arrow(&mut self, from: &Queued, track: usize, ns: u64) {
        self.other.arrows += 1;
        let id = Some(self.other.arrows);
        let start = entry("s", "call", "arrow", from.track, from.ns + INSIDE_NS);
        let finish = entry("f", "call", "arrow", track, ns + INSIDE_NS);
        self.events.push(Entry { id, ..start });
        self.events.push(Entry { id, bp: Some("e"), ..finish });
    }

    fn name(&mut self, what: &'static str, track: usize, name: String) {
        let args = vec![("name", name.into())];
        self.events.push(Entry { args, ..entry("M", what, "__metadata", track, 0) });
        if what == "thread_name" {
            let args = vec![("sort_index", (track + FIRST_TID).into())];
            self.events.push(Entry { args, ..entry("M", "thread_sort_index", "__metadata", track, 0) });
        }
    }
}

fn addresses(csd: usize, func: usize) -> Details {
    vec![("csd", format!("{csd:#x}").into()), ("func", format!("{func:#x}").into())]
}

fn entry(ph: &'static str, name: &'static str, cat: &'static str, track: usize, ns: u64) -> Entry {
    let tid = track + FIRST_TID;
    let (dur, id, bp, s, args) = (None, None, None, None, Vec::new());
    Entry { ph, name, cat, pid: PID, tid, ts: micros(ns), dur, id, bp, s, args }
}

/// Exact to the ns for some 100 days.
fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(name: &str, events: &[(u64, Happened)]) -> Track {
        Track { name: name.to_owned(), events: events.to_vec(), lost: 0 }
    }

    /// On a clock so coarse that all that a thread does happens at once.
    #[test]
    fn events_at_one_time_are_moved_apart_and_arrows_keep_to_their_slices() {
        let (csd, func, cpu) = (0x40, 0x80, 0);
        let core = Happened::Core;
        let queue = core(EventKind::Queue { cpu, csd, func, kind: CallKind::Posted });
        let run = [
            core(EventKind::Batch { len: 1 }),
            core(EventKind::Entry { csd, func, queued_ns: None }),
            core(EventKind::Exit { csd, func, ran_ns: None }),
        ];
        let post = [Happened::Begin(2), core(EventKind::Busy { cpu, csd }), queue, Happened::End];
        let at = |ns: u64, all: &[Happened]| all.iter().map(|one| (ns, *one)).collect::<Vec<_>>();
        let trace = trace(vec![track("CPU 0", &at(7, &run)), track("posts", &at(5, &post))]);
        assert_eq!(trace.counts(), (3, 1, 0));
        let ns = |ph: &str, name: &str| {
            let found = trace.events.iter().find(|event| event.ph == ph && event.name == name);
            (found.expect("it is there").ts * 1000.0).round() as u64
        };
        let (queued, ran) = (ns("X", "queue"), ns("X", "posted"));
        assert_eq!((ns("s", "call"), ns("f", "call")), (queued + INSIDE_NS, ran + INSIDE_NS));
        assert!(queued >= ns("i", "busy") + APART_NS && queued >= ns("X", "post") + 2 * APART_NS);
        assert!(ran > queued, "not before it was queued: {queued} {ran}");
        let tids: Vec<_> = trace.events.iter().map(|event| event.tid).collect();
        assert!(tids.iter().all(|tid| (1..=2).contains(tid)) && !tids.contains(&(PID as usize)));
    }
}
