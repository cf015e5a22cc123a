//! An epoll loop with an eventfd.

use crate::loops::{Flood, epoll, is_readable, turn, wait};
use crate::site::{Site, beside, bounded, eventually};
use nix::sys::epoll::EpollFlags;
use smpcall_host::smpcall::{Budget, Flushed, NoSleep};
use smpcall_host::{EventFd, Machine};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd};

fn site() -> Site {
    Site::new(Machine::builder().attachable(2))
}

#[test]
fn p14_nothing_is_lost_by_a_loop_that_begins_its_sleeps() {
    let _bounded = bounded();
    for trigger in [EpollFlags::empty(), EpollFlags::EPOLLET] {
        let (site, flood) = (site(), Flood::new());
        let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
        let epoll = epoll(&here, trigger);
        let mut turns = 0;
        flood.beside(&site, || {
            while !flood.is_over() {
                turn(&mut here, &epoll);
                turns += 1;
            }
        });
        let counts = site.counts();
        // And one before the first.
        assert!(
            counts.wakes <= turns + 1,
            "{counts:?}, {turns} sleeps begun: one write for each at most (P7)"
        );
        assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(0));
        // A write that came late is read by the next sleep that it ends.
        let _ = here.begin_sleep().unwrap().commit().woken(Budget::DEFAULT);
        assert!(!is_readable(&epoll) || trigger == EpollFlags::EPOLLET, "each write was read");
    }
}

#[test]
fn p14_nothing_is_lost_by_a_loop_that_only_polls_when_it_wakes() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
    let epoll = epoll(&here, EpollFlags::empty());
    flood.beside(&site, || {
        while !flood.is_over() {
            wait(&epoll);
            let _ = here.poll(Budget::DEFAULT);
        }
    });
}

#[test]
fn p7_the_descriptor_is_written_once_for_each_sleep_and_read_when_it_was() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
    let epoll = epoll(&here, EpollFlags::empty());
    assert_eq!(here.as_fd().as_raw_fd(), here.doorbell().as_raw_fd());
    let csds: Vec<_> = (0..4).map(|_| flood.csd()).collect();
    let post = || csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
    for round in 1..=20 {
        let asleep = here.begin_sleep().unwrap().commit();
        assert!(!is_readable(&epoll));
        post();
        assert!(is_readable(&epoll));
        assert_eq!((asleep.woken(Budget::DEFAULT), is_readable(&epoll)), (Flushed::All(4), false));
        // Awake: the ring latches only.
        post();
        assert!(!is_readable(&epoll));
        assert_eq!((here.poll(Budget::DEFAULT), site.counts().wakes), (Flushed::All(4), round));
    }
    assert_eq!(site.counts().rings, 40);
    // What else ends a sleep costs nothing of this.
    assert_eq!(here.begin_sleep().unwrap().commit().woken(Budget::DEFAULT), Flushed::All(0));
    here.poll_begin();
    post();
    assert!(here.begin_sleep().is_err() && !is_readable(&epoll), "one that polls is not rung");
    assert_eq!((here.poll(Budget::DEFAULT), site.counts().wakes), (Flushed::All(4), 20));
}

#[test]
fn p7_who_does_not_sleep_after_all_is_awake() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
    let epoll = epoll(&here, EpollFlags::empty());
    let (first, second) = (flood.csd(), flood.csd());
    let guard = here.begin_sleep().unwrap();
    assert!(!guard.look_again());
    site.post(0, &first).unwrap();
    assert!(guard.look_again() && is_readable(&epoll));
    guard.abort();
    assert!(!is_readable(&epoll), "it was taken back");
    assert!(here.begin_sleep().is_err());
    assert!(!is_readable(&epoll));
    assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(1));
    site.post(0, &second).unwrap();
    assert!(!is_readable(&epoll));
    assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(1));
}

#[test]
fn p7_what_is_over_the_budget_needs_no_write() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
    let epoll = epoll(&here, EpollFlags::empty());
    let csds: Vec<_> = (0..9).map(|_| flood.csd()).collect();
    let asleep = here.begin_sleep().unwrap().commit();
    site.post_all(0, &csds).unwrap();
    let three = Budget::calls(NonZeroU32::new(3).unwrap());
    assert_eq!(asleep.woken(three), Flushed::More(3));
    assert!(!is_readable(&epoll));
    assert!(here.begin_sleep().is_err(), "there is more");
    assert_eq!(here.poll(three), Flushed::More(3));
    assert_eq!(here.poll(three), Flushed::All(3));
    assert!(here.begin_sleep().is_ok());
    assert_eq!(site.counts().wakes, 1);
}

#[test]
fn p14_a_cpu_that_may_be_asleep_outside_waits_for_calls_as_any_other() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let serve = || {
        let mut there = site.attach_with(1, EventFd::new().unwrap()).unwrap();
        let epoll = epoll(&there, EpollFlags::empty());
        while !flood.done.is_set() {
            turn(&mut there, &epoll);
        }
    };
    beside(serve, || {
        let here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
        let epoll = epoll(&here, EpollFlags::empty());
        eventually(|| site.is_online_racy(1));
        // Each calls the other from inside of a blocking call, and sleeps meanwhile.
        let nested = || site.call_blocking(0, || site.call(1, || 5));
        for _ in 0..200 {
            assert_eq!(site.call_blocking(1, nested), Ok(Ok(Ok(5))));
        }
        flood.done.set();
        // Wakes it to see that; refused if it was awake, did, and has gone.
        let _ = site.post(1, &flood.csd());
        drop(epoll);
        drop(here);
    });
}

#[test]
fn p14_the_machines_end_wakes_the_loop() {
    let _bounded = bounded();
    let site = site();
    let serve = || {
        let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
        let epoll = epoll(&here, EpollFlags::empty());
        while !site.is_shut_down() {
            turn(&mut here, &epoll);
        }
        // The first sleep is refused, if no other was.
        drop(here.begin_sleep());
        assert!(here.begin_sleep().is_ok_and(|guard| guard.look_again()), "and is no reason to sleep");
    };
    beside(serve, || {
        eventually(|| site.is_online_racy(0));
        site.shutdown().unwrap();
    });
}

#[test]
fn p14_no_loop_sleeps_over_an_end_that_came_while_it_was_awake() {
    let _bounded = bounded();
    for polls in [0, 1] {
        let site = site();
        let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
        let _ = here.begin_sleep().unwrap().commit().woken(Budget::DEFAULT);
        // Awake: the ring only latches. A loop has looked at the flag just before.
        site.shutdown().unwrap();
        // As a wait takes note of it.
        (0..polls).for_each(|_| assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(0)));
        assert!(matches!(here.begin_sleep(), Err(NoSleep::Work)));
        assert!(here.begin_sleep().is_ok(), "who goes on to serve may sleep");
    }
}

#[test]
fn a_thread_parks_whatever_its_doorbell_and_another_takes_its_place() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    for _ in 0..50 {
        let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
        let epoll = epoll(&here, EpollFlags::empty());
        let csd = flood.csd();
        let mut runs = 0;
        let post = || _ = site.post(0, &csd).unwrap();
        beside(post, || {
            while runs == 0 {
                runs += here.park(None);
            }
        });
        // The latch was all that was rung while it slept there; before, it may have been the descriptor.
        here.acknowledge();
        assert_eq!((runs, here.poll(Budget::DEFAULT)), (1, Flushed::All(0)));
        assert!(!is_readable(&epoll));
    }
    let mut here = site.attach(0).unwrap();
    site.post(0, &flood.csd()).unwrap();
    assert_eq!(here.park(None), 1);
}
