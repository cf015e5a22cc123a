//! P7: when a doorbell rings, counted.

use crate::site::{Count, Flag, Site, beside, bounded, counted, eventually, hold, rounds};
use smpcall_host::smpcall::{Budget, Csd, Flushed};
use smpcall_host::{Idle, Machine};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// Csds that only count.
fn csds(number: usize) -> (Vec<Arc<Csd<impl Fn() + Send + Sync + 'static>>>, Arc<Count>) {
    let runs = Arc::new(Count::default());
    let csd = |_| {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    ((0..number).map(csd).collect(), runs)
}

fn budget(calls: u32) -> Budget {
    Budget::calls(NonZeroU32::new(calls).unwrap())
}

#[test]
fn p7_the_first_entry_rings_and_the_others_do_not() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach(0).unwrap();
    let (csds, runs) = csds(8);
    for batch in 1..=20 {
        // From another thread, which is no CPU, and from the CPU itself, in turn.
        let post = || csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
        if batch % 2 == 0 {
            post()
        } else {
            beside(post, || ())
        }
        assert_eq!(site.counts().rings, batch);
        assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(8));
    }
    assert_eq!(runs.get(), 160);
    assert_eq!(site.post_all(0, &csds).unwrap().queued, 8);
    assert_eq!(site.counts().rings, 21, "a chain is one entry");
    assert_eq!(site.counts().wakes, 0, "nobody slept");
    assert_eq!(here.park(None), 8);
}

#[test]
fn p7_a_cpu_that_polls_is_not_rung_until_it_parks() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach(0).unwrap();
    let (csds, _) = csds(8);
    here.poll_begin();
    for _ in 0..10 {
        csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
        assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(8));
    }
    assert_eq!(site.counts().rings, 0);
    // `park` runs what came while the mark kept posters from ringing. From then on it polls no more.
    site.post(0, &csds[0]).unwrap();
    assert_eq!(here.park(None), 1);
    site.post(0, &csds[0]).unwrap();
    assert_eq!(site.counts().rings, 1);
    assert_eq!(here.park(None), 1);
}

#[test]
fn p7_a_cpu_in_a_flush_is_not_rung() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let held = hold(&site, 0);
    let before = site.counts().rings;
    let (csds, runs) = csds(300);
    csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
    assert_eq!(site.counts().rings, before);
    drop(held);
    eventually(|| runs.get() == 300);
    // 300 are more than a flush runs: it stops, and rings itself once.
    assert_eq!(site.counts().rings, before + 1);
}

#[test]
fn p7_a_flush_that_stops_at_its_budget_rings_itself_once() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach(0).unwrap();
    let (csds, runs) = csds(10);
    csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
    assert_eq!(site.counts().rings, 1);
    assert_eq!(here.poll(budget(3)), Flushed::More(3));
    assert_eq!(site.counts().rings, 2);
    // The latch is set: no park may sleep on what was left over.
    assert_eq!((here.park(None), runs.get()), (7, 10));
    here.poll_begin();
    csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
    assert_eq!(here.poll(budget(3)), Flushed::More(3), "which tells a loop that polls");
    assert_eq!(site.counts().rings, 2);
    assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(7));
}

#[test]
fn p7_an_owned_cpu_that_polls_for_ever_is_never_rung() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Poll);
    // The first call may come before the CPU has begun to poll; when it has answered it polls for good.
    site.call(0, || ()).unwrap();
    let before = site.counts();
    let (csds, runs) = csds(4);
    for round in 1..=rounds(2_000) {
        csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
        eventually(|| runs.get() == 4 * round);
    }
    assert_eq!(site.counts(), before);
}

#[test]
fn p7_an_owned_cpu_is_rung_at_most_once_for_each_time_it_slept() {
    let _bounded = bounded();
    for idle in [Idle::Sleep, Idle::PollThenSleep(Duration::from_micros(20))] {
        let site = Site::owned(1, idle);
        let (csds, runs) = csds(4);
        for round in 1..=rounds(2_000) {
            csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
            eventually(|| runs.get() == 4 * round);
        }
        // Posted without a pause, one that polls before it sleeps may have met them all awake. Paused for longer than it polls, it is
        // asleep at some time, and then it is rung.
        while site.counts().rings == 0 {
            sleep(Duration::from_millis(1));
            let before = runs.get();
            site.post(0, &csds[0]).unwrap();
            eventually(|| runs.get() == before + 1);
        }
        let counts = site.counts();
        // It cannot have stopped looking more often than it ran something.
        assert!(counts.rings <= u64::from(runs.get()), "{idle:?}: {counts:?}");
        assert!(counts.wakes <= counts.rings, "{idle:?}: {counts:?}");
    }
}

#[test]
fn p7_no_more_rings_than_parks_and_no_entry_without_one() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let (csds, runs) = csds(6);
    let (online, stop, parks) = (Flag::default(), Flag::default(), Count::default());
    let park = || {
        let mut here = site.attach(0).unwrap();
        online.set();
        while !stop.is_set() {
            // None has a time-out: an entry without a ring would hang here.
            if here.park(None) > 0 {
                parks.up();
            }
        }
    };
    beside(park, || {
        online.wait();
        for round in 1..=rounds(3_000) {
            csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
            eventually(|| runs.get() == 6 * round);
        }
        let rings = site.counts().rings;
        stop.set();
        // Wakes it to see that; refused if it was awake and did.
        let last = site.post(0, &counted(|| ())).is_ok();
        eventually(|| !site.is_online_racy(0));
        assert!(rings <= u64::from(parks.get() + u32::from(last)), "{rings} rings for {} parks", parks.get());
    });
}
