//! P11: what code of the user's may do while a frame of the core that uses its CPU lies below it.

use crate::port::{
    OwnCpu, PAUSE_NS, as_cpu, csd, flush, log, logged, logs, machine, on, pinned, rings, start,
};
use smpcall::{
    Budget, CallError, CallStall, EventKind, Flushed, HotplugError, ManyError, NoSleep, Platform, Posted,
    Serve, To, WaitError,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::rc::Rc;

/// Demands that the CPU that runs the caller neither goes offline nor comes online here.
fn keeps_its_cpu() {
    let machine = machine();
    assert_eq!(machine.offline(), Err(HotplugError::InCall));
    assert_eq!(pinned(&machine).come_online(), Err(HotplugError::InCall));
}

/// Demands that and that nothing flushes, waits or sleeps here.
fn is_in_call_context() {
    keeps_its_cpu();
    let machine = machine();
    assert_eq!(machine.flush(Budget::DEFAULT), Flushed::Nested);
    assert_eq!(machine.run_blocking(), 0);
    machine.poll_begin();
    assert_eq!(machine.poll_end(), Err(NoSleep::InCall));
    let other = u32::from(machine.platform().cpu.get() == Some(0));
    assert_eq!(machine.call(other, || ()), Err(CallError::WouldDeadlock));
    assert_eq!(machine.call_blocking(other, || ()), Err(CallError::WouldDeadlock));
    assert_eq!(machine.call_many(To::All, || ()), Err(ManyError::WouldDeadlock));
}

/// CPU 1's thread flushes, and runs what may block, while somebody waits.
fn cpu_1_serves() {
    *machine().platform().on_pause.borrow_mut() = Some(Rc::new(|| {
        // As a CPU that waits, which it may also do in a function that may block.
        on(1, || pinned(&machine()).serve_elsewhere(Serve::Blocking));
    }));
}

/// The CPU is as it was: it goes offline, and comes back.
#[track_caller]
fn is_left_alone(cpu: u32) {
    on(cpu, || {
        assert!(machine().offline().is_ok());
        assert_eq!(pinned(&machine()).come_online(), Ok(()));
    });
}

#[test]
fn p11_a_blocking_function_does_not_take_its_cpu_away() {
    let machine = start(2);
    cpu_1_serves();
    for _ in 0..2 {
        assert_eq!(on(0, || machine.call_blocking(1, keeps_its_cpu)), Ok(()));
    }
    // Nested: the inner one's end does not open the way for the outer one.
    let nested = on(0, || {
        machine.call_blocking(1, || {
            let machine = crate::port::machine();
            assert_eq!(as_cpu(Some(0), || machine.call_blocking(1, keeps_its_cpu)), Ok(()));
            keeps_its_cpu();
        })
    });
    assert_eq!(nested, Ok(()));
    let panics = || on(0, || machine.call_blocking(1, || panic!("meant")));
    catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    is_left_alone(1);
}

#[test]
fn p11_nor_does_one_that_its_own_cpu_calls() {
    let machine = start(1);
    let nested = || {
        assert_eq!(crate::port::machine().call_blocking(0, keeps_its_cpu), Ok(()));
        keeps_its_cpu();
    };
    assert_eq!(on(0, || machine.call_blocking(0, nested)), Ok(()));
    let panics = || on(0, || machine.call_blocking(0, || panic!("meant")));
    catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    is_left_alone(0);
}

#[test]
fn p11_a_cpu_that_leaves_does_not_come_back_from_the_function_that_runs_last() {
    let machine = start(2);
    *machine.platform().on_pause.borrow_mut() =
        Some(Rc::new(|| assert_eq!(on(1, || crate::port::machine().offline()), Ok(1))));
    assert_eq!(machine.call_blocking(1, keeps_its_cpu), Ok(()));
    assert!(!machine.is_online_racy(1));
    machine.post(1, logs(1)).unwrap_err();
    on(1, || pinned(&machine).come_online()).unwrap();
}

#[test]
fn p1_a_blocking_function_has_no_handle_and_its_cpu_is_rung_afterwards() {
    let machine = start(2);
    cpu_1_serves();
    let asks = || {
        let machine = crate::port::machine();
        assert_eq!(pinned(&machine).this_cpu().unwrap_err(), HotplugError::InCall);
    };
    assert_eq!(on(0, || machine.call_blocking(1, asks)), Ok(()));
    rings();
    as_cpu(None, || machine.post(1, logs(2))).unwrap();
    assert_eq!((rings(), flush(1), logged()), (vec![1], Flushed::All(1), vec![2]));
}

#[test]
fn p1_a_function_in_call_context_cannot_make_its_cpu_poll() {
    let machine = start(2);
    machine.post(1, csd(|| crate::port::machine().poll_begin())).unwrap();
    assert_eq!(flush(1), Flushed::All(1));
    machine.post(1, csd(|| assert_eq!(crate::port::machine().poll_end(), Err(NoSleep::InCall)))).unwrap();
    assert_eq!((flush(1), machine.platform().caught.get()), (Flushed::All(1), 0));
    // Nor is there a mark that the flush has left.
    machine.post(1, csd(|| ())).unwrap();
    assert_eq!((flush(1), rings()), (Flushed::All(1), [1, 1, 1].to_vec()));
}

#[test]
fn p11_a_condition_does_not_take_its_cpu_away() {
    let machine = start(3);
    let asked = Cell::new(0);
    cpu_1_serves();
    on(0, || {
        let mut condition = |cpu| {
            keeps_its_cpu();
            // It is in thread context: what flushes and waits there is no danger.
            assert_eq!(machine.flush(Budget::DEFAULT), Flushed::All(0));
            assert_eq!(machine.call(1, || 3), Ok(3));
            asked.set(asked.get() + 1);
            cpu == 1
        };
        let reached = machine.call_many(To::If(&mut condition), || log(1)).unwrap();
        assert_eq!((reached.ran, asked.get()), (1, machine.cpus_len()));
        let panics =
            || machine.call_many(To::If(&mut |cpu| if cpu < 2 { true } else { panic!("meant") }), || log(2));
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        let reached = machine
            .post_many(
                To::If(&mut |_| {
                    keeps_its_cpu();
                    true
                }),
                || log(3),
            )
            .unwrap();
        assert_eq!(reached.ran, 3);
    });
    let _ = flush(1);
    is_left_alone(0);
}

#[test]
fn p11_a_report_does_not_take_the_waiters_cpu_away() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(10 * PAUSE_NS);
    let (reports, ends) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let counts = (Rc::clone(&reports), Rc::clone(&ends));
    *machine.platform().on_call_stall.borrow_mut() = Some(Rc::new(move |stall: &CallStall| {
        keeps_its_cpu();
        let count = if stall.pending == 0 { &counts.1 } else { &counts.0 };
        count.set(count.get() + 1);
    }));
    let late = || {
        let now = crate::port::machine().platform().now_ns.get();
        if now % (20 * PAUSE_NS) == 0 {
            let _ = flush(1);
            on(1, || crate::port::machine().run_blocking());
        }
    };
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(late));
    on(0, || {
        machine.platform().now_ns.set(PAUSE_NS);
        machine.call(1, || log(1)).unwrap();
        machine.platform().now_ns.set(PAUSE_NS);
        machine.call_blocking(1, || log(2)).unwrap();
        machine.platform().now_ns.set(PAUSE_NS);
        machine.call_many(To::Others, || log(3)).unwrap();
        machine.platform().now_ns.set(PAUSE_NS);
        let csd = logs(4);
        machine.post(1, csd).unwrap();
        assert_eq!(machine.wait(csd), Ok(()));
        machine.post(1, csd).unwrap();
        assert!(matches!(machine.wait_until(csd, 15 * PAUSE_NS), Ok(()) | Err(WaitError::TimedOut(_))));
    });
    assert!(reports.get() >= 4 && ends.get() >= 4, "{} {}", reports.get(), ends.get());
    is_left_alone(0);
}

#[test]
fn p11_a_tracer_is_in_call_context_at_every_event() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(2 * PAUSE_NS);
    let seen = Rc::new(RefCell::new(BTreeSet::new()));
    let events = Rc::clone(&seen);
    let nested = Cell::new(false);
    *machine.platform().on_event.borrow_mut() = Some(Rc::new(move |event| {
        // What the checks below do is told as well.
        if nested.replace(true) {
            return;
        }
        assert!(
            !crate::port::machine().platform().can_wait(),
            "a doorbell's interrupt would be refused, and lost"
        );
        if event.by.is_some() {
            is_in_call_context();
            events
                .borrow_mut()
                .insert(format!("{:?}", event.kind).split([' ', '{']).next().unwrap().to_owned());
        }
        nested.set(false);
    }));
    let late = || {
        if crate::port::machine().platform().now_ns.get() > 5 * PAUSE_NS {
            let _ = flush(1);
        }
    };
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(late));
    on(0, || {
        machine.call(1, || log(1)).unwrap();
        let csd = logs(2);
        machine.post(1, csd).unwrap();
        assert_eq!(machine.post(1, csd), Ok(Posted::Busy { cpu: 1 }));
        machine.post(1, logs(3)).unwrap();
        machine.post(2, logs(4)).unwrap_err();
        machine.call_many(To::Others, || log(5)).unwrap();
    });
    let _ = flush(1);
    assert_eq!(logged(), [1, 5, 2, 3]);
    let all = ["Batch", "Busy", "Entry", "Exit", "Pushed", "Queue", "Refused", "Ring", "Saved", "Stalled"];
    assert!(seen.borrow().iter().map(String::as_str).eq(all), "{:?}", seen.borrow());
    *machine.platform().on_event.borrow_mut() = None;
    is_left_alone(0);
    is_left_alone(1);
}

#[test]
fn p6_a_flush_from_a_tracer_does_not_overtake_the_batch() {
    let machine = start(2);
    *machine.platform().on_event.borrow_mut() = Some(Rc::new(|event| {
        if matches!(event.kind, EventKind::Batch { .. }) {
            let machine = crate::port::machine();
            // What it would flush is not told to it again.
            *machine.platform().on_event.borrow_mut() = None;
            machine.post(1, logs(2)).unwrap();
            if machine.flush(Budget::DEFAULT) == Flushed::Nested {
                log(3);
            }
        }
    }));
    machine.post(1, logs(1)).unwrap();
    assert_eq!((flush(1), logged()), (Flushed::All(2), vec![3, 1, 2]));
}

#[test]
fn p9_the_iterator_of_a_chain_is_in_call_context() {
    let machine = start(2);
    let chain = on(0, || {
        let csds = (0..3).map(|entry| {
            is_in_call_context();
            logs(entry)
        });
        machine.post_all(1, csds)
    });
    assert_eq!(chain.unwrap().queued, 3);
    assert_eq!((flush(1), logged()), (Flushed::All(3), vec![0, 1, 2]));
    let panics = on(0, || {
        let csds = (0..3).map(|entry| if entry < 2 { logs(entry) } else { panic!("meant") });
        catch_unwind(AssertUnwindSafe(|| machine.post_all(1, csds)))
    });
    assert!(panics.is_err());
    assert_eq!((flush(1), logged()), (Flushed::All(2), vec![0, 1]));
    is_left_alone(0);
    // Who is no CPU has no call context, and no queue to flush.
    let csds = [4].into_iter().map(|entry| {
        assert_eq!(crate::port::machine().call(1, || ()), Err(CallError::WouldDeadlock));
        logs(entry)
    });
    assert_eq!(machine.post_all(1, csds).unwrap().queued, 1);
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("meant");
    }
}

#[test]
#[ignore = "ends its process, as it should"]
fn child_whose_tracer_panics() {
    let machine = start(2);
    *machine.platform().on_event.borrow_mut() = Some(Rc::new(|event| {
        assert!(!matches!(event.kind, EventKind::Pushed { .. }), "meant");
    }));
    // Without the end, nobody would be rung for what is queued. (A call's frame has a guard of its own.)
    let _ = on(0, || machine.post(1, logs(1)));
    println!("it unwound");
}

#[test]
#[ignore = "ends its process, as it should"]
fn child_whose_report_panics() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(2 * PAUSE_NS);
    *machine.platform().on_call_stall.borrow_mut() = Some(Rc::new(|_| panic!("meant")));
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    let _ = on(0, || machine.wait(csd));
    println!("it unwound");
}

/// A breach of a port's sixth promise ends the process, and is not carried past a frame.
#[test]
fn p11_a_port_that_unwinds_ends_the_process() {
    for child in ["child_whose_tracer_panics", "child_whose_report_panics"] {
        let itself = std::env::current_exe().unwrap();
        let name = format!("frames::{child}");
        let output =
            Command::new(itself).args(["--exact", &name, "--ignored", "--nocapture"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), None, "{child} was ended by a signal: {said}");
        assert!(said.contains("a frame of smpcall cannot be left"), "{said}");
    }
}

#[test]
fn p11_the_drop_of_a_function_that_is_refused_may_do_anything() {
    struct Leaves;
    impl Drop for Leaves {
        fn drop(&mut self) {
            assert!(machine().offline().is_ok());
        }
    }
    let machine = start(1);
    let held = Leaves;
    let refused = on(0, || machine.call(1, move || drop(held)));
    assert_eq!((refused, machine.is_online_racy(0)), (Err(CallError::Offline), false));
    let bomb = Bomb;
    let refused = || on(0, || machine.call(1, move || drop(bomb)));
    catch_unwind(AssertUnwindSafe(refused)).unwrap_err();
    on(0, || pinned(&machine).come_online()).unwrap();
    on(1, || pinned(&machine).come_online()).unwrap();
    cpu_1_serves();
    assert_eq!(on(0, || machine.call(1, || 5)), Ok(5), "the mailbox was given back");
}
