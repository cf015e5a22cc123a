//! P7: exactly one ring when a target that is not looking gets its first entry, and none otherwise.

use crate::port::{OwnCpu, budget, csd, flush, log, logged, logs, on, pinned, rings, start};
use smpcall::{Budget, Flushed, NoSleep, Posted};

#[test]
fn p7_the_first_entry_rings_and_the_others_do_not() {
    let machine = start(2);
    for csd in [logs(1), logs(2), logs(3)] {
        machine.post(1, csd).unwrap();
    }
    assert_eq!(rings(), [1]);
}

#[test]
fn p7_each_sleep_is_ended_by_one_ring() {
    let machine = start(2);
    let csd = logs(1);
    for _ in 0..5 {
        machine.post(1, csd).unwrap();
        assert_eq!(rings(), [1]);
        let _ = flush(1);
        let _ = flush(1);
        assert_eq!(rings(), []);
    }
}

#[test]
fn p7_busy_and_cancel_do_not_ring() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    rings();
    assert_eq!(machine.post(1, csd), Ok(Posted::Busy { cpu: 1 }));
    let _ = csd.cancel();
    assert_eq!(machine.post(1, csd), Ok(Posted::Busy { cpu: 1 }));
    assert_eq!(rings(), []);
    let _ = flush(1);
}

#[test]
fn p7_a_polling_cpu_is_not_rung() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    let csd = logs(1);
    for _ in 0..3 {
        machine.post(1, csd).unwrap();
        assert!(on(1, || machine.has_work()));
        assert_eq!(flush(1), Flushed::All(1));
    }
    assert_eq!(rings(), [], "a flush that came in between leaves the mark in place");
    assert_eq!(on(1, || machine.poll_end()), Ok(()));
    machine.post(1, csd).unwrap();
    assert_eq!(rings(), [1]);
    let _ = flush(1);
}

#[test]
fn p7_who_means_to_sleep_is_told_of_work() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    machine.post(1, logs(1)).unwrap();
    assert_eq!(on(1, || machine.poll_end()), Err(NoSleep::Work));
    let again = logs(2);
    machine.post(1, again).unwrap();
    assert_eq!(rings(), [], "it still counts as polling");
    assert_eq!(flush(1), Flushed::All(2));
    machine.post(1, again).unwrap();
    assert_eq!(rings(), [], "and after the flush too");
    let _ = flush(1);
    assert_eq!(on(1, || machine.poll_end()), Ok(()));
    assert_eq!(on(1, || machine.poll_end()), Ok(()), "asked twice");
}

#[test]
fn p7_polling_begun_with_entries_there() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    assert_eq!(rings(), [1]);
    on(1, || machine.poll_begin());
    assert_eq!(flush(1), Flushed::All(1), "the entries are kept");
    machine.post(1, csd).unwrap();
    assert_eq!(rings(), [], "the flush left the mark");
    let _ = flush(1);
}

#[test]
fn p7_a_cpu_that_is_flushing_is_not_rung() {
    let machine = start(2);
    let late = logs(2);
    let first = csd(move || {
        log(1);
        // Another CPU posts while this one is in its flush.
        on(0, || crate::port::machine().post(1, late)).unwrap();
    });
    machine.post(1, first).unwrap();
    rings();
    assert_eq!(flush(1), Flushed::All(2));
    assert_eq!((rings(), logged()), (vec![], vec![1, 2]));
}

#[test]
fn p7_a_flush_that_stops_at_its_budget_rings_itself_once() {
    let machine = start(2);
    let all = [logs(0), logs(1), logs(2), logs(3)];
    machine.post_all(1, all).unwrap();
    rings();
    assert_eq!(on(1, || machine.flush(budget(2))), Flushed::More(2));
    assert_eq!(rings(), [1]);
    machine.post(1, logs(4)).unwrap();
    assert_eq!(rings(), [], "nobody else rings while something is left over");
    assert_eq!(on(1, || machine.flush(budget(1))), Flushed::More(1));
    assert_eq!(rings(), [1]);
    assert_eq!(flush(1), Flushed::All(2));
    assert_eq!((rings(), logged()), (vec![], vec![0, 1, 2, 3, 4]));
}

#[test]
fn p7_a_budget_that_is_just_enough_rings_nobody() {
    let machine = start(2);
    machine.post_all(1, [logs(0), logs(1)]).unwrap();
    rings();
    assert_eq!(on(1, || machine.flush(budget(2))), Flushed::All(2));
    machine.post(1, logs(2)).unwrap();
    assert_eq!(rings(), [1], "it went to rest");
    let _ = flush(1);
}

#[test]
fn p7_a_polling_cpu_that_stops_at_its_budget_rings_nobody() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    machine.post_all(1, [logs(0), logs(1), logs(2)]).unwrap();
    assert_eq!(on(1, || machine.flush(budget(2))), Flushed::More(2));
    assert!(on(1, || machine.has_work()), "what is left over is work");
    assert_eq!(on(1, || machine.poll_end()), Err(NoSleep::Work));
    assert_eq!(on(1, || machine.flush(Budget::DEFAULT)), Flushed::All(1));
    assert!(!on(1, || machine.has_work()));
    assert_eq!(on(1, || machine.poll_end()), Ok(()));
    assert_eq!((rings(), logged()), (vec![], vec![0, 1, 2]));
}

#[test]
fn p7_coming_online_polling_or_not() {
    let machine = start(1);
    on(1, || pinned(&machine).come_online()).unwrap();
    machine.post(1, logs(1)).unwrap();
    assert_eq!(rings(), [1], "not before it says that it polls");
    on(1, || machine.offline()).unwrap();
    on(1, || pinned(&machine).come_online()).unwrap();
    on(1, || machine.poll_begin());
    on(1, || machine.offline()).unwrap();
    on(1, || pinned(&machine).come_online()).unwrap();
    machine.post(1, logs(2)).unwrap();
    assert_eq!(rings(), [1], "going offline ends the polling");
    let _ = flush(1);
    assert_eq!(logged(), [1, 2]);
}

#[test]
fn p7_going_offline_ends_the_polling_for_good() {
    let machine = start(1);
    on(0, || machine.poll_begin());
    on(0, || machine.offline()).unwrap();
    on(0, || pinned(&machine).come_online()).unwrap();
    let csd = logs(1);
    for _ in 0..2 {
        machine.post(0, csd).unwrap();
        assert_eq!(rings(), [0], "each sleep is ended by a ring, also after a flush");
        assert_eq!(flush(0), Flushed::All(1));
    }
}

#[test]
fn p7_polling_that_has_ended_does_not_come_back() {
    let machine = start(1);
    on(0, || machine.poll_begin());
    assert_eq!(on(0, || machine.poll_end()), Ok(()));
    let csd = logs(1);
    for _ in 0..2 {
        machine.post(0, csd).unwrap();
        assert_eq!(rings(), [0], "each sleep is ended by a ring, also after a flush");
        assert_eq!(flush(0), Flushed::All(1));
    }
}
