//! A future that is dropped, or forgotten, at each step; and where what it leaves is dropped.

use super::{Panic, Tracked, lasting, poll, run_hook, set_hook, waker};
use crate::port::{OwnCpu, as_cpu, flush, log, logged, on, rings, start};
use smpcall::{AsyncCall, AwaitedSlot};
use std::task::Poll;

/// A function that logs 99 when it runs and 1 when it is dropped, and whose result logs 2.
fn work() -> impl FnOnce() -> Tracked + Send + 'static {
    let held = Tracked(1);
    move || {
        let _held = held;
        log(99);
        Tracked(2)
    }
}

/// As `work`, and something happens on CPU 0 meanwhile.
fn work_with_hook() -> impl FnOnce() -> Tracked + Send + 'static {
    move || {
        on(0, run_hook);
        log(99);
        Tracked(2)
    }
}

#[test]
fn before_its_first_poll() {
    let machine = start(2);
    on(0, || drop(machine.call_async(1, work())));
    assert_eq!((logged(), rings()), (vec![11], vec![]));
}

#[test]
fn queued_it_does_not_run() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut call = machine.call_async(1, work());
    assert!(on(0, || poll(&mut call, &waker)).is_pending());
    on(0, || drop(call));
    assert_eq!(logged(), [11], "the function is dropped by its owner");
    let _ = flush(1);
    assert_eq!((logged(), wakes.get()), (vec![], 0));
}

#[test]
fn queued_its_slot_is_free_when_the_target_has_let_go_of_it() {
    let machine = start(4);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    let work = || || log(1);
    let mut call = machine.call_async_by(&mut by, 1, work());
    assert!(poll(&mut call, &waker).is_pending());
    drop(call);
    let mut call = machine.call_async_by(&mut by, 2, work());
    for _ in 0..2 {
        assert!(poll(&mut call, &waker).is_pending());
    }
    assert_eq!((rings(), wakes.get()), (vec![1], 0), "it awaits the slot");
    let _ = flush(1);
    assert_eq!((rings(), wakes.get()), (vec![], 1));
    assert!(poll(&mut call, &waker).is_pending());
    let _ = flush(2);
    assert_eq!((wakes.get(), logged()), (2, vec![1]));
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(()))));
}

#[test]
fn one_that_awaits_the_slot_is_dropped() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    for _ in 0..3 {
        let mut call = machine.call_async_by(&mut by, 1, work());
        assert!(poll(&mut call, &waker).is_pending());
    }
    assert_eq!((logged(), rings()), (vec![1; 3], vec![1]));
    let _ = flush(1);
    assert_eq!((wakes.get(), logged()), (0, vec![]));
}

#[test]
fn while_it_runs_its_result_stays_in_the_slot_for_the_next_call_to_drop() {
    let machine = start(2);
    let smp = lasting(&machine);
    let (wakes, waker) = waker();
    let at = Box::into_raw(Box::new(AsyncCall::new()));
    // SAFETY: the future that borrows it is dropped by the hook.
    let mut call = smp.call_async_by(unsafe { &mut *at }, 1, work_with_hook());
    assert!(on(0, || poll(&mut call, &waker)).is_pending());
    set_hook(move || drop(call));
    let _ = flush(1);
    assert_eq!((logged(), wakes.get()), (vec![99], 0));
    // SAFETY: nobody borrows it any more.
    let mut by = *unsafe { Box::from_raw(at) };
    let mut next = machine.call_async_by(&mut by, 1, work_with_hook());
    assert_eq!(logged(), []);
    assert!(on(0, || poll(&mut next, &waker)).is_pending());
    assert_eq!(logged(), [12], "by its owner");
    set_hook(|| ());
    let _ = flush(1);
    assert!(on(0, || poll(&mut next, &waker)).is_ready());
    assert_eq!((logged(), wakes.get()), (vec![99, 2], 1));
}

#[test]
fn while_it_runs_with_its_slot_the_result_is_posted_home() {
    for (home, is_online, dropped_on) in
        [(Some(0), true, 1), (Some(0), false, 2), (Some(1), true, 2), (None, true, 2)]
    {
        let machine = start(2);
        let (wakes, waker) = waker();
        let mut call = lasting(&machine).call_async(1, work_with_hook());
        assert!(as_cpu(home, || poll(&mut call, &waker)).is_pending());
        set_hook(move || drop(call));
        if !is_online {
            on(0, || machine.offline()).unwrap();
        }
        let _ = flush(1);
        let early = logged();
        assert_eq!(early[0], 99);
        if is_online {
            let _ = flush(0);
        }
        let all = [early, logged()].concat();
        assert_eq!((all, wakes.get()), (vec![99, dropped_on * 10 + 2], 0), "{home:?}, {is_online}");
    }
}

#[test]
fn ended_its_result_is_dropped_there_and_then() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    for _ in 0..2 {
        let mut call = machine.call_async_by(&mut by, 1, work());
        assert!(on(0, || poll(&mut call, &waker)).is_pending());
        let _ = flush(1);
        assert_eq!(logged(), [99, 21]);
        on(0, || drop(call));
        assert_eq!(logged(), [12]);
    }
    assert_eq!(wakes.get(), 2);
}

#[test]
fn forgotten_it_is_as_if_the_next_call_had_dropped_it() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    // Queued: the next call cancels it.
    let mut call = machine.call_async_by(&mut by, 1, work());
    assert!(poll(&mut call, &waker).is_pending());
    std::mem::forget(call);
    let mut call = machine.call_async_by(&mut by, 1, work());
    assert!(poll(&mut call, &waker).is_pending());
    assert_eq!(logged(), [1]);
    let _ = flush(1);
    assert_eq!((logged(), wakes.get()), (vec![], 1));
    assert!(poll(&mut call, &waker).is_pending());
    let _ = flush(1);
    assert_eq!((logged(), wakes.get()), (vec![99, 21], 2));
    // Ended: the next call drops its result.
    std::mem::forget(call);
    assert!(on(0, || poll(&mut machine.call_async_by(&mut by, 1, work()), &waker)).is_pending());
    assert_eq!(logged(), [12, 11]);
    let _ = flush(1);
    // And so does the drop of the slot.
    let mut call = machine.call_async_by(&mut by, 1, work());
    assert!(poll(&mut call, &waker).is_pending());
    std::mem::forget(call);
    on(0, || drop(by));
    assert_eq!(logged(), [11]);
    let _ = flush(1);
    assert_eq!((logged(), wakes.get()), (vec![], 2));
}

#[test]
fn forgotten_with_its_slot_it_runs_and_is_leaked_with_what_it_left() {
    static SLOT: AwaitedSlot<fn() -> u32, u32, Panic> = AwaitedSlot::new();
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::of(&SLOT).unwrap();
    let mut call = machine.call_async_by(&mut by, 1, || 3);
    assert!(poll(&mut call, &waker).is_pending());
    std::mem::forget(call);
    std::mem::forget(by);
    let _ = flush(1);
    assert_eq!(wakes.get(), 1);
    assert!(AsyncCall::of(&SLOT).is_none());
}

#[test]
fn a_static_slot_goes_on_after_one_that_was_dropped_queued() {
    static SLOT: AwaitedSlot<fn() -> u32, u32, Panic> = AwaitedSlot::new();
    let machine = start(2);
    let (wakes, waker) = waker();
    for _ in 0..2 {
        let mut by = AsyncCall::of(&SLOT).unwrap();
        assert!(poll(&mut machine.call_async_by(&mut by, 1, || 3), &waker).is_pending());
    }
    let mut by = AsyncCall::of(&SLOT).unwrap();
    let mut call = machine.call_async_by(&mut by, 1, || 4);
    assert!(poll(&mut call, &waker).is_pending());
    let _ = flush(1);
    assert!(poll(&mut call, &waker).is_pending());
    let _ = flush(1);
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(4))));
    assert_eq!(wakes.get(), 2);
}

#[test]
fn p11_a_machines_end_comes_before_the_slots() {
    let (_, waker) = waker();
    let mut by = AsyncCall::new();
    {
        let first = start(2);
        let mut call = first.call_async_by(&mut by, 1, work());
        assert!(poll(&mut call, &waker).is_pending());
    }
    let second = start(2);
    // The first machine's queue holds the slot for ever: the next call awaits it, and can be dropped.
    let mut call = second.call_async_by(&mut by, 1, work());
    assert!(poll(&mut call, &waker).is_pending());
    let _ = flush(1);
    assert!(poll(&mut call, &waker).is_pending());
    drop(call);
    drop(by);
    assert_eq!(logged(), [1]);
}

#[test]
fn a_result_whose_drop_panics_gives_a_static_slot_back() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("meant");
        }
    }
    static SLOT: AwaitedSlot<fn() -> Bad, Bad, Panic> = AwaitedSlot::new();
    let machine = start(2);
    let (_, waker) = waker();
    let mut by = AsyncCall::of(&SLOT).unwrap();
    let mut call = machine.call_async_by(&mut by, 1, || Bad);
    assert!(poll(&mut call, &waker).is_pending());
    let _ = flush(1);
    std::mem::forget(call);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(by)));
    assert!(dropped.is_err() && AsyncCall::of(&SLOT).is_some());
}
