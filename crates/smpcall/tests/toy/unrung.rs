//! A doorbell that the port cannot send: nothing is lost, whoever comes next rings, and reports say so.

use crate::port::{
    CPUS, OwnCpu, PAUSE_NS, budget, counted_in_all, flush, logged, logs, machine, on, rings, start,
};
use smpcall::{EventKind, Flushed, Phase, PostError, Posted, StallCause, To, Watch};
use std::rc::Rc;

fn while_waiting(hook: impl Fn() + 'static) {
    machine().platform().on_pause.replace(Some(Rc::new(hook)));
}

/// All rings fail from now on.
const ALWAYS: u32 = u32::MAX;

#[test]
fn the_next_post_rings() {
    let machine = start(2);
    machine.platform().rings_to_fail.set(2);
    assert_eq!(machine.post(1, logs(1)), Ok(Posted::Queued), "it is queued (P1)");
    assert!(machine.is_unrung_racy(1));
    assert_eq!(machine.post(1, logs(2)), Ok(Posted::Queued));
    assert_eq!((rings(), machine.failed_rings_racy()), (vec![], 2), "the second post has tried, too");
    machine.post(1, logs(3)).unwrap();
    assert_eq!((rings(), machine.is_unrung_racy(1)), (vec![1], false));
    machine.post(1, logs(4)).unwrap();
    assert_eq!(rings(), [], "P7: it was rung");
    assert_eq!((flush(1), logged()), (Flushed::All(4), vec![1, 2, 3, 4]));
    let counted = counted_in_all();
    assert_eq!((counted.rings, counted.unrung), (3, 2));
}

#[test]
fn each_way_to_queue_owes_its_ring() {
    let machine = start(2);
    let one_after_another: [fn(); 6] = [
        || _ = self::machine().post(1, logs(1)).unwrap(),
        || _ = self::machine().post_all(1, [logs(1), logs(2)]).unwrap(),
        || self::machine().post_detached(1, || ()).unwrap(),
        || _ = self::machine().post_many(To::Others, || ()).unwrap(),
        || {
            let lazy = logs(1);
            self::machine().post_lazy(1, lazy).unwrap();
            assert_eq!(self::machine().post(1, lazy), Ok(Posted::Busy { cpu: 1 }));
        },
        || {
            // One that comes in the middle of another's ring.
            let _ = self::machine().post(1, logs(1)).unwrap();
            let _ = self::machine().post(1, logs(2)).unwrap();
        },
    ];
    for (nth, queue) in one_after_another.into_iter().enumerate() {
        machine.platform().rings_to_fail.set(ALWAYS);
        on(0, queue);
        assert!(machine.is_unrung_racy(1) && rings().is_empty(), "{nth}");
        assert_eq!(machine.ring_owed(), 1, "{nth}: it still fails");
        machine.platform().rings_to_fail.set(0);
        assert_eq!((machine.ring_owed(), rings()), (0, vec![1]), "{nth}");
        assert_eq!((machine.ring_owed(), rings()), (0, vec![]), "{nth}: nothing is owed any more");
        assert!(matches!(flush(1), Flushed::All(1..=2)), "{nth}");
    }
}

#[test]
fn who_looks_by_himself_needs_no_ring() {
    let machine = start(2);
    machine.platform().rings_to_fail.set(ALWAYS);
    machine.post(1, logs(1)).unwrap();
    assert_eq!((flush(1), logged()), (Flushed::All(1), vec![1]));
    machine.post(1, logs(2)).unwrap();
    assert_eq!((on(1, || machine.offline()), logged()), (Ok(1), vec![2]), "P8");
    assert_eq!((machine.ring_owed(), machine.is_unrung_racy(1)), (0, false));
}

/// The target takes the list while its ring fails: nothing is owed.
#[test]
fn a_list_that_is_taken_meanwhile_owes_nothing() {
    let machine = start(2);
    machine.platform().rings_to_fail.set(1);
    machine.platform().on_ring.replace(Some(Box::new(|| _ = flush(1))));
    machine.post(1, logs(1)).unwrap();
    assert_eq!((logged(), machine.is_unrung_racy(1)), (vec![1], false));
    machine.post(1, logs(2)).unwrap();
    assert_eq!((rings(), flush(1)), (vec![1], Flushed::All(1)));
    // The marks of a CPU that goes offline meanwhile, or looks by itself, are no lists, either.
    machine.platform().rings_to_fail.set(1);
    machine.platform().on_ring.replace(Some(Box::new(|| _ = on(1, || self::machine().offline()).unwrap())));
    machine.post(1, logs(3)).unwrap();
    assert_eq!((logged(), machine.is_unrung_racy(1)), (vec![2, 3], false));
    assert!(matches!(machine.post(1, logs(4)), Err(PostError::Offline { .. })));
}

#[test]
fn what_a_budget_leaves_over_is_owed() {
    let machine = start(2);
    for more in [0, 1] {
        machine.post_all(1, [logs(1), logs(2)]).unwrap();
        let _ = rings();
        machine.platform().rings_to_fail.set(1);
        // With one more that comes in while the ring fails.
        if more == 1 {
            machine
                .platform()
                .on_ring
                .replace(Some(Box::new(|| _ = self::machine().post(1, logs(3)).unwrap())));
        }
        assert_eq!(on(1, || machine.flush(budget(1))), Flushed::More(1));
        assert!(machine.is_unrung_racy(1) && rings().is_empty());
        if more == 1 {
            assert_eq!((machine.ring_owed(), rings()), (0, vec![1]), "it is sent, though not answered yet");
            assert_eq!(machine.post(1, logs(4)), Ok(Posted::Queued));
        } else {
            machine.post(1, logs(4)).unwrap();
            assert_eq!(rings(), [1], "nobody looks, so the next post rings");
        }
        assert_eq!(flush(1), Flushed::All(2 + more));
    }
    assert_eq!(logged(), [1, 2, 4, 1, 2, 3, 4]);
}

/// A port whose `ring` always fails: a waiting call says why it waits, and goes on; it ends when the target looks.
#[test]
fn p10_a_wait_reports_a_doorbell_that_always_fails() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(1000 * PAUSE_NS);
    machine.platform().rings_to_fail.set(ALWAYS);
    while_waiting(|| {
        if self::machine().platform().now_ns.get() >= 1500 * PAUSE_NS {
            let _ = flush(1);
        }
    });
    assert_eq!(on(0, || machine.call(1, || 5)), Ok(5));
    let stalls = machine.platform().stalls.take();
    assert_eq!(
        stalls.iter().map(|stall| (stall.target, stall.phase)).collect::<Vec<_>>(),
        [(1, Phase::Unrung)]
    );
    assert!(stalls[0].to_string().ends_with("is queued, and the CPU's doorbell fails"), "{}", stalls[0]);
    assert!(machine.failed_rings_racy() >= 5, "it was rung again and again, and with the report");
}

/// Doorbells that have failed are rung again long before a report.
#[test]
fn a_waiter_rings_again() {
    let machine = start(3);
    for many in [false, true] {
        machine.platform().rings_to_fail.set(2);
        while_waiting(|| rings().into_iter().for_each(|cpu| _ = flush(cpu)));
        match many {
            false => assert_eq!(on(0, || machine.call(1, || 5)), Ok(5)),
            true => assert_eq!(on(0, || machine.call_many(To::Others, || ())).unwrap().ran, 2),
        }
        assert_eq!(machine.platform().rings_to_fail.get(), 0);
    }
    assert!(machine.platform().stalls.take().is_empty());
}

#[test]
fn the_watchdog_names_it_and_rings() {
    let machine = start(2);
    let mut notes = [Watch::new(); CPUS];
    machine.platform().rings_to_fail.set(1);
    machine.post(1, logs(1)).unwrap();
    let mut visit = || {
        machine.platform().now_ns.set(machine.platform().now_ns.get() + PAUSE_NS);
        let _ = machine.watchdog(4 * PAUSE_NS, &mut notes);
    };
    (0..20).take_while(|_| machine.platform().queue_stalls.borrow().is_empty()).for_each(|_| visit());
    let [report] = machine.platform().queue_stalls.take()[..] else { panic!("one report") };
    assert_eq!((report.cpu, report.cause, rings()), (1, StallCause::Unrung, vec![1]));
    assert!(report.to_string().ends_with("and its doorbell fails"), "{report}");
    assert_eq!((flush(1), machine.is_unrung_racy(1)), (Flushed::All(1), false));
}

#[test]
fn the_event_names_those_that_were_not_reached() {
    let machine = start(3);
    machine.platform().rings_to_fail.set(1);
    let _ = crate::port::events();
    let _ = on(0, || machine.post_many(To::Others, || ())).unwrap();
    let unrung =
        crate::port::events().into_iter().filter(|event| matches!(event.kind, EventKind::Unrung { .. }));
    let kinds: Vec<_> = unrung.map(|event| event.kind).collect();
    assert_eq!((kinds, rings()), (vec![EventKind::Unrung { first: 0, cpus: 0b010 }], vec![2]));
    assert_eq!((machine.is_unrung_racy(1), machine.is_unrung_racy(2)), (true, false));
    let _ = (flush(1), flush(2));
}
