//! A loop that submits to an io_uring and waits there: it is rung by a message. Where the kernel has none, each says so.

use crate::loops::Flood;
use crate::site::{Site, bounded};
use io_uring::IoUring;
use smpcall_host::smpcall::{Budget, Flushed};
use smpcall_host::{Attached, Machine, MsgRing};
use std::os::fd::{AsRawFd, BorrowedFd};

const MINE: u64 = 77;

/// The ring's doorbell, or why there is none.
fn doorbell(ring: &IoUring) -> Option<MsgRing> {
    // SAFETY: the ring owns it, and is there until this returns.
    let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    MsgRing::new(fd, MINE).inspect_err(|error| eprintln!("SKIPPED: {error}")).ok()
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
    let (site, flood) = (site(), Flood::new());
    let Some(mut ring) = ring(8) else { return };
    let Some(doorbell) = doorbell(&ring) else { return };
    let mut here = site.attach_with(0, doorbell).unwrap();
    flood.beside(&site, || {
        while !flood.is_over() {
            turn(&mut here, &mut ring);
        }
    });
    assert_eq!(flood.runs.get(), flood.queued.get());
    assert_eq!(site.failed_rings_racy(), 0);
}

#[test]
fn p7_one_message_for_each_sleep() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let Some(mut ring) = ring(8) else { return };
    let Some(doorbell) = doorbell(&ring) else { return };
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

#[test]
fn a_ring_that_is_disabled_fails_its_posters_and_nothing_is_lost() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let disabled = IoUring::builder().setup_r_disabled().build(8);
    let Ok(mut ring) = disabled.inspect_err(|error| eprintln!("SKIPPED: {error}")) else { return };
    let Some(doorbell) = doorbell(&ring) else { return };
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
