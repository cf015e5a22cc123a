//! P8 under load: every answer is counted against what ran.

use crate::site::{Count, IDLES, Site, bounded, counted, rounds};
use smpcall_host::smpcall::{CallError, PostError, Posted};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const CPUS: u32 = 2;

/// What one machine was asked, what it answered, and what it ran.
#[derive(Default)]
struct Books {
    posts_accepted: Count,
    posts_run: Arc<Count>,
    calls_answered: Count,
    calls_run: Count,
}

impl Books {
    /// Posts to one CPU until it is offline, and then sees that it stays that way.
    fn post_until_offline(&self, site: &Site, cpu: u32) {
        let csds: Vec<_> = (0..16)
            .map(|_| {
                let runs = Arc::clone(&self.posts_run);
                counted(move || _ = runs.up())
            })
            .collect();
        let mut refused = 0;
        for csd in csds.iter().cycle() {
            match site.post(cpu, csd) {
                Ok(Posted::Queued) => {
                    assert_eq!(refused, 0, "a CPU that was offline accepts no more");
                    self.posts_accepted.up();
                }
                Ok(Posted::Busy { .. }) => thread::yield_now(),
                Err(PostError::Offline { .. }) => refused += 1,
                other => panic!("{other:?}"),
            }
            if refused == 100 {
                break;
            }
        }
    }

    fn call_until_offline(&self, site: &Site, cpu: u32) {
        let mut refused = 0;
        while refused < 100 {
            match site.call(cpu, || _ = self.calls_run.up()) {
                Ok(()) => {
                    assert_eq!(refused, 0, "a CPU that was offline answers no more");
                    self.calls_answered.up();
                }
                Err(CallError::Offline) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    }

    fn balance(&self) {
        assert_eq!(self.posts_run.get(), self.posts_accepted.get());
        assert_eq!(self.calls_run.get(), self.calls_answered.get());
    }
}

#[test]
fn p8_each_accepted_one_runs_and_every_later_one_is_refused() {
    let _bounded = bounded();
    for idle in IDLES {
        for _ in 0..rounds(30) {
            let (site, books) = (Site::owned(CPUS as usize, idle), Books::default());
            thread::scope(|scope| {
                for cpu in 0..CPUS {
                    let (site, books) = (&site, &books);
                    scope.spawn(move || books.post_until_offline(site, cpu));
                    scope.spawn(move || books.call_until_offline(site, cpu));
                }
                while books.posts_accepted.get() < 200 || books.calls_answered.get() < 20 {
                    thread::yield_now();
                }
                site.shutdown().unwrap();
            });
            books.balance();
        }
    }
}

#[test]
fn p8_nothing_runs_after_the_shutdown_has_returned() {
    let _bounded = bounded();
    for idle in IDLES {
        let (site, books) = (Site::owned(CPUS as usize, idle), Books::default());
        thread::scope(|scope| {
            for cpu in 0..CPUS {
                let (site, books) = (&site, &books);
                scope.spawn(move || books.post_until_offline(site, cpu));
            }
            while books.posts_accepted.get() < 200 {
                thread::yield_now();
            }
            site.shutdown().unwrap();
            let at_the_end = books.posts_run.get();
            for _ in 0..100 {
                thread::yield_now();
                assert_eq!(books.posts_run.get(), at_the_end);
            }
        });
        books.balance();
    }
}

#[test]
fn p8_an_attached_cpu_that_comes_and_goes_loses_nothing() {
    let _bounded = bounded();
    let site = Site::new(smpcall_host::Machine::builder().attachable(1));
    let (runs, accepted, calls) = (Arc::new(Count::default()), Count::default(), AtomicU32::new(0));
    let stop = crate::site::Flag::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let csds: Vec<_> = (0..8)
                .map(|_| {
                    let runs = Arc::clone(&runs);
                    counted(move || _ = runs.up())
                })
                .collect();
            for csd in csds.iter().cycle() {
                match site.post(0, csd) {
                    Ok(Posted::Queued) => _ = accepted.up(),
                    Ok(Posted::Busy { cpu: 0 }) | Err(PostError::Offline { .. }) => thread::yield_now(),
                    other => panic!("{other:?}"),
                }
                if stop.is_set() {
                    break;
                }
            }
        });
        scope.spawn(|| {
            while !stop.is_set() {
                match site.call(0, || calls.fetch_add(1, Ordering::Relaxed)) {
                    Ok(_) | Err(CallError::Offline) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        for _ in 0..rounds(500) {
            let mut here = site.attach(0).unwrap();
            // Two looks; what comes in between and after them is the detaching's.
            for _ in 0..2 {
                let _ = here.poll(smpcall_host::smpcall::Budget::DEFAULT);
                thread::yield_now();
            }
            drop(here);
        }
        stop.set();
    });
    assert_eq!(runs.get(), accepted.get());
}
