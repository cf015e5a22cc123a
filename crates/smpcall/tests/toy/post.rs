//! P1, P2, P3, P5, P8: what becomes of one post.

use crate::port::{OwnCpu, as_cpu, csd, flush, log, logged, logs, machine, on, pinned, rings, start};
use smpcall::{Coalesced, Csd, Flushed, PostError, Posted};
use std::cell::Cell;

#[test]
fn p1_a_post_runs_once_on_the_cpu_it_named() {
    let machine = start(3);
    let csd = csd(|| log(crate::port::machine().platform().cpu.get().unwrap()));
    assert!(!csd.is_pending());
    assert_eq!(machine.post(2, csd), Ok(Posted::Queued));
    assert!(csd.is_pending());
    assert_eq!(flush(1), Flushed::All(0), "it is in no other CPU's queue");
    assert_eq!(flush(2), Flushed::All(1));
    assert_eq!(flush(2), Flushed::All(0));
    assert!(!csd.is_pending());
    assert_eq!(logged(), [2]);
}

#[test]
fn p1_a_static_function_pointer_runs() {
    static HIT: Csd<fn()> = Csd::new(|| log(7));
    let machine = start(1);
    assert_eq!(machine.post(0, &HIT), Ok(Posted::Queued));
    assert_eq!(flush(0), Flushed::All(1));
    assert_eq!(logged(), [7]);
}

#[test]
fn p1_every_round_of_a_reused_csd_runs() {
    let machine = start(2);
    let csd = logs(1);
    // More rounds than the word's count of runs can tell apart, and to CPUs in turn.
    for round in 0..70 {
        assert_eq!(machine.post(round % 2, csd), Ok(Posted::Queued));
        assert_eq!(flush(round % 2), Flushed::All(1));
    }
    assert_eq!(logged().len(), 70);
}

#[test]
fn p1_a_cpu_that_there_is_not() {
    let machine = start(2);
    let csd = logs(1);
    for cpu in [4, 5, 8192, 0xffff, 0x1_0000, u32::MAX] {
        assert_eq!(machine.post(cpu, csd), Err(PostError::NoSuchCpu));
        assert_eq!(machine.post_all(cpu, [csd]), Err(PostError::NoSuchCpu));
    }
    assert!(!csd.is_pending());
    // A queued one is not looked at either: the caller's number is wrong whatever the csd does.
    machine.post(1, csd).unwrap();
    assert_eq!(machine.post(4, csd), Err(PostError::NoSuchCpu));
    let _ = flush(1);
    assert_eq!(logged(), [1]);
}

#[test]
fn p3_busy_names_the_cpu_it_is_queued_for() {
    let machine = start(4);
    let csd = logs(1);
    machine.post(2, csd).unwrap();
    for cpu in 0..4 {
        assert_eq!(on(cpu, || machine.post(cpu, csd)), Ok(Posted::Busy { cpu: 2 }));
    }
    let _ = flush(2);
    assert_eq!(logged(), [1]);
    machine.post(3, csd).unwrap();
    assert_eq!(
        machine.post(2, csd),
        Ok(Posted::Busy { cpu: 3 }),
        "its place after the last run is forgotten"
    );
    let _ = flush(3);
}

#[test]
fn p3_busy_also_when_the_cpu_asked_for_is_offline() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    assert_eq!(machine.post(3, csd), Ok(Posted::Busy { cpu: 1 }));
    let _ = flush(1);
    assert_eq!(logged(), [1]);
}

#[test]
fn p3_an_interrupt_before_the_claim_wins_and_the_interrupted_is_busy() {
    let machine = start(3);
    let csd = logs(1);
    *machine.platform().on_save.borrow_mut() = Some(Box::new(move || {
        assert_eq!(crate::port::machine().post(2, csd), Ok(Posted::Queued));
    }));
    assert_eq!(on(0, || machine.post(1, csd)), Ok(Posted::Busy { cpu: 2 }));
    assert_eq!((flush(1), flush(2)), (Flushed::All(0), Flushed::All(1)));
}

#[test]
fn p3_an_nmi_between_push_and_return_is_busy() {
    let machine = start(2);
    let csd = logs(1);
    *machine.platform().on_ring.borrow_mut() = Some(Box::new(move || {
        assert_eq!(crate::port::machine().post(1, csd), Ok(Posted::Busy { cpu: 1 }));
        log(9);
    }));
    assert_eq!(on(0, || machine.post(1, csd)), Ok(Posted::Queued));
    let _ = flush(1);
    assert_eq!(logged(), [9, 1]);
}

#[test]
fn p3_the_target_may_run_it_before_the_post_returns() {
    let machine = start(2);
    let csd = logs(1);
    *machine.platform().on_ring.borrow_mut() = Some(Box::new(move || {
        assert_eq!(flush(1), Flushed::All(1));
        assert!(!csd.is_pending());
        // And somebody else may have it queued again by then.
        as_cpu(None, || crate::port::machine().post(0, csd)).unwrap();
    }));
    assert_eq!(on(0, || machine.post(1, csd)), Ok(Posted::Queued));
    assert!(csd.is_pending());
    let _ = flush(0);
    assert_eq!(logged(), [1, 1]);
}

thread_local! {
    static AGAIN: Cell<u32> = const { Cell::new(0) };
}

static AGAIN_HERE: Csd<fn()> = Csd::new(|| {
    assert!(!AGAIN_HERE.is_pending(), "free before its function starts");
    log(AGAIN.get());
    if AGAIN.get() > 0 {
        AGAIN.set(AGAIN.get() - 1);
        let me = machine().platform().cpu.get().unwrap();
        assert_eq!(machine().post(me, &AGAIN_HERE), Ok(Posted::Queued));
        assert_eq!(machine().post(me, &AGAIN_HERE), Ok(Posted::Busy { cpu: me }));
    }
});

#[test]
fn p5_posted_again_from_inside_it_runs_again() {
    let machine = start(1);
    AGAIN.set(3);
    machine.post(0, &AGAIN_HERE).unwrap();
    assert_eq!(rings(), [0]);
    assert_eq!(flush(0), Flushed::All(4));
    assert_eq!(logged(), [3, 2, 1, 0]);
    assert_eq!(rings(), [], "a CPU that is flushing is not rung");
}

static OVER_THERE: Csd<fn()> = Csd::new(|| {
    let me = machine().platform().cpu.get().unwrap();
    log(me);
    if me < 3 {
        machine().post(me + 1, &OVER_THERE).unwrap();
    }
});

#[test]
fn p5_posted_from_inside_to_another_cpu() {
    let machine = start(4);
    machine.post(0, &OVER_THERE).unwrap();
    for cpu in 0..4 {
        assert_eq!(flush(cpu), Flushed::All(1));
    }
    assert_eq!(logged(), [0, 1, 2, 3]);
    assert_eq!(rings(), [0, 1, 2, 3]);
}

#[test]
fn p5_free_after_a_panic_in_its_function() {
    let machine = start(1);
    let bad = csd(|| panic!("meant"));
    let good = logs(1);
    machine.post(0, bad).unwrap();
    machine.post(0, good).unwrap();
    assert_eq!(flush(0), Flushed::All(2));
    assert_eq!((logged(), machine.platform().caught.get()), (vec![1], 1));
    assert_eq!(machine.post(0, bad), Ok(Posted::Queued));
    let _ = flush(0);
    assert_eq!(machine.platform().caught.get(), 2);
}

#[test]
fn p8_offline_refuses_and_queues_nothing() {
    let machine = start(1);
    let csd = logs(1);
    assert_eq!(machine.post(1, csd), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert!(!csd.is_pending());
    assert_eq!(rings(), []);
    on(1, || pinned(&machine).come_online()).unwrap();
    assert_eq!(flush(1), Flushed::All(0));
    assert_eq!(logged(), []);
}

#[test]
fn p8_going_offline_between_look_and_push_refuses() {
    let machine = start(2);
    let csd = logs(1);
    *machine.platform().on_save.borrow_mut() = Some(Box::new(|| {
        on(1, || crate::port::machine().offline()).unwrap();
    }));
    assert_eq!(on(0, || machine.post(1, csd)), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert!(!csd.is_pending());
    assert_eq!(machine.post(0, csd), Ok(Posted::Queued), "the claim was let go");
    let _ = flush(0);
    assert_eq!(logged(), [1]);
}
