//! P11: a panic in a function reaches whoever waits, or is counted, and its CPU goes on.

use crate::site::{Count, IDLES, Site, bounded, counted, hold};
use smpcall_host::smpcall::{Budget, To};
use smpcall_host::{Idle, Machine};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};

/// Unwinds as a panic does, without a message on standard error.
fn throw(payload: impl Any + Send) -> ! {
    resume_unwind(Box::new(payload))
}

/// Unwinds when it is dropped, unless that is happening already.
struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            throw("bad");
        }
    }
}

fn thrown<R>(f: impl FnOnce() -> R) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("nothing was thrown"),
        Err(payload) => payload,
    }
}

#[test]
fn p11_a_panic_comes_back_to_its_caller_with_what_was_thrown() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(2, idle);
        for round in 0..50_u64 {
            let payload = thrown(|| site.call(1, || throw(round)));
            assert_eq!(payload.downcast_ref(), Some(&round));
            assert_eq!(site.call(1, || round), Ok(round));
        }
        assert_eq!(site.counts().panics, 0, "somebody waited for each");
    }
}

#[test]
fn p11_what_a_call_captured_may_throw_when_it_is_dropped() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let bad = Bad;
    let payload = thrown(|| site.call(0, move || drop(bad)));
    assert_eq!(payload.downcast_ref(), Some(&"bad"));
    // Not mentioned in the function, but taken along and dropped with it.
    let bad = Bad;
    let payload = thrown(|| {
        site.call(0, move || {
            let _taken_along = &bad;
        })
    });
    assert_eq!(payload.downcast_ref(), Some(&"bad"));
    assert_eq!(site.call(0, || site.call(0, || 1)), Ok(Ok(1)));
    assert_eq!(site.counts().panics, 0);
}

#[test]
fn p11_a_panic_that_nobody_waits_for_is_counted() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(1, idle);
        let throws = counted(|| throw(1_u32));
        for round in 1..=20 {
            site.post(0, &throws).unwrap();
            site.wait(&throws).unwrap();
            // The wait ends with the run, and the count is a part of the run.
            assert_eq!(site.counts().panics, round);
        }
        assert_eq!(site.call(0, || 1), Ok(1));
    }
}

#[test]
fn p11_who_is_told_of_a_panic_finds_it_counted() {
    let _bounded = bounded();
    let (tell, told) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let handler = move |cpu, _: &(dyn Any + Send)| {
        tell.send(cpu).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
    };
    let machine = Machine::builder().owned(1).on_panic(handler).build().unwrap();
    machine.post_detached(0, || throw(1_u32)).unwrap();
    assert_eq!(told.recv(), Ok(0));
    // The handler is in there until it may go on.
    let panics = machine.counts().panics;
    go_on.send(()).unwrap();
    assert_eq!(panics, 1);
}

#[test]
fn p11_what_was_thrown_may_throw_when_it_is_dropped() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let throws = counted(|| throw(Bad));
    site.post(0, &throws).unwrap();
    site.wait(&throws).unwrap();
    assert_eq!((site.counts().panics, site.call(0, || 1)), (1, Ok(1)));
    let payload = thrown(|| site.call(0, || throw(Bad)));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(payload))).is_err(), "it is the caller's now");
    assert_eq!(site.call(0, || 2), Ok(2));
}

#[test]
fn p11_a_csd_that_throws_when_its_last_count_is_given_back() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let held = hold(&site, 0);
    let bad = Bad;
    site.post(0, &counted(move || _ = &bad)).unwrap();
    drop(held);
    assert_eq!(site.call(0, || 1), Ok(1));
    // Behind the csd in the queue, so that it has been dropped by then.
    let after = counted(|| ());
    site.post(0, &after).unwrap();
    site.wait(&after).unwrap();
    assert_eq!(site.counts().panics, 1);
}

#[test]
fn p11_what_is_queued_behind_a_panic_runs() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let runs = Arc::new(Count::default());
    let csds: Vec<_> = (0..20)
        .map(|number| {
            let runs = Arc::clone(&runs);
            counted(move || {
                runs.up();
                if number % 2 == 0 {
                    throw(number);
                }
            })
        })
        .collect();
    let held = hold(&site, 0);
    csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
    std::thread::scope(|scope| {
        let throws = scope.spawn(|| thrown(|| site.call(0, || throw(5_u8))).downcast_ref() == Some(&5_u8));
        let returns = scope.spawn(|| site.call(0, || 6_u8));
        drop(held);
        assert_eq!((throws.join().unwrap(), returns.join().unwrap()), (true, Ok(6)));
    });
    csds.iter().for_each(|csd| site.wait(csd).unwrap());
    assert_eq!((runs.get(), site.counts().panics), (20, 10));
}

#[test]
fn p11_a_panic_in_a_self_call_leaves_the_cpu_as_it_was() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(1));
    let mut here = site.attach(1).unwrap();
    assert_eq!(thrown(|| site.call(1, || throw(3_u8))).downcast_ref(), Some(&3_u8));
    assert_eq!(site.call(0, || 1), Ok(1), "waiting is allowed again");
    let runs = Arc::new(Count::default());
    let csd = {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    site.post(1, &csd).unwrap();
    assert_eq!((here.park(None), runs.get()), (1, 1), "and so is a flush");
}

#[test]
fn p11_panics_while_a_machine_ends_are_caught_too() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let csds: Vec<_> = (0..10).map(|number| counted(move || throw(number))).collect();
    let held = hold(&site, 0);
    csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
    let key = held.key();
    crate::site::beside(
        || {
            std::thread::yield_now();
            key.set();
        },
        || site.shutdown().unwrap(),
    );
    assert_eq!(site.counts().panics, 10);
}

#[test]
fn p11_a_call_may_be_tried_without_asserting_that_its_machine_survives_an_unwinding() {
    let _bounded = bounded();
    let machine = Machine::builder().owned(1).attachable(1).build().unwrap();
    let payload = catch_unwind(|| machine.call(0, || throw(7))).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&7));
    let many = catch_unwind(|| machine.call_many(To::All, || throw(8))).unwrap_err();
    assert_eq!(many.downcast_ref(), Some(&8));
    let mut here = machine.attach(1).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| here.poll(Budget::DEFAULT))).is_ok());
    assert_eq!(machine.call(0, || 5), Ok(5));
}
