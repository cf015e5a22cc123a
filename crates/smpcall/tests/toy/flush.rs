//! P6, P8: budgets, what they leave over, and flushes inside flushes.

use crate::port::{OwnCpu, budget, csd, flush, log, logged, logs, machine, on, pinned, rings, start};
use smpcall::{Budget, Csd, Flushed, HotplugError, PostError, Posted};

#[test]
fn p6_what_a_budget_leaves_over_is_older_than_what_came_since() {
    let machine = start(2);
    machine.post_all(1, [logs(0), logs(1), logs(2)]).unwrap();
    assert_eq!(on(1, || machine.flush(budget(1))), Flushed::More(1));
    machine.post_all(1, [logs(3), logs(4)]).unwrap();
    assert_eq!(on(1, || machine.flush(budget(1))), Flushed::More(1));
    machine.post(1, logs(5)).unwrap();
    assert_eq!(flush(1), Flushed::All(4));
    assert_eq!(logged(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn p8_going_offline_runs_what_was_left_over_first_and_without_a_budget() {
    let machine = start(2);
    machine.post_all(1, [logs(0), logs(1)]).unwrap();
    assert_eq!(on(1, || machine.flush(budget(1))), Flushed::More(1));
    machine.post_all(1, (2..600).map(logs)).unwrap();
    assert_eq!(on(1, || machine.offline()), Ok(599));
    assert_eq!(logged(), (0..600).collect::<Vec<_>>());
}

#[test]
fn p2_left_over_is_still_pending_and_can_be_cancelled() {
    let machine = start(2);
    let (kept, gone) = (logs(1), logs(2));
    machine.post_all(1, [logs(0), kept, gone]).unwrap();
    assert_eq!(on(1, || machine.flush(budget(1))), Flushed::More(1));
    assert_eq!(machine.post(0, kept), Ok(Posted::Busy { cpu: 1 }));
    let _ = gone.cancel();
    let _ = flush(1);
    assert_eq!(logged(), [0, 1]);
}

#[test]
fn p6_a_nested_flush_returns_at_once() {
    let machine = start(1);
    let nests = csd(|| {
        assert_eq!(crate::port::machine().flush(Budget::DEFAULT), Flushed::Nested);
        log(1);
    });
    machine.post(0, nests).unwrap();
    machine.post(0, logs(2)).unwrap();
    assert_eq!(flush(0), Flushed::All(2));
    assert_eq!(logged(), [1, 2]);
}

#[test]
fn p6_another_cpu_may_flush_inside_a_flush() {
    let machine = start(2);
    machine.post(1, logs(1)).unwrap();
    machine.post(0, csd(|| assert_eq!(flush(1), Flushed::All(1)))).unwrap();
    assert_eq!(flush(0), Flushed::All(1));
    assert_eq!(logged(), [1]);
}

static FOR_EVER: Csd<fn()> = Csd::new(|| {
    log(0);
    match machine().post(1, &FOR_EVER) {
        Ok(posted) => assert!(posted.is_queued()),
        Err(error) => assert!(matches!(error, PostError::Offline { .. })),
    }
});

#[test]
fn p9_a_function_that_posts_itself_for_ever_is_held_by_the_budget() {
    let machine = start(2);
    machine.post(1, &FOR_EVER).unwrap();
    assert_eq!(flush(1), Flushed::More(256));
    machine.post(1, logs(7)).unwrap();
    assert_eq!(on(1, || machine.flush(budget(2))), Flushed::More(2));
    let ran = logged();
    assert_eq!(ran[256..], [0, 7], "the other post gets its turn");
    // Going offline ends it: its last post is refused.
    assert_eq!(on(1, || machine.offline()), Ok(1));
    assert_eq!(logged(), [0]);
    assert!(!FOR_EVER.is_pending());
}

#[test]
fn p8_a_cpu_does_not_come_and_go_inside_its_own_call() {
    let machine = start(1);
    let tries = csd(|| {
        let machine = crate::port::machine();
        assert_eq!(machine.offline(), Err(HotplugError::InCall));
        assert_eq!(pinned(&machine).come_online(), Err(HotplugError::InCall));
        log(1);
    });
    machine.post(0, tries).unwrap();
    let _ = flush(0);
    machine.post(0, tries).unwrap();
    on(0, || machine.offline()).unwrap();
    assert_eq!(logged(), [1, 1]);
}

#[test]
fn p8_a_spurious_flush_of_an_offline_cpu_is_harmless() {
    let machine = start(1);
    assert_eq!(flush(1), Flushed::All(0));
    assert!(!machine.is_online_racy(1), "a late ring does not open a queue");
    on(0, || machine.offline()).unwrap();
    assert_eq!(flush(0), Flushed::All(0));
    assert!(!machine.is_online_racy(0));
    assert_eq!(rings(), []);
}

#[test]
fn a_thread_that_is_no_cpu_has_nothing_to_flush() {
    let machine = start(1);
    machine.post(0, logs(1)).unwrap();
    assert_eq!(machine.flush(Budget::DEFAULT), Flushed::NotACpu);
    assert_eq!(
        on(4, || machine.flush(Budget::DEFAULT)),
        Flushed::NotACpu,
        "nor one that the machine does not have"
    );
    assert_eq!((logged(), flush(0), logged()), (vec![], Flushed::All(1), vec![1]));
}
