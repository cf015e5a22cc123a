//! P12: what a port is told, in which order, and by whom.

use crate::port::{OwnCpu, PAUSE_NS, budget, csd, events, flush, log, logs, machine, on, start};
use smpcall::{CpuMask, Csd, Event, EventKind, Posted, To};
use std::rc::Rc;

/// An event without its addresses and times, which no test can know.
fn short(event: &Event) -> (Option<u32>, String) {
    let what = match event.kind {
        EventKind::Queue { cpu, kind, .. } => format!("queue {cpu} {kind:?}"),
        EventKind::Pushed { cpu, calls } => format!("pushed {cpu} {calls}"),
        EventKind::Busy { cpu, .. } => format!("busy {cpu}"),
        EventKind::Refused { cpu, .. } => format!("refused {cpu}"),
        EventKind::Ring { first, cpus } => format!("ring {first} {cpus:b}"),
        EventKind::Saved { cpu } => format!("saved {cpu}"),
        EventKind::Batch { len } => format!("batch {len}"),
        EventKind::Entry { .. } => "entry".to_owned(),
        EventKind::Exit { .. } => "exit".to_owned(),
        EventKind::LeftOver { len, .. } => format!("left over {len}"),
        EventKind::CaughtUp { .. } => "caught up".to_owned(),
        EventKind::Stalled { cpu } => format!("stalled {cpu}"),
        other => panic!("what is {other:?}?"),
    };
    (event.by, what)
}

#[track_caller]
fn told(want: &[(Option<u32>, &str)]) {
    let got: Vec<_> = events().iter().map(short).collect();
    let want: Vec<_> = want.iter().map(|(by, what)| (*by, (*what).to_owned())).collect();
    assert_eq!(got, want);
}

const ME: Option<u32> = None;
const ONE: Option<u32> = Some(1);

#[test]
fn p12_a_post_is_told_from_its_queueing_to_its_end() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    told(&[(ME, "queue 1 Posted"), (ME, "pushed 1 1"), (ME, "ring 1 1")]);
    assert_eq!(on(0, || machine.post(0, csd)), Ok(Posted::Busy { cpu: 1 }));
    told(&[(Some(0), "busy 1")]);
    machine.post(1, logs(2)).unwrap();
    told(&[(ME, "queue 1 Posted"), (ME, "pushed 1 1"), (ME, "saved 1")]);
    let _ = flush(1);
    told(&[(ONE, "batch 2"), (ONE, "entry"), (ONE, "exit"), (ONE, "entry"), (ONE, "exit")]);
    let _ = flush(1);
    told(&[]);
}

#[test]
fn p12_what_is_refused_is_told() {
    let machine = start(1);
    machine.post(1, logs(1)).unwrap_err();
    told(&[(ME, "refused 1")]);
    machine.post_all(1, [logs(1)]).unwrap_err();
    told(&[(ME, "refused 1")]);
    machine.call(1, || ()).unwrap_err();
    told(&[(ME, "queue 1 Waiting"), (ME, "refused 1")]);
    // Offline between the look and the push.
    *machine.platform().on_save.borrow_mut() = Some(Box::new(|| _ = on(0, machine_offline)));
    machine.post(0, logs(1)).unwrap_err();
    let got: Vec<_> = events().iter().map(short).collect();
    assert_eq!(got.last(), Some(&(ME, "refused 0".to_owned())), "{got:?}");
}

fn machine_offline() -> u32 {
    machine().offline().unwrap()
}

#[test]
fn p12_names_and_addresses_agree_from_queue_to_exit() {
    let machine = start(2);
    let posted = logs(1);
    machine.post(1, posted).unwrap();
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| _ = flush(1)));
    on(0, || machine.call(1, || log(2))).unwrap();
    on(0, || machine.call_many(To::Others, || log(3))).unwrap();
    let (mut queued, mut entered, mut left) = (vec![], vec![], vec![]);
    for event in events() {
        match event.kind {
            EventKind::Queue { csd, func, .. } => queued.push((csd, func)),
            EventKind::Entry { csd, func, queued_ns } => {
                assert!(queued_ns.is_some(), "the port stamps");
                entered.push((csd, func));
            }
            EventKind::Exit { csd, func, .. } => left.push((csd, func)),
            _ => {}
        }
    }
    assert_eq!(queued.len(), 3);
    assert!(queued.contains(&(std::ptr::from_ref(posted).addr(), queued[0].1)), "its own address");
    assert_eq!(entered, left, "each entry has its exit");
    entered.sort_unstable();
    queued.sort_unstable();
    assert_eq!(entered, queued);
}

#[test]
fn p12_a_multicast_is_told_for_each_target_and_rung_as_one() {
    let machine = start(3);
    on(1, || machine.poll_begin());
    let _ = events();
    let reached = machine.post_many(To::All, || log(1)).unwrap();
    assert_eq!((reached.ran, reached.offline), (3, 1));
    told(&[
        (ME, "queue 0 Many"),
        (ME, "pushed 0 1"),
        (ME, "queue 1 Many"),
        (ME, "saved 1"),
        (ME, "pushed 1 1"),
        (ME, "queue 2 Many"),
        (ME, "pushed 2 1"),
        (ME, "refused 3"),
        (ME, "ring 0 101"),
    ]);
    let _ = flush(2);
    told(&[(Some(2), "batch 1"), (Some(2), "entry"), (Some(2), "exit")]);
    let _ = (flush(0), flush(1));
}

#[test]
fn p12_a_chain_is_one_push_and_a_budget_rings_itself() {
    let machine = start(2);
    let all = [logs(1), logs(2), logs(3)];
    machine.post_all(1, all).unwrap();
    let queue = (ME, "queue 1 Posted");
    told(&[queue, queue, queue, (ME, "pushed 1 3"), (ME, "ring 1 1")]);
    let _ = on(1, || machine.flush(budget(2)));
    told(&[
        (ONE, "batch 3"),
        (ONE, "entry"),
        (ONE, "exit"),
        (ONE, "entry"),
        (ONE, "exit"),
        (ONE, "left over 1"),
        (ONE, "ring 1 1"),
    ]);
    assert_eq!(on(1, || machine.offline()), Ok(1));
    told(&[(ONE, "entry"), (ONE, "exit"), (ONE, "caught up")]);
}

static AGAIN: Csd<fn()> = Csd::new(|| machine().post(1, &AGAIN).map(drop).unwrap_or(()));

#[test]
fn p12_entries_and_queueings_of_one_csd_alternate() {
    let machine = start(2);
    machine.post(1, &AGAIN).unwrap();
    let _ = on(1, || machine.flush(budget(5)));
    let turns: Vec<_> = events()
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Queue { .. } => Some('q'),
            EventKind::Entry { .. } => Some('e'),
            _ => None,
        })
        .collect();
    assert_eq!(turns.iter().collect::<String>(), "qeqeqeqeqeq");
    let _ = AGAIN.cancel();
    let _ = flush(1);
}

#[test]
fn p12_stamps_tell_how_long_a_call_was_queued_and_ran() {
    let machine = start(2);
    machine.platform().now_ns.set(7);
    let slow = csd(|| {
        let now_ns = &crate::port::machine();
        now_ns.platform().now_ns.set(now_ns.platform().now_ns.get() + 3 * PAUSE_NS);
    });
    machine.post(1, slow).unwrap();
    // Beyond 32 bits of nanoseconds, and in multiples of the stamp's unit.
    machine.platform().now_ns.set(7 + 16 * 1_000_000_000);
    let _ = flush(1);
    let all = events();
    let queued = all.iter().find_map(|event| match event.kind {
        EventKind::Entry { queued_ns, .. } => queued_ns,
        _ => None,
    });
    let ran = all.iter().find_map(|event| match event.kind {
        EventKind::Exit { ran_ns, .. } => ran_ns,
        _ => None,
    });
    assert_eq!((queued, ran), (Some(16_000_000_000), Some(3 * PAUSE_NS)));
}

#[test]
fn p12_a_queueing_is_told_before_the_push_and_an_entry_before_the_csd_is_free() {
    let machine = start(2);
    let csd = logs(1);
    let pending = move || csd.is_pending();
    let queued = || {
        let mask = [0b10];
        crate::port::machine().is_pending_racy(CpuMask::from_words(&mask))
    };
    *machine.platform().on_event.borrow_mut() = Some(Rc::new(move |event| match event.kind {
        EventKind::Queue { .. } => assert!(pending() && !queued(), "claimed, and not pushed"),
        EventKind::Pushed { .. } => assert!(pending() && queued()),
        EventKind::Entry { .. } => {
            assert!(pending(), "taken, and not unlocked");
            log(7);
        }
        EventKind::Exit { .. } => assert!(!pending()),
        _ => {}
    }));
    machine.post(1, csd).unwrap();
    let _ = flush(1);
    machine.post_all(1, [csd]).unwrap();
    let _ = flush(1);
    assert_eq!(crate::port::logged(), [7, 1, 7, 1]);
}
