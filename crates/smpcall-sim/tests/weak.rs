//! What the weak memory allows and forbids, by the litmus tests that everybody knows, under every schedule with every old value; and that old
//! values and data races are met in runs by seed, too.

use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use smpcall_sim::explore::{Found, Run, Search, Tiny};
use smpcall_sim::{Memory, Options, Scenario, play, play_elsewhere};
use smpcall_sim_atomics::{AtomicU32, Kind, Ordering, fence, touch};
use std::cell::Cell;
use std::rc::Rc;

/// The words of a test, and what its threads have read.
#[derive(Default)]
struct Words {
    x: AtomicU32,
    y: AtomicU32,
    read: [Cell<u32>; 4],
}

type Body = fn(&Words);

/// In how many executions of these threads `is_bad` holds in the end.
fn run(bodies: &[Body], is_bad: fn(&[u32; 4]) -> bool) -> Found {
    let tiny =
        Tiny { cpus: bodies.len(), callers: 0, interrupts: false, memory: Memory::Weak, steps_max: 1_000 };
    // SAFETY: `is_bad` keeps the words.
    let found = unsafe {
        tiny.explore(&Search::Exhaustive { preemptions: 4 }, || {
            let words = Rc::new(Words::default());
            let make = |body: &Body| -> Box<dyn FnOnce()> {
                let (words, body) = (Rc::clone(&words), *body);
                Box::new(move || body(&words))
            };
            Run {
                bodies: bodies.iter().map(make).collect(),
                doorbell: Box::new(|| ()),
                is_bad: Box::new(move || is_bad(&[0, 1, 2, 3].map(|at: usize| words.read[at].get()))),
            }
        })
    };
    assert!(found.endless == 0 && found.runs > 1, "{found:?}");
    found
}

fn happens(bodies: &[Body], is_bad: fn(&[u32; 4]) -> bool) {
    let found = run(bodies, is_bad);
    assert!(found.bad > 0, "it is allowed, and never seen: {found:?}");
}

fn never_happens(bodies: &[Body], is_bad: fn(&[u32; 4]) -> bool) {
    let found = run(bodies, is_bad);
    assert_eq!(found.bad, 0, "it is forbidden: {found:?}");
}

/// Told, and not seen.
fn stale(read: &[u32; 4]) -> bool {
    read[0] == 1 && read[1] == 0
}

// Each ordering below is what its test is about.

#[test]
fn a_message_is_seen_by_release_and_acquire_and_by_no_less() {
    let writes: Body = |words| {
        words.x.store(1, Relaxed);
        words.y.store(1, Release);
    };
    let writes_relaxed: Body = |words| {
        words.x.store(1, Relaxed);
        words.y.store(1, Relaxed);
    };
    let reads: Body = |words| {
        words.read[0].set(words.y.load(Acquire));
        words.read[1].set(words.x.load(Relaxed));
    };
    let reads_relaxed: Body = |words| {
        words.read[0].set(words.y.load(Relaxed));
        words.read[1].set(words.x.load(Relaxed));
    };
    never_happens(&[writes, reads], stale);
    happens(&[writes_relaxed, reads], stale);
    happens(&[writes, reads_relaxed], stale);
}

#[test]
fn fences_make_relaxed_accesses_release_and_acquire() {
    let writes: Body = |words| {
        words.x.store(1, Relaxed);
        fence(Release);
        words.y.store(1, Relaxed);
    };
    let reads: Body = |words| {
        words.read[0].set(words.y.load(Relaxed));
        fence(Acquire);
        words.read[1].set(words.x.load(Relaxed));
    };
    never_happens(&[writes, reads], stale);
    let fenced_too_late: Body = |words| {
        words.x.store(1, Relaxed);
        words.y.store(1, Relaxed);
        fence(Release);
    };
    happens(&[fenced_too_late, reads], stale);
}

#[test]
fn a_release_sequence_goes_on_by_read_modify_writes_and_ends_with_a_store() {
    let writes: Body = |words| {
        words.x.store(1, Relaxed);
        words.y.store(1, Release);
    };
    let goes_on: Body = |words| _ = words.y.fetch_add(1, Relaxed);
    let cuts: Body = |words| {
        if words.y.load(Relaxed) == 1 {
            words.y.store(2, Relaxed);
        }
    };
    let reads: Body = |words| {
        words.read[0].set(u32::from(words.y.load(Acquire) == 2));
        words.read[1].set(words.x.load(Relaxed));
    };
    never_happens(&[writes, goes_on, reads], stale);
    happens(&[writes, cuts, reads], stale);
}

#[test]
fn a_location_goes_forward_for_each_and_for_who_is_told() {
    let writes: Body = |words| {
        words.x.store(1, Relaxed);
        words.x.store(2, Relaxed);
    };
    let reads_twice: Body = |words| {
        words.read[0].set(words.x.load(Relaxed));
        words.read[1].set(words.x.load(Relaxed));
    };
    never_happens(&[writes, reads_twice], |read| read[0] > read[1]);
    happens(&[writes, reads_twice], |read| read[..2] == [0, 1]);
    let reads_and_tells: Body = |words| {
        words.read[0].set(words.x.load(Relaxed));
        words.y.store(1, Release);
    };
    let is_told: Body = |words| {
        words.read[2].set(words.y.load(Acquire));
        words.read[1].set(words.x.load(Relaxed));
    };
    never_happens(&[writes, reads_and_tells, is_told], |read| read[2] == 1 && read[0] > read[1]);
}

#[test]
fn read_modify_writes_read_the_newest() {
    let adds: Body = |words| words.read[0].set(words.x.fetch_add(1, Relaxed));
    let adds_too: Body = |words| words.read[1].set(words.x.fetch_add(1, Relaxed));
    never_happens(&[adds, adds_too], |read| read[0] == read[1]);
    // One that fails is a load, and may be late.
    let writes: Body = |words| {
        words.x.store(1, Relaxed);
        words.y.store(1, Relaxed);
    };
    let tries: Body = |words| {
        words.read[0].set(words.y.load(Relaxed));
        words.read[1].set(words.x.compare_exchange(7, 8, AcqRel, Relaxed).unwrap_err());
    };
    happens(&[writes, tries], stale);
    // And what it has read it has seen.
    let tries_and_looks: Body = |words| {
        let failed = words.x.compare_exchange(0, 5, AcqRel, Relaxed).is_err();
        words.read[0].set(u32::from(failed));
        words.read[1].set(words.x.load(Relaxed));
    };
    never_happens(&[writes, tries_and_looks], stale);
}

#[test]
fn stores_are_buffered_unless_both_sides_are_sequentially_consistent() {
    let left: Body = |words| {
        words.x.store(1, Release);
        words.read[0].set(words.y.load(Acquire));
    };
    let right: Body = |words| {
        words.y.store(1, Release);
        words.read[1].set(words.x.load(Acquire));
    };
    let neither = |read: &[u32; 4]| read[..2] == [0, 0];
    happens(&[left, right], neither);
    let left_fenced: Body = |words| {
        words.x.store(1, Relaxed);
        fence(SeqCst);
        words.read[0].set(words.y.load(Relaxed));
    };
    let right_fenced: Body = |words| {
        words.y.store(1, Relaxed);
        fence(SeqCst);
        words.read[1].set(words.x.load(Relaxed));
    };
    never_happens(&[left_fenced, right_fenced], neither);
    let left_strong: Body = |words| {
        words.x.store(1, SeqCst);
        words.read[0].set(words.y.load(SeqCst));
    };
    let right_strong: Body = |words| {
        words.y.store(1, SeqCst);
        words.read[1].set(words.x.load(SeqCst));
    };
    never_happens(&[left_strong, right_strong], neither);
}

#[test]
fn two_who_look_on_may_see_two_writes_in_two_orders() {
    let writes_x: Body = |words| words.x.store(1, Release);
    let writes_y: Body = |words| words.y.store(1, Release);
    let x_first: Body = |words| {
        words.read[0].set(words.x.load(Acquire));
        words.read[1].set(words.y.load(Acquire));
    };
    let y_first: Body = |words| {
        words.read[2].set(words.y.load(Acquire));
        words.read[3].set(words.x.load(Acquire));
    };
    happens(&[writes_x, writes_y, x_first, y_first], |read| *read == [1, 0, 1, 0]);
}

/// The payload of a message, as no atomic: a race is on record, and fails a run of the simulator.
#[test]
fn what_is_no_atomic_races_unless_it_was_released_and_acquired() {
    thread_local! { static RACES: Cell<u32> = const { Cell::new(0) }; }
    struct Counts;
    impl smpcall_sim_atomics::Hook for Counts {
        fn before(&self, _access: smpcall_sim_atomics::Access) {}
        fn raced(&self, race: smpcall_sim_atomics::Race) {
            assert!(race.writes || race.other_writes, "{race:?}");
            RACES.set(RACES.get() + 1);
        }
    }
    let races = |release: Ordering, acquire: Ordering| {
        smpcall_sim_atomics::reset(2);
        // SAFETY: nothing is buffered where memory is weak.
        let _simulating = unsafe { smpcall_sim_atomics::enter(&Counts, Memory::Weak) };
        let (payload, flag) = (0_u32, AtomicU32::new(0));
        touch(&raw const payload, Kind::Write);
        flag.store(1, release);
        smpcall_sim_atomics::set_current(1);
        assert_eq!(flag.load(acquire), 1);
        touch(&raw const payload, Kind::Read);
        smpcall_sim_atomics::leave(&raw const payload);
        RACES.take()
    };
    assert_eq!(races(Release, Acquire), 0);
    assert_eq!(races(Relaxed, Acquire), 1);
    assert_eq!(races(Release, Relaxed), 1);
}

#[test]
fn runs_by_seed_differ_from_those_with_store_buffers_and_repeat() {
    let of = |memory| Options { memory, futures: true, users: true, ..Options::default() };
    let mut differ = 0;
    for seed in 0..150 {
        let scenario = Scenario::draw(seed, &of(Memory::Weak));
        let (first, (second, _)) = (play(&scenario), play_elsewhere(&scenario, 0));
        assert_eq!(first.violation, None, "seed {seed}:\n{scenario}");
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "seed {seed} does not repeat");
        differ += u32::from(first.hash != play(&Scenario::draw(seed, &of(Memory::Tso))).hash);
    }
    assert!(differ > 100, "{differ}");
}

/// In each of these runs a caller reads an old word of its slot and compares its waker with one that may be freed by then, in
/// whose memory its own may be.
#[test]
fn wakers_are_told_apart_by_more_than_where_the_heap_puts_them() {
    let options =
        Options { memory: Memory::Weak, futures: true, users: true, meets: true, ..Options::default() };
    for seed in [1, 873, 3_919, 4_094] {
        let scenario = Scenario::draw(seed, &options);
        let first = play(&scenario);
        assert_eq!(first.violation, None, "seed {seed}:\n{scenario}");
        for place in 0..8 {
            let (again, _) = play_elsewhere(&scenario, place);
            assert_eq!((first.hash, first.steps), (again.hash, again.steps), "seed {seed} does not repeat");
        }
    }
}
