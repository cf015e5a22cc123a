//! Machines on one core: whoever waits must let the other run.

use crate::site::{Count, IDLES, Site, bounded, counted, eventually, rounds};
use smpcall_host::smpcall::{Budget, Flushed, Platform, Posted};
use smpcall_host::{Cores, Idle, Machine, allowed_cores, pin_this_thread};
use std::sync::Arc;
use std::thread;

fn first_core() -> usize {
    allowed_cores()[0]
}

/// Runs `f` in a thread that is kept on one core, as are those that it starts.
fn on_one_core(f: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            pin_this_thread(first_core()).unwrap();
            assert_eq!(allowed_cores().len(), 1);
            f();
        });
    });
}

#[test]
fn one_owned_cpu_and_callers_from_outside() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(1, idle);
        let ran = Count::default();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..rounds(500)).for_each(|_| site.call(0, || _ = ran.up()).unwrap()));
            }
        });
        assert_eq!(ran.get(), 3 * rounds(500));
        assert_eq!(
            site.call(0, || site.call(0, || site.post(0, &counted(|| ())))),
            Ok(Ok(Ok(Posted::Queued)))
        );
    }
}

#[test]
fn one_attached_cpu_posts_to_itself_and_calls_itself() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach(0).unwrap();
    let runs = Arc::new(Count::default());
    let csd = {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    for round in 0..rounds(500) {
        site.post(0, &csd).unwrap();
        assert_eq!(runs.get(), 3 * round, "not on the spot");
        assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(1));
        site.post(0, &csd).unwrap();
        assert_eq!(site.wait(&csd), Ok(()), "which it has to run itself");
        site.post(0, &csd).unwrap();
        assert_eq!(here.park(None), 1);
        assert_eq!(site.call(0, || site.platform().current_cpu()), Ok(Some(0)));
    }
}

#[test]
fn several_cpus_on_one_core() {
    let _bounded = bounded();
    for cpus in [2, 8] {
        for idle in IDLES {
            // Threads that poll for ever give up their core only when their time is over.
            let calls = if idle == Idle::Poll { 5 } else { rounds(300) };
            let cores = Cores::These(vec![first_core()]);
            let site = Site::new(Machine::builder().owned(cpus).idle(idle).cores(cores));
            for call in 0..calls {
                for cpu in 0..site.cpus_len() {
                    assert_eq!(site.call(cpu, || (call, cpu)), Ok((call, cpu)));
                }
            }
            for cpu in 0..site.cpus_len() {
                assert_eq!(site.call(cpu, allowed_cores), Ok(vec![first_core()]));
            }
        }
    }
}

#[test]
fn a_whole_process_on_one_core() {
    let _bounded = bounded();
    on_one_core(|| {
        for cores in [Cores::Spread, Cores::Unpinned, Cores::These(vec![first_core(); 3])] {
            let site = Site::new(Machine::builder().owned(2).attachable(1).cores(cores));
            let _here = site.attach(2).unwrap();
            let runs = Arc::new(Count::default());
            let csd = {
                let runs = Arc::clone(&runs);
                counted(move || _ = runs.up())
            };
            for round in 1..=rounds(500) {
                for cpu in 0..2 {
                    assert_eq!(site.call(cpu, || round), Ok(round));
                }
                site.post(round % 2, &csd).unwrap();
                site.wait(&csd).unwrap();
                assert_eq!(runs.get(), round);
            }
            thread::scope(|scope| {
                let outside = scope.spawn(|| (0..rounds(500)).all(|n| site.call(n % 2, || n) == Ok(n)));
                eventually(|| outside.is_finished());
                assert!(outside.join().unwrap());
            });
        }
    });
}
