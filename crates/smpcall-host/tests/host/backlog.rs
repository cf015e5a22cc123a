//! P12: who posts more than a CPU runs can see it, and slow down.

use crate::site::{Count, Site, bounded, counted};
use smpcall_host::Machine;
use smpcall_host::smpcall::{Budget, Flushed};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;

/// What the CPU runs between two bursts, and what a burst is.
const RUNS: u32 = 8;
const BURST: u32 = 20;
const ROUNDS: u32 = 200;

/// Posts in bursts to a CPU that does not keep up, unless its backlog is more than this; returns the most that was left over.
fn most_left_over(behind_max: u32) -> u32 {
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach(0).unwrap();
    let ran = Arc::new(Count::default());
    let budget = Budget::DEFAULT.posts(NonZeroU32::new(RUNS).unwrap());
    let (mut posted, mut most) = (0, 0);
    for _ in 0..ROUNDS {
        // A request: the poster asks before it makes it.
        let poster = || {
            let requests = (0..BURST).take_while(|_| site.backlog_racy(0) <= behind_max);
            let make = |_| {
                let counts = Arc::clone(&ran);
                site.post(0, &counted(move || _ = counts.up())).unwrap();
            };
            requests.map(make).count()
        };
        posted += thread::scope(|scope| scope.spawn(poster).join().unwrap());
        assert!(matches!(here.poll(budget), Flushed::All(..=RUNS) | Flushed::More(RUNS)));
        most = most.max(site.backlog_racy(0));
    }
    while here.poll(budget) != Flushed::All(0) {}
    assert_eq!(
        (ran.get() as usize, site.backlog_racy(0)),
        (posted, 0),
        "nothing is lost, and it has caught up"
    );
    most
}

#[test]
fn p12_a_poster_that_looks_at_the_backlog_slows_down() {
    let _bounded = bounded();
    let held_back = most_left_over(64);
    assert!((64..64 + BURST).contains(&held_back), "{held_back}");
    assert_eq!(
        most_left_over(u32::MAX),
        ROUNDS * (BURST - RUNS),
        "without, it grows for as long as that goes on"
    );
}
