//! Who is woken, how often, and what a waker may do.

use super::{Tracked, lasting, poll, run_hook, set_hook, waker};
use crate::port::{OwnCpu, flush, log, logged, on, start};
use smpcall::AsyncCall;
use std::cell::RefCell;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, RawWaker, RawWakerVTable, Wake, Waker};

#[test]
fn the_last_waker_is_woken_and_the_others_are_dropped() {
    let machine = start(2);
    let (first, first_waker) = waker();
    let (second, second_waker) = waker();
    let mut call = machine.call_async(1, || 1);
    assert!(poll(&mut call, &first_waker).is_pending());
    assert_eq!(Arc::strong_count(&first), 3);
    assert!(poll(&mut call, &second_waker).is_pending());
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 3));
    let _ = flush(1);
    assert_eq!((first.get(), second.get()), (0, 1));
    assert_eq!(Arc::strong_count(&second), 2, "the one in the slot was used up");
    assert!(matches!(poll(&mut call, &first_waker), Poll::Ready(Ok(1))));
}

#[test]
fn a_waker_is_dropped_with_its_future() {
    let machine = start(2);
    let (count, waker) = waker();
    let mut by = AsyncCall::new();
    let mut call = machine.call_async_by(&mut by, 1, || 1);
    assert!(poll(&mut call, &waker).is_pending());
    drop(call);
    assert_eq!(Arc::strong_count(&count), 2);
    let _ = flush(1);
    assert_eq!(count.get(), 0);
}

#[test]
fn a_target_that_looks_by_itself_is_not_asked_to_wake_at_first() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    for late in [false, true] {
        let (count, waker) = waker();
        let mut call = machine.call_async(1, || 1);
        assert!(poll(&mut call, &waker).is_pending());
        assert_eq!(
            (count.get(), Arc::strong_count(&count)),
            (1, 2),
            "it wakes itself, and has left no waker"
        );
        if late {
            assert!(poll(&mut call, &waker).is_pending());
            assert_eq!((count.get(), Arc::strong_count(&count)), (1, 3));
        }
        let _ = flush(1);
        assert_eq!(count.get(), 1 + u32::from(late));
        assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(1))));
    }
    assert_eq!(crate::port::rings(), []);
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("meant");
    }
}

#[test]
fn p11_a_waker_that_panics_loses_nothing_but_its_wake_up() {
    let machine = start(2);
    let mut by = AsyncCall::new();
    let (_, waker) = waker();
    for round in 0..2 {
        let held = Tracked(1);
        let mut call = machine.call_async_by(&mut by, 1, move || held);
        assert!(poll(&mut call, &Waker::from(Arc::new(Panics))).is_pending());
        machine.post(1, crate::port::logs(7)).unwrap();
        let _ = flush(1);
        assert_eq!((machine.platform().caught.get(), logged()), (round + 1, vec![7]));
        assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(Tracked(1)))));
        assert_eq!(logged(), [1]);
    }
}

/// Does, from inside, what the test says.
struct Inside;

impl Wake for Inside {
    fn wake(self: Arc<Self>) {
        run_hook();
    }
}

#[test]
fn a_waker_may_poll_and_call_again_from_inside() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let smp = lasting(&machine);
    let at = Box::into_raw(Box::new(AsyncCall::new()));
    let work = |entry| move || log(entry);
    // SAFETY: the hook drops the future that borrows it.
    let mut call = smp.call_async_by(unsafe { &mut *at }, 1, work(1));
    assert!(poll(&mut call, &Waker::from(Arc::new(Inside))).is_pending());
    let next = Rc::new(RefCell::new(None));
    let (keep, from_inside) = (Rc::clone(&next), waker.clone());
    set_hook(move || {
        assert!(matches!(poll(&mut call, &from_inside), Poll::Ready(Ok(()))), "the result was there before");
        drop(call);
        // SAFETY: as above.
        let mut next = smp.call_async_by(unsafe { &mut *at }, 1, work(2));
        assert!(poll(&mut next, &from_inside).is_pending());
        keep.replace(Some(next));
    });
    let _ = flush(1);
    assert_eq!((logged(), wakes.get()), (vec![1, 2], 1), "the next one ran in the same flush");
    let mut next = next.take().expect("it was made");
    assert!(matches!(poll(&mut next, &waker), Poll::Ready(Ok(()))));
    drop(next);
    // SAFETY: nobody borrows it any more.
    drop(unsafe { Box::from_raw(at) });
}

/// Its clone lets the run end, as another CPU may at that very moment.
static RUDE: RawWakerVTable = RawWakerVTable::new(
    |_| {
        let _ = flush(1);
        RawWaker::new(ptr::null(), &RUDE)
    },
    |_| log(50),
    |_| log(51),
    |_| log(52),
);

#[test]
fn the_run_may_end_while_the_waker_is_cloned() {
    let machine = start(2);
    // SAFETY: it has no data.
    let rude = unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &RUDE)) };
    let mut call = machine.call_async(1, || log(1));
    assert!(matches!(on(0, || poll(&mut call, &rude)), Poll::Ready(Ok(()))));
    assert_eq!(logged(), [1, 52], "its clone was dropped, and not woken");
    drop(rude);
    assert_eq!(logged(), [52]);
}
