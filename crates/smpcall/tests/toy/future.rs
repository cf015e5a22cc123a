//! Calls that are awaited: every end that they can come to, and every step at which their future can go.

mod dropped;
mod many;
mod wakers;

use crate::port::{Machine, OwnCpu, flush, log, logged, machine, on, pinned, rings, start};
use smpcall::{AsyncCall, AsyncCallError, AwaitedSlot, PerCpu};
use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

pub(super) type Panic = Box<dyn Any + Send>;

/// Logs its number and, times ten, where it is dropped: the CPU + 1, or 0.
pub(super) struct Tracked(pub(super) u32);

impl Drop for Tracked {
    fn drop(&mut self) {
        let here = machine().platform().cpu.get().map_or(0, |cpu| cpu + 1);
        log(here * 10 + self.0);
    }
}

/// Counts how often it wakes.
#[derive(Default)]
pub(super) struct Count(AtomicU32);

impl Count {
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn waker() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), count.into())
}

thread_local! {
    static HOOK: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// What a function or a waker, which must be `Send`, does on this thread when it calls `run_hook`.
pub(super) fn set_hook(hook: impl FnOnce() + 'static) {
    HOOK.set(Some(Box::new(hook)));
}

pub(super) fn run_hook() {
    HOOK.take().expect("it was set")();
}

/// The machine, for what must be `'static`.
pub(super) fn lasting(machine: &Rc<Machine>) -> &'static Machine {
    // SAFETY: each test has its machine until its end, and keeps nothing that it was lent to for longer.
    unsafe { &*Rc::as_ptr(machine) }
}

/// Polls once.
pub(super) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn p4_a_result_comes_back_and_wakes_once() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let text = "four".to_string();
    let mut call = machine.call_async(1, move || {
        log(1);
        text.len()
    });
    assert_eq!((rings(), logged()), (vec![], vec![]), "nothing happens before the first poll");
    for _ in 0..3 {
        assert!(poll(&mut call, &waker).is_pending());
    }
    assert_eq!(rings(), [1]);
    let _ = flush(1);
    assert_eq!((wakes.get(), logged()), (1, vec![1]));
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(4))));
    let _ = flush(1);
    assert_eq!((wakes.get(), logged()), (1, vec![]));
}

#[test]
fn one_slot_serves_call_after_call_and_every_cpu() {
    let machine = start(4);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    for round in 0..8 {
        let mut call = machine.call_async_by(&mut by, round % 4, move || Box::new(round * 2));
        assert!(poll(&mut call, &waker).is_pending());
        let _ = flush(round % 4);
        assert_eq!(poll(&mut call, &waker).map(Result::unwrap), Poll::Ready(Box::new(round * 2)));
    }
    assert_eq!(wakes.get(), 8);
}

#[test]
fn a_static_slot_has_one_user_at_a_time() {
    static SLOT: AwaitedSlot<fn() -> u32, u32, Panic> = AwaitedSlot::new();
    let machine = start(2);
    let (wakes, waker) = waker();
    for round in 1..4 {
        let mut by = AsyncCall::of(&SLOT).expect("the last user is gone");
        assert!(AsyncCall::of(&SLOT).is_none() && AsyncCall::of(&SLOT).is_none());
        let mut call = machine.call_async_by(&mut by, 1, || 7);
        assert!(poll(&mut call, &waker).is_pending());
        let _ = flush(1);
        assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(7))));
        assert_eq!(wakes.get(), round);
    }
    assert_eq!(
        format!("{:?}", AsyncCall::of(&SLOT).unwrap()),
        "AsyncCall { slot: AwaitedSlot { pending: false, .. } }"
    );
}

#[test]
fn p11_a_panic_is_the_callers_and_the_slot_goes_on() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    for (divisor, expected) in [(0_u32, None), (3, Some(4))] {
        let mut call = machine.call_async_by(&mut by, 1, move || {
            12_u32.checked_div(divisor).unwrap_or_else(|| panic!("meant"))
        });
        assert!(poll(&mut call, &waker).is_pending());
        let _ = flush(1);
        match poll(&mut call, &waker) {
            Poll::Ready(Err(AsyncCallError::Panicked(panic))) => {
                assert_eq!((panic.downcast_ref::<&str>().copied(), expected), (Some("meant"), None));
            }
            other => assert_eq!(other.map(Result::ok), Poll::Ready(expected)),
        }
    }
    assert_eq!((wakes.get(), machine.platform().caught.get()), (2, 0));
}

#[test]
fn p8_refused_the_function_is_dropped_on_the_caller_and_nothing_is_queued() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    let mut ask = |cpu: u32| {
        let held = Tracked(1);
        let function = move || {
            let _held = held;
            log(99);
        };
        on(0, || poll(&mut machine.call_async_by(&mut by, cpu, function), &waker))
    };
    assert!(matches!(ask(3), Poll::Ready(Err(AsyncCallError::Offline))));
    assert!(matches!(ask(9), Poll::Ready(Err(AsyncCallError::NoSuchCpu))));
    // Refused at the push, after the claim.
    machine.platform().on_save.replace(Some(Box::new(|| _ = on(1, || crate::port::machine().offline()))));
    assert!(matches!(ask(1), Poll::Ready(Err(AsyncCallError::Offline))));
    assert_eq!((logged(), rings(), wakes.get()), (vec![11; 3], vec![], 0));
    let _ = on(1, || pinned(&machine).online()).unwrap();
    assert!(ask(1).is_pending());
    assert_eq!(logged(), [11], "its future was dropped when it was queued");
    let _ = flush(1);
    assert_eq!(logged(), []);
}

#[test]
fn p8_what_was_accepted_runs_when_its_cpu_goes_offline() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut call = machine.call_async(1, || 5);
    assert!(poll(&mut call, &waker).is_pending());
    on(1, || machine.offline()).unwrap();
    assert_eq!(wakes.get(), 1);
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(5))));
}

#[test]
fn a_call_to_ones_own_cpu_runs_at_its_next_flush() {
    let machine = start(1);
    let (wakes, waker) = waker();
    let mut call = machine.call_async(0, || on(0, || 6));
    assert!(on(0, || poll(&mut call, &waker)).is_pending());
    assert_eq!((rings(), wakes.get()), (vec![0], 0));
    let _ = flush(0);
    assert_eq!(wakes.get(), 1);
    assert!(matches!(on(0, || poll(&mut call, &waker)), Poll::Ready(Ok(6))));
}

#[test]
fn p10_a_function_may_make_a_call_and_leave_it_to_others() {
    let machine = start(2);
    let (wakes, waker) = waker();
    let mut call = lasting(&machine).call_async(1, || 8);
    let (done, from_inside) = (Rc::new(RefCell::new(None)), waker.clone());
    let keep = Rc::clone(&done);
    set_hook(move || {
        assert!(poll(&mut call, &from_inside).is_pending());
        keep.replace(Some(call));
    });
    assert_eq!(on(0, || machine.call(0, run_hook)), Ok(()));
    let _ = flush(1);
    assert_eq!(wakes.get(), 1);
    let mut call = done.take().expect("it was made");
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(8))));
}

#[test]
fn a_slot_is_used_on_two_machines_one_after_the_other() {
    let first = start(2);
    let second: Rc<Machine> =
        Rc::new(Machine::new(crate::port::Toy::new(), [const { PerCpu::new() }; crate::port::CPUS]));
    second.platform().cpu.set(Some(1));
    let _ = pinned(&second).online().unwrap();
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    for round in 0..4_u32 {
        let target = if round % 2 == 0 { &first } else { &second };
        let mut call = target.call_async_by(&mut by, 1, move || round);
        assert!(poll(&mut call, &waker).is_pending());
        if round % 2 == 0 {
            let _ = flush(1);
        } else {
            let _ = second.flush(smpcall::Budget::DEFAULT);
        }
        assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(at)) if at == round));
    }
    assert_eq!(wakes.get(), 4);
}

#[test]
fn deadlines() {
    let machine = start(2);
    let now = |ns: u64| machine.platform().now_ns.set(ns);
    let (wakes, waker) = waker();
    let mut by = AsyncCall::new();
    let tracked = |number: u32| {
        let held = Tracked(number);
        move || {
            let _held = &held;
            log(99);
        }
    };
    now(100);
    // In the past.
    let mut call = machine.call_async_by(&mut by, 1, tracked(1)).before(100);
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Err(AsyncCallError::TimedOut))));
    assert_eq!((rings(), logged()), (vec![], vec![1]));
    drop(call);
    // The target comes too late: the function is dropped by its owner.
    let mut call = machine.call_async_by(&mut by, 1, tracked(2)).before(200);
    assert!(poll(&mut call, &waker).is_pending());
    now(200);
    let _ = flush(1);
    assert_eq!((wakes.get(), logged()), (1, vec![]));
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Err(AsyncCallError::TimedOut))));
    assert_eq!(logged(), [2]);
    drop(call);
    // Somebody polls, and the target has not come to it.
    let mut call = machine.call_async_by(&mut by, 1, tracked(3)).before(300);
    assert!(poll(&mut call, &waker).is_pending());
    now(300);
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Err(AsyncCallError::TimedOut))));
    assert_eq!(logged(), [3]);
    drop(call);
    let _ = flush(1);
    assert_eq!((wakes.get(), logged()), (1, vec![]), "nobody awaits it");
    // In time.
    let mut call = machine.call_async_by(&mut by, 1, tracked(4)).before(400);
    assert!(poll(&mut call, &waker).is_pending());
    let _ = flush(1);
    now(500);
    assert!(matches!(poll(&mut call, &waker), Poll::Ready(Ok(()))));
    assert_eq!(logged(), [99, 24]);
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn polled_after_it_was_ready() {
    let machine = start(1);
    let (_, waker) = waker();
    let mut call = machine.call_async(3, || ());
    assert!(poll(&mut call, &waker).is_ready());
    let _ = poll(&mut call, &waker);
}
