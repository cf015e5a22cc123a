//! P9: no post, call, wait, cancel or flush allocates, on either side. One test, alone in its program, since the
//! allocator counts for all threads: between two looks at the count nothing else may be going on.

use smpcall_host::smpcall::{
    AsyncCall, AsyncCallError, AwaitedSlot, Budget, CallError, Cancel, Coalesced, CpuSet, Csd, DETACHED_MAX,
    DetachedError, Flushed, Platform, PostError, Posted, To, WaitError,
};
use smpcall_host::{CpuBound, Idle, Machine};
use std::alloc::{GlobalAlloc, Layout, System};
use std::any::Any;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

type Panic = Box<dyn Any + Send>;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator, with a count beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // Freeing counts as well: it takes the allocator's lock.
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static RUNS: AtomicU32 = AtomicU32::new(0);
static HOLDS: AtomicBool = AtomicBool::new(false);
static HIT: Csd<fn()> = Csd::new(hit);
static LAZY: Csd<fn()> = Csd::new(hit);
static CHAIN: [Csd<fn()>; 4] = [const { Csd::new(|| ()) }; 4];
static HOLD: Csd<fn()> = Csd::new(|| {
    HOLDS.store(true, Ordering::Release);
    while HOLDS.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
});

fn hit() {
    RUNS.fetch_add(1, Ordering::Relaxed);
}

/// Holds CPU 0 while `f` runs.
fn with_held(machine: &Machine, f: impl FnOnce()) {
    machine.post(0, &HOLD).unwrap();
    while !HOLDS.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    f();
    HOLDS.store(false, Ordering::Release);
    machine.wait(&HOLD).unwrap();
}

/// Everything that a caller can do, the answers Busy, Offline and so on included.
fn call_and_post(machine: &Machine, counted: &Arc<Csd<impl Fn() + Send + Sync + 'static>>) {
    assert_eq!(machine.call(0, || 3), Ok(3));
    // Longer than anybody spins: the caller sleeps and is woken.
    assert_eq!(machine.call(0, || std::thread::sleep(Duration::from_micros(300))), Ok(()));
    let mask: CpuSet<1> = [0, 2].into_iter().collect();
    assert_eq!(machine.call_nearest(&mask, || 3), Ok(3));
    assert_eq!(machine.call_many(To::All, || ()).map(|reached| reached.ran > 0), Ok(true));
    assert_eq!(machine.post_many(To::Mask(&mask), || ()).map(|reached| reached.ran), Ok(1));
    assert_eq!(machine.call(2, || ()), Err(CallError::Offline));
    assert_eq!(machine.call(9, || ()), Err(CallError::NoSuchCpu));
    assert_eq!(machine.call(0, || machine.call(1, || ())), Ok(Err(CallError::WouldDeadlock)));
    assert_eq!(machine.call_blocking(0, || machine.call_blocking(0, || 3)), Ok(Ok(3)));
    assert_eq!(machine.call_blocking(0, || std::thread::sleep(Duration::from_micros(300))), Ok(()));
    assert_eq!(machine.call_blocking(2, || ()), Err(CallError::Offline));
    with_held(machine, || {
        assert_eq!(machine.post(0, &HIT), Ok(Posted::Queued));
        assert_eq!(machine.post(0, &HIT), Ok(Posted::Busy { cpu: 0 }));
        assert_eq!(machine.post_lazy(0, &LAZY), Ok(Posted::Queued));
        assert_eq!(machine.post_lazy(0, &LAZY), Ok(Posted::Busy { cpu: 0 }));
        assert_eq!(machine.post(0, &LAZY), Ok(Posted::Busy { cpu: 0 }));
        for _ in 0..DETACHED_MAX {
            assert_eq!(machine.post_detached(0, hit), Ok(()));
        }
        assert_eq!(machine.post_detached(0, hit), Err(DetachedError::Full));
        assert_eq!(machine.post(0, counted), Ok(Posted::Queued));
        assert_eq!(machine.post(0, counted), Ok(Posted::Busy { cpu: 0 }));
        assert_eq!(machine.post_all(0, &CHAIN).map(|chain| chain.queued), Ok(4));
        assert_eq!(CHAIN[0].cancel(), Cancel::Removed { coalesced: Coalesced::No });
        let deadline_ns = machine.platform().now_ns() + 300_000;
        assert!(matches!(machine.wait_until(&HIT, deadline_ns), Err(WaitError::TimedOut(_))));
    });
    machine.wait(&HIT).unwrap();
    machine.wait(&LAZY).unwrap();
    assert_eq!(machine.post_lazy(0, &LAZY), Ok(Posted::Queued));
    machine.wait(&LAZY).unwrap();
    assert_eq!(machine.post_lazy(2, &LAZY), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!(machine.post_detached(2, hit), Err(DetachedError::Offline));
    machine.wait(counted).unwrap();
    CHAIN.iter().for_each(|csd| machine.wait(csd).unwrap());
    assert_eq!(machine.post(2, &HIT), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!(machine.post(9, &HIT), Err(PostError::NoSuchCpu));
    await_calls(machine);
}

static SLOT: AwaitedSlot<fn() -> u32, u32, Panic> = AwaitedSlot::new();

/// A call that is awaited, one that is dropped when it is queued, and one that awaits its slot; by a static slot.
fn await_calls(machine: &Machine) {
    let mut by = AsyncCall::of(&SLOT).expect("nobody else has it");
    assert_eq!(poll_until_ready(machine.call_async_by(&mut by, 0, || 3)).ok(), Some(3));
    with_held(machine, || {
        let mut dropped = machine.call_async_by(&mut by, 0, || 3);
        assert!(Pin::new(&mut dropped).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    assert_eq!(poll_until_ready(machine.call_async_by(&mut by, 0, || 4)).ok(), Some(4));
    let offline = poll_until_ready(machine.call_async_by(&mut by, 2, || 3));
    assert!(matches!(offline, Err(AsyncCallError::Offline)));
}

fn poll_until_ready<F: Future + Unpin>(mut future: F) -> F::Output {
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// Everything that an attached CPU does with its queue.
fn poll_and_park(machine: &Machine, here: &mut smpcall_host::Attached<'_>) {
    let two = Budget::calls(NonZeroU32::new(2).unwrap());
    assert_eq!(machine.post_all(1, &CHAIN).map(|chain| chain.queued), Ok(4));
    assert_eq!(here.poll(two), Flushed::More(2));
    assert_eq!(here.park(None), 2);
    here.poll_begin();
    machine.post(1, &HIT).unwrap();
    assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(1));
    assert_eq!(here.park(Some(Duration::from_micros(50))), 0);
    machine.post(1, &HIT).unwrap();
    machine.wait(&HIT).unwrap();
    assert_eq!(machine.call_blocking(1, || 3), Ok(3));
    assert_eq!(machine.call_blocking(0, || machine.call_blocking(1, || 3)), Ok(Ok(3)));
}

fn allocations_of<R>(f: impl FnOnce() -> R) -> (u64, R) {
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    let result = f();
    (ALLOCATIONS.load(Ordering::SeqCst) - before, result)
}

/// What is one allocation, and says so: a bound value, whose drop is posted by what that has made; and a future on another CPU.
fn make_and_post(machine: &Machine) {
    let (made, bound) = allocations_of(|| machine.call(0, || CpuBound::new(machine, 3).ok()));
    let bound = bound.unwrap().expect("CPU 0 is a CPU");
    assert_eq!(made, 1, "a bound value");
    with_held(machine, || assert_eq!(allocations_of(|| drop(bound)).0, 0, "its drop elsewhere"));
    with_held(machine, || {
        let (made, spawned) = allocations_of(|| machine.spawn_on(0, || async { 3 }));
        assert_eq!(made, 1, "a future on another CPU");
        drop(spawned);
    });
    // Both are freed there: the first call may run before what was posted, of the same batch; the second runs after it.
    (0..2).for_each(|_| machine.call(0, || ()).unwrap());
}

#[test]
fn p9_nothing_allocates() {
    let counted = Arc::new(Csd::new(|| _ = RUNS.fetch_add(1, Ordering::Relaxed)));
    for idle in [Idle::Sleep, Idle::PollThenSleep(Duration::from_micros(20)), Idle::Poll] {
        let machine = Machine::builder().owned(1).attachable(2).idle(idle).build().unwrap();
        let calls = |rounds| (0..rounds).for_each(|_| call_and_post(&machine, &counted));
        // The first call of a thread takes its doorbell.
        calls(1);
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        calls(20);
        assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 0, "a thread that only calls, {idle:?}");

        make_and_post(&machine);

        let mut here = machine.attach(1).unwrap();
        let mut serves = |rounds| {
            (0..rounds).for_each(|_| {
                call_and_post(&machine, &counted);
                poll_and_park(&machine, &mut here);
            });
        };
        serves(1);
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        serves(20);
        assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 0, "an attached thread, {idle:?}");
    }
    // The count counts: without this, the zeros above would say nothing.
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 2);
}
