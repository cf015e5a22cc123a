//! P10: the end of a machine is a wait like any other: served, reported, bounded where that is asked for.

use crate::site::{Flag, IDLES, Site, beside, bounded, counted, eventually, hold};
use smpcall_host::smpcall::{Budget, CallError, CallStall, Coalesced, Flushed, Phase, PostError};
use smpcall_host::{Idle, Machine, ShutdownError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn p8_a_handle_outlives_the_end_of_its_machine_and_is_of_use_until_it_is_dropped() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(1));
    let mut here = site.attach(1).unwrap();
    here.poll_begin();
    assert_eq!(site.shutdown(), Ok(()), "its own threads end; it waits for no other");
    // Its thread is a CPU still: posts are accepted, and run.
    let csd = counted(|| ());
    site.post(1, &csd).unwrap();
    assert!(here.handle().has_work());
    assert_eq!((here.poll(Budget::DEFAULT), csd.is_pending()), (Flushed::All(1), false));
    site.post(1, &csd).unwrap();
    assert_eq!(here.park(None), 1);
    let guard = here.handle().begin_sleep().unwrap();
    assert!(!guard.look_again());
    guard.abort();
    site.post(1, &csd).unwrap();
    drop(here);
    assert_eq!((csd.is_pending(), site.is_online_racy(1)), (false, false), "what was accepted has run");
}

#[test]
fn p8_a_handle_that_its_thread_leaves_behind_takes_its_cpu_offline() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    for _ in 0..3 {
        let csd = counted(|| ());
        let ended = thread::scope(|scope| {
            let cpu = scope.spawn(|| {
                let mut here = site.attach(0).unwrap();
                here.poll_begin();
                site.post(0, &csd).unwrap();
                std::panic::resume_unwind(Box::new("meant"));
            });
            cpu.join()
        });
        assert_eq!(ended.unwrap_err().downcast_ref(), Some(&"meant"));
        assert_eq!((csd.is_pending(), site.is_online_racy(0)), (false, false), "accepted, so it has run");
        assert_eq!(site.post(0, &csd).unwrap_err(), PostError::Offline { coalesced: Coalesced::No });
    }
    drop(site.attach(0).unwrap());
}

#[test]
fn p10_an_attached_cpu_serves_those_whose_end_it_waits_for() {
    let _bounded = bounded();
    for idle in IDLES {
        // No time-out, so that nothing but its doorbell wakes it.
        let site =
            Site::new(Machine::builder().owned(1).attachable(1).idle(idle).stall_timeout(Duration::ZERO));
        let here = site.attach(1).unwrap();
        let (inside, ending) = (Flag::default(), Flag::default());
        let calls = || {
            let answers = site.call_blocking(0, || {
                inside.set();
                ending.wait();
                // Most likely asleep by then.
                thread::sleep(Duration::from_millis(5));
                (site.call(1, || 1), site.call_blocking(1, || 2))
            });
            assert_eq!(answers, Ok((Ok(1), Ok(2))));
        };
        beside(calls, || {
            inside.wait();
            ending.set();
            assert_eq!(site.shutdown(), Ok(()));
        });
        drop(here);
    }
}

#[test]
fn p10_in_call_context_nobody_waits_for_the_end_of_another_machine() {
    let _bounded = bounded();
    let (site, other) = (Site::owned(1, Idle::Sleep), Site::owned(1, Idle::Sleep));
    let held = hold(&other, 0);
    assert_eq!(site.call(0, || other.shutdown()), Ok(Err(ShutdownError::WouldDeadlock)));
    drop(held);
    assert_eq!(other.shutdown(), Ok(()));
    assert_eq!(site.call(0, || other.shutdown()), Ok(Ok(())), "there is nothing to wait for");
}

#[test]
fn p10_in_a_function_that_may_block_nobody_waits_for_an_end_that_may_wait_for_it() {
    let _bounded = bounded();
    let refused = Ok(Ok(Err(ShutdownError::WouldDeadlock)));
    for idle in IDLES {
        let near = Site::new(Machine::builder().owned(1).attachable(1).idle(idle));
        let done = Flag::default();
        let calls = || {
            eventually(|| near.is_online_racy(1));
            // CPU 0 waits for CPU 1, on which the end of CPU 0 is asked for.
            assert_eq!(near.call_blocking(0, || near.call_blocking(1, || near.shutdown())), refused);
            done.set();
        };
        beside(calls, || {
            let mut here = near.attach(1).unwrap();
            while !done.is_set() {
                here.park(Some(Duration::from_millis(1)));
            }
            // A function of one's own: nobody else waits for it.
            assert_eq!(near.call_blocking(1, || near.shutdown()), Ok(Ok(())));
        });
        // By way of another machine.
        let (far, by) = (Site::owned(1, idle), Site::owned(1, idle));
        assert_eq!(far.call_blocking(0, || by.call_blocking(0, || far.shutdown())), refused);
        assert_eq!(by.call_blocking(0, || far.shutdown_timeout(Duration::MAX)), Ok(Ok(())));
        assert_eq!(by.call_blocking(0, || far.shutdown()), Ok(Ok(())), "there is nothing to wait for");
    }
}

#[test]
fn p10_a_thread_that_does_not_end_is_named_and_waited_for_no_longer_than_asked() {
    let _bounded = bounded();
    let site = Site::owned(2, Idle::Sleep);
    let held = hold(&site, 1);
    let refused = |left: &[u32]| Err(ShutdownError::TimedOut { left: left.to_vec() });
    eventually(|| site.shutdown_timeout(Duration::from_millis(1)) == refused(&[1]));
    assert_eq!(site.shutdown_timeout(Duration::ZERO), refused(&[1]));
    assert!(site.shutdown_timeout(Duration::ZERO).unwrap_err().to_string().contains("[1]"));
    drop(held);
    assert_eq!(site.shutdown_timeout(Duration::MAX), Ok(()));
    assert_eq!(site.shutdown_timeout(Duration::ZERO), Ok(()));
}

#[test]
fn p10_a_drop_that_waits_for_a_function_is_reported() {
    let _bounded = bounded();
    let reports = Arc::new(Mutex::new(Vec::<CallStall>::new()));
    let told = Arc::clone(&reports);
    let builder = Machine::builder().owned(1).stall_timeout(Duration::from_millis(2));
    let machine = builder.on_call_stall(move |stall| told.lock().unwrap().push(*stall)).build().unwrap();
    let held = hold(&machine, 0);
    let let_go = || {
        eventually(|| reports.lock().unwrap().iter().any(|stall| stall.reports >= 2));
        drop(held);
    };
    let func = machine.running_racy(0).unwrap();
    beside(let_go, || drop(machine));
    for (nth, stall) in (0..).zip(&*reports.lock().unwrap()) {
        assert_eq!((stall.target, stall.phase, stall.reports), (0, Phase::Behind(func), nth), "{stall}");
        assert!(stall.function.contains("shutdown"), "{stall}");
        // Doubling distance: after 2, 6, 14 and so on.
        assert!(stall.waited_ns >= 2_000_000 * ((2 << nth) - 1), "{stall}");
    }
}

#[test]
fn p10_who_parks_after_the_end_comes_back() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(1));
    let mut here = site.attach(1).unwrap();
    assert!(!site.is_shut_down());
    site.shutdown().unwrap();
    assert!(site.is_shut_down());
    // The first of these takes note of the ring.
    for timeout in [Some(Duration::ZERO), None, Some(Duration::MAX), None] {
        assert_eq!(here.park(timeout), 0);
    }
    let csd = counted(|| ());
    site.post(1, &csd).unwrap();
    assert_eq!(here.park(None), 1, "and is a CPU still");
}

#[test]
fn p10_a_wait_that_was_under_way_does_not_swallow_the_end() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(2));
    let other = || {
        let mut here = site.attach(1).unwrap();
        eventually(|| here.handle().has_work());
        site.shutdown().unwrap();
        // The other CPU is woken, and waits on; whether it has taken note of its doorbell by now or not.
        thread::sleep(Duration::from_millis(20));
        let _ = here.poll(Budget::DEFAULT);
    };
    beside(other, || {
        let mut here = site.attach(0).unwrap();
        eventually(|| site.is_online_racy(1));
        // It may have gone again only when it has answered.
        assert_eq!(site.call(1, || 3), Ok::<_, CallError>(3));
        here.park(None);
        here.park(None);
    });
}

/// How often the calling thread has blocked in the kernel.
fn blocked() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn p7_to_park_for_no_time_is_no_system_call() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach(0).unwrap();
    let before = blocked();
    for _ in 0..1_000 {
        assert_eq!(here.park(Some(Duration::ZERO)), 0);
    }
    let times = blocked() - before;
    assert!(times < 500, "{times} times of 1,000");
}
