//! P1, P2, P6, P7: `post_all`, and order in general.

use crate::port::{OwnCpu, flush, log, logged, logs, machine, on, rings, start};
use smpcall::{Cancel, Chain, Coalesced, Csd, Flushed, PostError, Posted};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn chain(queued: u32, busy: u32, cancelled: u32) -> Chain {
    let mut chain = Chain::default();
    (chain.queued, chain.busy, chain.cancelled) = (queued, busy, cancelled);
    chain
}

#[test]
fn p6_posts_of_one_sender_run_in_order() {
    let machine = start(2);
    for csd in [logs(0), logs(1), logs(2), logs(3), logs(4)] {
        on(0, || machine.post(1, csd)).unwrap();
    }
    assert_eq!(flush(1), Flushed::All(5));
    assert_eq!(logged(), [0, 1, 2, 3, 4]);
}

#[test]
fn p6_a_chain_runs_in_the_order_given_behind_what_was_there() {
    let machine = start(1);
    machine.post(0, logs(0)).unwrap();
    assert_eq!(machine.post_all(0, [logs(1), logs(2), logs(3)]), Ok(chain(3, 0, 0)));
    machine.post(0, logs(4)).unwrap();
    assert_eq!(flush(0), Flushed::All(5));
    assert_eq!(logged(), [0, 1, 2, 3, 4]);
}

#[test]
fn p6_waiting_calls_of_a_batch_run_first() {
    let machine = start(2);
    machine.post_all(1, [logs(1), logs(2)]).unwrap();
    *machine.platform().on_pause.borrow_mut() =
        Some(std::rc::Rc::new(|| assert_ne!(flush(1), Flushed::All(0))));
    on(0, || machine.call(1, || log(9))).unwrap();
    assert_eq!(logged(), [9, 1, 2]);
}

#[test]
fn p7_a_chain_rings_once() {
    let machine = start(2);
    machine.post_all(1, [logs(1), logs(2), logs(3)]).unwrap();
    assert_eq!(rings(), [1]);
    machine.post_all(1, [logs(4), logs(5)]).unwrap();
    assert_eq!(rings(), [], "rung already");
    let _ = flush(1);
}

#[test]
fn p7_an_empty_chain_neither_queues_nor_rings() {
    let machine = start(1);
    let none: [&Csd<fn()>; 0] = [];
    assert_eq!(machine.post_all(0, none), Ok(chain(0, 0, 0)));
    assert_eq!(rings(), []);
    assert_eq!(machine.post_all(1, none), Err(PostError::Offline { coalesced: Coalesced::No }));
}

#[test]
fn p2_a_chain_counts_busy_and_cancelled_ones() {
    let machine = start(3);
    let (busy, gone, back) = (logs(1), logs(2), logs(3));
    machine.post(2, busy).unwrap();
    machine.post(2, gone).unwrap();
    machine.post(1, back).unwrap();
    assert_eq!((gone.cancel(), back.cancel()), {
        let removed = || Cancel::Removed { coalesced: Coalesced::No };
        (removed(), removed())
    });
    assert_eq!(machine.post_all(1, [busy, gone, back]), Ok(chain(0, 2, 1)));
    let _ = flush(1);
    let _ = flush(2);
    assert_eq!(logged(), [3, 1], "given back on CPU 1; still queued on CPU 2; taken away");
}

#[test]
fn p3_a_csd_twice_in_one_chain_is_busy_the_second_time() {
    let machine = start(1);
    let twice = logs(1);
    assert_eq!(machine.post_all(0, [twice, twice, twice]), Ok(chain(1, 2, 0)));
    assert_eq!(flush(0), Flushed::All(1));
}

#[test]
fn p8_a_chain_is_refused_as_a_whole() {
    let machine = start(1);
    let all = [logs(1), logs(2)];
    let walked =
        all.iter().map(|_| -> &'static Csd<fn()> { unreachable!("the CPU is offline from the start") });
    assert_eq!(machine.post_all(1, walked), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert!(all.iter().all(|csd| !csd.is_pending()));
}

#[test]
fn p2_a_chain_refused_at_its_push_lets_all_go_and_nobody_is_owed() {
    let machine = start(2);
    let all = [logs(1), logs(2), logs(3)];
    let walk = all.iter().enumerate().map(|(at, csd)| {
        if at == 2 {
            on(1, || crate::port::machine().offline()).unwrap();
        }
        *csd
    });
    assert_eq!(on(0, || machine.post_all(1, walk)), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!(rings(), []);
    assert_eq!(machine.post_all(0, all), Ok(chain(3, 0, 0)), "every claim was let go");
    let _ = flush(0);
    assert_eq!(logged(), [1, 2, 3]);
}

/// Which csd of a chain of three another CPU is told Busy about, while the chain's poster is between claim and push.
fn refused_after_busy(
    which: usize,
) -> (Result<Chain, PostError>, [&'static Csd<impl Fn() + Sync + 'static>; 3]) {
    let machine = start(2);
    let all = [logs(1), logs(2), logs(3)];
    let mut walk = all.iter();
    let chained = std::iter::from_fn(|| {
        let next = walk.next();
        if next.is_none() {
            let told = on(1, || crate::port::machine().post(1, all[which]));
            assert_eq!(told, Ok(Posted::Busy { cpu: 1 }));
            on(1, || crate::port::machine().offline()).unwrap();
        }
        next.copied()
    });
    (on(0, || machine.post_all(1, chained)), all)
}

#[test]
fn p2_an_interrupted_poster_that_is_refused_owes_those_told_busy() {
    for which in 0..3 {
        let (refused, all) = refused_after_busy(which);
        assert_eq!(
            refused,
            Err(PostError::Offline { coalesced: Coalesced::Yes }),
            "csd {which} of the chain"
        );
        // What it owes: the run, on a CPU that there is.
        assert_eq!(machine().post(0, all[which]), Ok(Posted::Queued));
        let _ = flush(0);
        assert_eq!(logged(), [which as u32 + 1]);
    }
}

#[test]
fn p2_a_canceller_before_the_push_takes_the_debt_over() {
    let machine = start(2);
    let csd = logs(1);
    let mut walk = Some(csd);
    let chained = std::iter::from_fn(|| {
        let next = walk.take();
        if next.is_none() {
            assert_eq!(on(1, || crate::port::machine().post(1, csd)), Ok(Posted::Busy { cpu: 1 }));
            assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::Yes });
            on(1, || crate::port::machine().offline()).unwrap();
        }
        next
    });
    let refused = on(0, || machine.post_all(1, chained));
    assert_eq!(
        refused,
        Err(PostError::Offline { coalesced: Coalesced::No }),
        "the canceller owes them, not the poster"
    );
    assert_eq!(machine.post(0, csd), Ok(Posted::Queued));
    let _ = flush(0);
}

#[test]
fn p1_cancelled_between_claim_and_push_it_does_not_run() {
    let machine = start(2);
    let csd = logs(1);
    let mut walk = Some(csd);
    let chained = std::iter::from_fn(|| {
        let next = walk.take();
        if next.is_none() {
            assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No });
            let elsewhere = crate::port::machine().post(0, csd);
            assert_eq!(elsewhere, Err(PostError::Cancelled { cpu: 1 }), "claimed, and not let go of");
        }
        next
    });
    assert_eq!(on(0, || machine.post_all(1, chained)), Ok(chain(1, 0, 0)));
    let _ = flush(1);
    assert_eq!(logged(), []);
}

#[test]
fn p2_an_iterator_that_panics_leaves_what_was_claimed_queued() {
    let machine = start(2);
    let all = [logs(1), logs(2), logs(3)];
    let walk = all.iter().enumerate().map(|(at, csd)| if at == 2 { panic!("meant") } else { *csd });
    let panic = catch_unwind(AssertUnwindSafe(|| on(0, || machine.post_all(1, walk)))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"meant"));
    assert_eq!(all.map(Csd::is_pending), [true, true, false]);
    assert_eq!(rings(), [1]);
    assert_eq!(flush(1), Flushed::All(2));
    assert_eq!(logged(), [1, 2]);
    // Interrupts are on again: a waiting call is allowed.
    *machine.platform().on_pause.borrow_mut() = Some(std::rc::Rc::new(|| _ = flush(1)));
    assert_eq!(on(0, || machine.call(1, || 5)), Ok(5));
}

#[test]
fn p2_an_iterator_that_panics_after_the_cpu_went_lets_all_go() {
    let machine = start(2);
    let all = [logs(1), logs(2)];
    let walk = all.iter().enumerate().map(|(at, csd)| {
        if at == 1 {
            on(1, || crate::port::machine().offline()).unwrap();
            panic!("meant");
        }
        *csd
    });
    catch_unwind(AssertUnwindSafe(|| on(0, || machine.post_all(1, walk)))).unwrap_err();
    assert!(!all[0].is_pending());
    assert_eq!(machine.post(0, all[0]), Ok(Posted::Queued));
    let _ = flush(0);
}
