//! Existing threads as CPUs.

use crate::site::{Count, Flag, Site, beside, bounded, counted, eventually, rounds};
use smpcall_host::smpcall::{Budget, CallError, Flushed, Platform, To};
use smpcall_host::{AttachError, Attached, Idle, Machine, allowed_cores};
use std::cell::RefCell;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

fn counting() -> (Arc<smpcall_host::smpcall::Csd<impl Fn() + Send + Sync + 'static>>, Arc<Count>) {
    let runs = Arc::new(Count::default());
    let counts = Arc::clone(&runs);
    (counted(move || _ = counts.up()), runs)
}

#[test]
fn a_seat_has_one_thread_and_a_thread_has_one_seat() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(2));
    let other = Site::new(Machine::builder().owned(1).attachable(1));
    let here = site.attach(1).unwrap();
    assert_eq!((here.cpu(), site.platform().current_cpu()), (1, Some(1)));
    for again in [site.attach(1), site.attach(2), other.attach(1), site.attach(0), site.attach(9)] {
        assert!(matches!(again, Err(AttachError::ThreadIsACpu)), "{again:?}");
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(site.attach(1), Err(AttachError::Taken)));
            for cpu in [0, 3, u32::MAX] {
                assert!(matches!(site.attach(cpu), Err(AttachError::NotAttachable)), "{cpu}");
            }
            // None of that has made it a CPU, or taken a seat.
            assert_eq!(site.platform().current_cpu(), None);
            drop(site.attach(2).unwrap());
        });
    });
    let own_thread = other.call(0, || matches!(other.attach(1), Err(AttachError::ThreadIsACpu)));
    assert_eq!(own_thread, Ok(true));
    assert_eq!(other.call(0, || matches!(site.attach(2), Err(AttachError::ThreadIsACpu))), Ok(true));
    drop(here);
    assert_eq!(site.platform().current_cpu(), None);
    assert_eq!(other.attach(1).unwrap().cpu(), 1, "free to be another CPU");
}

#[test]
fn after_the_end_nobody_attaches() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(1));
    drop(site.attach(1).unwrap());
    site.shutdown().unwrap();
    let refused = site.attach(1);
    assert!(matches!(refused, Err(AttachError::ShutDown)), "{refused:?}");
    assert!(matches!(site.attach(7), Err(AttachError::NotAttachable)), "which there never was");
    assert_eq!(site.platform().current_cpu(), None);
}

#[test]
fn who_leaks_its_place_is_free_when_the_machine_is_gone() {
    let _bounded = bounded();
    let other = Site::new(Machine::builder().attachable(1));
    let machine = Machine::builder().attachable(1).build().unwrap();
    std::mem::forget(machine.attach(0).unwrap());
    assert!(matches!(other.attach(0), Err(AttachError::ThreadIsACpu)), "as long as it lives");
    drop(machine);
    let mut here = other.attach(0).unwrap();
    let (csd, runs) = counting();
    other.post(0, &csd).unwrap();
    assert_eq!((here.park(None), runs.get()), (1, 1));
}

#[test]
fn a_pin_that_is_refused_gives_the_seat_back() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let bad = (0..1_024).rev().find(|core| !allowed_cores().contains(core)).unwrap_or(1_024);
    for core in [bad, 5_000, usize::MAX] {
        let refused = site.attach_pinned(0, core);
        assert!(matches!(refused, Err(AttachError::Pin(_))), "{refused:?}");
        assert_eq!(site.platform().current_cpu(), None);
        assert_eq!(site.call(0, || ()), Err(CallError::Offline));
    }
    let good = allowed_cores()[0];
    thread::scope(|scope| {
        scope.spawn(|| {
            let here = site.attach_pinned(0, good).unwrap();
            assert_eq!(allowed_cores(), [good]);
            drop(here);
            assert_eq!(allowed_cores(), [good], "it stays there");
        });
    });
}

#[test]
fn p8_detaching_runs_what_was_accepted() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let csds: Vec<_> = (0..600).map(|_| counting()).collect();
    let mut here = site.attach(0).unwrap();
    csds.iter().for_each(|(csd, _)| _ = site.post(0, csd).unwrap());
    // Some of it is left over by a flush, and some is still in the queue.
    assert_eq!(here.poll(Budget::calls(NonZeroU32::new(5).unwrap())), Flushed::More(5));
    drop(here);
    assert!(csds.iter().all(|(csd, runs)| !csd.is_pending() && runs.get() == 1));
    // And a call that somebody waits for.
    let queued = Flag::default();
    let call = || {
        queued.set();
        // Either way: accepted and answered, or refused.
        let answer = site.call(0, || 5);
        assert!(matches!(answer, Ok(5) | Err(CallError::Offline)), "{answer:?}");
    };
    let here = site.attach(0).unwrap();
    beside(call, || {
        queued.wait();
        thread::yield_now();
        drop(here);
    });
}

#[test]
fn p8_another_thread_takes_the_seat_over() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let (csd, runs) = counting();
    for round in 0..rounds(200) {
        let serve = || {
            let mut here = site.attach(0).unwrap();
            let before = site.counts().rings;
            site.post(0, &csd).unwrap();
            // The last thread left while it polled; that must not keep this one from being rung.
            assert_eq!(site.counts().rings, before + 1);
            if round % 3 == 0 {
                assert_eq!(here.park(None), 1);
            }
            here.poll_begin();
        };
        beside(serve, || ());
        assert_eq!(runs.get(), round + 1);
    }
    drop(site.attach(0).unwrap());
}

#[test]
fn p7_parking_with_and_without_an_end() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach(0).unwrap();
    let (csd, runs) = counting();
    assert_eq!(here.park(Some(Duration::from_millis(1))), 0, "nothing came");
    assert_eq!(here.park(Some(Duration::ZERO)), 0);
    site.post(0, &csd).unwrap();
    assert_eq!(here.park(Some(Duration::ZERO)), 1, "what is there runs first");
    let parks = Flag::default();
    for timeout in [None, Some(Duration::MAX), Some(Duration::from_secs(10_000))] {
        let before = runs.get();
        beside(
            || {
                parks.wait();
                thread::sleep(Duration::from_millis(2));
                site.post(0, &csd).unwrap();
            },
            || {
                parks.set();
                while here.park(timeout) == 0 {}
            },
        );
        assert_eq!(runs.get(), before + 1, "a post wakes it");
    }
}

#[test]
fn p10_park_wakes_many_thousand_times() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let (online, stop) = (Flag::default(), Flag::default());
    let serve = || {
        let mut here = site.attach(0).unwrap();
        online.set();
        while !stop.is_set() {
            here.park(None);
        }
    };
    beside(serve, || {
        online.wait();
        for round in 0..rounds(20_000) {
            assert_eq!(site.call(0, || round), Ok(round));
        }
        assert_eq!(site.call(0, || stop.set()), Ok(()));
    });
}

#[test]
fn a_park_ends_when_the_machine_does() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let online = Flag::default();
    let parks = || {
        let mut here = site.attach(0).unwrap();
        online.set();
        // Nobody posts: without the end's ring this would sleep on.
        assert_eq!(here.park(None), 0);
    };
    beside(parks, || {
        online.wait();
        site.shutdown().unwrap();
    });
}

#[test]
fn p10_inside_a_function_nobody_parks() {
    let _bounded = bounded();
    let site: &'static Machine = Box::leak(Box::new(Machine::builder().attachable(1).build().unwrap()));
    thread::spawn(move || {
        ATTACHED.set(Some(site.attach(0).unwrap()));
        let inside = || {
            ATTACHED.with_borrow_mut(|here| {
                let here = here.as_mut().unwrap();
                let parked = catch_unwind(AssertUnwindSafe(|| here.park(Some(Duration::ZERO))));
                (parked.is_err(), here.poll(Budget::DEFAULT))
            })
        };
        assert_eq!(site.call(0, inside), Ok((true, Flushed::Nested)));
        // Nor with soft interrupts off.
        site.platform().irq_save();
        let parks = || ATTACHED.with_borrow_mut(|here| here.as_mut().unwrap().park(None));
        assert!(catch_unwind(AssertUnwindSafe(parks)).is_err());
        site.platform().irq_restore(());
        let (csd, runs) = counting();
        site.post(0, &csd).unwrap();
        assert_eq!((parks(), runs.get()), (1, 1));
        ATTACHED.take();
    })
    .join()
    .unwrap();
    assert!(!site.is_online_racy(0));
}

thread_local! {
    static ATTACHED: RefCell<Option<Attached<'static>>> = const { RefCell::new(None) };
}

#[test]
fn p11_a_cpu_that_is_dropped_inside_a_function_of_its_own_keeps_its_seat() {
    let _bounded = bounded();
    let site: &'static Machine = Box::leak(Box::new(Machine::builder().attachable(1).build().unwrap()));
    let (refused, seen) = (mpsc::channel(), Arc::new(Flag::default()));
    let (csd, runs) = counting();
    let drops = {
        let (sender, seen) = (refused.0, Arc::clone(&seen));
        counted(move || {
            let here = ATTACHED.take();
            let detached = catch_unwind(AssertUnwindSafe(|| drop(here)));
            sender.send(detached.is_err()).unwrap();
            seen.wait();
        })
    };
    let cpu = thread::spawn({
        let csd = Arc::clone(&csd);
        move || {
            ATTACHED.set(Some(site.attach(0).unwrap()));
            site.post(0, &drops).unwrap();
            site.post(0, &csd).unwrap();
            // Who waits serves its queue, and needs no handle for it.
            (site.wait(&csd), site.platform().current_cpu())
        }
    });
    let refused = refused.1.recv().unwrap();
    // Were the seat free, two threads would be one CPU: the other is in a flush, on whose stack it was dropped.
    let second = site.attach(0).map(|_| ());
    seen.set();
    assert!(refused, "it cannot be");
    assert!(matches!(second, Err(AttachError::Taken)), "{second:?}");
    assert_eq!(cpu.join().unwrap(), (Ok(()), Some(0)));
    assert_eq!((runs.get(), site.counts().panics), (1, 0));
}

#[test]
fn a_thread_that_ends_detaches_with_its_last_destructors() {
    let _bounded = bounded();
    let site: &'static Machine = Box::leak(Box::new(Machine::builder().attachable(1).build().unwrap()));
    let (csd, runs) = counting();
    let post = Arc::clone(&csd);
    thread::spawn(move || {
        ATTACHED.set(Some(site.attach(0).unwrap()));
        site.post(0, &post).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!((runs.get(), site.is_online_racy(0)), (1, false));
    drop(site.attach(0).unwrap());
}

#[test]
fn p9_a_budget_is_kept() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).idle(Idle::Sleep).attachable(1));
    let mut here = site.attach(1).unwrap();
    let csds: Vec<_> = (0..10).map(|_| counting()).collect();
    csds.iter().for_each(|(csd, _)| _ = site.post(1, csd).unwrap());
    let four = Budget::calls(NonZeroU32::new(4).unwrap());
    assert_eq!(here.poll(four), Flushed::More(4));
    assert_eq!(here.poll(four), Flushed::More(4));
    assert_eq!(here.poll(four), Flushed::All(2));
    assert_eq!(here.poll(four), Flushed::All(0));
    eventually(|| csds.iter().all(|(_, runs)| runs.get() == 1));
}

/// A frame that waits as a thread that is no CPU would serve nobody, if the thread became one meanwhile.
#[test]
fn p10_a_thread_does_not_become_a_cpu_inside_of_a_call() {
    let _bounded = bounded();
    let in_call = |attached: Result<Attached<'_>, AttachError>| matches!(attached, Err(AttachError::InCall));
    let site = Site::new(Machine::builder().owned(1).attachable(1).stall_timeout(Duration::from_millis(2)));
    // A condition, and a function of one's own.
    let mut refused = 0;
    let mut condition = |cpu| {
        refused += u32::from(in_call(site.attach(1)));
        cpu == 0
    };
    assert_eq!(site.call_many(To::If(&mut condition), || ()).map(|reached| reached.ran), Ok(1));
    assert_eq!(refused, 2);
    // The iterator of a chain, which runs with soft interrupts off.
    let (csd, runs) = counting();
    let csds = [&csd].into_iter().inspect(|_| assert!(in_call(site.attach(1))));
    assert_eq!(site.post_all(0, csds).map(|chain| chain.queued), Ok(1));
    eventually(|| runs.get() == 1);
    // A handler of reports.
    let machine: Arc<OnceLock<Machine>> = Arc::default();
    let (handled, reports) = (Arc::clone(&machine), Arc::new(Count::default()));
    let counts = Arc::clone(&reports);
    let builder = Machine::builder().owned(1).attachable(1).stall_timeout(Duration::from_millis(2));
    let builder = builder.on_unstuck(|_| ()).on_call_stall(move |_| {
        assert!(in_call(handled.get().expect("it is kept").attach(1)));
        counts.up();
    });
    machine.set(builder.build().unwrap()).expect("it is kept once");
    let site = machine.get().expect("it was kept");
    assert_eq!(site.call(0, || eventually(|| reports.get() > 0)), Ok(()));
    assert_eq!(site.counts().panics, 0);
    // Afterwards it does.
    drop(site.attach(1).unwrap());
    site.shutdown().unwrap();
}
