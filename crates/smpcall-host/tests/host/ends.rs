//! P8: how a machine ends, by whomever and whenever.

use crate::site::{Count, Flag, IDLES, Site, Witness, bounded, counted, cyclic, eventually, hold};
use smpcall_host::smpcall::{CallError, Coalesced, PostError, Posted};
use smpcall_host::{Machine, ShutdownError};
use std::sync::{Arc, Barrier};
use std::thread;

const OFFLINE: PostError = PostError::Offline { coalesced: Coalesced::No };

#[test]
fn p8_what_was_accepted_has_run_when_the_shutdown_returns() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(2, idle);
        let runs = Arc::new(Count::default());
        // More than a flush runs at a time.
        let csds: Vec<_> = (0..700)
            .map(|_| {
                let runs = Arc::clone(&runs);
                counted(move || _ = runs.up())
            })
            .collect();
        let held = [hold(&site, 0), hold(&site, 1)];
        (0..).zip(&csds).for_each(|(nth, csd)| _ = site.post(nth % 2, csd).unwrap());
        assert_eq!(runs.get(), 0);
        thread::scope(|scope| {
            let ends = scope.spawn(|| site.shutdown());
            let calls = [0, 1].map(|cpu| {
                scope.spawn({
                    let site = &site;
                    move || site.call(cpu, || cpu)
                })
            });
            drop(held);
            assert_eq!(ends.join().unwrap(), Ok(()));
            assert_eq!(runs.get(), 700);
            for (cpu, call) in (0..).zip(calls) {
                let answer = call.join().unwrap();
                assert!(answer == Ok(cpu) || answer == Err(CallError::Offline), "{answer:?}");
            }
        });
        assert!(csds.iter().all(|csd| !csd.is_pending() && Arc::strong_count(csd) == 1));
    }
}

#[test]
fn p8_shutting_down_twice_and_from_many_threads_at_once() {
    let _bounded = bounded();
    for idle in IDLES {
        let (builder, witness) = Witness::new(Machine::builder().owned(3).attachable(1).idle(idle));
        let machine = builder.build().unwrap();
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(machine.shutdown(), Ok(()));
                    // Whoever was second has waited for the threads as well.
                    assert_eq!([0, 1, 2].map(|cpu| machine.is_online_racy(cpu)), [false; 3]);
                });
            }
        });
        assert_eq!(machine.shutdown(), Ok(()));
        assert!(!witness.is_gone());
        drop(machine);
        assert!(witness.is_gone());
    }
}

#[test]
fn p8_a_machine_that_is_dropped_has_run_everything_and_ended_its_threads() {
    let _bounded = bounded();
    for idle in IDLES {
        let (builder, witness) = Witness::new(Machine::builder().owned(2).idle(idle));
        let machine = builder.build().unwrap();
        let runs = Arc::new(Count::default());
        for nth in 0..100 {
            let runs = Arc::clone(&runs);
            machine.post(nth % 2, &counted(move || _ = runs.up())).unwrap();
        }
        drop(machine);
        assert_eq!((runs.get(), witness.is_gone(), Arc::strong_count(&runs)), (100, true, 1));
    }
}

#[test]
fn p8_an_attached_thread_shuts_the_machine_down_and_stays_a_cpu() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(2).attachable(1));
    let mut here = site.attach(2).unwrap();
    assert_eq!(site.shutdown(), Ok(()));
    assert_eq!(site.call(0, || ()), Err(CallError::Offline));
    let csd = counted(|| ());
    assert_eq!(site.post(2, &csd), Ok(Posted::Queued));
    assert_eq!(here.park(None), 1);
    // From inside a function of its own as well: it is not one of the threads that end.
    assert_eq!(site.call(2, || site.shutdown()), Ok(Ok(())));
    drop(here);
    assert_eq!(site.post(2, &csd), Err(OFFLINE));
}

#[test]
fn p8_an_own_thread_can_tell_the_machine_to_end_but_not_wait_for_it() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(2, idle);
        assert_eq!(site.call(1, || site.shutdown()), Ok(Err(ShutdownError::OwnThread)));
        eventually(|| !site.is_online_racy(0) && !site.is_online_racy(1));
        assert_eq!(site.call(0, || ()), Err(CallError::Offline));
        assert_eq!(site.shutdown(), Ok(()), "the others can still wait for it");
    }
}

#[test]
fn p8_own_threads_and_others_shut_down_at_the_same_time() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(2, idle);
        let handle = site.handle();
        let inside = Arc::new(Flag::default());
        let ends = {
            let inside = Arc::clone(&inside);
            counted(move || {
                inside.set();
                // By now the other one may be waiting for this thread.
                thread::sleep(std::time::Duration::from_millis(1));
                assert_eq!(handle.shutdown(), Err(ShutdownError::OwnThread));
            })
        };
        site.post(0, &ends).unwrap();
        inside.wait();
        assert_eq!(site.shutdown(), Ok(()));
        assert_eq!(site.counts().panics, 0);
    }
}

#[test]
fn p8_functions_that_run_last_are_refused_by_their_own_cpu() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(1, idle);
        let (handle, last) = (site.handle(), Arc::new(Flag::default()));
        let told = Arc::clone(&last);
        // Posts itself while its CPU is online, so that one run of it is among those that going offline runs.
        let csd = cyclic(|itself| {
            move || {
                let itself = itself.upgrade().expect("a run holds a count");
                if handle.is_online_racy(0) {
                    assert_eq!(handle.post(0, &itself), Ok(Posted::Queued));
                } else {
                    assert_eq!(handle.post(0, &itself), Err(OFFLINE));
                    assert_eq!(handle.call(0, || 3), Ok(3), "a self call is part of the function");
                    told.set();
                }
            }
        });
        site.post(0, &csd).unwrap();
        site.shutdown().unwrap();
        assert!(last.is_set());
        assert_eq!(site.counts().panics, 0);
    }
}
