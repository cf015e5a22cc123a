//! Calls that may block, lazy posts and detached calls between real threads.

use crate::site::{Count, Flag, IDLES, Site, beside, bounded, counted, eventually, hold, rounds, sites};
use smpcall_host::smpcall::{
    Budget, CallError, CallStall, Coalesced, DetachedError, Flushed, Phase, Platform, PostError, Posted,
};
use smpcall_host::{AttachError, Attached, Idle, Machine};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn p10_functions_that_sleep_lock_and_call_one_another() {
    let _bounded = bounded();
    for site in sites() {
        let (cpus, sum) = (site.cpus_len(), Mutex::new(0));
        let caller = |number: u32| {
            for round in 0..rounds(60) {
                let (first, then) = ((number + round) % cpus, (number + round * 3 + 1) % cpus);
                let result = site.call_blocking(first, || {
                    if round % 16 == 0 {
                        thread::sleep(Duration::from_micros(50));
                    }
                    // In thread context any wait is allowed, that for its own CPU's next blocking call included.
                    let inner = site.call_blocking(then, || site.platform().current_cpu());
                    let called = site.call(then, || site.platform().current_cpu());
                    *sum.lock().unwrap() += 1;
                    (site.platform().current_cpu(), inner, called)
                });
                assert_eq!(result, Ok((Some(first), Ok(Some(then)), Ok(Some(then)))));
            }
        };
        thread::scope(|scope| (0..3).for_each(|number| _ = scope.spawn(move || caller(number))));
        assert_eq!(*sum.lock().unwrap(), 3 * rounds(60));
    }
}

#[test]
fn p10_attached_threads_call_each_other() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(2));
    let done = [Flag::default(), Flag::default()];
    let thread_of = |cpu: u32| {
        let mut here = site.attach(cpu).unwrap();
        eventually(|| site.is_online_racy(1 - cpu));
        for round in 0..rounds(300) {
            assert_eq!(
                site.call_blocking(1 - cpu, || (site.platform().current_cpu(), round)),
                Ok((Some(1 - cpu), round))
            );
        }
        done[cpu as usize].set();
        while !done[1 - cpu as usize].is_set() {
            here.park(Some(Duration::from_millis(1)));
        }
    };
    beside(|| thread_of(1), || thread_of(0));
}

/// Runs what is queued for the calling CPU, 0, and leaves what may block: a wait for a csd does.
fn flush_alone(machine: &Machine) {
    let csd = counted(|| ());
    machine.post(0, &csd).unwrap();
    machine.wait(&csd).unwrap();
}

#[test]
fn p7_a_sleeping_cpu_wakes_for_one_however_its_thread_looks() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(1, idle);
        for _ in 0..rounds(50) {
            thread::sleep(Duration::from_micros(40));
            assert_eq!(site.call_blocking(0, || 3), Ok(3));
        }
    }
    let site = Site::new(Machine::builder().attachable(1));
    let end = Flag::default();
    let cpu = || {
        let mut here = site.attach(0).unwrap();
        while !end.is_set() {
            // Flushed by a wait; the park must not sleep over what that leaves.
            flush_alone(&site);
            here.park(None);
        }
    };
    beside(cpu, || {
        eventually(|| site.is_online_racy(0));
        for _ in 0..rounds(200) {
            assert_eq!(site.call_blocking(0, || 3), Ok(3));
        }
        end.set();
        site.platform().ring(0).unwrap();
    });
}

#[test]
fn p8_a_shutdown_answers_everybody() {
    let _bounded = bounded();
    for idle in IDLES {
        for _ in 0..rounds(20) {
            let (site, ran, answered) = (Site::owned(2, idle), Count::new(), Count::new());
            thread::scope(|scope| {
                for cpu in [0, 1, 0] {
                    let (site, ran, answered) = (&site, &ran, &answered);
                    scope.spawn(move || {
                        loop {
                            match site.call_blocking(cpu, || _ = ran.up()) {
                                Ok(()) => _ = answered.up(),
                                other => break assert_eq!(other, Err(CallError::Offline)),
                            }
                        }
                    });
                }
                eventually(|| answered.get() > 10);
                site.shutdown().unwrap();
            });
            assert_eq!(ran.get(), answered.get());
        }
    }
}

#[test]
fn p8_a_thread_that_detaches_runs_what_it_has_taken() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach(0).unwrap();
    thread::scope(|scope| {
        let caller = scope.spawn(|| site.call_blocking(0, || thread::current().id()));
        // It is in no queue, and yet there is work: it was taken.
        eventually(|| {
            flush_alone(&site);
            here.handle().begin_sleep().is_err() && !here.handle().has_work()
        });
        assert!(!caller.is_finished());
        drop(here);
        assert_eq!(caller.join().unwrap(), Ok(thread::current().id()));
    });
    assert_eq!(site.call_blocking(0, || ()), Err(CallError::Offline));
}

#[test]
fn p10_a_thread_that_does_not_come_to_it_is_named() {
    let _bounded = bounded();
    let phases = Arc::new(Mutex::new(Vec::new()));
    let reports = Arc::clone(&phases);
    let on_call_stall = move |stall: &CallStall| reports.lock().unwrap().push(stall.phase);
    let site = Site::new(
        Machine::builder().attachable(1).stall_timeout(Duration::from_millis(5)).on_call_stall(on_call_stall),
    );
    let mut here = site.attach(0).unwrap();
    let seen = |phase| eventually(|| phases.lock().unwrap().contains(&phase));
    thread::scope(|scope| {
        let caller = scope.spawn(|| site.call_blocking(0, || seen(Phase::Running)));
        seen(Phase::Queued);
        flush_alone(&site);
        seen(Phase::Dequeued);
        assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(0));
        assert_eq!(caller.join().unwrap(), Ok(()));
    });
}

#[test]
fn p11_its_panic_is_the_callers_and_the_cpu_goes_on() {
    let _bounded = bounded();
    let site = Site::owned(2, Idle::Sleep);
    for number in 0..rounds(20) {
        let calls = || site.call_blocking(number % 2, || -> u32 { resume_unwind(Box::new(number)) });
        let panic = catch_unwind(AssertUnwindSafe(calls)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&number));
        assert_eq!(site.call_blocking(number % 2, || 5), Ok(5));
    }
    assert_eq!(site.counts().panics, 0);
}

#[test]
fn p1_lazy_posts_wake_nobody_and_come_with_whatever_does() {
    let _bounded = bounded();
    for idle in [Idle::Sleep, Idle::PollThenSleep(Duration::from_micros(20))] {
        let site = Site::owned(1, idle);
        let runs = Arc::new(Count::new());
        let count = Arc::clone(&runs);
        let csd = counted(move || _ = count.up());
        for round in 0..rounds(50) {
            let rings = site.counts().rings;
            assert_eq!(site.post_lazy(0, &csd), Ok(Posted::Queued));
            assert_eq!(site.counts().rings, rings);
            match round % 3 {
                0 => assert_eq!(site.call(0, || ()), Ok(())),
                1 => assert!(matches!(site.post(0, &csd), Ok(Posted::Queued) | Ok(Posted::Busy { cpu: 0 }))),
                _ => {}
            }
            site.wait(&csd).unwrap();
            assert!(runs.get() > round && !csd.is_pending());
        }
        site.shutdown().unwrap();
        assert_eq!(site.post_lazy(0, &csd), Err(PostError::Offline { coalesced: Coalesced::No }));
    }
}

#[test]
fn p1_detached_calls_of_many_threads_each_run_once_or_are_refused() {
    static RAN: Count = Count::new();
    let _bounded = bounded();
    for site in sites() {
        let (before, accepted) = (RAN.get(), Count::new());
        thread::scope(|scope| {
            for number in 0..3 {
                let (site, accepted) = (&site, &accepted);
                scope.spawn(move || {
                    for round in 0..rounds(2000) {
                        match site.post_detached((number + round) % site.cpus_len(), || _ = RAN.up()) {
                            Ok(()) => _ = accepted.up(),
                            other => assert_eq!(other, Err(DetachedError::Full)),
                        }
                    }
                });
            }
        });
        assert!(accepted.get() > 0);
        site.shutdown().unwrap();
        assert_eq!(RAN.get() - before, accepted.get());
    }
}

#[test]
fn p11_a_detached_panic_is_counted() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let held = hold(&site, 0);
    site.post_detached(0, || resume_unwind(Box::new(1))).unwrap();
    drop(held);
    eventually(|| site.counts().panics == 1);
    assert_eq!(site.call(0, || 5), Ok(5));
}

thread_local! {
    static HERE: RefCell<Option<Attached<'static>>> = const { RefCell::new(None) };
}

#[test]
fn p11_a_thread_does_not_stop_being_a_cpu_inside_a_function_that_may_block() {
    let _bounded = bounded();
    // The machine outlives its handle in the thread's storage.
    let machine: &'static Machine =
        Box::leak(Box::new(Machine::builder().owned(1).attachable(1).build().unwrap()));
    let [out, go, end] = [(); 3].map(|()| &*Box::leak(Box::new(Flag::default())));
    let cpu = thread::spawn(move || {
        HERE.set(Some(machine.attach(1).unwrap()));
        // Who waits serves, and needs no handle for it.
        machine.call_blocking(0, || end.wait())
    });
    eventually(|| machine.is_online_racy(1));
    let inside = thread::spawn(move || {
        let leaves = move || {
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(HERE.take())));
            out.set();
            go.wait();
            dropped.is_err()
        };
        machine.call_blocking(1, leaves)
    });
    out.wait();
    // A second thread that were CPU 1 would run what is queued for the first.
    assert!(matches!(machine.attach(1), Err(AttachError::Taken)));
    let ran = thread::spawn(move || machine.call_blocking(1, || thread::current().id()));
    go.set();
    let thread = cpu.thread().id();
    assert_eq!(inside.join().unwrap(), Ok(true), "it is refused");
    assert_eq!(ran.join().unwrap(), Ok(thread), "it runs in the thread that is the CPU");
    end.set();
    assert_eq!(cpu.join().unwrap(), Ok(()));
}
