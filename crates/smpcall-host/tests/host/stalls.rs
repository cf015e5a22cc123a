//! P10: a target that does not answer is named, and the wait goes on.

use crate::site::{Count, Flag, Site, beside, bounded, counted, eventually, hold};
use smpcall_host::smpcall::{Budget, CallStall, Phase, Platform, To, WaitError};
use smpcall_host::{Builder, Idle, Machine};
use std::cell::Cell;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_millis(5);

/// The reports of a machine.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<CallStall>>>);

impl Reports {
    fn of(&self, builder: Builder) -> Site {
        let reports = self.clone();
        Site::new(
            builder.stall_timeout(TIMEOUT).on_call_stall(move |stall| reports.0.lock().unwrap().push(*stall)),
        )
    }

    fn all(&self) -> Vec<CallStall> {
        self.0.lock().unwrap().clone()
    }

    fn phases(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits for a report of which that is true.
    fn wait_for(&self, what: impl Fn(&CallStall) -> bool) {
        eventually(|| self.0.lock().unwrap().iter().any(&what));
    }
}

#[test]
fn p10_a_function_that_does_not_return_is_named_and_waited_for() {
    fn a_very_slow_one(until: &Flag) -> u32 {
        until.wait();
        42
    }
    let _bounded = bounded();
    let reports = Reports::default();
    let site = reports.of(Machine::builder().owned(2).idle(Idle::Sleep));
    let let_go = Flag::default();
    let report_and_let_go = || {
        // Two of them: the wait has gone on after the first.
        reports.wait_for(|stall| stall.phase == Phase::Running && stall.reports >= 1);
        let_go.set();
    };
    let result = beside(report_and_let_go, || site.call(1, || a_very_slow_one(&let_go)));
    assert_eq!(result, Ok(42), "and it returns when it ends");
    let all = reports.all();
    for (nth, stall) in all.iter().enumerate() {
        assert_eq!((stall.waiter, stall.target, stall.reports as usize), (None, 1, nth));
        assert!(stall.function.contains("a_function_that_does_not_return"), "{stall}");
        assert!(stall.waited_ns >= TIMEOUT.as_nanos() as u64, "{stall}");
    }
    assert!(all.is_sorted_by(|a, b| a.waited_ns < b.waited_ns), "{all:?}");
    assert_eq!(site.counts().stalls, all.len() as u64);
    let text = all.last().unwrap().to_string();
    assert!(text.starts_with("a thread has waited ") && text.ends_with(" is running"), "{text}");
    assert!(text.contains(" for CPU 1: `"), "{text}");
}

#[test]
fn p10_a_call_behind_it_says_so() {
    let _bounded = bounded();
    let reports = Reports::default();
    let site = reports.of(Machine::builder().owned(1));
    let held = hold(&site, 0);
    let key = held.key();
    let report_and_let_go = || {
        reports.wait_for(|stall| stall.reports == 2);
        key.set();
    };
    assert_eq!(beside(report_and_let_go, || site.call(0, || 1)), Ok(1));
    let all = reports.all();
    let Phase::Behind(address) = all[0].phase else { panic!("{}", all[0]) };
    assert_ne!(address, 0);
    assert!(all[..3].iter().all(|stall| stall.phase == Phase::Behind(address)), "{all:?}");
    assert!(all[0].to_string().ends_with(&format!("queued behind the function at {address:#x}")));
}

#[test]
fn p10_a_cpu_that_does_not_look_is_named_and_rung() {
    let _bounded = bounded();
    let reports = Reports::default();
    let site = reports.of(Machine::builder().attachable(2));
    let (online, through) = (Flag::default(), Flag::default());
    let does_not_look = || {
        let mut here = site.attach(1).unwrap();
        online.set();
        reports.wait_for(|stall| stall.reports == 1);
        while !through.is_set() {
            let _ = here.poll(Budget::DEFAULT);
        }
    };
    beside(does_not_look, || {
        let _here = site.attach(0).unwrap();
        online.wait();
        assert_eq!(site.call(1, || 1), Ok(1));
        through.set();
    });
    for stall in &reports.all()[..2] {
        assert_eq!((stall.waiter, stall.target, stall.phase), (Some(0), 1, Phase::Queued));
        assert!(stall.to_string().starts_with("CPU 0 has waited "), "{stall}");
    }
}

#[test]
fn p10_a_wait_for_a_posted_csd_is_reported_like_a_call() {
    let _bounded = bounded();
    let reports = Reports::default();
    let site = reports.of(Machine::builder().owned(1));
    let (let_go, waits) = (Arc::new(Flag::default()), Arc::clone(&reports.0));
    let csd = {
        let let_go = Arc::clone(&let_go);
        counted(move || let_go.wait())
    };
    site.post(0, &csd).unwrap();
    let report_and_let_go = || {
        eventually(|| waits.lock().unwrap().iter().any(|stall| stall.phase == Phase::Running));
        let_go.set();
    };
    assert_eq!(beside(report_and_let_go, || site.wait(&csd)), Ok(()));
    assert!(reports.all().iter().all(|stall| stall.function.contains("a_wait_for_a_posted_csd")));
}

#[test]
fn p10_giving_up_leaves_a_csd_that_can_be_used() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let runs = Arc::new(Count::default());
    let csd = {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    let held = hold(&site, 0);
    site.post(0, &csd).unwrap();
    let deadline_ns = site.platform().now_ns() + 2_000_000;
    let Err(WaitError::TimedOut(stall)) = site.wait_until(&csd, deadline_ns) else { panic!("it is held") };
    assert!(site.platform().now_ns() >= deadline_ns, "not before");
    assert!(matches!(stall.phase, Phase::Behind(_)), "{stall}");
    assert_eq!((stall.target, stall.waiter, csd.is_pending()), (0, None, true));
    assert!(matches!(site.wait_until(&csd, 0), Err(WaitError::TimedOut(_))), "a deadline in the past");
    drop(held);
    assert_eq!(site.wait(&csd), Ok(()));
    site.post(0, &csd).unwrap();
    assert_eq!((site.wait(&csd), runs.get()), (Ok(()), 2));
    assert_eq!(site.wait_until(&csd, 0), Ok(()), "nothing to wait for");
}

#[test]
fn p10_a_deadline_passes_also_while_the_function_runs_and_by_a_cpu() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(1));
    let here = site.attach(1).unwrap();
    let let_go = Arc::new(Flag::default());
    let csd = {
        let let_go = Arc::clone(&let_go);
        counted(move || let_go.wait())
    };
    site.post(0, &csd).unwrap();
    eventually(|| !csd.is_pending());
    let Err(WaitError::TimedOut(stall)) = site.wait_until(&csd, site.platform().now_ns() + 1_000_000) else {
        panic!("it does not return");
    };
    assert_eq!((stall.waiter, stall.phase), (Some(1), Phase::Running));
    let_go.set();
    assert_eq!(site.wait(&csd), Ok(()));
    assert_eq!(here.cpu(), 1);
}

#[test]
fn p10_a_wait_for_a_slot_that_no_target_holds_up_names_nobody() {
    /// Takes so many slots, by senders who are still choosing whom to call.
    fn choose(site: &Site, senders: u32, then: &dyn Fn()) {
        if senders == 0 {
            return then();
        }
        let mut nobody = |cpu| {
            if cpu == 0 {
                choose(site, senders - 1, then);
            }
            false
        };
        let reached = site.call_many(To::If(&mut nobody), || ());
        assert_eq!(reached.map(|reached| reached.ran), Ok(0));
    }
    let _bounded = bounded();
    let reports = Reports::default();
    let site = reports.of(Machine::builder().owned(1).idle(Idle::Sleep));
    let all_are_taken = Flag::default();
    let choosers = || {
        choose(&site, usize::BITS, &|| {
            all_are_taken.set();
            reports.wait_for(|stall| stall.pending == 0);
        });
    };
    let reached = beside(choosers, || {
        all_are_taken.wait();
        site.call_many(To::All, || ())
    });
    assert_eq!(reached.map(|reached| reached.ran), Ok(1));
    let text = reports.all()[0].to_string();
    assert!(
        text.contains("for a slot to send `") && text.ends_with("and no CPU has one to acknowledge"),
        "{text}"
    );
}

#[test]
fn p10_a_handler_that_calls_and_stalls_is_not_called_inside_itself() {
    thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }
    let _bounded = bounded();
    let machine = Arc::new(OnceLock::<Weak<Machine>>::new());
    let (reports, nested, asked) =
        (Arc::new(Count::new()), Arc::new(Count::new()), Arc::new(Flag::default()));
    let on_call_stall = {
        let (machine, reports, nested, asked) =
            (Arc::clone(&machine), Arc::clone(&reports), Arc::clone(&nested), Arc::clone(&asked));
        move |_: &CallStall| {
            reports.up();
            if DEPTH.replace(DEPTH.get() + 1) > 0 {
                nested.up();
            } else if !asked.is_set() {
                asked.set();
                let machine = machine.get().and_then(Weak::upgrade).expect("somebody waits for it");
                assert_eq!(machine.call(1, || 1), Ok(1));
            }
            DEPTH.set(DEPTH.get() - 1);
        }
    };
    let builder = Machine::builder().owned(2).attachable(1).idle(Idle::Sleep).stall_timeout(TIMEOUT);
    let site = Site::new(builder.on_call_stall(on_call_stall));
    machine.set(Arc::downgrade(&site.handle())).unwrap();
    // As a thread that is no CPU, and as a CPU.
    for attached in [false, true] {
        let (held, held_too) = (hold(&site, 0), hold(&site, 1));
        let let_go = || {
            asked.wait();
            // The handler's own call has been found to stall, and has told nobody.
            eventually(|| site.stalled_waits_racy() == 2);
            held_too.key().set();
            held.key().set();
        };
        let call = || {
            let _here = attached.then(|| site.attach(2).unwrap());
            site.call(0, || 0)
        };
        assert_eq!(beside(let_go, || thread::scope(|scope| scope.spawn(call).join().unwrap())), Ok(0));
        asked.clear();
    }
    assert!(reports.get() >= 2);
    assert_eq!(nested.get(), 0);
}

#[test]
fn p10_no_reports_where_none_are_wanted() {
    let _bounded = bounded();
    let reports = Reports::default();
    for timeout in [Duration::ZERO, Duration::MAX] {
        let told = reports.clone();
        let builder = Machine::builder().owned(1).attachable(1).stall_timeout(timeout);
        let site = Site::new(builder.on_call_stall(move |stall| told.0.lock().unwrap().push(*stall)));
        let held = hold(&site, 0);
        let key = held.key();
        let later = || {
            thread::sleep(TIMEOUT * 4);
            key.set();
        };
        // A caller, which sleeps without an end in sight, and a CPU, which does too.
        beside(later, || {
            thread::scope(|scope| {
                scope.spawn(|| assert_eq!(site.call(0, || 1), Ok(1)));
                let _here = site.attach(1).unwrap();
                assert_eq!(site.call(0, || 2), Ok(2));
            });
        });
        assert_eq!((reports.phases(), site.counts().stalls), (0, 0));
    }
}
