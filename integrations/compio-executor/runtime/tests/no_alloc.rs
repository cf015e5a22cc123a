//! A wake allocates nothing, on either side, however many there are. One test, alone in its program, since the allocator counts
//! for all threads.

use compio_executor::{Executor, ExecutorConfig};
use std::alloc::{GlobalAlloc, Layout, System};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator, with a count beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // Freeing counts as well: it takes the allocator's lock.
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TASKS: usize = 1_000;

struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_thousand_wakes_from_another_thread_allocate_nothing() {
    let bell = Arc::new(Bell(AtomicU32::new(0)));
    let config = ExecutorConfig { waker: Some(Waker::from(bell.clone())), ..Default::default() };
    let executor = Executor::with_config(config);
    let (polls, slots) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::with_capacity(TASKS))));
    for _ in 0..TASKS {
        let (polls, slots) = (polls.clone(), slots.clone());
        let mut first = true;
        let task = poll_fn(move |cx| {
            polls.fetch_add(1, SeqCst);
            if std::mem::take(&mut first) {
                slots.lock().unwrap().push(cx.waker().clone());
            }
            Poll::<()>::Pending
        });
        executor.spawn(task).detach();
    }
    while executor.tick() {}
    let wakers = std::mem::take(&mut *slots.lock().unwrap());
    let ((go, goes), (done, is_done)) = (sync_channel(0), sync_channel(0));
    let thread = thread::spawn(move || {
        while goes.recv().is_ok() {
            let before = ALLOCATIONS.load(SeqCst);
            wakers.iter().for_each(Waker::wake_by_ref);
            // Busy.
            wakers.iter().for_each(Waker::wake_by_ref);
            done.send(ALLOCATIONS.load(SeqCst) - before).unwrap();
        }
    });
    for round in 0..3 {
        let rings = bell.0.load(SeqCst);
        go.send(()).unwrap();
        let in_wakes = is_done.recv().unwrap();
        assert_eq!(bell.0.load(SeqCst) - rings, 1);
        let before = ALLOCATIONS.load(SeqCst);
        while executor.tick() {}
        let in_ticks = ALLOCATIONS.load(SeqCst) - before;
        assert_eq!(polls.load(SeqCst) as usize, TASKS * (round + 2));
        // The first round's channels allocate, on the other thread, at any time: they are warm then.
        if round > 0 {
            assert_eq!((in_wakes, in_ticks), (0, 0));
        }
    }
    drop(go);
    thread.join().unwrap();
    executor.clear();
}
