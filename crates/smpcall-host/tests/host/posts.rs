//! P1, P3, P5, P6 and `cancel`, one poster at a time.

use crate::site::{Count, Flag, Site, bounded, counted, cyclic, eventually, hold, rounds, sites};
use smpcall_host::smpcall::{Cancel, Chain, Coalesced, Csd, Platform, PostError, Posted};
use smpcall_host::{Idle, Machine};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn p1_a_post_runs_once_on_the_cpu_it_named() {
    let _bounded = bounded();
    for site in sites() {
        for cpu in 0..site.cpus_len() {
            let (handle, ran_on) = (site.handle(), Arc::new(Mutex::new(Vec::new())));
            let csd = {
                let ran_on = Arc::clone(&ran_on);
                counted(move || ran_on.lock().unwrap().push(handle.platform().current_cpu()))
            };
            for _ in 0..3 {
                assert_eq!(site.post(cpu, &csd), Ok(Posted::Queued));
                site.wait(&csd).unwrap();
            }
            assert_eq!(*ran_on.lock().unwrap(), [Some(cpu); 3]);
        }
    }
}

#[test]
fn p1_every_cpu_posts_to_every_other_and_to_itself() {
    let _bounded = bounded();
    for site in sites() {
        let runs = Arc::new(Count::default());
        for from in 0..site.cpus_len() {
            for to in 0..site.cpus_len() {
                let csd = {
                    let runs = Arc::clone(&runs);
                    counted(move || _ = runs.up())
                };
                assert_eq!(site.call(from, || site.post(to, &csd)), Ok(Ok(Posted::Queued)));
                site.wait(&csd).unwrap();
            }
        }
        assert_eq!(runs.get(), site.cpus_len().pow(2));
    }
}

#[test]
fn p3_busy_names_the_cpu_to_every_poster() {
    let _bounded = bounded();
    let site = Site::owned(4, Idle::Sleep);
    let runs = Arc::new(Count::default());
    let csd = {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    let held = hold(&site, 2);
    site.post(2, &csd).unwrap();
    for to in 0..4 {
        assert_eq!(site.post(to, &csd), Ok(Posted::Busy { cpu: 2 }), "a thread that is no CPU");
        for from in [0, 1, 3] {
            assert_eq!(site.call(from, || site.post(to, &csd)), Ok(Ok(Posted::Busy { cpu: 2 })));
        }
    }
    drop(held);
    site.wait(&csd).unwrap();
    assert_eq!(runs.get(), 1);
    site.post(3, &csd).unwrap();
    site.wait(&csd).unwrap();
    assert_eq!(runs.get(), 2);
}

#[test]
fn p5_a_function_posts_itself_to_its_own_and_to_the_next_cpu() {
    let _bounded = bounded();
    for site in sites() {
        let cpus = site.cpus_len();
        for step in [0, 1] {
            let (handle, runs) = (site.handle(), Arc::new(Count::default()));
            let last = rounds(1_000);
            let csd = {
                let runs = Arc::clone(&runs);
                cyclic(|itself| {
                    move || {
                        if runs.up() < last {
                            let here = handle.platform().current_cpu().expect("functions run on CPUs");
                            let itself = itself.upgrade().expect("a run holds a count");
                            assert_eq!(
                                handle.post((here + step) % cpus, &itself),
                                Ok(Posted::Queued),
                                "free inside"
                            );
                        }
                    }
                })
            };
            site.post(0, &csd).unwrap();
            eventually(|| runs.get() == last + 1);
            assert_eq!(site.counts().panics, 0);
        }
    }
}

#[test]
fn p6_calls_of_one_sender_run_in_their_order_also_past_a_budget() {
    let _bounded = bounded();
    for site in sites() {
        // More than a flush runs at a time, the first half of it to a CPU that cannot run them yet.
        const CSDS: usize = 600;
        let order = Arc::new(Mutex::new(Vec::new()));
        let csd = |number| {
            let order = Arc::clone(&order);
            counted(move || order.lock().unwrap().push(number))
        };
        let csds: Vec<_> = (0..CSDS).map(csd).collect();
        let held = hold(&site, 1);
        let (singly, chained) = csds.split_at(CSDS / 2);
        singly.iter().for_each(|csd| _ = site.post(1, csd).unwrap());
        drop(held);
        let chain = site.post_all(1, chained).unwrap();
        assert_eq!(chain.queued as usize, chained.len());
        csds.iter().for_each(|csd| site.wait(csd).unwrap());
        assert!(order.lock().unwrap().iter().copied().eq(0..CSDS));
    }
}

#[test]
fn p6_each_senders_calls_keep_their_order_among_others() {
    let _bounded = bounded();
    const SENDERS: usize = 3;
    let site = Site::owned(2, Idle::PollThenSleep(Duration::from_micros(20)));
    let order = Arc::new(Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (site, order) = (&site, &order);
            scope.spawn(move || {
                let csd = |number| {
                    let order = Arc::clone(order);
                    counted(move || order.lock().unwrap().push((sender, number)))
                };
                let csds: Vec<_> = (0..rounds(2_000)).map(csd).collect();
                csds.iter().for_each(|csd| _ = site.post(1, csd).unwrap());
                csds.iter().for_each(|csd| site.wait(csd).unwrap());
            });
        }
    });
    let order = order.lock().unwrap();
    for sender in 0..SENDERS {
        let of_one = order.iter().filter(|entry| entry.0 == sender).map(|entry| entry.1);
        assert!(of_one.eq(0..rounds(2_000)), "sender {sender}");
    }
}

#[test]
fn p6_a_call_that_somebody_waits_for_runs_first() {
    let _bounded = bounded();
    let (queued, order) = (Arc::new(Flag::default()), Arc::new(Mutex::new(Vec::new())));
    let report = Arc::clone(&queued);
    let site = Site::new(
        Machine::builder()
            .owned(1)
            .stall_timeout(Duration::from_millis(1))
            // A report says that the call is queued: there is no other way to know.
            .on_call_stall(move |_| report.set()),
    );
    let csd = {
        let order = Arc::clone(&order);
        counted(move || order.lock().unwrap().push("posted"))
    };
    let held = hold(&site, 0);
    site.post(0, &csd).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| site.call(0, || order.lock().unwrap().push("waited for")).unwrap());
        queued.wait();
        drop(held);
    });
    site.wait(&csd).unwrap();
    assert_eq!(*order.lock().unwrap(), ["waited for", "posted"]);
}

#[test]
fn p1_a_chain_counts_what_it_queued_and_what_was_queued_before() {
    let _bounded = bounded();
    let site = Site::owned(2, Idle::Sleep);
    let runs = Arc::new(Count::default());
    let csds: Vec<_> = (0..8)
        .map(|_| {
            let runs = Arc::clone(&runs);
            counted(move || _ = runs.up())
        })
        .collect();
    let (first, second) = (hold(&site, 0), hold(&site, 1));
    csds[..3].iter().for_each(|csd| _ = site.post(0, csd).unwrap());
    assert!(matches!(csds[2].cancel(), Cancel::Removed { coalesced: Coalesced::No }));
    let Chain { queued, busy, cancelled, .. } = site.post_all(1, &csds).unwrap();
    assert_eq!((queued, busy, cancelled), (5, 2, 1));
    drop((first, second));
    csds.iter().for_each(|csd| site.wait(csd).unwrap());
    assert_eq!(runs.get(), 7, "all but the cancelled one");
}

#[test]
fn p1_a_cancelled_run_does_not_happen_and_a_revived_one_does() {
    let _bounded = bounded();
    let site = Site::owned(2, Idle::Sleep);
    let runs = Arc::new(Count::default());
    let csd = {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    let held = hold(&site, 1);
    site.post(1, &csd).unwrap();
    assert_eq!(site.post(1, &csd), Ok(Posted::Busy { cpu: 1 }));
    assert_eq!(
        csd.cancel(),
        Cancel::Removed { coalesced: Coalesced::Yes },
        "the canceller owes the second poster"
    );
    assert_eq!(csd.cancel(), Cancel::NotPending);
    assert_eq!(site.post(0, &csd), Err(PostError::Cancelled { cpu: 1 }));
    drop(held);
    // It is let go of when that CPU has flushed.
    eventually(|| site.post(0, &csd) == Ok(Posted::Queued));
    site.wait(&csd).unwrap();
    assert_eq!(runs.get(), 1);
    let held = hold(&site, 1);
    site.post(1, &csd).unwrap();
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    assert_eq!(site.post(1, &csd), Ok(Posted::Busy { cpu: 1 }), "which gives it its run back");
    drop(held);
    site.wait(&csd).unwrap();
    assert_eq!(runs.get(), 2);
}

#[test]
fn p11_a_counted_csd_lives_until_its_run_is_over() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let held = hold(&site, 0);
    let inside = Arc::new(());
    let weak = Arc::downgrade(&inside);
    site.post(0, &counted(move || _ = &inside)).unwrap();
    assert!(weak.upgrade().is_some(), "the queue holds it");
    drop(held);
    eventually(|| weak.upgrade().is_none());
}

#[test]
fn p1_a_static_csd_of_a_function_pointer() {
    static RUNS: Count = Count::new();
    static HIT: Csd<fn()> = Csd::new(|| _ = RUNS.up());
    let _bounded = bounded();
    let site = Site::owned(2, Idle::Sleep);
    for cpu in [0, 1, 0] {
        site.post(cpu, &HIT).unwrap();
        site.wait(&HIT).unwrap();
    }
    assert_eq!(RUNS.get(), 3);
}
