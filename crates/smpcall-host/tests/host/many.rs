//! Multicasts between real threads: everybody at once, sleeping senders, and machines of more CPUs than a word has bits.

use crate::site::{Count, IDLES, Site, bounded, hold, rounds, sites};
use smpcall_host::smpcall::{CpuSet, ManyError, Platform, To};
use smpcall_host::{Idle, Machine};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn p4_everybody_multicasts_at_once_and_all_are_answered() {
    let _bounded = bounded();
    for site in sites() {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..rounds(200) {
                        let hits: Vec<Mutex<Vec<u32>>> =
                            (0..site.cpus_len()).map(|_| Mutex::default()).collect();
                        let function = || {
                            let cpu = site.platform().current_cpu().unwrap() as usize;
                            hits[cpu].lock().unwrap().push(round);
                        };
                        let reached = site.call_many(To::All, function).unwrap();
                        assert_eq!((reached.ran, reached.offline), (site.cpus_len(), 0));
                        for hits in hits {
                            assert_eq!(hits.into_inner().unwrap(), [round]);
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn p1_what_nobody_waits_for_runs_on_each_and_before_the_end() {
    let _bounded = bounded();
    for idle in IDLES {
        static RAN: Count = Count::new();
        let before = RAN.get();
        let site = Site::owned(2, idle);
        let mut due = 0;
        for _ in 0..rounds(1000) {
            match site.post_many(To::All, || _ = RAN.up()) {
                Ok(reached) => due += reached.ran,
                Err(error) => assert_eq!(error, ManyError::Full),
            }
        }
        site.shutdown().unwrap();
        assert_eq!(RAN.get() - before, due, "P8: accepted, and run before the machine ended");
        assert_eq!(site.post_many(To::All, || _ = RAN.up()).unwrap().ran, 0);
    }
}

#[test]
fn p10_cpus_that_multicast_to_each_other_all_finish() {
    let _bounded = bounded();
    let machine = Machine::builder().attachable(4).build().unwrap();
    let (start, ended) = (Barrier::new(4), Count::new());
    thread::scope(|scope| {
        for cpu in 0..4 {
            let (machine, start, ended) = (&machine, &start, &ended);
            scope.spawn(move || {
                let mut attached = machine.attach(cpu).unwrap();
                start.wait();
                for _ in 0..rounds(300) {
                    let ran = Count::new();
                    assert_eq!(machine.call_many(To::Others, || _ = ran.up()).unwrap().ran, 3);
                    assert_eq!(ran.get(), 3);
                }
                // It stays online until the last has ended.
                ended.up();
                while ended.get() < 4 {
                    attached.park(Some(Duration::from_millis(1)));
                }
            });
        }
    });
}

#[test]
fn p11_a_panic_of_many_comes_back_once_and_the_targets_go_on() {
    let _bounded = bounded();
    let site = Site::owned(2, IDLES[0]);
    let ran = Count::new();
    let call = || {
        site.call_many(To::All, || {
            ran.up();
            resume_unwind(Box::new("thrown"));
        })
    };
    let payload = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"thrown"));
    assert_eq!((ran.get(), site.counts().panics), (2, 1), "one is the caller's, the other is counted");
    assert_eq!(site.call_many(To::All, || _ = ran.up()).unwrap().ran, 2);
}

#[test]
fn p11_a_condition_that_panics_after_some_were_reached_waits_for_them() {
    let _bounded = bounded();
    // The condition is asked a word at a time; CPU 0 is reached before the second word is asked.
    let machine = Machine::builder().owned(1).attachable(usize::BITS as usize).build().unwrap();
    for _ in 0..rounds(200) {
        let ran = Count::new();
        let mut condition = |cpu| if cpu < usize::BITS { true } else { resume_unwind(Box::new("no")) };
        let call = || machine.call_many(To::If(&mut condition), || _ = ran.up());
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert_eq!(ran.get(), 1, "it has run when the panic comes out, so the frame may go");
    }
}

#[test]
fn the_nearest_of_a_thread_that_is_no_cpu_is_an_idle_one_and_each_in_turn() {
    let _bounded = bounded();
    let site = Site::owned(4, Idle::Sleep);
    let _held = hold(&site, 1);
    let all: CpuSet<1> = (0..4).collect();
    let mut called = [0; 4];
    for _ in 0..64 {
        // A call to CPU 1 would not come back.
        let cpu = site.call_nearest(&all, || site.platform().current_cpu()).unwrap().unwrap();
        called[cpu as usize] += 1;
    }
    assert_eq!(called[1], 0);
    assert!([0, 2, 3].iter().all(|cpu| called[*cpu] > 0), "{called:?}");
}

#[test]
fn large_machines_are_reached_past_the_first_word() {
    let _bounded = bounded();
    let machine = Machine::builder().attachable(200).build().unwrap();
    static RAN: Count = Count::new();
    thread::scope(|scope| {
        for cpu in [3, 130, 199] {
            let machine = &machine;
            scope.spawn(move || {
                let mut attached = machine.attach(cpu).unwrap();
                let far: CpuSet<4> = [130, 199].into_iter().collect();
                while !far.iter().all(|cpu| machine.is_online_racy(cpu)) {
                    thread::yield_now();
                }
                if cpu == 3 {
                    let reached = machine.call_many(To::Mask(&far), || ()).unwrap();
                    assert_eq!((reached.ran, reached.offline), (2, 0));
                    let who = machine.call_nearest(&far, || machine.platform().current_cpu());
                    assert!(matches!(who, Ok(Some(130 | 199))));
                    machine.post_many(To::Mask(&far), || _ = RAN.up()).unwrap();
                }
                while RAN.get() < 2 {
                    attached.park(Some(Duration::from_millis(1)));
                }
            });
        }
    });
}
