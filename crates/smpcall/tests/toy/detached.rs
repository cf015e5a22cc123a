//! Detached calls: no csd, nobody waits, and the place is free before the function starts.

use crate::port::{OwnCpu, as_cpu, csd, flush, log, logged, logs, machine, on, pinned, rings, start};
use smpcall::{CallError, DETACHED_MAX, DetachedError, Flushed, HotplugError, Platform};

/// Fills the places of a CPU, with functions that log 0 and so on.
fn fill(cpu: u32) {
    for number in 0..DETACHED_MAX as u32 {
        assert_eq!(machine().post_detached(cpu, move || log(number)), Ok(()));
    }
}

#[test]
fn p1_a_detached_call_runs_once_on_the_cpu_it_named() {
    let machine = start(3);
    let who = || log(crate::port::machine().platform().cpu.get().unwrap());
    assert_eq!(as_cpu(None, || machine.post_detached(2, who)), Ok(()));
    assert_eq!(rings(), [2]);
    assert_eq!((flush(1), flush(2), flush(2)), (Flushed::All(0), Flushed::All(1), Flushed::All(0)));
    assert_eq!(logged(), [2]);
    assert_eq!(on(2, || machine.post_detached(2, who)), Ok(()), "to itself it is queued like any other");
    assert_eq!((logged(), flush(2), logged()), (vec![], Flushed::All(1), vec![2]));
}

#[test]
fn p1_what_it_captures_travels_along() {
    let machine = start(2);
    let words = [1_usize, 2, 3];
    machine.post_detached(1, move || words.iter().for_each(|word| log(*word as u32))).unwrap();
    machine.post_detached(1, || log(4)).unwrap();
    let byte = 5_u8;
    machine.post_detached(1, move || log(byte.into())).unwrap();
    let _ = flush(1);
    assert_eq!(logged(), [1, 2, 3, 4, 5]);
}

#[test]
fn p3_when_all_places_are_in_flight_there_is_no_room() {
    let machine = start(3);
    fill(1);
    assert_eq!(machine.post_detached(1, || log(9)), Err(DetachedError::Full));
    assert_eq!(machine.post_detached(2, || log(8)), Ok(()), "another CPU has its own");
    assert_eq!(rings(), [1, 2]);
    assert_eq!(flush(1), Flushed::All(DETACHED_MAX as u32));
    assert_eq!(logged(), Vec::from_iter(0..DETACHED_MAX as u32), "Busy queued nothing");
    fill(1);
    let _ = (flush(1), flush(2));
}

#[test]
fn p5_the_place_is_free_before_the_function_starts() {
    fn again(left: u32) {
        log(left);
        if left > 0 {
            let me = machine().platform().cpu.get().unwrap();
            assert_eq!(machine().post_detached(me, move || again(left - 1)), Ok(()));
        }
    }
    let machine = start(2);
    // All places are taken; the first that runs has given its own back.
    for _ in 1..DETACHED_MAX {
        machine.post_detached(1, || log(7)).unwrap();
    }
    machine.post_detached(1, || again(3)).unwrap();
    assert_eq!(flush(1), Flushed::All(DETACHED_MAX as u32 + 3));
    let sevens = std::iter::repeat_n(7, DETACHED_MAX - 1);
    assert_eq!(logged(), Vec::from_iter(sevens.chain([3, 2, 1, 0])));
}

#[test]
fn p6_they_run_in_order_also_when_places_were_reused_and_the_budget_was_short() {
    let machine = start(2);
    let mut next = 0;
    let mut post = || {
        next += 1;
        let number = next;
        machine.post_detached(1, move || log(number))
    };
    for _ in 0..20 {
        while post().is_ok() {}
        let _ = on(1, || machine.flush(crate::port::budget(3)));
    }
    let _ = flush(1);
    let ran = logged();
    assert!(ran.is_sorted() && ran.len() >= 20 * 3, "{ran:?}");
}

#[test]
fn p6_waiting_calls_of_a_batch_run_first() {
    let machine = start(2);
    machine.post_detached(1, || log(1)).unwrap();
    machine.post(1, logs(2)).unwrap();
    *machine.platform().on_pause.borrow_mut() = Some(std::rc::Rc::new(|| _ = flush(1)));
    assert_eq!(on(0, || machine.call(1, || log(0))), Ok(()));
    assert_eq!(logged(), [0, 1, 2]);
}

#[test]
fn p8_offline_refuses_and_gives_the_place_back() {
    let machine = start(2);
    assert_eq!(machine.post_detached(2, || log(1)), Err(DetachedError::Offline));
    assert_eq!(machine.post_detached(4, || log(1)), Err(DetachedError::NoSuchCpu));
    // Between the look and the push, again and again: more often than there are places.
    for _ in 0..2 * DETACHED_MAX {
        *machine.platform().on_save.borrow_mut() = Some(Box::new(|| {
            assert_eq!(on(1, || crate::port::machine().offline()), Ok(0));
        }));
        assert_eq!(on(0, || machine.post_detached(1, || log(1))), Err(DetachedError::Offline));
        on(1, || pinned(&machine).come_online()).unwrap();
    }
    fill(1);
    assert_eq!(on(1, || machine.offline()), Ok(DETACHED_MAX as u32), "what was accepted runs");
    assert_eq!(logged(), Vec::from_iter(0..DETACHED_MAX as u32));
}

#[test]
fn p9_from_call_context_with_interrupts_off_and_from_an_nmi() {
    let machine = start(2);
    machine.post(0, csd(|| assert_eq!(crate::port::machine().post_detached(1, || log(1)), Ok(())))).unwrap();
    let _ = flush(0);
    on(0, || {
        machine.platform().irq_save();
        assert_eq!(machine.post_detached(1, || log(2)), Ok(()));
        machine.platform().irq_restore(());
    });
    // Before the claim, and between the push and the return, of another one.
    *machine.platform().on_save.borrow_mut() = Some(Box::new(|| {
        assert_eq!(crate::port::machine().post_detached(1, || log(3)), Ok(()));
    }));
    assert_eq!(on(0, || machine.post_detached(1, || log(4))), Ok(()));
    rings();
    assert_eq!(flush(1), Flushed::All(4));
    *machine.platform().on_ring.borrow_mut() = Some(Box::new(|| {
        assert_eq!(crate::port::machine().post_detached(1, || log(6)), Ok(()));
    }));
    assert_eq!(on(0, || machine.post_detached(1, || log(5))), Ok(()));
    assert_eq!(rings(), [1]);
    let _ = flush(1);
    assert_eq!(logged(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn p11_a_panic_stops_nobody_and_is_noted() {
    let machine = start(2);
    machine.post_detached(1, || panic!("meant")).unwrap();
    machine.post_detached(1, || log(1)).unwrap();
    assert_eq!(flush(1), Flushed::All(2));
    assert_eq!((logged(), machine.platform().caught.get()), (vec![1], 1));
    fill(1);
    let _ = flush(1);
}

#[test]
fn p10_waiting_inside_one_is_refused() {
    let machine = start(2);
    machine
        .post_detached(1, || {
            assert_eq!(crate::port::machine().call(0, || ()), Err(CallError::WouldDeadlock));
            assert_eq!(crate::port::machine().offline(), Err(HotplugError::InCall));
            log(1);
        })
        .unwrap();
    let _ = flush(1);
    assert_eq!((logged(), machine.platform().caught.get()), (vec![1], 0));
}
