//! P10: threads that only call, many of them, and those that have no doorbell of their own.

use crate::site::{Count, Site, bounded, eventually, hold, rounds};
use smpcall_host::Machine;
use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Calls when its thread ends.
struct LastCall {
    site: Arc<Machine>,
    calling: Arc<Count>,
    ran: Arc<Count>,
}

impl Drop for LastCall {
    fn drop(&mut self) {
        self.calling.up();
        // A panic here would be the process's end; who did not run is missed by the count.
        let _ = self.site.call(0, || self.ran.up());
    }
}

#[test]
fn p10_who_calls_as_its_thread_ends_and_has_no_doorbell_any_more_is_woken() {
    const CALLERS: u32 = 3;
    thread_local! {
        static LAST: RefCell<Option<LastCall>> = const { RefCell::new(None) };
    }
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(2).stall_timeout(Duration::ZERO));
    let (calling, ran) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for round in 1..=rounds(20) {
        let held = hold(&site, 0);
        let callers = [(); CALLERS as usize].map(|()| {
            let (other, calling, ran) = (site.handle(), Arc::clone(&calling), Arc::clone(&ran));
            let last = LastCall { site: site.handle(), calling, ran };
            thread::spawn(move || {
                // First of what the thread keeps, and so dropped after the doorbell that its first call takes.
                LAST.set(Some(last));
                other.call(1, || ()).expect("nobody holds that one");
            })
        });
        eventually(|| calling.get() == round * CALLERS);
        // No sleep of theirs has an end of its own: a ring that is lost hangs.
        drop(held);
        for caller in callers {
            caller.join().expect("it calls, and ends");
        }
        assert_eq!(ran.get(), round * CALLERS);
    }
}

#[test]
fn p10_more_than_a_thousand_callers_all_come_back() {
    const CALLERS: usize = 1_100;
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).stall_timeout(Duration::ZERO));
    let (ran, calling) = (Count::default(), Count::default());
    let held = hold(&site, 0);
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            let small = thread::Builder::new().stack_size(128 << 10);
            let call = || {
                calling.up();
                site.call(0, || _ = ran.up()).unwrap();
            };
            small.spawn_scoped(scope, call).expect("the system has that many threads");
        }
        eventually(|| calling.get() as usize == CALLERS);
        assert_eq!(ran.get(), 0);
        drop(held);
    });
    assert_eq!(ran.get() as usize, CALLERS);
    // And those that are free again are used again.
    assert_eq!(thread::scope(|scope| scope.spawn(|| site.call(0, || 5)).join().unwrap()), Ok(5));
}
