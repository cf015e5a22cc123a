//! P4 and P10: waiting calls, and callers that sleep.

use crate::site::{Count, Flag, IDLES, Site, bounded, counted, hold, rounds, sites};
use smpcall_host::smpcall::{Budget, CallError, Csd, Flushed, Platform, Posted, WaitError};
use smpcall_host::{Cores, Idle, Machine};
use std::cell::RefCell;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn p4_what_a_call_wrote_is_there_when_it_returns() {
    let _bounded = bounded();
    for site in sites() {
        thread::scope(|scope| {
            for caller in 0..3_u32 {
                let site = &site;
                scope.spawn(move || {
                    let mut buffer = [0; 64];
                    for round in 0..rounds(300) {
                        for cpu in 0..site.cpus_len() {
                            let value = caller * 1_000_000 + round;
                            let ran_on = site.call(cpu, || {
                                buffer.fill(value);
                                site.platform().current_cpu()
                            });
                            assert_eq!(ran_on, Ok(Some(cpu)));
                            assert_eq!(buffer, [value; 64]);
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn p4_a_wait_shows_what_the_run_wrote() {
    let _bounded = bounded();
    for site in sites() {
        static PLACE: Mutex<u32> = Mutex::new(0);
        static WRITE: Csd<fn()> = Csd::new(|| *PLACE.lock().unwrap() += 1);
        *PLACE.lock().unwrap() = 0;
        for round in 1..=rounds(500) {
            site.post(round % site.cpus_len(), &WRITE).unwrap();
            site.wait(&WRITE).unwrap();
            assert_eq!(*PLACE.lock().unwrap(), round, "the function has returned");
        }
    }
}

#[test]
fn p10_no_wake_up_is_lost_in_many_thousand_calls() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(2, idle);
        let ran = Count::default();
        thread::scope(|scope| {
            for caller in 0..3_u32 {
                let (site, ran) = (&site, &ran);
                scope.spawn(move || {
                    for round in 0..rounds(10_000) {
                        assert_eq!(site.call((caller + round) % 2, || ran.up()).map(drop), Ok(()));
                    }
                });
            }
        });
        assert_eq!(ran.get(), 3 * rounds(10_000));
    }
}

#[test]
fn p10_callers_that_went_to_sleep_are_woken() {
    let _bounded = bounded();
    for site in [Site::owned(2, Idle::Sleep), Site::owned(4, Idle::Sleep)] {
        let ran = Count::default();
        thread::scope(|scope| {
            for caller in 0..4_u32 {
                let (site, ran) = (&site, &ran);
                scope.spawn(move || {
                    for round in 0..rounds(1_000) {
                        let began = Instant::now();
                        // As long as no caller spins. How long the call takes is nobody's business.
                        let slow = || {
                            while began.elapsed() < Duration::from_micros(150) {
                                std::hint::spin_loop();
                            }
                            ran.up()
                        };
                        assert_eq!(site.call((caller + round) % 2, slow).map(drop), Ok(()));
                    }
                });
            }
        });
        assert_eq!(ran.get(), 4 * rounds(1_000));
    }
}

#[test]
fn p4_those_who_wait_for_a_csd_and_went_to_sleep_are_woken() {
    let _bounded = bounded();
    for site in [Site::owned(2, Idle::Sleep), Site::owned(4, Idle::Sleep)] {
        thread::scope(|scope| {
            // More than a target has wakes for: some of them nap.
            for waiter in 0..4_u32 {
                let site = &site;
                scope.spawn(move || {
                    let ran = Arc::new(Count::default());
                    let counts = Arc::clone(&ran);
                    let csd = counted(move || {
                        let began = Instant::now();
                        // As long as no waiter spins. How long the wait takes is nobody's business.
                        while began.elapsed() < Duration::from_micros(150) {
                            std::hint::spin_loop();
                        }
                        counts.up();
                    });
                    for round in 1..=rounds(500) {
                        site.post((waiter + round) % 2, &csd).unwrap();
                        let waited = match round % 3 {
                            0 => site.wait_timeout(&csd, Duration::MAX),
                            _ => site.wait(&csd),
                        };
                        assert_eq!((waited, ran.get()), (Ok(()), round));
                    }
                });
            }
        });
    }
}

/// Two CPUs that call each other, `calls` times each, and serve until both are through.
fn call_each_other(site: &Machine, calls: u32) {
    let (online, through) = (Barrier::new(2), Count::default());
    thread::scope(|scope| {
        for cpu in 0..2 {
            let (online, through) = (&online, &through);
            scope.spawn(move || {
                let mut here = site.attach(cpu).unwrap();
                online.wait();
                for call in 0..calls {
                    assert_eq!(
                        site.call(1 - cpu, || (site.platform().current_cpu(), call)),
                        Ok((Some(1 - cpu), call))
                    );
                }
                through.up();
                while through.get() < 2 {
                    let _ = here.poll(Budget::DEFAULT);
                    thread::yield_now();
                }
            });
        }
    });
}

#[test]
fn p10_two_cpus_that_call_each_other_both_finish() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(2));
    call_each_other(&site, rounds(5_000));
}

#[test]
fn p10_an_attached_cpu_serves_its_queue_while_it_waits() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(1));
    let mut here = site.attach(1).unwrap();
    for _ in 0..rounds(500) {
        // The owned CPU's function is over only when ours has run, which only this waiting thread can do.
        let (sender, ran) = mpsc::channel();
        let ours = counted(move || sender.send(()).unwrap());
        let (handle, ours) = (site.handle(), &ours);
        let theirs = move || {
            handle.post(1, ours).unwrap();
            ran.recv().unwrap()
        };
        assert_eq!(site.call(0, theirs), Ok(()));
    }
    assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(0));
}

#[test]
fn p10_from_inside_a_function_only_a_self_call_is_allowed() {
    let _bounded = bounded();
    let site = Site::owned(2, Idle::Sleep);
    let never = counted(|| ());
    let (other, own, wait) = site
        .call(0, || {
            let held = site.post(1, &never);
            assert_eq!(held, Ok(Posted::Queued));
            (site.call(1, || 1), site.call(0, || 2), site.call(0, || site.call(1, || 3)))
        })
        .unwrap();
    assert_eq!((other, own), (Err(CallError::WouldDeadlock), Ok(2)));
    assert_eq!(wait, Ok(Err(CallError::WouldDeadlock)), "a self call is call context too");
    site.wait(&never).unwrap();
}

#[test]
fn p10_a_function_cannot_wait_for_itself_nor_for_what_comes_after_it() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let (answers, handle) = (Arc::new(Mutex::new(Vec::new())), site.handle());
    let csd = {
        let answers = Arc::clone(&answers);
        crate::site::cyclic(|itself| {
            move || {
                let itself = itself.upgrade().expect("a run holds a count");
                let for_this_run = handle.wait(&itself);
                let later = counted(|| ());
                handle.post(0, &later).unwrap();
                answers.lock().unwrap().extend([for_this_run, handle.wait(&later)]);
            }
        })
    };
    site.post(0, &csd).unwrap();
    site.wait(&csd).unwrap();
    assert_eq!(*answers.lock().unwrap(), [Err(WaitError::WouldDeadlock); 2]);
}

#[test]
fn p10_with_soft_interrupts_off_a_post_is_allowed_and_a_wait_is_not() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let csd = counted(|| ());
    let held = hold(&site, 0);
    site.platform().irq_save();
    site.platform().irq_save();
    site.platform().irq_restore(());
    assert_eq!(site.post(0, &csd), Ok(Posted::Queued));
    assert_eq!(site.call(0, || ()), Err(CallError::WouldDeadlock));
    assert_eq!(site.wait(&csd), Err(WaitError::WouldDeadlock));
    site.platform().irq_restore(());
    drop(held);
    assert_eq!(site.call(0, || 7), Ok(7));
    assert_eq!(site.wait(&csd), Ok(()));
}

/// Calls CPU 0 when its thread ends, from its destructor.
struct CallsAtTheEnd(Arc<Machine>, mpsc::Sender<Result<u32, CallError>>);

impl Drop for CallsAtTheEnd {
    fn drop(&mut self) {
        // Sleeps, since the function takes longer than anybody spins.
        let slow = || {
            thread::sleep(Duration::from_millis(1));
            9
        };
        self.1.send(self.0.call(0, slow)).unwrap();
    }
}

thread_local! {
    static EARLY: RefCell<Option<CallsAtTheEnd>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<CallsAtTheEnd>> = const { RefCell::new(None) };
}

#[test]
fn p4_a_thread_may_call_from_its_last_destructors() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let (sender, results) = mpsc::channel();
    for called_before in [false, true] {
        let at_the_end = || CallsAtTheEnd(site.handle(), sender.clone());
        thread::scope(|scope| {
            scope.spawn(|| {
                // One is dropped before this thread's doorbell, and one after it.
                EARLY.set(Some(at_the_end()));
                if called_before {
                    site.call(0, || thread::sleep(Duration::from_millis(1))).unwrap();
                }
                LATE.set(Some(at_the_end()));
            });
        });
        // A scope may end before the destructors of its threads have run.
        assert_eq!((results.recv(), results.recv()), (Ok(Ok(9)), Ok(Ok(9))));
    }
}

#[test]
fn p4_callers_come_and_go_while_their_calls_are_answered() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(2).cores(Cores::Unpinned).idle(Idle::Sleep));
    let ran = Count::default();
    // Each thread ends right after its call: its doorbell has its next owner before the wake-up is through.
    for _ in 0..rounds(300) {
        thread::scope(|scope| {
            for cpu in [0, 1, 0, 1] {
                scope.spawn({
                    let (site, ran) = (&site, &ran);
                    move || site.call(cpu, || _ = ran.up()).unwrap()
                });
            }
        });
    }
    assert_eq!(ran.get(), 4 * rounds(300));
}

#[test]
fn p4_two_machines_do_not_mix() {
    let _bounded = bounded();
    let (one, other) = (Site::owned(1, Idle::Sleep), Site::owned(2, Idle::Sleep));
    let inner = one.call(0, || {
        // To the other machine this thread is no CPU, but it is in call context all the same.
        (other.platform().current_cpu(), other.call(1, || ()), other.post(1, &counted(|| ())))
    });
    assert_eq!(inner, Ok((None, Err(CallError::WouldDeadlock), Ok(Posted::Queued))));
    assert_eq!((one.call(0, || 1), other.call(0, || 2)), (Ok(1), Ok(2)));
    let flag = Flag::default();
    assert_eq!(other.call(1, || flag.set()), Ok(()));
    assert!(flag.is_set());
}
