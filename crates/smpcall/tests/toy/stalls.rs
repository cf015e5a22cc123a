//! P10: reports on what does not come forward, whether or not anybody waits.

use crate::port::{CPUS, PAUSE_NS, as_cpu, csd, flush, log, logs, machine, on, start};
use smpcall::{CallStall, CpuMask, Flushed, Phase, QueueStall, StallCause, To, Watch};
use std::cell::Cell;
use std::rc::Rc;

fn while_waiting(hook: impl Fn() + 'static) {
    *machine().platform().on_pause.borrow_mut() = Some(Rc::new(hook));
}

fn at(pauses: u64) {
    machine().platform().now_ns.set(pauses * PAUSE_NS);
}

#[test]
fn p10_a_wait_that_was_reported_says_when_it_got_unstuck() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(10 * PAUSE_NS);
    while_waiting(|| {
        let stalled = usize::from((11..=40).contains(&(machine_now() / PAUSE_NS)));
        assert_eq!(crate::port::machine().stalled_waits_racy(), stalled);
        if machine_now() >= 40 * PAUSE_NS {
            let _ = flush(1);
        }
    });
    on(0, || machine.call(1, || log(1))).unwrap();
    assert_eq!(machine.stalled_waits_racy(), 0);
    let unstuck = machine.platform().unstuck.take();
    assert_eq!(unstuck.len(), 1);
    let stall = unstuck[0];
    assert_eq!((stall.waiter, stall.target, stall.phase, stall.reports), (Some(0), 1, Phase::Over, 2));
    assert_eq!(stall.waited_ns, 40 * PAUSE_NS);
    assert!(stall.to_string().ends_with("done by CPU 1 after 0 ms"), "{stall}");
    // One that was not reported says nothing.
    on(0, || machine.call(1, || log(2))).unwrap();
    assert_eq!(machine.platform().unstuck.take(), []);
}

fn machine_now() -> u64 {
    machine().platform().now_ns.get()
}

#[test]
fn p10_a_wait_that_gives_up_is_not_said_to_be_unstuck() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(PAUSE_NS);
    let csd = logs(1);
    machine.post(1, csd).unwrap();
    on(0, || machine.wait_until(csd, 9 * PAUSE_NS)).unwrap_err();
    assert_eq!(machine.platform().stalls.take().len(), 3, "after 1, 3 and 7");
    assert_eq!(machine.stalled_waits_racy(), 0, "given up is over");
    assert_eq!(machine.platform().unstuck.take(), []);
    let _ = flush(1);
}

#[test]
fn p10_who_runs_a_function_is_not_rung_again() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(PAUSE_NS);
    let queued = logs(1);
    let slow = csd(move || {
        let _ = crate::port::rings();
        let waited = on(0, || crate::port::machine().wait_until(queued, machine_now() + 10 * PAUSE_NS));
        assert!(waited.is_err(), "it is behind us");
        log(crate::port::rings().len() as u32);
    });
    machine.post(1, slow).unwrap();
    machine.post(1, queued).unwrap();
    let _ = flush(1);
    assert_eq!(crate::port::logged(), [0, 1]);
    assert!(machine.platform().stalls.take().iter().all(|stall| matches!(stall.phase, Phase::Behind(_))));
}

#[test]
fn p10_a_handler_that_calls_and_stalls_is_not_called_inside_itself() {
    let machine = start(3);
    machine.platform().stall_timeout_ns.set(PAUSE_NS);
    let depth = Rc::new(std::cell::Cell::new(0));
    *machine.platform().on_call_stall.borrow_mut() = Some(Rc::new({
        let depth = Rc::clone(&depth);
        move |_: &CallStall| {
            depth.set(depth.get() + 1);
            assert_eq!(depth.get(), 1, "a report inside a report");
            assert_eq!(crate::port::machine().call(2, || 2), Ok(2));
            depth.set(0);
        }
    }));
    let since = std::cell::Cell::new(0);
    while_waiting(move || {
        since.set(since.get() + 1);
        // CPU 2 answers the handler's call after many time-outs; CPU 1 the first when it was reported three times.
        if since.get() % 50 == 0 {
            let _ = flush(2);
        }
        if crate::port::machine().platform().stalls.borrow().len() == 3 {
            let _ = flush(1);
        }
    });
    let _ = crate::port::rings();
    assert_eq!(on(0, || machine.call(1, || 1)), Ok(1));
    let targets: Vec<_> = machine.platform().stalls.take().iter().map(|stall| stall.target).collect();
    assert_eq!(targets, [1; 3]);
    let unstuck = machine.platform().unstuck.take();
    assert_eq!(unstuck.iter().map(|stall| stall.target).collect::<Vec<_>>(), [1], "as of those that began");
    assert!(
        crate::port::rings().iter().filter(|cpu| **cpu == 2).count() > 3,
        "and is rung again all the same"
    );
    assert_eq!(machine.stalled_waits_racy(), 0);
}

#[test]
fn p10_a_time_out_of_zero_is_off() {
    let machine = start(2);
    let waits_long = || {
        while_waiting(|| {
            if machine_now() >= 100_000 * PAUSE_NS {
                let _ = flush(1);
            }
        });
        on(0, || machine.call(1, || ())).unwrap();
    };
    waits_long();
    assert_eq!((machine.platform().stalls.take(), machine.platform().unstuck.take()), (vec![], vec![]));
    // As for a stop that is never, which would end this test.
    machine.post(1, logs(1)).unwrap();
    let mut notes = [Watch::new(); CPUS];
    for pauses in [200_000, 300_000] {
        at(pauses);
        assert_eq!(machine.watchdog(0, &mut notes), 0);
    }
    assert_eq!(machine.platform().queue_stalls.take(), []);
    let _ = flush(1);
}

#[test]
fn p10_a_multicasts_report_names_one_that_has_not_answered() {
    let machine = start(3);
    machine.platform().stall_timeout_ns.set(10 * PAUSE_NS);
    while_waiting(|| {
        let _ = flush(1);
        if machine_now() >= 50 * PAUSE_NS {
            let _ = flush(2);
        }
    });
    on(0, || machine.call_many(To::Others, || log(1))).unwrap();
    let stalls = machine.platform().stalls.take();
    assert_eq!(stalls.iter().map(|stall| stall.target).collect::<Vec<_>>(), [2, 2], "CPU 1 has answered");
    assert!(stalls[0].function.contains("a_multicasts_report_names"), "{}", stalls[0]);
    assert_eq!(machine.platform().unstuck.take().len(), 1);
}

#[test]
fn p10_a_report_names_who_has_taken_a_multicast_and_not_run_it() {
    let machine = start(3);
    machine.platform().stall_timeout_ns.set(10 * PAUSE_NS);
    machine.post_many(To::Mask(CpuMask::from_words(&[0b010])), || log(9)).unwrap();
    while_waiting(|| {
        let _ = flush(2);
        match machine_now() / PAUSE_NS {
            // Takes both, runs the one before ours, and rings itself, which is lost.
            1 => assert_eq!(on(1, || crate::port::machine().flush(crate::port::budget(1))), Flushed::More(1)),
            2 => drop(crate::port::rings()),
            30 => {
                assert_eq!(crate::port::rings(), [1], "it has still to come to it");
                let _ = flush(1);
            }
            _ => {}
        }
    });
    on(0, || machine.call_many(To::Others, || log(1))).unwrap();
    let stalls = machine.platform().stalls.take();
    let named: Vec<_> = stalls.iter().map(|stall| (stall.target, stall.phase)).collect();
    assert_eq!(named, [(1, Phase::Queued)], "CPU 2 has answered");
    assert_eq!(crate::port::logged(), [1, 9, 1]);
}

#[test]
fn p10_one_report_names_and_rings_all_who_owe_a_multicast_an_answer() {
    let machine = start(CPUS as u32);
    machine.platform().stall_timeout_ns.set(10 * PAUSE_NS);
    let _ = crate::port::rings();
    while_waiting(|| match machine_now() / PAUSE_NS {
        // All doorbells are lost.
        1 => assert_eq!(crate::port::rings(), [1, 2, 3]),
        10 => assert_eq!(crate::port::rings(), []),
        11 => crate::port::rings().into_iter().for_each(|cpu| assert_eq!(flush(cpu), Flushed::All(1))),
        _ => {}
    });
    on(0, || machine.call_many(To::Others, || log(1))).unwrap();
    assert_eq!(machine_now(), 11 * PAUSE_NS, "the first report has found all");
    let stalls = machine.platform().stalls.take();
    let told: Vec<_> = stalls.iter().map(|stall| (stall.target, stall.pending, stall.reports)).collect();
    assert_eq!(told, [(1, 3, 0), (2, 3, 0), (3, 3, 0)]);
    assert!(stalls[1].to_string().contains("for CPU 2, one of 3: `"), "{}", stalls[1]);
    let unstuck = machine.platform().unstuck.take();
    assert_eq!(unstuck.iter().map(|stall| (stall.target, stall.pending)).collect::<Vec<_>>(), [(1, 0)]);
}

#[test]
fn p10_the_watchdog_finds_what_nobody_waits_for() {
    let machine = start(2);
    let mut notes = [Watch::new(); CPUS];
    let mut visit = |pauses| {
        at(pauses);
        let held_up = machine.watchdog(10 * PAUSE_NS, &mut notes);
        (held_up, machine.platform().queue_stalls.take(), crate::port::rings())
    };
    assert_eq!(visit(0), (0, vec![], vec![]));
    machine.post(1, logs(1)).unwrap();
    assert_eq!(visit(1), (0, vec![], vec![1]), "the post's own ring");
    (2..=10).for_each(|pauses| assert_eq!(visit(pauses), (0, vec![], vec![])));
    let (held_up, reports, rings) = visit(11);
    assert_eq!((held_up, rings), (1, vec![1]), "it is rung again");
    let [QueueStall { cpu: 1, cause: StallCause::Queued, for_ns, reports: 0, .. }] = reports[..] else {
        panic!("{reports:?}");
    };
    assert_eq!(for_ns, 10 * PAUSE_NS);
    for pauses in 12..=30 {
        assert_eq!(visit(pauses), (1, vec![], vec![]), "the next one comes after twice the time");
    }
    let (_, reports, rings) = visit(31);
    assert_eq!((reports.len(), rings), (1, vec![1]));
    assert_eq!(reports[0].reports, 1);
    assert!(reports[0].to_string().starts_with("CPU 1 has not flushed its queue"), "{}", reports[0]);
    let _ = flush(1);
    let (held_up, reports, _) = visit(32);
    assert_eq!((held_up, reports.len(), reports[0].cause), (0, 1, StallCause::Over));
    assert!(reports[0].to_string().starts_with("CPU 1 came forward"), "{}", reports[0]);
    assert_eq!(visit(500), (0, vec![], vec![]));
}

#[test]
fn p10_the_watchdog_is_not_deceived_by_a_cpu_that_comes_forward() {
    let machine = start(2);
    let mut notes = [Watch::new(); CPUS];
    let csd = logs(1);
    for pauses in 0..100 {
        machine.post(1, csd).unwrap();
        at(pauses);
        // At each visit its queue has an entry, but never the same one for long.
        assert_eq!(machine.watchdog(5 * PAUSE_NS, &mut notes), 0);
        let _ = flush(1);
    }
    assert_eq!(machine.platform().queue_stalls.take(), []);
}

#[test]
fn p10_the_watchdog_names_the_function_that_does_not_return() {
    let machine = start(2);
    let behind = logs(1);
    let slow = csd(move || {
        let machine = crate::port::machine();
        let func = machine.running_racy(1).expect("we run");
        let mut notes = [Watch::new(); CPUS];
        let mut visit = |pauses| {
            at(pauses);
            as_cpu(None, || machine.watchdog(10 * PAUSE_NS, &mut notes));
            machine.platform().queue_stalls.take().pop().map(|stall| stall.cause)
        };
        let _ = crate::port::rings();
        (0..10).for_each(|pauses| assert_eq!(visit(pauses), None));
        assert_eq!(visit(10), Some(StallCause::Running(func)));
        assert_eq!(crate::port::rings(), [], "who runs a function is not rung");
        on(0, || machine.post(1, behind)).unwrap();
        (11..30).for_each(|pauses| assert_eq!(visit(pauses), None));
        assert_eq!(visit(30), Some(StallCause::Behind(func)));
        log(2);
    });
    machine.post(1, slow).unwrap();
    let _ = flush(1);
    assert_eq!(crate::port::logged(), [2, 1]);
    assert_eq!((machine.running_racy(1), machine.running_racy(CPUS as u32)), (None, None));
    assert_eq!(machine.platform().caught.get(), 0);
}

#[test]
fn p10_a_watchdog_with_few_notes_looks_at_few_cpus() {
    let machine = start(2);
    machine.post(1, logs(1)).unwrap();
    let mut notes = [Watch::new(); 1];
    for pauses in 0..20 {
        at(pauses);
        assert_eq!(machine.watchdog(PAUSE_NS, &mut notes) + machine.watchdog(PAUSE_NS, &mut []), 0);
    }
    let _ = flush(1);
}

#[test]
fn p10_the_watchdog_sees_what_a_flush_left_over() {
    let machine = start(2);
    machine.post_all(1, [logs(1), logs(2)]).unwrap();
    let _ = on(1, || machine.flush(crate::port::budget(1)));
    let mut notes = [Watch::new(); CPUS];
    for pauses in 0..10 {
        at(pauses);
        assert_eq!(machine.watchdog(10 * PAUSE_NS, &mut notes), 0);
    }
    let _ = crate::port::rings();
    at(10);
    assert_eq!(machine.watchdog(10 * PAUSE_NS, &mut notes), 1);
    assert_eq!(
        (machine.platform().queue_stalls.take()[0].cause, crate::port::rings()),
        (StallCause::Queued, vec![1])
    );
    let _ = flush(1);
    assert_eq!(crate::port::logged(), [1, 2]);
}

#[test]
fn p10_a_wait_for_a_slot_is_reported_like_any_other() {
    let machine = start(3);
    let (only_1, only_2) = ([0b010], [0b100]);
    let to_1 = || machine.post_many(To::Mask(CpuMask::from_words(&only_1)), || log(1));
    let posted = std::iter::repeat_with(to_1).take_while(Result::is_ok).count();
    // The others are held by callers that wait for CPU 1, each inside the wait of the one before.
    let held = usize::BITS as usize - posted;
    let depth = std::cell::Cell::new(0);
    while_waiting(move || {
        let machine = crate::port::machine();
        depth.set(depth.get() + 1);
        if depth.get() < held {
            machine.call_many(To::Mask(CpuMask::from_words(&only_1)), || log(3)).unwrap();
        } else if depth.get() == held {
            at(0);
            machine.platform().stall_timeout_ns.set(10 * PAUSE_NS);
            machine.call_many(To::Mask(CpuMask::from_words(&only_2)), || log(2)).unwrap();
            machine.platform().stall_timeout_ns.set(0);
        } else {
            let _ = flush(2);
            if machine_now() >= 40 * PAUSE_NS {
                let _ = flush(1);
            }
        }
    });
    machine.call_many(To::Mask(CpuMask::from_words(&only_1)), || log(3)).unwrap();
    let stalls = machine.platform().stalls.take();
    assert_eq!(stalls.len(), 2, "after 10 and 30: {stalls:?}");
    for stall in stalls {
        assert_eq!((stall.target, stall.phase), (1, Phase::Queued), "CPU 1 has the slots");
        assert!(stall.function.contains("a_wait_for_a_slot"), "{stall}");
    }
    assert_eq!(machine.platform().unstuck.take().len(), 1);
    assert_eq!(crate::port::logged().len(), usize::BITS as usize + 1);
}

/// Lets the clock go on at each pause as `steps` say, 5 ms at a time when they are used up; CPU 1 flushes when `done` says so.
fn while_stopped(steps: &'static [u64], done: impl Fn() -> bool + 'static) {
    let nth = Cell::new(0);
    while_waiting(move || {
        let step_ns = steps.get(nth.replace(nth.get() + 1)).copied().unwrap_or(5 * MS);
        let machine = machine();
        machine.platform().now_ns.set(machine_now() + step_ns);
        if done() {
            let _ = flush(1);
        }
    });
}

const MS: u64 = 1_000_000;

#[test]
fn p10_time_in_which_the_waiter_did_not_run_is_not_counted() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(100 * MS);
    // Stopped for three times the time-out, and again.
    while_stopped(&[5 * MS, 300 * MS, 5 * MS, 300 * MS], || {
        !crate::port::machine().platform().stalls.borrow().is_empty()
    });
    on(0, || machine.call(1, || log(1))).unwrap();
    let stalls = machine.platform().stalls.take();
    assert_eq!(stalls.len(), 1, "{stalls:?}");
    // Each stop counts for a look of an eighth of the time-out at most.
    assert!((100 * MS..110 * MS).contains(&stalls[0].waited_ns), "{stalls:?}");
    assert!(machine_now() >= 665 * MS, "{}", machine_now());
    let unstuck = machine.platform().unstuck.take();
    assert!(unstuck.len() == 1 && unstuck[0].waited_ns < 120 * MS, "{unstuck:?}");
}

#[test]
fn p10_a_process_that_was_stopped_is_not_stopped_for_good() {
    let machine = start(2);
    machine.platform().stall_stop_ns.set(200 * MS);
    // `Reporting::stop` would abort the process.
    while_stopped(&[400 * MS, 400 * MS], || machine_now() >= 850 * MS);
    on(0, || machine.call(1, || log(1))).unwrap();
    assert_eq!(crate::port::logged(), [1]);
}

#[test]
fn p10_the_watchdog_does_not_count_the_time_in_which_it_did_not_run() {
    let machine = start(2);
    machine.post(1, logs(1)).unwrap();
    let mut notes = [Watch::new(); CPUS];
    let mut visit = |pauses| {
        at(pauses);
        machine.watchdog(10 * PAUSE_NS, &mut notes)
    };
    assert_eq!(
        [0, 1, 2, 500, 501, 502].map(&mut visit),
        [0; 6],
        "held up for 6 that count: 4, and 2 of the gap"
    );
    assert_eq!([503, 504, 505, 506].map(&mut visit), [0, 0, 0, 1]);
    assert_eq!(machine.platform().queue_stalls.take()[0].for_ns, 10 * PAUSE_NS);
    let _ = flush(1);
}
