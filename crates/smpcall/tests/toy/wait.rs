//! P4 and P10: waiting for a csd, giving up, and reports on a target that does not answer.

use crate::port::{OwnCpu, PAUSE_NS, Toy, csd, flush, log, logged, logs, on, rings, start};
use smpcall::{Csd, Machine, PerCpu, Phase, Posted, To, WaitError};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn while_waiting(hook: impl Fn() + 'static) {
    *crate::port::machine().platform().on_pause.borrow_mut() = Some(Rc::new(hook));
}

#[test]
fn p4_wait_ends_when_the_pending_run_has_finished() {
    let machine = start(2);
    let csd = logs(1);
    assert_eq!(machine.wait(csd), Ok(()), "never posted");
    machine.post(1, csd).unwrap();
    while_waiting(|| _ = flush(1));
    assert_eq!(on(0, || machine.wait(csd)), Ok(()));
    assert_eq!(logged(), [1]);
    assert_eq!(on(0, || machine.wait(csd)), Ok(()), "it ran before");
}

#[test]
fn p4_wait_of_the_target_itself_serves_its_queue() {
    let machine = start(1);
    let csd = logs(1);
    machine.post(0, csd).unwrap();
    assert_eq!(on(0, || machine.wait(csd)), Ok(()));
    assert_eq!(logged(), [1]);
}

#[test]
fn p4_wait_ends_also_if_the_csd_is_posted_again_at_once() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    while_waiting(move || {
        let _ = flush(1);
        crate::port::machine().post(1, csd).unwrap();
    });
    assert_eq!(on(0, || machine.wait_until(csd, 50 * PAUSE_NS)), Ok(()));
    let _ = flush(1);
}

#[test]
fn p4_wait_ends_however_many_runs_it_slept_through() {
    // A waiter may be off its CPU for any number of runs; the word's count of runs comes round after 32 of them.
    for runs in [1, 31, 32, 33, 64, 96] {
        let machine = start(2);
        let csd = logs(1);
        machine.post(1, csd).unwrap();
        let slept = Cell::new(false);
        while_waiting(move || {
            if slept.replace(true) {
                return;
            }
            let _ = flush(1);
            for _ in 1..runs {
                crate::port::machine().post(1, csd).unwrap();
                let _ = flush(1);
            }
        });
        let waited = on(0, || machine.wait_until(csd, 50 * PAUSE_NS));
        assert_eq!(waited, Ok(()), "{runs} runs, the last of them over and nothing pending");
        assert_eq!(logged().len(), runs);
    }
}

#[test]
fn p4_wait_ends_when_the_run_was_cancelled_and_let_go_of() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    while_waiting(move || {
        let _ = csd.cancel();
        let _ = flush(1);
    });
    assert_eq!(on(0, || machine.wait_until(csd, 50 * PAUSE_NS)), Ok(()));
    assert_eq!(logged(), []);
}

#[test]
fn p10_a_wait_ends_at_once_when_its_run_is_cancelled() {
    let machine = start(2);
    let csd = logs(1);
    for deadline in [None, Some(1_000 * PAUSE_NS)] {
        machine.post(1, csd).unwrap();
        while_waiting(move || _ = csd.cancel());
        let before = machine.platform().now_ns.get();
        let waited = on(0, || deadline.map_or_else(|| machine.wait(csd), |ns| machine.wait_until(csd, ns)));
        assert_eq!(waited, Err(WaitError::Cancelled));
        assert_eq!(machine.platform().now_ns.get(), before + PAUSE_NS, "it does not wait for the flush");
        assert_eq!(on(0, || machine.wait(csd)), Ok(()), "nothing is pending, and nothing was");
        let _ = flush(1);
    }
    assert_eq!(logged(), []);
}

#[test]
fn p10_a_wait_goes_on_when_its_run_is_given_back() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    let revived = Cell::new(false);
    while_waiting(move || {
        if revived.replace(true) {
            let _ = flush(1);
            return;
        }
        let _ = csd.cancel();
        assert_eq!(crate::port::machine().post(1, csd), Ok(Posted::Busy { cpu: 1 }));
    });
    assert_eq!((on(0, || machine.wait(csd)), logged()), (Ok(()), vec![1]));
}

#[test]
fn p10_a_time_out_is_a_duration() {
    let machine = start(2);
    let csd = logs(1);
    machine.platform().now_ns.set(77 * PAUSE_NS);
    machine.post(1, csd).unwrap();
    let wait = |ns| on(0, || machine.wait_timeout(csd, Duration::from_nanos(ns)));
    let Err(WaitError::TimedOut(stall)) = wait(5 * PAUSE_NS) else { panic!("CPU 1 does not look") };
    assert_eq!(stall.waited_ns, 5 * PAUSE_NS);
    assert!(matches!(wait(0), Err(WaitError::TimedOut(stall)) if stall.waited_ns == 0), "one look");
    while_waiting(|| _ = flush(1));
    assert_eq!(on(0, || machine.wait_timeout(csd, Duration::MAX)), Ok(()));
    assert_eq!((logged(), wait(0)), (vec![1], Ok(())));
}

#[test]
fn p10_a_wait_on_another_machine_is_refused_where_it_can_be_told() {
    let machine = start(4);
    let other = Machine::new(Toy::new(), [const { PerCpu::new() }; 2]);
    let csd = logs(1);
    machine.post(3, csd).unwrap();
    for _ in 0..2 {
        assert_eq!(other.wait(csd), Err(WaitError::NoSuchCpu), "it has no CPU 3");
        let _ = flush(3);
    }
    assert_eq!((machine.wait(csd), logged()), (Ok(()), vec![1]));
    // One that has a CPU of that number sees that the run has begun, and no more.
    machine.post(1, csd).unwrap();
    assert!(matches!(other.wait_timeout(csd, Duration::ZERO), Err(WaitError::TimedOut(_))));
    let _ = flush(1);
    assert_eq!((other.wait(csd), logged()), (Ok(()), vec![1]));
}

#[test]
fn p10_giving_up_names_cpu_function_and_phase() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    let Err(WaitError::TimedOut(stall)) = on(0, || machine.wait_until(csd, 5 * PAUSE_NS)) else {
        panic!("the deadline has passed");
    };
    assert_eq!((stall.waiter, stall.target, stall.phase), (Some(0), 1, Phase::Queued));
    assert_eq!(stall.waited_ns, 5 * PAUSE_NS);
    assert!(stall.function.contains("logs"), "{}", stall.function);
    assert!(csd.is_pending(), "its run is still to come");
    let text = WaitError::TimedOut(stall).to_string();
    assert!(text.contains("CPU 0") && text.contains("CPU 1") && text.contains(stall.function), "{text}");
    // A deadline that has passed already: one look.
    assert!(matches!(on(0, || machine.wait_until(csd, 0)), Err(WaitError::TimedOut(_))));
    let _ = flush(1);
    assert_eq!(logged(), [1]);
    assert_eq!(on(0, || machine.wait_until(csd, 0)), Ok(()), "nothing to wait for");
}

#[test]
fn p10_giving_up_and_cancelling() {
    let machine = start(2);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    on(0, || machine.wait_until(csd, PAUSE_NS)).unwrap_err();
    let _ = csd.cancel();
    let _ = flush(1);
    assert_eq!((logged(), machine.post(0, csd)), (vec![], Ok(Posted::Queued)));
    let _ = flush(0);
}

#[test]
fn p10_reports_come_at_doubling_distance_and_the_wait_goes_on() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(10 * PAUSE_NS);
    while_waiting(|| {
        if crate::port::machine().platform().now_ns.get() >= 200 * PAUSE_NS {
            let _ = flush(1);
        }
    });
    assert_eq!(on(0, || machine.call(1, || 5)), Ok(5));
    let stalls = machine.platform().stalls.take();
    let waited: Vec<u64> = stalls.iter().map(|stall| stall.waited_ns / PAUSE_NS).collect();
    assert_eq!(waited, [10, 30, 70, 150]);
    for (nth, stall) in stalls.iter().enumerate() {
        assert_eq!((stall.waiter, stall.target, stall.phase), (Some(0), 1, Phase::Queued));
        assert_eq!(stall.reports as usize, nth);
    }
    assert_eq!(crate::port::rings(), [1; 5], "the post's, and one with each report");
}

#[test]
fn p10_a_time_out_of_zero_reports_nothing() {
    let machine = start(2);
    let answer_late = || {
        let since_ns = machine.platform().now_ns.get();
        while_waiting(move || {
            if crate::port::machine().platform().now_ns.get() >= since_ns + 200 * PAUSE_NS {
                let _ = flush(1);
            }
        });
    };
    for timeout_ns in [0, u64::MAX] {
        machine.platform().stall_timeout_ns.set(timeout_ns);
        answer_late();
        assert_eq!(on(0, || machine.call(1, || 5)), Ok(5));
        answer_late();
        assert_eq!(on(0, || machine.call_many(To::Others, || ())).map(|reached| reached.ran), Ok(1));
        assert_eq!(machine.platform().stalls.take().len(), 0, "{timeout_ns}");
        assert_eq!(crate::port::rings(), [1; 2], "nor does it ring again");
    }
}

#[test]
fn p7_a_ring_is_always_sent_with_the_irq_guard_held() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(PAUSE_NS);
    machine.post(1, logs(1)).unwrap();
    while_waiting(|| {
        if crate::port::machine().platform().stalls.borrow().len() == 3 {
            let _ = flush(1);
        }
    });
    on(0, || machine.call(1, || ())).unwrap();
    assert!(rings().len() > 1, "the port refuses those without the guard");
}

static QUEUED: Csd<fn()> = Csd::new(|| log(1));

#[test]
fn p10_a_time_out_says_that_another_function_runs_before() {
    let machine = start(2);
    let slow = csd(|| {
        // Seen from inside of a function, as another CPU would see it.
        let waited = on(0, || crate::port::machine().wait_until(&QUEUED, 3 * PAUSE_NS));
        let Err(WaitError::TimedOut(stall)) = waited else { panic!("it is behind us") };
        assert!(matches!(stall.phase, Phase::Behind(func) if func != 0), "{stall}");
        log(2);
    });
    machine.post(1, slow).unwrap();
    machine.post(1, &QUEUED).unwrap();
    let _ = flush(1);
    assert_eq!((logged(), machine.platform().caught.get()), (vec![2, 1], 0));
}

static RUNNING: Csd<fn()> = Csd::new(|| {
    let waited = on(0, || crate::port::machine().wait_until(&RUNNING, 3 * PAUSE_NS));
    let Err(WaitError::TimedOut(stall)) = waited else { panic!("it is running") };
    assert_eq!((stall.target, stall.phase), (1, Phase::Running));
    log(1);
});

#[test]
fn p10_a_time_out_says_that_the_function_itself_runs() {
    let machine = start(2);
    machine.post(1, &RUNNING).unwrap();
    let _ = flush(1);
    assert_eq!((logged(), machine.platform().caught.get()), (vec![1], 0));
}

static SELF: Csd<fn()> = Csd::new(|| {
    let machine = crate::port::machine();
    assert_eq!(machine.wait(&SELF), Err(WaitError::WouldDeadlock), "for its own end");
    machine.post(0, &SELF).unwrap();
    assert_eq!(machine.wait(&SELF), Err(WaitError::WouldDeadlock), "for a run that comes after us");
    let _ = SELF.cancel();
    log(1);
});

#[test]
fn p10_waiting_for_oneself_is_refused() {
    let machine = start(1);
    machine.post(0, &SELF).unwrap();
    let _ = flush(0);
    assert_eq!((logged(), machine.platform().caught.get()), (vec![1], 0));
}

static QUIET: Csd<fn()> = Csd::new(|| ());

#[test]
fn p10_in_call_context_a_wait_for_nothing_is_allowed() {
    let machine = start(2);
    let waits = csd(|| assert_eq!(crate::port::machine().wait(&QUIET), Ok(())));
    for _ in 0..2 {
        machine.post(0, waits).unwrap();
        let _ = flush(0);
        machine.post(1, &QUIET).unwrap();
        let _ = flush(1);
    }
    assert_eq!(machine.platform().caught.get(), 0);
}

#[test]
fn p7_a_waiting_cpu_polls_and_leaves_its_mark_as_it_was() {
    for polled in [false, true] {
        let machine = start(2);
        if polled {
            on(0, || machine.poll_begin());
        }
        let served = logs(7);
        while_waiting(move || {
            crate::port::machine().post(0, served).unwrap();
            let _ = flush(1);
        });
        on(0, || machine.call(1, || log(1))).unwrap();
        if polled {
            assert!(on(0, || machine.has_work()), "who polls anyway looks for itself");
            let _ = flush(0);
        }
        assert_eq!(logged(), [1, 7], "nothing is left behind");
        assert_eq!(crate::port::rings(), [1], "and it is not rung while it waits");
        machine.post(0, served).unwrap();
        assert_eq!(crate::port::rings().is_empty(), polled);
        let _ = flush(0);
    }
}
