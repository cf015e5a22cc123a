//! Calls that may block: in the target's thread, outside call context.

use crate::port::{OwnCpu, as_cpu, csd, flush, log, logged, logs, machine, on, pinned, start};
use smpcall::{
    Budget, CallError, Flushed, HotplugError, NoSleep, Phase, Platform, StallCause, WaitError, Watch,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// What the threads of the first two CPUs do while somebody waits: each flushes, and runs what may block.
fn others_serve() {
    while_waiting(|me| {
        for cpu in (0..2).filter(|cpu| Some(*cpu) != me) {
            let _ = flush(cpu);
            on(cpu, || machine().run_blocking());
        }
    });
}

fn while_waiting(hook: impl Fn(Option<u32>) + 'static) {
    *machine().platform().on_pause.borrow_mut() = Some(Rc::new(move || hook(machine().platform().cpu.get())));
}

/// While somebody waits, CPU 1 only flushes.
fn only_flushes() {
    while_waiting(|_| _ = flush(1));
}

#[test]
fn p4_it_borrows_gives_back_a_result_and_runs_outside_call_context() {
    let machine = start(2);
    others_serve();
    let mut local = vec![1, 2];
    let result = on(0, || {
        machine.call_blocking(1, || {
            let machine = crate::port::machine();
            assert_eq!(machine.platform().cpu.get(), Some(1));
            assert!(machine.platform().can_wait(), "interrupts are on");
            assert_eq!(machine.call(0, || 5), Ok(5), "it may wait");
            assert_eq!(machine.call_blocking(0, || 6), Ok(6), "in this way too");
            local.push(3);
            local.iter().sum::<i32>()
        })
    });
    assert_eq!((result, local), (Ok(6), vec![1, 2, 3]));
    assert_eq!(as_cpu(None, || machine.call_blocking(1, || "from no CPU")), Ok("from no CPU"));
}

#[test]
fn p1_a_flush_only_moves_it_and_the_thread_runs_it_once() {
    let machine = start(2);
    let steps = Rc::new(std::cell::Cell::new(0));
    let step = Rc::clone(&steps);
    while_waiting(move |_| {
        step.set(step.get() + 1);
        match step.get() {
            1 => assert_eq!((flush(1), logged()), (Flushed::All(1), vec![])),
            2 => assert_eq!((flush(1), logged()), (Flushed::All(0), vec![])),
            3 => assert_eq!(on(1, || crate::port::machine().run_blocking()), 1),
            _ => unreachable!("it is done"),
        }
    });
    assert_eq!(on(0, || machine.call_blocking(1, || log(1))), Ok(()));
    assert_eq!((steps.get(), logged()), (3, vec![1]));
    assert_eq!(on(1, || machine.run_blocking()), 0);
}

#[test]
fn p10_on_ones_own_cpu_it_runs_inline_with_interrupts_on() {
    let machine = start(1);
    let result = on(0, || {
        machine.call_blocking(0, || {
            assert!(crate::port::machine().platform().can_wait());
            crate::port::machine().call_blocking(0, || 3)
        })
    });
    assert_eq!(result, Ok(Ok(3)));
    let calls = || on(0, || machine.call_blocking(0, || panic!("meant")));
    assert_eq!(catch_unwind(AssertUnwindSafe(calls)).unwrap_err().downcast_ref(), Some(&"meant"));
}

/// Logs when it is dropped.
struct Dropped(u32);

impl Drop for Dropped {
    fn drop(&mut self) {
        log(self.0);
    }
}

#[test]
fn p10_refused_in_call_context_with_interrupts_off_and_to_no_cpu() {
    let machine = start(2);
    let refused = |cpu: u32| {
        let held = Dropped(9);
        crate::port::machine().call_blocking(cpu, move || {
            let _held = &held;
            log(1);
        })
    };
    let inside = csd(move || {
        assert_eq!(refused(1), Err(CallError::WouldDeadlock));
        assert_eq!(refused(0), Err(CallError::WouldDeadlock), "to itself as well");
        assert_eq!(crate::port::machine().run_blocking(), 0);
    });
    machine.post(0, inside).unwrap();
    assert_eq!((flush(0), logged(), machine.platform().caught.get()), (Flushed::All(1), vec![9, 9], 0));
    on(0, || {
        machine.platform().irq_save();
        assert_eq!([refused(1), refused(0)], [Err(CallError::WouldDeadlock); 2]);
        machine.platform().irq_restore(());
    });
    assert_eq!(refused(4), Err(CallError::NoSuchCpu));
    assert_eq!(logged(), [9, 9, 9]);
}

#[test]
fn p8_an_offline_cpu_refuses_and_the_function_is_dropped() {
    let machine = start(1);
    let held = Dropped(9);
    let refused = on(0, || {
        machine.call_blocking(1, move || {
            let _held = &held;
            log(1);
        })
    });
    assert_eq!((refused, logged()), (Err(CallError::Offline), vec![9]));
    assert_eq!(on(1, || machine.call_blocking(1, || log(1))), Err(CallError::Offline), "itself");
    assert_eq!(logged(), []);
}

#[test]
fn p8_going_offline_runs_those_that_were_accepted() {
    let machine = start(2);
    // One that was moved to the list by a flush, and one that is queued still.
    while_waiting(|me| match me {
        Some(0) => {
            let _ = flush(1);
            let second = as_cpu(None, || machine_calls(1, 2));
            assert_eq!(second, Ok(2));
        }
        _ => {
            let went = on(1, || crate::port::machine().offline());
            assert_eq!(went, Ok(1), "one was taken off the queue before");
        }
    });
    assert_eq!(on(0, || machine_calls(1, 1)), Ok(1));
    assert_eq!((logged(), machine.is_online_racy(1)), (vec![1, 2], false));
    assert_eq!(machine_calls(1, 3), Err(CallError::Offline));
}

fn machine_calls(cpu: u32, entry: u32) -> Result<u32, CallError> {
    machine().call_blocking(cpu, || {
        log(entry);
        entry
    })
}

#[test]
fn p8_what_runs_last_may_still_wait() {
    let machine = start(2);
    while_waiting(|me| match me {
        None => assert_eq!(on(1, || crate::port::machine().offline()), Ok(1)),
        _ => _ = flush(0),
    });
    let result = machine.call_blocking(1, || {
        let machine = crate::port::machine();
        assert_eq!(machine.offline(), Err(HotplugError::InCall));
        assert_eq!(
            pinned(&machine).come_online(),
            Err(HotplugError::InCall),
            "nobody would look at its queue"
        );
        (machine.call(0, || 7), machine.post(1, logs(1)).is_err())
    });
    assert_eq!(result, Ok((Ok(7), true)));
}

#[test]
fn p11_a_panic_comes_back_to_the_caller_and_the_target_goes_on() {
    let machine = start(2);
    others_serve();
    let calls = || on(0, || machine.call_blocking(1, || -> u32 { std::panic::panic_any(42_u64) }));
    assert_eq!(catch_unwind(AssertUnwindSafe(calls)).unwrap_err().downcast_ref(), Some(&42_u64));
    assert_eq!(machine.platform().caught.get(), 0, "it is the caller's business alone");
    assert_eq!(on(0, || machine.call_blocking(1, || 5)), Ok(5));
}

#[test]
fn p10_two_cpus_that_call_each_other_both_finish() {
    let machine = start(2);
    // CPU 1's thread, too, makes such a call, and nobody else runs anything.
    while_waiting(|me| {
        if me == Some(0) && logged().is_empty() {
            log(0);
            let there = on(1, || {
                crate::port::machine().call_blocking(0, || crate::port::machine().platform().cpu.get())
            });
            assert_eq!(there, Ok(Some(0)));
        } else if me == Some(1) {
            // CPU 0 is inside its wait: what it serves is all that it does.
            let _ = flush(0);
            assert_eq!(on(0, || crate::port::machine().run_blocking()), 1);
        }
    });
    assert_eq!(on(0, || machine.call_blocking(1, || 4)), Ok(4), "CPU 1 served it while it waited");
}

#[test]
fn p6_they_run_in_the_order_in_which_they_came_also_nested() {
    let machine = start(3);
    let depth = std::cell::Cell::new(0);
    while_waiting(move |_| {
        depth.set(depth.get() + 1);
        let number = depth.get();
        if number < 4 {
            // One more caller, before the first is served.
            assert_eq!(as_cpu(None, || machine_calls(1, number)), Ok(number));
        } else {
            let _ = flush(1);
            on(1, || crate::port::machine().run_blocking());
        }
    });
    assert_eq!(on(0, || machine_calls(1, 0)), Ok(0));
    assert_eq!(logged(), [0, 1, 2, 3]);
    assert!(!on(1, || machine.has_work()));
}

#[test]
fn p7_a_cpu_does_not_sleep_over_one() {
    let machine = start(2);
    while_waiting(|_| {
        let machine = crate::port::machine();
        on(1, || {
            machine.poll_begin();
            let _ = machine.flush(Budget::DEFAULT);
            assert!(!machine.has_work(), "there is nothing to flush");
            assert_eq!(machine.poll_end(), Err(NoSleep::Work));
            assert_eq!(machine.run_blocking(), 1);
            assert_eq!(machine.poll_end(), Ok(()));
        });
    });
    assert_eq!(on(0, || machine.call_blocking(1, || 3)), Ok(3));
}

#[test]
fn p7_while_one_runs_a_polling_cpu_is_rung_and_polls_again_afterwards() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    while_waiting(|_| {
        let _ = flush(1);
        on(1, || crate::port::machine().run_blocking());
    });
    crate::port::rings();
    let called = on(0, || {
        machine.call_blocking(1, || {
            crate::port::machine().post(1, logs(1)).unwrap();
            assert_eq!(crate::port::rings(), [1], "its thread does not look");
        })
    });
    assert_eq!((called, flush(1)), (Ok(()), Flushed::All(1)));
    machine.post(1, logs(2)).unwrap();
    assert_eq!(crate::port::rings(), [], "it polls again");
    let _ = flush(1);
}

#[test]
fn p10_a_report_says_how_far_it_has_come() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(2 * crate::port::PAUSE_NS);
    let pauses = std::cell::Cell::new(0);
    while_waiting(move |me| {
        pauses.set(pauses.get() + 1);
        match pauses.get() {
            // Reports come after two time-outs, and after six.
            4 => _ = flush(1),
            12 => _ = on(1, || crate::port::machine().run_blocking()),
            _ => assert_eq!(me, Some(0)),
        }
    });
    let calls = || {
        machine.call_blocking(1, || {
            log(crate::port::machine().platform().stalls.borrow().len() as u32);
        })
    };
    assert_eq!(on(0, calls), Ok(()));
    let phases: Vec<_> = machine.platform().stalls.borrow().iter().map(|stall| stall.phase).collect();
    assert_eq!(phases, [Phase::Queued, Phase::Dequeued]);
    let text = machine.platform().stalls.borrow()[1].to_string();
    assert!(text.contains("the CPU's thread has not come to it"), "{text}");
    assert_eq!(logged(), [2]);
}

#[test]
fn p10_who_is_queued_behind_a_blocking_function_is_told_so() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(crate::port::PAUSE_NS);
    others_serve();
    let queued = csd(|| log(1));
    let inside = || {
        // Inside CPU 1's blocking function, as others see it.
        let machine = crate::port::machine();
        *machine.platform().on_pause.borrow_mut() = None;
        let func = machine.running_racy(1).expect("it runs us");
        machine.post(1, queued).unwrap();
        crate::port::rings();
        let until_ns = machine.platform().now_ns.get() + 2 * crate::port::PAUSE_NS;
        let Err(WaitError::TimedOut(stall)) = on(0, || machine.wait_until(queued, until_ns)) else {
            panic!("it is behind us");
        };
        assert_eq!(stall.phase, Phase::BehindBlocking(func));
        assert!(
            stall.to_string().ends_with(&format!("behind the blocking function at {func:#x}")),
            "{stall}"
        );
        assert_eq!(machine.platform().stalls.take()[0].phase, Phase::BehindBlocking(func));
        assert_eq!(crate::port::rings(), [1], "an interrupt may make it look");
        let mut notes = [Watch::new(); 2];
        let mut visit = |now_ns| {
            machine.platform().now_ns.set(now_ns);
            machine.watchdog(10, &mut notes);
            machine.platform().queue_stalls.take().pop()
        };
        // Each gap counts for an eighth of the time-out at least.
        let stall = (0..=10).find_map(|step| visit(until_ns + step)).expect("nothing has moved");
        assert_eq!((stall.cpu, stall.cause), (1, StallCause::BehindBlocking(func)));
        assert!(stall.to_string().contains("behind the blocking function at"), "{stall}");
        assert_eq!(crate::port::rings(), [1]);
    };
    assert_eq!(machine.call_blocking(1, inside), Ok(()));
    assert_eq!(machine.running_racy(1), None);
    assert_eq!((flush(1), logged()), (Flushed::All(1), vec![1]));
}

#[test]
fn p10_a_wait_inside_one_is_allowed_and_for_itself_ends() {
    let machine = start(2);
    others_serve();
    let asked = csd(|| log(1));
    let waited = on(0, || {
        machine.call_blocking(1, || {
            let machine = crate::port::machine();
            machine.post(0, asked).unwrap();
            machine.wait(asked)
        })
    });
    assert_eq!((waited, logged()), (Ok(Ok::<(), WaitError>(())), vec![1]));
    only_flushes();
    assert_eq!(on(0, || machine.call(1, || 2)), Ok(2), "a waiting call needs no thread");
}
