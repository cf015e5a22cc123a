//! P1, P2 and P3 with several threads that post the same csds at the same time.

use crate::site::{Count, Site, bounded, counted, eventually, hold, rounds, sites};
use smpcall_host::Idle;
use smpcall_host::smpcall::{Platform, Posted};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const POSTERS: usize = 3;

#[test]
fn p1_raced_posts_run_as_often_as_they_were_accepted() {
    let _bounded = bounded();
    for site in sites() {
        let cpus = site.cpus_len();
        let counts: Vec<_> = (0..cpus).map(|_| [(); 3].map(|()| Arc::new(Count::default()))).collect();
        let csds: Vec<_> = (0..cpus)
            .zip(&counts)
            .map(|(cpu, [runs, elsewhere, _])| {
                let (handle, runs, elsewhere) = (site.handle(), Arc::clone(runs), Arc::clone(elsewhere));
                counted(move || {
                    if handle.platform().current_cpu() != Some(cpu) {
                        elsewhere.up();
                    }
                    runs.up();
                })
            })
            .collect();
        thread::scope(|scope| {
            for poster in 0..POSTERS {
                let (site, csds, counts) = (&site, &csds, &counts);
                scope.spawn(move || {
                    for round in 0..rounds(3_000) as usize {
                        let cpu = (round + poster) % csds.len();
                        match site.post(cpu as u32, &csds[cpu]) {
                            Ok(Posted::Queued) => _ = counts[cpu][2].up(),
                            busy => assert_eq!(busy, Ok(Posted::Busy { cpu: cpu as u32 })),
                        }
                    }
                });
            }
        });
        for (csd, [runs, elsewhere, accepted]) in csds.iter().zip(&counts) {
            site.wait(csd).unwrap();
            assert_eq!((runs.get(), elsewhere.get()), (accepted.get(), 0));
        }
    }
}

/// What one poster has written, and what the last run saw of it. Relaxed all along: to publish it is the post's duty.
#[derive(Default)]
struct Poster {
    written: AtomicU32,
    seen: AtomicU32,
}

impl Poster {
    fn write(&self, value: u32) {
        self.written.store(value, Ordering::Relaxed);
    }

    fn look(&self) {
        self.seen.fetch_max(self.written.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn seen(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }
}

#[test]
fn p2_whoever_is_told_busy_is_seen_by_the_run_to_come() {
    let _bounded = bounded();
    for site in sites() {
        let posters: Arc<[Poster; POSTERS]> = Arc::default();
        let csd = {
            let posters = Arc::clone(&posters);
            counted(move || posters.iter().for_each(Poster::look))
        };
        thread::scope(|scope| {
            for poster in posters.iter() {
                let (site, csd) = (&site, &csd);
                scope.spawn(move || {
                    for value in 1..=rounds(3_000) {
                        poster.write(value);
                        let answer = site.post(1, csd);
                        assert!(matches!(answer, Ok(Posted::Queued | Posted::Busy { cpu: 1 })), "{answer:?}");
                        // Ok or Busy: a run was to begin, and it is over now, whoever's it was.
                        site.wait(csd).unwrap();
                        assert!(poster.seen() >= value, "saw {}, not {value}", poster.seen());
                    }
                });
            }
        });
    }
}

#[test]
fn p2_whoever_is_told_busy_while_the_target_is_held_is_seen_when_it_goes_on() {
    let _bounded = bounded();
    let site = Site::owned(2, Idle::Sleep);
    let posters: Arc<[Poster; POSTERS]> = Arc::default();
    let csd = {
        let posters = Arc::clone(&posters);
        counted(move || posters.iter().for_each(Poster::look))
    };
    for value in 1..=rounds(300) {
        let held = hold(&site, 1);
        assert_eq!(site.post(1, &csd), Ok(Posted::Queued));
        thread::scope(|scope| {
            for poster in posters.iter() {
                scope.spawn(|| {
                    poster.write(value);
                    assert_eq!(site.post(1, &csd), Ok(Posted::Busy { cpu: 1 }));
                });
            }
        });
        drop(held);
        site.wait(&csd).unwrap();
        assert_eq!([0, 1, 2].map(|poster| posters[poster].seen()), [value; POSTERS]);
    }
}

#[test]
fn p2_the_last_of_a_burst_is_seen_on_whichever_cpu_it_runs() {
    let _bounded = bounded();
    for site in sites() {
        let cpus = site.cpus_len();
        let posters: Arc<[Poster; POSTERS]> = Arc::default();
        let csd = {
            let posters = Arc::clone(&posters);
            counted(move || posters.iter().for_each(Poster::look))
        };
        for burst in 1..=rounds(50) {
            thread::scope(|scope| {
                for (number, poster) in (0..).zip(posters.iter()) {
                    let (site, csd) = (&site, &csd);
                    scope.spawn(move || {
                        for round in 0..100 {
                            poster.write(burst * 1_000 + round);
                            match site.post((number + round) % cpus, csd) {
                                Ok(Posted::Queued) => {}
                                Ok(Posted::Busy { cpu }) => assert!(cpu < cpus),
                                other => panic!("{other:?}"),
                            }
                        }
                    });
                }
            });
            // It may run on two CPUs at once, and `wait` waits for one of them.
            eventually(|| posters.iter().all(|poster| poster.seen() == burst * 1_000 + 99));
        }
    }
}

#[test]
fn p3_cpus_and_other_threads_post_one_csd() {
    let _bounded = bounded();
    let site = Site::owned(4, Idle::Sleep);
    let (runs, accepted) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let csd = {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    let from_cpus: Vec<_> = (0..3)
        .map(|_| {
            let (handle, csd, accepted) = (site.handle(), Arc::clone(&csd), Arc::clone(&accepted));
            counted(move || {
                for _ in 0..rounds(2_000) {
                    if handle.post(3, &csd).is_ok_and(Posted::is_queued) {
                        accepted.up();
                    }
                }
            })
        })
        .collect();
    (0..).zip(&from_cpus).for_each(|(cpu, csd)| _ = site.post(cpu, csd).unwrap());
    for _ in 0..rounds(2_000) {
        if site.post(3, &csd).is_ok_and(Posted::is_queued) {
            accepted.up();
        }
    }
    from_cpus.iter().for_each(|csd| site.wait(csd).unwrap());
    site.wait(&csd).unwrap();
    assert_eq!(runs.get(), accepted.get());
}
