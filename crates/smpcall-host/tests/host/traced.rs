//! P12: machines that somebody listens to.

use crate::site::{Count, bounded, counted, eventually, rounds};
use smpcall_host::smpcall::{Event, EventKind, Posted, To};
use smpcall_host::{Counters, Idle, Latencies, Machine, Trace};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread;

#[test]
fn p12_counts_agree_when_nothing_is_under_way() {
    let _bounded = bounded();
    for idle in [Idle::Sleep, Idle::PollThenSleep(std::time::Duration::from_micros(20))] {
        let machine =
            Machine::builder().owned(3).idle(idle).trace(Latencies::with_latencies()).build().unwrap();
        let csd = counted(|| ());
        let round = || {
            let (mut queued, mut busy) = (0, 0);
            for round in 0..rounds(2000) {
                match machine.post(round % 3, &csd) {
                    Ok(Posted::Queued) => queued += 1,
                    Ok(Posted::Busy { .. }) => busy += 1,
                    Err(other) => panic!("{other}"),
                }
                machine.call(round % 3, || ()).unwrap();
            }
            (queued, busy)
        };
        let (first, second) = thread::scope(|scope| {
            let other = scope.spawn(round);
            (round(), other.join().unwrap())
        });
        let reached = machine.call_many(To::All, || ()).unwrap();
        machine.wait(&csd).unwrap();
        let calls = u64::from(2 * rounds(2000) + reached.ran);
        let queued = calls + first.0 + second.0;
        eventually(|| machine.tracer().total().ran == queued);
        let counted = machine.tracer().total();
        assert_eq!((counted.queued, counted.busy), (queued, first.1 + second.1));
        assert_eq!((counted.queued_ns.len(), counted.ran_ns.len()), (queued, queued));
        assert_eq!(counted.rings, machine.counts().rings, "by the core, and by the port");
        assert!(counted.rings + counted.saved >= queued, "a waiter may ring once more, so there may be more");
        assert!(counted.batches <= queued && counted.batches > 0);
        assert_eq!(machine.tracer().others().queued, queued, "threads that are no CPU made all of them");
        assert_eq!(machine.tracer().cpu(3), None);
    }
}

#[test]
fn p12_refusals_are_counted() {
    let _bounded = bounded();
    let machine = Machine::builder().attachable(1).trace(Counters::new()).build().unwrap();
    assert!(machine.call(0, || ()).is_err());
    assert!(machine.post(0, &counted(|| ())).is_err());
    let counted = machine.tracer().total();
    assert_eq!((counted.refused, counted.queued, counted.ran), (2, 0, 0));
    assert!(counted.queued_ns.is_empty(), "it does not stamp");
}

/// Keeps everything.
#[derive(Default)]
struct Keeps(Mutex<Vec<Event>>);

impl Trace for Keeps {
    fn trace(&self, event: &Event) {
        self.0.lock().unwrap().push(*event);
    }
}

#[test]
fn p12_a_listener_is_told_by_the_threads_that_do_it() {
    let _bounded = bounded();
    let machine = Machine::builder().owned(1).attachable(1).trace(Keeps::default()).build().unwrap();
    let here = machine.attach(1).unwrap();
    machine.call(0, || ()).unwrap();
    let all = machine.tracer().0.lock().unwrap().clone();
    let by = |wanted: fn(&EventKind) -> bool| {
        all.iter().filter(|event| wanted(&event.kind)).map(|event| event.by).collect::<Vec<_>>()
    };
    assert_eq!(by(|what| matches!(what, EventKind::Queue { cpu: 0, .. })), [Some(here.cpu())]);
    assert_eq!(by(|what| matches!(what, EventKind::Entry { queued_ns: None, .. })), [Some(0)]);
    assert_eq!(by(|what| matches!(what, EventKind::Exit { ran_ns: None, .. })), [Some(0)]);
}

/// Panics at every event.
struct Panics;

impl Trace for Panics {
    fn trace(&self, _event: &Event) {
        // Without the panic hook, which would print thousands.
        resume_unwind(Box::new("meant"));
    }
}

/// What a tracer throws would unwind frames that a target may still reach.
#[test]
fn p11_a_tracer_that_panics_is_counted_and_nothing_is_lost() {
    let _bounded = bounded();
    let machine = Machine::builder().owned(2).trace(Panics).build().unwrap();
    let ran = Arc::new(Count::default());
    let csd = {
        let ran = Arc::clone(&ran);
        counted(move || _ = ran.up())
    };
    for round in 1..=rounds(200) {
        let mut local = round;
        assert_eq!(machine.call(1, || std::mem::replace(&mut local, 0)), Ok(round));
        assert_eq!(local, 0);
        let all = Count::default();
        assert_eq!(
            machine.call_many(To::All, || _ = all.up()).map(|reached| (reached.ran, all.get())),
            Ok((2, 2))
        );
        assert_eq!(machine.call_blocking(0, || round), Ok(round));
        assert_eq!(machine.post(0, &csd), Ok(Posted::Queued));
        assert_eq!((machine.wait(&csd), ran.get()), (Ok(()), round));
    }
    assert!(machine.counts().panics >= u64::from(rounds(200)));
    machine.shutdown().unwrap();
}
