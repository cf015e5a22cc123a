//! Callers and targets on the same core, whoever put them there: found by where they run, not by what was once set.

use crate::site::{Flag, Site, bounded, eventually};
use smpcall_host::smpcall::{Budget, Platform, Topology, Tuning};
use smpcall_host::{Cores, Idle, Machine, allowed_cores, pin_this_thread, process_cores, unpin_this_thread};
use std::thread;

/// Calls that CPU until the caller takes it that it shares a core with it, or that it does not.
fn learns(site: &Site, cpu: u32, shares: bool) {
    eventually(|| {
        // An answer within the first looks teaches nothing: the caller was preempted there.
        assert_eq!(site.call(cpu, || cpu), Ok(cpu));
        (site.platform().looks_first(cpu) == 0) == shares
    });
}

#[test]
fn a_caller_that_pins_itself_to_its_targets_core_stops_looking_and_looks_again_elsewhere() {
    let _bounded = bounded();
    let all = process_cores();
    let site = Site::new(Machine::builder().owned(1).cores(Cores::These(vec![all[0]])).idle(Idle::Sleep));
    thread::scope(|scope| {
        scope.spawn(|| {
            pin_this_thread(all[0]).unwrap();
            learns(&site, 0, true);
            if let [_, other, ..] = all[..] {
                pin_this_thread(other).unwrap();
                learns(&site, 0, false);
            }
        });
    });
}

#[test]
fn a_target_that_is_moved_to_its_callers_core_is_found_there() {
    let _bounded = bounded();
    let all = process_cores();
    let last = all[all.len() - 1];
    let site = Site::new(Machine::builder().owned(1).cores(Cores::These(vec![last])).idle(Idle::Sleep));
    thread::scope(|scope| {
        scope.spawn(|| {
            pin_this_thread(all[0]).unwrap();
            learns(&site, 0, last == all[0]);
            // As taskset would, from outside.
            site.call(0, || pin_this_thread(all[0]).unwrap()).unwrap();
            learns(&site, 0, true);
            site.call(0, || pin_this_thread(last).unwrap()).unwrap();
            learns(&site, 0, last == all[0]);
        });
    });
}

#[test]
fn an_attached_thread_that_was_pinned_by_hand_is_found_too() {
    let _bounded = bounded();
    let core = process_cores()[0];
    let site = Site::new(Machine::builder().attachable(2));
    let (online, end) = (Flag::default(), Flag::default());
    let serves = || {
        pin_this_thread(core).unwrap();
        let mut here = site.attach(0).unwrap();
        online.set();
        while !end.is_set() {
            here.park(None);
        }
    };
    let calls = || {
        pin_this_thread(core).unwrap();
        let here = site.attach(1).unwrap();
        online.wait();
        learns(&site, 0, true);
        drop(here);
        end.set();
        site.platform().ring(0).unwrap();
    };
    thread::scope(|scope| {
        scope.spawn(serves);
        scope.spawn(calls);
    });
}

#[test]
fn an_attached_thread_that_polls_says_now_and_then_where_it_is() {
    let _bounded = bounded();
    let all = process_cores();
    let (first, last) = (all[0], all[all.len() - 1]);
    let site = Site::new(Machine::builder().owned(1).attachable(1).cores(Cores::These(vec![first])));
    thread::scope(|scope| {
        scope.spawn(|| {
            pin_this_thread(last).unwrap();
            let mut here = site.attach(1).unwrap();
            here.poll_begin();
            // From a thread on the first core: does it take it that CPU 1 is there?
            let mut is_beside = || {
                let calls = || {
                    assert_eq!(site.call(1, || 1), Ok(1));
                    site.platform().looks_first(1) == 0
                };
                let pinned = || pin_this_thread(first).map(|()| (0..100).any(|_| calls())).unwrap();
                thread::scope(|scope| {
                    let caller = scope.spawn(pinned);
                    while !caller.is_finished() {
                        let _ = here.poll(Budget::DEFAULT);
                        thread::yield_now();
                    }
                    caller.join().unwrap()
                })
            };
            assert!(first == last || !is_beside());
            pin_this_thread(first).unwrap();
            // It never sleeps, and tells it all the same.
            while !is_beside() {}
        });
    });
}

#[test]
fn where_cpus_are_is_seen_also_of_those_that_nobody_keeps_there() {
    let _bounded = bounded();
    let all = process_cores();
    let site = Site::new(Machine::builder().owned(1).attachable(1).cores(Cores::Unpinned).idle(Idle::Sleep));
    site.call(0, || pin_this_thread(all[0]).unwrap()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            pin_this_thread(all[0]).unwrap();
            let _here = site.attach(1).unwrap();
            learns(&site, 0, true);
            assert_eq!(site.platform().nearest(1, &mut [0].into_iter()), Some(0), "on the same core");
        });
    });
}

#[test]
fn what_a_pinned_cpu_starts_inherits_its_core_and_can_be_let_go() {
    let _bounded = bounded();
    let all = process_cores();
    let site = Site::new(Machine::builder().owned(1).cores(Cores::These(vec![all[0]])));
    let started = site.call(0, || {
        let inherits = thread::spawn(allowed_cores);
        let let_go = thread::spawn(|| unpin_this_thread().map(|()| allowed_cores()));
        (inherits, let_go)
    });
    let (inherits, let_go) = started.unwrap();
    assert_eq!(inherits.join().unwrap(), [all[0]]);
    assert_eq!(let_go.join().unwrap().unwrap(), all);
}
