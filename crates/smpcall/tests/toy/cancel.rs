//! P1 and P2: taking a run away, giving it back, and who owes what then.

use crate::port::{OwnCpu, csd, flush, log, logged, logs, machine, on, start};
use smpcall::{Cancel, Coalesced, Csd, PostError, Posted};

#[test]
fn p1_a_cancelled_run_does_not_happen() {
    let machine = start(1);
    let csd = logs(1);
    machine.post(0, csd).unwrap();
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    assert!(!csd.is_pending());
    let _ = flush(0);
    assert_eq!(logged(), []);
}

#[test]
fn p1_cancel_finds_nothing_to_take_away() {
    static SELF: Csd<fn()> = Csd::new(|| {
        assert_eq!(SELF.cancel(), Cancel::NotPending, "begun already");
        log(1);
    });
    let machine = start(1);
    assert_eq!(SELF.cancel(), Cancel::NotPending, "not posted");
    machine.post(0, &SELF).unwrap();
    let _ = flush(0);
    assert_eq!(SELF.cancel(), Cancel::NotPending, "has run");
    assert_eq!(logged(), [1]);
    machine.post(0, &SELF).unwrap();
    assert_eq!(SELF.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    assert_eq!(SELF.cancel(), Cancel::NotPending, "cancelled before");
    let _ = flush(0);
    assert_eq!(SELF.cancel(), Cancel::NotPending, "let go of");
    assert_eq!(logged(), []);
}

#[test]
fn p1_after_cancel_and_flush_it_is_posted_anew() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(0, csd).unwrap();
    let _ = csd.cancel();
    let _ = flush(0);
    assert_eq!(machine.post(1, csd), Ok(Posted::Queued));
    let _ = flush(1);
    assert_eq!(logged(), [1]);
}

#[test]
fn p1_cancelled_is_not_posted_to_another_cpu() {
    let machine = start(3);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    let _ = csd.cancel();
    assert_eq!(machine.post(2, csd), Err(PostError::Cancelled { cpu: 1 }));
    assert_eq!(machine.post(3, csd), Err(PostError::Cancelled { cpu: 1 }), "also if that one is offline");
    assert!(!csd.is_pending(), "no run was promised");
    let _ = flush(2);
    let _ = flush(1);
    assert_eq!(logged(), []);
    assert_eq!(machine.post(2, csd), Ok(Posted::Queued));
    let _ = flush(2);
    assert_eq!(logged(), [1]);
}

#[test]
fn p2_a_post_to_the_same_cpu_gives_the_run_back() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    let _ = csd.cancel();
    assert_eq!(machine.post(1, csd), Ok(Posted::Busy { cpu: 1 }));
    assert!(csd.is_pending());
    let _ = flush(1);
    assert_eq!(logged(), [1], "once, not twice");
}

#[test]
fn p2_cancel_says_whether_others_relied_on_the_run() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    assert_eq!(machine.post(1, csd), Ok(Posted::Busy { cpu: 1 }));
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::Yes });
    // Given back by a second poster, and cancelled again: that poster is owed, and nobody else any more.
    assert_eq!(machine.post(1, csd), Ok(Posted::Busy { cpu: 1 }));
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::Yes });
    let _ = flush(1);
    // The next round starts with nobody told.
    machine.post(1, csd).unwrap();
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    let _ = flush(1);
    assert_eq!(logged(), []);
}

#[test]
fn p2_told_does_not_outlive_the_run() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    let _ = machine.post(0, csd);
    let _ = flush(1);
    machine.post(1, csd).unwrap();
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    let _ = flush(1);
}

#[test]
fn p8_going_offline_lets_go_of_a_cancelled_csd() {
    let machine = start(2);
    let (first, second) = (logs(1), logs(2));
    machine.post(1, first).unwrap();
    machine.post(1, second).unwrap();
    let _ = first.cancel();
    on(1, || machine.offline()).unwrap();
    assert_eq!(logged(), [2]);
    assert_eq!(machine.post(0, first), Ok(Posted::Queued));
    let _ = flush(0);
    assert_eq!(logged(), [1]);
}

#[test]
fn p6_the_others_keep_their_order_around_a_cancelled_one() {
    let machine = start(1);
    let all = [logs(0), logs(1), logs(2), logs(3)];
    for csd in all {
        machine.post(0, csd).unwrap();
    }
    let _ = all[1].cancel();
    let _ = flush(0);
    assert_eq!(logged(), [0, 2, 3]);
}

#[test]
fn p1_cancelled_from_a_function_of_the_same_batch() {
    let machine = start(1);
    let victim = logs(1);
    let killer = csd(move || assert_eq!(victim.cancel(), Cancel::Removed { coalesced: Coalesced::No }));
    let reviver = csd(move || {
        assert_eq!(crate::port::machine().post(0, victim), Ok(Posted::Busy { cpu: 0 }));
    });
    machine.post(0, killer).unwrap();
    machine.post(0, victim).unwrap();
    let _ = flush(0);
    assert_eq!(logged(), []);
    machine.post(0, killer).unwrap();
    machine.post(0, reviver).unwrap();
    machine.post(0, victim).unwrap();
    let _ = flush(0);
    assert_eq!(logged(), [1], "cancelled and given back while its batch ran");
}

#[test]
fn p1_the_machine_need_not_be_known_to_cancel() {
    let _ = start(1);
    let csd = logs(1);
    machine().post(0, csd).unwrap();
    let removed = std::thread::spawn(|| csd.cancel()).join().unwrap();
    assert_eq!(removed, Cancel::Removed { coalesced: Coalesced::No });
    let _ = flush(0);
    assert_eq!(logged(), []);
}
