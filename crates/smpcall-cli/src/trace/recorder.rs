//! The recorder: a track for each CPU and each thread that calls, and for each track a ring of the last events.
//!
//! An event is a few relaxed stores into a place that the track's counter gave out; no lock, and nothing is allocated while
//! it runs. A track has one writer at a time, its thread; the rings are read when all threads have ended.

use smpcall_host::Trace;
use smpcall_host::smpcall::{CallKind, Event, EventKind};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

thread_local! {
    /// The track of a thread that is no CPU.
    static TRACK: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Something in a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// An event of the core.
    Core(EventKind),
    /// The workload begins something; its number in [`STEPS`].
    Begin(usize),
    /// It has ended.
    End,
}

/// What the workload does: the names of its slices.
pub(super) const STEPS: [&str; 6] = ["call", "call_many", "post", "post_all", "flush", "wait"];

/// One track's events, the oldest first.
pub(super) struct Track {
    pub(super) name: String,
    /// With the ns since the start.
    pub(super) events: Vec<(u64, Happened)>,
    /// How many older ones were overwritten.
    pub(super) lost: u64,
}

/// A place for an event: when, what and on which CPU, and two addresses.
type Place = [AtomicU64; 4];

struct Ring {
    name: String,
    given_out: AtomicU64,
    places: Box<[Place]>,
}

/// The listener.
pub(super) struct Recorder {
    started: Instant,
    cpus: usize,
    rings: Vec<Ring>,
}

impl Recorder {
    /// With room for `len` events on each track: one for each CPU, and one for each lane, a thread that is none.
    pub(super) fn new(len: usize, cpus: usize, lanes: &[&str]) -> Self {
        let names =
            (0..cpus).map(|cpu| format!("CPU {cpu}")).chain(lanes.iter().map(|&name| name.to_owned()));
        let ring = |name| Ring {
            name,
            given_out: AtomicU64::new(0),
            places: std::iter::repeat_with(Place::default).take(len).collect(),
        };
        Self { started: Instant::now(), cpus, rings: names.map(ring).collect() }
    }

    /// The calling thread is that lane from now on.
    pub(super) fn enter(&self, lane: usize) {
        TRACK.set(self.cpus + lane);
    }

    /// Records a step of the workload around `f`, by the CPU that the thread is, if it is one.
    pub(super) fn step<R>(&self, cpu: Option<u32>, step: &'static str, f: impl FnOnce() -> R) -> R {
        let number = STEPS.iter().position(|name| *name == step).expect("a step of the list");
        self.record(cpu, Happened::Begin(number));
        let result = f();
        self.record(cpu, Happened::End);
        result
    }

    fn record(&self, cpu: Option<u32>, happened: Happened) {
        let track = cpu.map_or_else(|| TRACK.get(), |cpu| cpu as usize);
        // A thread without a track: one that starts or ends the machine, before the work or after.
        let Some(ring) = self.rings.get(track) else { return };
        let now_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: each place is given out once a round; read when the threads have ended.
        let at = ring.given_out.fetch_add(1, Ordering::Relaxed);
        let place = &ring.places[at as usize % ring.places.len()];
        let [what, csd, func] = pack(happened);
        for (word, value) in place.iter().zip([now_ns, what, csd, func]) {
            // Relaxed: as above.
            word.store(value, Ordering::Relaxed);
        }
    }

    /// What was recorded. All threads have ended.
    pub(super) fn tracks(&self) -> Vec<Track> {
        self.rings.iter().map(Ring::track).collect()
    }
}

impl Trace for Recorder {
    fn trace(&self, event: &Event) {
        self.record(event.by, Happened::Core(event.kind));
    }
}

impl Ring {
    fn track(&self) -> Track {
        // Relaxed: the threads have ended.
        let given_out = self.given_out.load(Ordering::Relaxed);
        let lost = given_out.saturating_sub(self.places.len() as u64);
        let event = |at: u64| {
            // Relaxed: the threads have ended.
            let word =
                |word: usize| self.places[at as usize % self.places.len()][word].load(Ordering::Relaxed);
            Some((word(0), unpack([word(1), word(2), word(3)])?))
        };
        Track { name: self.name.clone(), events: (lost..given_out).filter_map(event).collect(), lost }
    }
}

/// What and a number, and two words.
fn pack(happened: Happened) -> [u64; 3] {
    let head = |tag: u64, number: u32| tag << 32 | u64::from(number);
    match happened {
        Happened::Begin(step) => [head(1, step as u32), 0, 0],
        Happened::End => [head(2, 0), 0, 0],
        Happened::Core(what) => match what {
            EventKind::Queue { cpu, csd, func, kind } => {
                let kind = match kind {
                    CallKind::Posted => 3,
                    CallKind::Waiting => 4,
                    CallKind::Many => 5,
                    // A kind that is newer than this list is shown like a post.
                    _ => 3,
                };
                [head(kind, cpu), csd as u64, func as u64]
            }
            EventKind::Entry { csd, func, .. } => [head(6, 0), csd as u64, func as u64],
            EventKind::Exit { csd, func, .. } => [head(7, 0), csd as u64, func as u64],
            EventKind::Busy { cpu, csd } => [head(8, cpu), csd as u64, 0],
            EventKind::Refused { cpu, csd } => [head(9, cpu), csd as u64, 0],
            EventKind::Ring { first, cpus } => [head(10, first), cpus as u64, 0],
            EventKind::Saved { cpu } => [head(11, cpu), 0, 0],
            EventKind::Batch { len } => [head(12, len), 0, 0],
            EventKind::Pushed { cpu, calls } => [head(13, cpu), calls.into(), 0],
            EventKind::Stalled { cpu } => [head(14, cpu), 0, 0],
            EventKind::Unrung { first, cpus } => [head(15, first), cpus as u64, 0],
            // Whoever records does not stamp: the track has the times.
            EventKind::LeftOver { csd, len, .. } => [head(16, len), csd as u64, 0],
            EventKind::CaughtUp { .. } => [head(17, 0), 0, 0],
            // Newer than this list: a place that is left out.
            _ => [0; 3],
        },
    }
}

fn unpack([head, csd, func]: [u64; 3]) -> Option<Happened> {
    let (number, first, second) = (head as u32, csd as usize, func as usize);
    let queue = |kind| EventKind::Queue { cpu: number, csd: first, func: second, kind };
    let what = match head >> 32 {
        1 => return Some(Happened::Begin(number as usize)),
        2 => return Some(Happened::End),
        3 => queue(CallKind::Posted),
        4 => queue(CallKind::Waiting),
        5 => queue(CallKind::Many),
        6 => EventKind::Entry { csd: first, func: second, queued_ns: None },
        7 => EventKind::Exit { csd: first, func: second, ran_ns: None },
        8 => EventKind::Busy { cpu: number, csd: first },
        9 => EventKind::Refused { cpu: number, csd: first },
        10 => EventKind::Ring { first: number, cpus: first },
        11 => EventKind::Saved { cpu: number },
        12 => EventKind::Batch { len: number },
        13 => EventKind::Pushed { cpu: number, calls: csd as u32 },
        14 => EventKind::Stalled { cpu: number },
        15 => EventKind::Unrung { first: number, cpus: first },
        16 => EventKind::LeftOver { csd: first, len: number, behind_ns: None },
        17 => EventKind::CaughtUp { behind_ns: None },
        _ => return None,
    };
    Some(Happened::Core(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let (cpu, csd, func) = (77, 0x1000, usize::MAX - 3);
        let all = [
            EventKind::Queue { cpu, csd, func, kind: CallKind::Posted },
            EventKind::Queue { cpu, csd, func, kind: CallKind::Waiting },
            EventKind::Queue { cpu, csd, func, kind: CallKind::Many },
            EventKind::Entry { csd, func, queued_ns: None },
            EventKind::Exit { csd, func, ran_ns: None },
            EventKind::Busy { cpu, csd },
            EventKind::Refused { cpu, csd },
            EventKind::Ring { first: 64, cpus: usize::MAX },
            EventKind::Saved { cpu },
            EventKind::Batch { len: u32::MAX },
            EventKind::Pushed { cpu, calls: 9 },
            EventKind::Stalled { cpu },
            EventKind::Unrung { first: 64, cpus: usize::MAX },
            EventKind::LeftOver { csd, len: 3, behind_ns: None },
            EventKind::CaughtUp { behind_ns: None },
        ];
        for happened in all.map(Happened::Core).into_iter().chain([Happened::Begin(5), Happened::End]) {
            assert_eq!(unpack(pack(happened)), Some(happened));
        }
        assert_eq!(unpack([0; 3]), None);
    }

    #[test]
    fn a_ring_keeps_the_last_and_counts_the_others() {
        let recorder = Recorder::new(3, 1, &["a thread"]);
        for len in 0..5 {
            recorder.record(Some(0), Happened::Core(EventKind::Batch { len }));
        }
        recorder.enter(0);
        recorder.step(None, "post", || ());
        // A CPU that the machine has not: dropped, and nothing worse.
        recorder.record(Some(9), Happened::End);
        let tracks = recorder.tracks();
        let lens: Vec<_> = tracks[0].events.iter().map(|(_, happened)| *happened).collect();
        assert_eq!(lens, [2, 3, 4].map(|len| Happened::Core(EventKind::Batch { len })));
        assert_eq!((tracks[0].lost, tracks[1].lost, tracks[1].events.len()), (2, 0, 2));
        assert_eq!((tracks[0].name.as_str(), tracks[1].name.as_str()), ("CPU 0", "a thread"));
        assert!(tracks[0].events.is_sorted_by_key(|(ns, _)| *ns));
    }
}
