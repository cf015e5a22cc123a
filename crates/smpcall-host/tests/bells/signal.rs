//! A CPU whose thread is interrupted by a signal. What is posted to it is async-signal-safe: it counts, and posts; and each csd is held
//! by its test until the thread has detached. The loops ask for the time: where ThreadSanitizer delivers signals late, it does so there.

use crate::loops::Flood;
use crate::site::{Count, Flag, Site, beside, bounded, counted, cyclic, eventually, rounds};
use nix::libc;
use nix::poll::ppoll;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal as Number, sigaction};
use nix::unistd::{gettid, pipe, read, write};
use smpcall_host::smpcall::{Budget, CallError, Flushed, Platform, PostError, Posted};
use smpcall_host::{AttachError, Attached, Cores, Idle, Machine, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

fn site() -> Site {
    Site::new(Machine::builder().attachable(1))
}

fn attach(site: &Site) -> Attached<'_, (), Signal> {
    // SAFETY: what the tests post here is async-signal-safe.
    unsafe { site.attach_interrupted(0, Signal::real_time(1).unwrap()) }.unwrap()
}

/// Computes, and never looks at its queue.
fn compute(mut until: impl FnMut() -> bool) {
    let mut last = Instant::now();
    while !until() {
        let now = Instant::now();
        assert!(now >= last);
        last = now;
    }
}

/// The signal, to the calling thread.
fn raise(number: i32) {
    // SAFETY: it has a handler.
    assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), number) }, 0);
}

/// Blocks a signal in the calling thread, or opens it.
fn mask(how: i32, number: i32) {
    // SAFETY: the set is filled before it is read.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, number);
        assert_eq!(libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()), 0);
    }
}

#[test]
fn a_thread_that_computes_and_never_looks_runs_what_is_posted_to_it() {
    let _bounded = bounded();
    let (site, done) = (site(), Flag::default());
    let (runs, thread) = (Arc::new(Count::new()), Arc::new(AtomicI32::new(0)));
    let csd = {
        let (runs, thread) = (Arc::clone(&runs), Arc::clone(&thread));
        counted(move || {
            // Relaxed: the count publishes it.
            thread.store(gettid().as_raw(), Ordering::Relaxed);
            runs.up();
        })
    };
    let posts = rounds(200);
    let here = attach(&site);
    beside(
        || {
            for round in 0..posts {
                site.post(0, &csd).unwrap();
                eventually(|| runs.get() > round);
                assert_eq!(site.call(0, || round), Ok(round), "nor does a call wait for a look");
            }
            done.set();
        },
        || compute(|| done.is_set()),
    );
    assert_eq!(runs.get(), posts);
    // Relaxed: as above.
    assert_eq!(thread.load(Ordering::Relaxed), gettid().as_raw());
    assert!(site.counts().wakes <= u64::from(2 * posts), "P7: a signal a post, at most");
    drop(here);
}

#[test]
fn the_soft_irq_guard_holds_it_off_and_its_end_lets_it_in() {
    let _bounded = bounded();
    let (site, runs, masked) = (site(), Arc::new(Count::new()), Flag::default());
    let csd = {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    let here = attach(&site);
    let host = site.platform();
    for round in 0..rounds(50) {
        host.irq_save();
        host.irq_save();
        beside(|| _ = site.post(0, &csd).unwrap(), || masked.set());
        // The signal was sent, and this thread has been in the kernel since.
        raise(here.doorbell().number());
        assert_eq!(runs.get(), round);
        host.irq_restore(());
        raise(here.doorbell().number());
        assert_eq!(runs.get(), round, "held twice");
        host.irq_restore(());
        compute(|| runs.get() > round);
    }
    drop(here);
}

#[test]
fn an_interrupt_in_call_context_is_answered_when_that_ends_and_answers_do_not_nest() {
    let _bounded = bounded();
    let (site, depth, worst, runs) =
        (site(), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(Count::new()));
    let number = Signal::real_time(1).unwrap();
    let csds: Vec<_> = (0..4)
        .map(|_| {
            let (depth, worst, runs) = (Arc::clone(&depth), Arc::clone(&worst), Arc::clone(&runs));
            counted(move || {
                // Relaxed: one thread's.
                let depths = depth.fetch_add(1, Ordering::Relaxed) + 1;
                // Relaxed: as above.
                worst.fetch_max(depths, Ordering::Relaxed);
                raise(number);
                runs.up();
                // Relaxed: as above.
                depth.fetch_sub(1, Ordering::Relaxed);
            })
        })
        .collect();
    let here = attach(&site);
    for round in 1..=rounds(50) {
        // By itself, so that the first runs as the post's guard ends.
        csds.iter().for_each(|csd| _ = site.post(0, csd).unwrap());
        compute(|| runs.get() == 4 * round);
    }
    // Relaxed: as above.
    assert_eq!((depth.load(Ordering::Relaxed), worst.load(Ordering::Relaxed)), (0, 1));
    drop(here);
}

#[test]
fn a_flood_from_within_leaves_the_thread_its_turn() {
    let _bounded = bounded();
    let site = site();
    let (stop, runs) = (Arc::new(Flag::default()), Arc::new(Count::new()));
    let itself = {
        let (machine, stop, runs) = (site.handle(), Arc::clone(&stop), Arc::clone(&runs));
        cyclic(move |itself| {
            move || {
                runs.up();
                if let Some(csd) = itself.upgrade()
                    && !stop.is_set()
                {
                    machine.post(0, &csd).unwrap();
                }
            }
        })
    };
    let here = attach(&site);
    site.post(0, &itself).unwrap();
    // A signal to oneself at the end of each budget would come before the next instruction, and hang here.
    for _ in 0..20 {
        let before = runs.get();
        compute(|| runs.get() > before + 1_000);
    }
    stop.set();
    compute(|| !itself.is_pending());
    drop(here);
}

#[test]
fn what_is_posted_until_it_detaches_runs_and_a_signal_that_comes_later_does_nothing() {
    let _bounded = bounded();
    let site = site();
    for _ in 0..rounds(20) {
        let (flood, online, over) = (Flood::new(), Flag::default(), AtomicBool::new(false));
        let csd = flood.csd();
        beside(
            || {
                online.wait();
                loop {
                    match site.post(0, &csd) {
                        Ok(Posted::Queued) => _ = flood.queued.up(),
                        Ok(_) => thread::yield_now(),
                        Err(PostError::Offline { .. }) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                // Release: pairs with the end.
                over.store(true, Ordering::Release);
            },
            || {
                let here = attach(&site);
                online.set();
                compute(|| flood.runs.get() > 20);
                let number = here.doorbell().number();
                drop(here);
                raise(number);
            },
        );
        // Acquire: pairs with the poster.
        assert!(over.load(Ordering::Acquire));
        assert_eq!(flood.runs.get(), flood.queued.get());
    }
}

#[test]
fn a_signal_that_is_pending_as_the_thread_detaches_finds_nothing_to_do() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let (here, csd) = (attach(&site), flood.csd());
    let number = here.doorbell().number();
    mask(libc::SIG_BLOCK, number);
    site.post(0, &csd).unwrap();
    assert_eq!((flood.runs.get(), site.counts().wakes), (0, 1));
    drop(here);
    assert_eq!(flood.runs.get(), 1, "going offline runs it");
    mask(libc::SIG_UNBLOCK, number);
    assert_eq!(site.call(0, || ()), Err(CallError::Offline));
    // And the thread may be that CPU again, by a signal or without.
    let here = attach(&site);
    site.post(0, &csd).unwrap();
    compute(|| flood.runs.get() == 2);
    drop(here);
    let mut here = site.attach(0).unwrap();
    site.post(0, &csd).unwrap();
    raise(number);
    assert_eq!((flood.runs.get(), here.park(None), flood.runs.get()), (2, 1, 3), "nothing interrupts it");
}

#[test]
fn a_thread_that_has_the_signal_blocked_is_a_cpu_all_the_same_and_finds_it_blocked_afterwards() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let number = Signal::real_time(1).unwrap();
    mask(libc::SIG_BLOCK, number);
    let (here, csd) = (attach(&site), flood.csd());
    site.post(0, &csd).unwrap();
    compute(|| flood.runs.get() == 1);
    drop(here);
    // SAFETY: the sets are filled before they are read.
    let is_blocked = unsafe {
        let mut set = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set);
        libc::sigismember(&raw const set, number)
    };
    assert_eq!(is_blocked, 1);
    mask(libc::SIG_UNBLOCK, number);
}

#[test]
fn a_signal_that_is_taken_or_none_is_refused_and_the_thread_is_no_cpu() {
    extern "C" fn nothing(_: i32) {}
    let site = site();
    let refused = |signal| {
        // SAFETY: nothing is posted.
        unsafe { site.attach_interrupted(0, signal) }.expect_err("it is refused")
    };
    for handler in [SigHandler::Handler(nothing), SigHandler::SigIgn] {
        let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing.
        let before = unsafe { sigaction(Number::SIGUSR2, &action) }.unwrap();
        let taken = Number::SIGUSR2 as i32;
        assert!(matches!(refused(taken), AttachError::SignalTaken(number) if number == taken));
        // SAFETY: what was there before.
        let still = unsafe { sigaction(Number::SIGUSR2, &before) }.unwrap();
        assert_eq!(format!("{:?}", still.handler()), format!("{handler:?}"), "it is left as it was");
    }
    for signal in [0, -1, 1_000, libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV] {
        assert!(matches!(refused(signal), AttachError::NoSuchSignal(number) if number == signal));
    }
    assert_eq!((Signal::real_time(1_000), Signal::real_time(u32::MAX)), (None, None));
    assert_eq!(site.call(0, || ()), Err(CallError::Offline));
    drop(site.attach(0).unwrap());
}

#[test]
fn a_system_call_that_is_interrupted_goes_on() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let (from, to) = pipe().unwrap();
    let (here, csd) = (attach(&site), flood.csd());
    beside(
        || {
            for round in 1..=5 {
                site.post(0, &csd).unwrap();
                eventually(|| flood.runs.get() == round);
            }
            write(&to, b"x").unwrap();
        },
        || assert_eq!(read(&from, &mut [0; 8]), Ok(1)),
    );
    drop(here);
}

#[test]
fn nothing_is_lost_by_a_thread_that_computes_parks_and_is_interrupted() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut here = attach(&site);
    let (blocking, done) = (Count::new(), Flag::default());
    let mut turns = 0_u32;
    beside(
        || {
            for round in 0..rounds(2_000) {
                assert_eq!(site.call_blocking(0, || blocking.up()), Ok(round));
            }
            done.set();
            // So that a thread that sleeps sees it.
            site.call(0, || ()).unwrap();
        },
        || {
            flood.beside(&site, || {
                while !flood.is_over() || !done.is_set() {
                    here.park(None);
                    turns += 1;
                    let until = turns + turns % 7;
                    compute(|| {
                        turns += 1;
                        turns >= until
                    });
                }
            });
        },
    );
    assert_eq!((flood.runs.get(), blocking.get()), (flood.queued.get(), rounds(2_000)));
    drop(here);
}

#[test]
fn p10_one_that_waits_is_woken_and_serves() {
    let _bounded = bounded();
    let builder = Machine::builder().owned(1).cores(Cores::Unpinned).idle(Idle::Sleep).attachable(1);
    let (site, ran, served) = (Site::new(builder), Arc::new(Count::new()), Arc::new(Count::new()));
    // SAFETY: what is posted there counts.
    let here = unsafe { site.attach_interrupted(1, Signal::real_time(1).unwrap()) }.unwrap();
    let csd = {
        let ran = Arc::clone(&ran);
        counted(move || _ = ran.up())
    };
    for round in 0..rounds(300) {
        // It comes at any step of the wait: before the sleep, in it, and after.
        let (machine, served) = (site.handle(), Arc::clone(&served));
        let post = || machine.post(1, &csd).unwrap();
        assert_eq!(site.call(0, || (post(), 5).1), Ok(5));
        let back = || machine.call(1, || served.up()).unwrap();
        assert_eq!(site.call_blocking(0, back), Ok(round));
    }
    compute(|| !csd.is_pending());
    assert_eq!((served.get(), ran.get() > 0), (rounds(300), true));
    drop(here);
}

#[test]
fn a_loop_that_opens_the_signal_in_its_sleep_alone_loses_nothing() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut other = SigSet::all();
    other.remove(Number::SIGURG);
    let mut urgent = SigSet::empty();
    urgent.add(Number::SIGURG);
    // SAFETY: what the flood posts counts.
    let mut here = unsafe { site.attach_interrupted(0, Number::SIGURG as i32) }.unwrap();
    urgent.thread_block().unwrap();
    flood.beside(&site, || {
        while !flood.is_over() {
            if let Ok(guard) = here.begin_sleep() {
                let asleep = guard.commit();
                let _ = ppoll(&mut [], None, Some(other));
                let _ = asleep.woken(Budget::DEFAULT);
            } else {
                let _: Flushed = here.poll(Budget::DEFAULT);
            }
        }
    });
    assert_eq!(flood.runs.get(), flood.queued.get());
    drop(here);
    urgent.thread_unblock().unwrap();
}

#[test]
fn two_machines_share_a_signal_and_each_thread_runs_its_own() {
    let _bounded = bounded();
    let sites = [site(), site()];
    let posts = rounds(20);
    let threads: Vec<_> = sites
        .iter()
        .map(|site| {
            let (machine, ready) = (site.handle(), Arc::new(Flag::default()));
            let (runs, is_ready) = (Arc::new(Count::new()), Arc::clone(&ready));
            let counts = Arc::clone(&runs);
            let serves = thread::spawn(move || {
                let site = machine;
                // SAFETY: what is posted there counts.
                let here = unsafe { site.attach_interrupted(0, Signal::real_time(1).unwrap()) }.unwrap();
                is_ready.set();
                compute(|| counts.get() == posts);
                drop(here);
            });
            (serves, runs, ready)
        })
        .collect();
    for (site, (_, runs, ready)) in sites.iter().zip(&threads) {
        ready.wait();
        let counts = Arc::clone(runs);
        let csd = counted(move || _ = counts.up());
        for round in 1..=posts {
            site.post(0, &csd).unwrap();
            eventually(|| runs.get() == round);
        }
        // The last run has let go of it.
        eventually(|| Arc::strong_count(&csd) == 1);
    }
    threads.into_iter().for_each(|(thread, ..)| thread.join().unwrap());
}
