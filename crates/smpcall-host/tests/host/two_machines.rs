//! P10 across machines: a CPU that waits on another machine serves its own. No machine here has a time-out, so that a doorbell
//! which does not reach a CPU that sleeps on another machine is a hang, and no delay.

use crate::site::{Flag, IDLES, Site, beside, bounded, counted, hold, rounds};
use smpcall_host::smpcall::{Budget, CallError, To};
use smpcall_host::{Attached, Builder, Idle, Machine};
use std::sync::{Arc, Barrier};
use std::time::Duration;

fn builder() -> Builder {
    Machine::builder().stall_timeout(Duration::ZERO)
}

fn owned(idle: Idle) -> Site {
    Site::new(builder().owned(1).idle(idle))
}

#[test]
fn p10_a_call_that_comes_back_through_another_machine_is_served() {
    let _bounded = bounded();
    for idle in IDLES {
        let (a, b) = (owned(idle), owned(idle));
        let csd = counted(|| ());
        let back: [(&str, &(dyn Fn() -> u32 + Sync)); 5] = [
            ("call", &|| a.call(0, || 1).unwrap()),
            ("call_blocking", &|| a.call_blocking(0, || 2).unwrap()),
            ("call_many", &|| a.call_many(To::All, || ()).map(|_| 3).unwrap()),
            ("post", &|| {
                a.post(0, &csd).and_then(|_| a.wait(&csd).map(|()| 4).map_err(|_| unreachable!())).unwrap()
            }),
            ("deeper", &|| {
                a.call_blocking(0, || b.call_blocking(0, || a.call(0, || 5))).unwrap().unwrap().unwrap()
            }),
        ];
        for (nth, (name, back)) in (1..).zip(back) {
            let there = a.call_blocking(0, || b.call_blocking(0, back));
            assert_eq!(there, Ok(Ok(nth)), "{name}, {idle:?}");
        }
    }
}

/// Runs what comes to an attached thread until the other one has had its answers.
fn serve_until(here: &mut Attached<'_>, done: &Flag) {
    while !done.is_set() {
        let _ = here.poll(Budget::DEFAULT);
        std::thread::yield_now();
    }
}

/// One of two threads, each a CPU of its own machine, that call each other's.
fn calls_the_other(mine: &Site, other: &Site, start: &Barrier, done: (&Flag, &Flag), polls: Polls) {
    let mut here = mine.attach(0).unwrap();
    start.wait();
    for round in 0..rounds(500) {
        if polls == Polls::Yes {
            here.poll_begin();
        }
        let answer = match round % 3 {
            0 => other.call(0, || round),
            1 => other.call_blocking(0, || round),
            _ => other.call_blocking(0, || mine.call(0, || round).unwrap()),
        };
        assert_eq!(answer, Ok(round));
    }
    done.0.set();
    serve_until(&mut here, done.1);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Polls {
    Yes,
    No,
}

#[test]
fn p10_two_attached_threads_that_call_each_others_machine_both_finish() {
    let _bounded = bounded();
    for polls in [Polls::No, Polls::Yes] {
        let (a, b) = (Site::new(builder().attachable(1)), Site::new(builder().attachable(1)));
        let (start, done) = (Barrier::new(2), [Flag::default(), Flag::default()]);
        let other = || calls_the_other(&b, &a, &start, (&done[1], &done[0]), polls);
        beside(other, || calls_the_other(&a, &b, &start, (&done[0], &done[1]), polls));
    }
}

#[test]
fn p7_who_sleeps_on_another_machine_is_rung_for_its_own() {
    let _bounded = bounded();
    for polls in [Polls::No, Polls::Yes] {
        let (a, b) = (Site::new(builder().attachable(1)), owned(Idle::Sleep));
        let (attached, csd) = (Flag::default(), counted(|| ()));
        let held = hold(&b, 0);
        let key = held.key();
        // CPU 0 of B is held until CPU 0 of A, which waits for it, has answered each of these. A pause in between lets it fall
        // asleep; it passes whether it does or not.
        let calls = || {
            attached.wait();
            for round in 0..rounds(40) {
                std::thread::sleep(Duration::from_millis(1));
                assert_eq!(a.call(0, || round), Ok(round));
            }
            key.set();
        };
        let waits = || {
            let mut here = a.attach(0).unwrap();
            if polls == Polls::Yes {
                here.poll_begin();
            }
            attached.set();
            assert_eq!(b.call(0, || 7), Ok(7));
            let rings = a.counts().rings;
            a.post(0, &csd).unwrap();
            assert_eq!(a.counts().rings, rings + u64::from(polls == Polls::No), "it polls as it did before");
            assert_eq!(here.poll(Budget::DEFAULT), smpcall_host::smpcall::Flushed::All(1));
        };
        beside(calls, waits);
    }
}

#[test]
fn p10_who_naps_for_a_run_on_another_machine_serves_its_own() {
    let _bounded = bounded();
    let (a, b) = (Site::new(builder().attachable(1)), owned(Idle::Sleep));
    let attached = Flag::default();
    let held = hold(&b, 0);
    let (key, csd) = (held.key(), counted(|| ()));
    let calls = || {
        attached.wait();
        assert_eq!(a.call(0, || 1), Ok(1));
        key.set();
    };
    beside(calls, || {
        let _here = a.attach(0).unwrap();
        b.post(0, &csd).unwrap();
        attached.set();
        b.wait(&csd).unwrap();
    });
}

#[test]
fn p10_a_machines_end_is_served_by_a_cpu_of_another_that_it_calls() {
    let _bounded = bounded();
    for idle in IDLES {
        let (a, b) = (Site::new(builder().attachable(1)), owned(idle));
        let here = a.attach(0).unwrap();
        let (inside, answer) = (Arc::new(Flag::default()), Arc::new(std::sync::Mutex::new(None)));
        beside(
            || {
                let called = b.call_blocking(0, || {
                    inside.set();
                    // Most likely asleep by then.
                    std::thread::sleep(Duration::from_millis(5));
                    *answer.lock().unwrap() = Some(a.call(0, || 5));
                });
                assert_eq!(called, Ok(()));
            },
            || {
                inside.wait();
                assert_eq!(b.shutdown(), Ok(()));
            },
        );
        assert_eq!(*answer.lock().unwrap(), Some(Ok::<_, CallError>(5)));
        drop(here);
    }
}
