//! Doorbells that fail, panic, or are taken away: a clear error, a report that names the CPU, and nothing lost.

use crate::loops::{epoll, is_readable};
use crate::site::{Count, Flag, Site, beside, bounded, counted, eventually};
use nix::fcntl::{OFlag, open};
use nix::sys::epoll::EpollFlags;
use nix::sys::stat::Mode;
use nix::unistd::dup2;
use smpcall_host::smpcall::{Budget, CallError, Flushed, Phase, RingError, StallCause, Watch};
use smpcall_host::{Doorbell, EventFd, Machine};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Puts something in the place of a descriptor that can be neither read nor written, as if it had been closed (which would have
/// others in this process find its number free).
fn take_away(fd: i32) {
    let nothing = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    // SAFETY: the doorbell owns the number and goes on to do so; this one is not dropped.
    let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(fd) });
    dup2(nothing, &mut place).unwrap();
}

#[test]
fn a_descriptor_that_is_taken_away_loses_nothing_and_is_reported_with_its_cpu() {
    let _bounded = bounded();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let (calls, queues) = (Arc::clone(&reports), Arc::clone(&reports));
    let called = Arc::new(Flag::default());
    let stalled = Arc::clone(&called);
    let builder = Machine::builder().attachable(2).stall_timeout(Duration::from_millis(20));
    let site = Site::new(
        builder
            .on_call_stall(move |stall| {
                if stall.phase == Phase::Unrung {
                    calls.lock().unwrap().push(stall.target);
                    stalled.set();
                }
            })
            .on_queue_stall(move |stall| {
                assert_eq!(stall.cause, StallCause::Unrung);
                queues.lock().unwrap().push(stall.cpu);
            }),
    );
    let seen = Flag::default();
    beside(
        // It waits while the CPU sleeps.
        || {
            seen.wait();
            assert_eq!(site.call(1, || 5), Ok(5));
        },
        || {
            let mut here = site.attach_with(1, EventFd::new().unwrap()).unwrap();
            let epoll = epoll(&here, EpollFlags::empty());
            take_away(here.as_raw_fd());
            let (runs, csd) = counting();
            let asleep = here.begin_sleep().unwrap().commit();
            site.post(1, &csd).unwrap();
            assert!(site.is_unrung_racy(1) && site.failed_rings_racy() > 0);
            assert_eq!(site.ring_owed(), 1, "it cannot be rung");
            let mut notes = [Watch::new(); 2];
            eventually(|| site.watchdog(1_000, &mut notes) == 1);
            seen.set();
            called.wait();
            assert!(!is_readable(&epoll));
            // Whatever ends the sleep: what is there runs.
            assert_eq!((asleep.woken(Budget::DEFAULT), runs.get()), (Flushed::All(2), 1));
            assert!(!site.is_unrung_racy(1));
            // By the latch it is woken as before.
            site.post(1, &csd).unwrap();
            assert_eq!((here.park(None), runs.get()), (1, 2));
        },
    );
    let reports = reports.lock().unwrap();
    assert!(reports.len() >= 2 && reports.iter().all(|cpu| *cpu == 1), "{reports:?}");
}

fn counting() -> (Arc<Count>, Arc<smpcall_host::smpcall::Csd<impl Fn() + Send + Sync + 'static>>) {
    let runs = Arc::new(Count::default());
    let counts = Arc::clone(&runs);
    (runs, counted(move || _ = counts.up()))
}

/// How a doorbell goes wrong.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Fails,
    Panics,
}

/// Goes wrong so many times, then works.
struct Faulty {
    wrong: Wrong,
    times: u32,
    asked: Arc<Count>,
}

impl Doorbell for Faulty {
    fn ring(&self) -> Result<(), RingError> {
        match self.wrong {
            _ if self.asked.up() >= self.times => Ok(()),
            Wrong::Fails => Err(RingError),
            Wrong::Panics => std::panic::resume_unwind(Box::new("meant")),
        }
    }
}

#[test]
fn a_doorbell_that_goes_wrong_is_rung_again_and_its_panics_stay_inside() {
    let _bounded = bounded();
    for (wrong, panics) in [(Wrong::Fails, 0), (Wrong::Panics, 2)] {
        let site = Site::new(Machine::builder().attachable(1));
        let asked = Arc::new(Count::default());
        let faulty = Faulty { wrong, times: 2, asked: Arc::clone(&asked) };
        let mut here = site.attach_with(0, faulty).unwrap();
        let (runs, csd) = counting();
        let (_, second) = counting();
        let asleep = here.begin_sleep().unwrap().commit();
        site.post(0, &csd).unwrap();
        assert_eq!((asked.get(), site.is_unrung_racy(0)), (1, true));
        // The next post pays the debt, and fails, too; then a timer does.
        site.post(0, &second).unwrap();
        assert_eq!((asked.get(), site.is_unrung_racy(0)), (2, true));
        assert_eq!((site.ring_owed(), asked.get(), site.is_unrung_racy(0)), (0, 3, false));
        assert_eq!(site.counts().panics, panics, "{wrong:?}");
        assert_eq!((asleep.woken(Budget::DEFAULT), runs.get()), (Flushed::All(2), 1));
        let asleep = here.begin_sleep().unwrap().commit();
        site.post(0, &csd).unwrap();
        assert_eq!((asked.get(), site.counts().wakes), (4, 2));
        assert_eq!(asleep.woken(Budget::DEFAULT), Flushed::All(1));
    }
}

/// Panics when it is dropped.
struct DropsBadly;

impl Doorbell for DropsBadly {
    fn ring(&self) -> Result<(), RingError> {
        Ok(())
    }
}

impl Drop for DropsBadly {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("meant"));
    }
}

#[test]
fn a_doorbell_whose_drop_panics_leaves_the_machine_whole() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let here = site.attach_with(0, DropsBadly).unwrap();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(here))).is_err());
    assert_eq!(site.call(0, || ()), Err(CallError::Offline));
    let mut here = site.attach(0).unwrap();
    let (runs, csd) = counting();
    site.post(0, &csd).unwrap();
    assert_eq!((here.park(None), runs.get()), (1, 1));
}

#[test]
fn a_loop_that_never_looks_at_its_doorbell_is_reported_and_loses_nothing() {
    let _bounded = bounded();
    let stalled = Arc::new(Count::default());
    let counts = Arc::clone(&stalled);
    let builder = Machine::builder().attachable(1).stall_timeout(Duration::from_millis(20));
    let site = Site::new(builder.on_call_stall(move |stall| {
        assert_eq!((stall.target, stall.phase), (0, Phase::Queued));
        counts.up();
    }));
    let online = Flag::default();
    beside(
        || {
            online.wait();
            assert_eq!(site.call(0, || 5), Ok(5));
        },
        || {
            let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
            let epoll = epoll(&here, EpollFlags::empty());
            online.set();
            // Rung, and readable, and it looks elsewhere.
            eventually(|| stalled.get() > 0);
            assert!(is_readable(&epoll));
            // The core's handle alone: it runs what is there, and leaves the descriptor as it is.
            assert_eq!(here.handle().flush(Budget::DEFAULT), Flushed::All(1));
            assert!(is_readable(&epoll));
            here.acknowledge();
            assert!(!is_readable(&epoll));
        },
    );
}
