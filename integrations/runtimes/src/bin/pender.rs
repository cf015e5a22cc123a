//! embassy's executor in the loop of a CPU: what wakes a task wakes the CPU, and both sleep in one place. There is no task for the CPU, and
//! a post costs no task's wake-up.
//!
//! The pender that an executor without a platform asks for is the program's: here a post to the CPU, of a csd that does nothing. A pender
//! may be called anywhere, by the executor's own `poll` too; so may a post be made, and Busy means that the CPU will come round.

use embassy_executor::raw::Executor;
use smpcall_runtimes::machine;
use std::future::poll_fn;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};
use std::thread;

use smpcall_host::smpcall::Csd;

static COME_ROUND: Csd<fn()> = Csd::new(|| ());

/// embassy calls it when the executor is to be polled; there is one executor, so the context tells nothing.
// SAFETY: it is of the type that embassy declares, and there is no other of this name: no platform's feature is on.
#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    // An error: the CPU is offline, and its loop has ended.
    let _ = machine().post(0, &COME_ROUND);
}

/// What another thread wakes, and how often.
static WAKER: OnceLock<Waker> = OnceLock::new();
static WAKES: AtomicU32 = AtomicU32::new(0);
static SEEN: AtomicU32 = AtomicU32::new(0);

const WAKES_MAX: u32 = 1_000;

/// A task that another thread wakes, by a waker that is not the CPU's business.
#[embassy_executor::task]
async fn woken() {
    poll_fn(|context| {
        let _ = WAKER.set(context.waker().clone());
        smpcall_runtimes::turn();
        // Acquire: all that came before this wake-up; pairs with the waker's store.
        let seen = WAKES.load(Ordering::Acquire);
        // Release: the turn has come, and all that it did is seen; pairs with the waker's look.
        SEEN.store(seen, Ordering::Release);
        if seen == WAKES_MAX { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn main() {
    let waker = thread::spawn(|| {
        for wakes in 1..=WAKES_MAX {
            // Release: before the wake-up; pairs with the task's load.
            WAKES.store(wakes, Ordering::Release);
            WAKER.wait().wake_by_ref();
            // Acquire: pairs with the task's store.
            while SEEN.load(Ordering::Acquire) < wakes {
                thread::yield_now();
            }
        }
    });
    // The task needs the CPU until its last wake-up: the machine ends after it.
    let woken_to_the_last = || waker.join().expect("each wake-up was seen");
    smpcall_runtimes::drive_until("embassy's pender", pendered, woken_to_the_last);
}

/// The loop of the CPU: the executor's tasks, then what was posted.
fn pendered() {
    let mut here = machine().attach(0).expect("nobody else is this CPU");
    let executor: &'static Executor = Box::leak(Box::new(Executor::new(ptr::null_mut())));
    executor.spawner().spawn(woken().expect("there is one"));
    while !machine().is_shut_down() {
        // SAFETY: nothing that it runs polls it, and the pender only posts.
        unsafe { executor.poll() };
        // Runs what was posted; sleeps if there was nothing, and the pender has not posted either.
        here.park(None);
    }
}
