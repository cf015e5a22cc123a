//! A loop that submits to an io_uring and waits there: it is rung by a message. Where the kernel has none, each says so.

use crate::loops::Flood;
use crate::site::{Site, bounded};
use io_uring::IoUring;
use smpcall_host::smpcall::{Budget, Flushed};
use smpcall_host::{Attached, Machine, MsgRing};
use std::os::fd::{AsRawFd, BorrowedFd};

const MINE: u64 = 77;

/// The ring's doorbells, one for each way to send it a message; or why there is none.
fn doorbells(ring: &IoUring) -> Vec<MsgRing> {
    // SAFETY: the ring owns it, and is there until this returns.
    let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    let ways = [MsgRing::new(fd, MINE), MsgRing::by_own_ring(fd, MINE)];
    ways.into_iter().filter_map(|way| way.inspect_err(|error| eprintln!("SKIPPED: {error}")).ok()).collect()
}

fn ring(entries: u32) -> Option<IoUring> {
    IoUring::new(entries).inspect_err(|error| eprintln!("SKIPPED: {error}")).ok()
}

fn site() -> Site {
    Site::new(Machine::builder().attachable(1))
}

fn drain(ring: &mut IoUring) -> usize {
    ring.completion().inspect(|entry| assert_eq!((entry.user_data(), entry.result()), (MINE, 0))).count()
}

fn turn(here: &mut Attached<'_, (), MsgRing>, ring: &mut IoUring) {
    if let Ok(guard) = here.begin_sleep() {
        let asleep = guard.commit();
        // A signal ends it, too.
        let _ = ring.submit_and_wait(1);
        let _ = asleep.woken(Budget::DEFAULT);
    } else {
        let _ = here.poll(Budget::DEFAULT);
    }
    drain(ring);
}

#[test]
fn p14_nothing_is_lost_by_a_loop_in_a_ring() {
    let _bounded = bounded();
    let Some(mut ring) = ring(8) else { return };
    for doorbell in doorbells(&ring) {
        let (site, flood) = (site(), Flood::new());
        let mut here = site.attach_with(0, doorbell).unwrap();
        flood.beside(&site, || {
            while !flood.is_over() {
                turn(&mut here, &mut ring);
            }
        });
        assert_eq!(flood.runs.get(), flood.queued.get());
        assert_eq!(site.failed_rings_racy(), 0);
        drain(&mut ring);
    }
}

#[test]
fn p7_one_message_for_each_sleep() {
    let _bounded = bounded();
    let Some(mut ring) = ring(8) else { return };
    for doorbell in doorbells(&ring) {
        let (site, flood) = (site(), Flood::new());
        let mut here = site.attach_with(0, doorbell).unwrap();
        let csds: Vec<_> = (0..4).map(|_| flood.csd()).collect();
        for round in 1..=20 {
            let asleep = here.begin_sleep().unwrap().commit();
            csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
            ring.submit_and_wait(1).unwrap();
            assert_eq!((asleep.woken(Budget::DEFAULT), drain(&mut ring)), (Flushed::All(4), 1));
            // Awake.
            csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
            assert_eq!((here.poll(Budget::DEFAULT), drain(&mut ring)), (Flushed::All(4), 0));
            assert_eq!(site.counts().wakes, round);
        }
    }
}

#[test]
fn a_ring_that_is_disabled_fails_its_posters_and_nothing_is_lost() {
    let _bounded = bounded();
    let disabled = || {
        let ring = IoUring::builder().setup_r_disabled().build(8);
        ring.inspect_err(|error| eprintln!("SKIPPED: {error}")).ok()
    };
    // Each way has a ring of its own, since none can be disabled again.
    for way in 0..2 {
        let Some(mut ring) = disabled() else { return };
        let Some(doorbell) = doorbells(&ring).into_iter().nth(way) else { return };
        let (site, flood) = (site(), Flood::new());
        let mut here = site.attach_with(0, doorbell).unwrap();
        let asleep = here.begin_sleep().unwrap().commit();
        site.post(0, &flood.csd()).unwrap();
        assert!(site.is_unrung_racy(0));
        assert_eq!(site.ring_owed(), 1);
        ring.submitter().register_enable_rings().unwrap();
        assert_eq!(site.ring_owed(), 0, "there is room again, and who knows it says so");
        ring.submit_and_wait(1).unwrap();
        assert_eq!((asleep.woken(Budget::DEFAULT), drain(&mut ring)), (Flushed::All(1), 1));
    }
}

#[test]
fn a_ring_whose_completions_are_full_keeps_the_message_or_the_debt_is_kept() {
    let _bounded = bounded();
    let Some(mut ring) = ring(2) else { return };
    for doorbell in doorbells(&ring) {
        let (site, flood) = (site(), Flood::new());
        let mut here = site.attach_with(0, doorbell).unwrap();
        // The loop's own completions, which it has not looked at, fill the queue, and more wait behind.
        let own = ring.params().cq_entries() + 2;
        for _ in 0..own {
            // SAFETY: it does nothing.
            unsafe { ring.submission().push(&io_uring::opcode::Nop::new().build()) }.unwrap();
            ring.submit().unwrap();
        }
        assert!(ring.completion().is_full());
        let asleep = here.begin_sleep().unwrap().commit();
        site.post(0, &flood.csd()).unwrap();
        let failed = site.failed_rings_racy();
        assert_eq!(site.is_unrung_racy(0), failed > 0);
        // The loop goes on: it looks at what is there until it has had all, which makes room.
        let (mut nops, mut messages) = (0, 0);
        let mut drain = |ring: &mut IoUring| {
            for entry in ring.completion() {
                if entry.user_data() == MINE { messages += 1 } else { nops += 1 }
            }
            (nops, messages)
        };
        while drain(&mut ring).0 < own {
            ring.submit_and_wait(1).unwrap();
        }
        assert_eq!(site.ring_owed(), 0, "there is room again");
        while drain(&mut ring).1 == 0 {
            ring.submit_and_wait(1).unwrap();
        }
        assert_eq!((asleep.woken(Budget::DEFAULT), drain(&mut ring)), (Flushed::All(1), (own, 1)));
        // And as before from then on.
        let asleep = here.begin_sleep().unwrap().commit();
        site.post(0, &flood.csd()).unwrap();
        while drain(&mut ring).1 == 1 {
            ring.submit_and_wait(1).unwrap();
        }
        assert_eq!((asleep.woken(Budget::DEFAULT), site.failed_rings_racy()), (Flushed::All(1), failed));
    }
}

#[test]
fn a_ring_that_its_loop_has_dropped_is_rung_in_vain_and_the_next_poll_runs_what_is_there() {
    let _bounded = bounded();
    for way in 0..2 {
        let Some(ring) = ring(8) else { return };
        let Some(doorbell) = doorbells(&ring).into_iter().nth(way) else { return };
        let (site, flood) = (site(), Flood::new());
        let mut here = site.attach_with(0, doorbell).unwrap();
        drop(ring);
        let asleep = here.begin_sleep().unwrap().commit();
        site.post(0, &flood.csd()).unwrap();
        assert_eq!(site.counts().wakes, 1, "the doorbell holds it by a descriptor of its own");
        assert_eq!(asleep.woken(Budget::DEFAULT), Flushed::All(1));
        assert_eq!(flood.runs.get(), 1);
    }
}
