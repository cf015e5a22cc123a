//! Rings that are taken away, and many who ring at once. Where there is no io_uring, each says so.

use super::super::{Doorbell, MsgRing, Way};
use super::*;
use crate::Machine;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{dup, dup2};
use smpcall::{Budget, Csd, Flushed};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Barrier};
use std::thread;

const ROUNDS: u32 = 2_000;

fn ring() -> Option<IoUring> {
    IoUring::new(8).inspect_err(|error| eprintln!("SKIPPED: {error}")).ok()
}

fn fd(ring: &IoUring) -> BorrowedFd<'_> {
    // SAFETY: the ring owns it, and is borrowed for as long.
    unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) }
}

fn both(ring: &IoUring) -> Vec<MsgRing> {
    let ways = [MsgRing::new(fd(ring), 7), MsgRing::by_own_ring(fd(ring), 7)];
    ways.into_iter().filter_map(|way| way.inspect_err(|error| eprintln!("SKIPPED: {error}")).ok()).collect()
}

/// Something else in the place of a descriptor, until `put_back`.
struct TakenAway {
    place: ManuallyDrop<OwnedFd>,
    kept: OwnedFd,
}

impl TakenAway {
    fn new(fd: RawFd) -> Self {
        // SAFETY: its owner goes on to own the number; this one is not dropped.
        let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(fd) });
        let kept = dup(&*place).unwrap();
        let nothing = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        dup2(nothing, &mut place).unwrap();
        Self { place, kept }
    }

    fn put_back(mut self) {
        dup2(self.kept, &mut self.place).unwrap();
    }
}

fn ends_a_sleep(ring: &mut IoUring) -> usize {
    ring.submit_and_wait(1).unwrap();
    ring.completion().inspect(|entry| assert_eq!((entry.user_data(), entry.result()), (7, 0))).count()
}

/// Rings fail while `taken` is away; what was posted is owed, and comes when it is back.
fn is_owed_until_it_is_back(ring: &mut IoUring, doorbell: MsgRing, taken: RawFd) {
    let machine = Machine::builder().attachable(1).build().unwrap();
    let mut here = machine.attach_with(0, doorbell).unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let csds: Vec<_> = (0..5)
        .map(|_| {
            let runs = Arc::clone(&runs);
            // Relaxed: this thread's own.
            Arc::new(Csd::new(move || _ = runs.fetch_add(1, Ordering::Relaxed)))
        })
        .collect();
    let asleep = here.begin_sleep().unwrap().commit();
    let away = TakenAway::new(taken);
    for csd in &csds {
        // More often than a submission queue has room.
        machine.post(0, csd).unwrap();
        assert!(machine.is_unrung_racy(0));
    }
    assert_eq!((machine.ring_owed(), ring.completion().len()), (1, 0));
    away.put_back();
    assert_eq!((machine.ring_owed(), machine.is_unrung_racy(0)), (0, false));
    assert_eq!((ends_a_sleep(ring), asleep.woken(Budget::DEFAULT)), (1, Flushed::All(5)));
    // Relaxed: as above.
    assert_eq!(runs.load(Ordering::Relaxed), 5);
    // And as before from then on.
    let asleep = here.begin_sleep().unwrap().commit();
    machine.post(0, &csds[0]).unwrap();
    assert_eq!((ends_a_sleep(ring), asleep.woken(Budget::DEFAULT)), (1, Flushed::All(1)));
}

#[test]
fn while_the_loops_ring_is_gone_rings_fail_and_are_owed() {
    let Some(mut ring) = ring() else { return };
    for doorbell in both(&ring) {
        let taken = doorbell.ring.as_raw_fd();
        is_owed_until_it_is_back(&mut ring, doorbell, taken);
    }
}

#[test]
fn while_the_own_ring_is_gone_and_its_queue_full_rings_fail_and_are_owed() {
    let Some(mut ring) = ring() else { return };
    for doorbell in both(&ring) {
        let Way::Own(own) = &doorbell.way else { continue };
        let taken = own.ring.as_raw_fd();
        is_owed_until_it_is_back(&mut ring, doorbell, taken);
    }
}

#[test]
fn who_finds_another_sending_leaves_it_to_that_one() {
    let Some(mut ring) = ring() else { return };
    for doorbell in both(&ring) {
        let Way::Own(own) = &doorbell.way else { continue };
        // As a signal's handler that interrupts a sender.
        assert!(own.take());
        assert_eq!((doorbell.ring(), doorbell.ring(), ring.completion().len()), (Ok(()), Ok(()), 0));
        assert!(!own.give_back(), "once more");
        assert!(own.give_back());
        assert_eq!(doorbell.ring(), Ok(()));
        assert_eq!(ends_a_sleep(&mut ring), 1);
    }
}

#[test]
fn of_many_who_ring_at_once_none_is_lost() {
    let Some(mut ring) = ring() else { return };
    for doorbell in both(&ring) {
        let (rung, seen, start) = (AtomicU32::new(0), AtomicU32::new(0), Barrier::new(2));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 1..=ROUNDS {
                        start.wait();
                        // Release: pairs with the sleeper's look; the message has no order of its own here.
                        rung.fetch_add(1, Ordering::Release);
                        doorbell.ring().unwrap();
                        // Acquire: pairs with the sleeper's store.
                        while seen.load(Ordering::Acquire) < 2 * round {
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut last = 0;
            while last < 2 * ROUNDS {
                // A message that is lost hangs here.
                ends_a_sleep(&mut ring);
                // Acquire: pairs with the ringers.
                last = rung.load(Ordering::Acquire);
                // Release: pairs with the ringers' look.
                seen.store(last, Ordering::Release);
            }
        });
        // The last round's two may have been two messages.
        ring.completion().for_each(drop);
    }
}
